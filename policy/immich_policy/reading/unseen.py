"""What runs, or may run, an Immich that the rules do not see: it is told, so that silence means that all is well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from immich_policy.model import Plain, Registered, Stack, mapping, text
from immich_policy.reading.parts import having
from immich_policy.reading.releases import mentions, releases
from immich_policy.reading.roles import IMMICH

_SERVICE: Final = "docker:index/service:Service"
_COMMANDS: Final = ("command:local:Command", "command:remote:Command")
_RUNS: Final = re.compile(
    r"\b(?:docker|podman|nerdctl)(?:-compose|\s+(?:compose|stack|run|service|create|kube|play|start))\b"
    r"|\bdocker\s+-\S+[^\n]*\b(?:compose|run|stack)\b"
    r"|\bkubectl\s[^\n]*\b(?:apply|create|replace|run)\b|\bhelm\s[^\n]*\b(?:install|upgrade)\b"
    r"|\b(?:helmfile|kustomize|quadlet|systemctl\s+(?:--user\s+)?(?:start|enable|restart)\s+\S*immich)\b"
)
"""Command lines that start containers."""
_READ: Final = re.compile(
    r"pulumi:|random:|tls:|cloudflare:|docker:index/(?!service)|command:|kubernetes:(?:(?:core|apps|batch|policy|rbac\.authorization"
    r"\.k8s\.io|networking\.k8s\.io|gateway\.networking\.k8s\.io|postgresql\.cnpg\.io|monitoring\.coreos\.com|cilium\.io"
    r"|external-secrets\.io|storage\.k8s\.io)/|helm\.)"
)
"""Types that the rules read, or that run nothing."""
_BY_VALUES: Final = (
    "of this release its values alone are judged, for images, trusted proxies, the Ingress and where the media are; "
    "what the chart makes of them is not seen. A Chart of pulumi-kubernetes registers its objects, which are judged"
)


def unseen(stack: Stack) -> Iterator[tuple[Registered, str]]:
    """Resources, each with what is not judged of it, in words."""
    known = [one.resource for one in stack.once(releases)]
    for one in dict.fromkeys(known):
        yield one, _BY_VALUES
    nothing_else = not having(stack, *IMMICH)
    for one in stack:
        if one in known:
            continue
        if one.type in _COMMANDS:
            command = " ".join(text(one.props, key) for key in ("create", "update", "delete"))
            about = "immich" in f"{one.name} {_flat(one.props)}".lower()
            if _RUNS.search(command) and (about or nothing_else):
                yield one, "its command starts containers, of which nothing is seen"
        elif one.type == _SERVICE and ("immich" in one.name or mentions(dict(one.props))):
            yield one, "services of Swarm are not judged"
        elif one.kind == "Kustomization" and "immich" in f"{one.name} {text(one.props, 'spec', 'path')}":
            yield one, "what Flux applies from a repository is not seen"
        elif not _READ.match(one.type) and mentions(dict(one.props)):
            yield one, f"it names an image of Immich's, and resources of the type {one.type} are not judged"


def _flat(props: Plain) -> str:
    given = mapping({"it": dict(props)}, "it")
    return " ".join(
        str(given.get(key, "")) for key in ("create", "update", "dir", "environment", "assetPaths")
    )

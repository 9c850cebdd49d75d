"""What an nginx hands on by itself that nobody outside may reach."""

from __future__ import annotations

from collections.abc import Iterator

from immich_policy.model import Finding, Stack
from immich_policy.reading.names import namespace
from immich_policy.reading.nginx_files import configurations, every_pass, leads
from immich_policy.reading.targets import behind_url
from immich_policy.text import shown


def passed_on(stack: Stack) -> Iterator[Finding]:
    """Locations and streams of a registered nginx that lead to something private."""
    for one in stack.once(configurations):
        space = None if one.container.docker else namespace(one.container.resource)
        asked: dict[str, str | None] = {}
        for passes, chain in every_pass(one):
            if any(block.inner("internal") for block in chain):
                continue
            for target in leads(passes, chain):
                url = _url(target)
                if url and url not in asked:
                    asked[url] = behind_url(stack, url, space)
                if url and asked[url]:
                    yield Finding(
                        resource=passes.resource,
                        path=passes.path,
                        message=f"nginx leads to {asked[url]} ({shown(target)})",
                        setting="take this out; nginx leads to Immich's server alone",
                    )
                    break


def _url(target: str) -> str:
    """An address as a URL; empty for a socket and for what has variables in it."""
    first = target.split(maxsplit=1)[0] if target.split() else ""
    if "$" in first or first.startswith(("unix:", "http://unix:")):
        return ""
    return first if "://" in first else f"tcp://{first}"

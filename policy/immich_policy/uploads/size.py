"""How large an upload every hop must carry, and what each hop that is registered allows."""

from __future__ import annotations

from collections.abc import Iterator

from immich_policy.config import PLANS, Config
from immich_policy.model import Registered, Stack, mapping, text
from immich_policy.reading.nginx_files import Directive, configurations, effective, uploads_through
from immich_policy.reading.walk import doors, leads_to_immich
from immich_policy.text import nginx_size

NGINX_DEFAULT = 2**20
"""`client_max_body_size` where none is given: 1m."""
BODY_ANNOTATIONS = ("nginx.ingress.kubernetes.io/proxy-body-size", "nginx.org/client-max-body-size")
SLOWEST = 1_250_000
"""Bytes a second of a line on which an upload must still get through: 10 Mbit/s."""
_FLOOR = 2**30
_UNLIMITED = 0


def declared(stack: Stack, config: Config) -> int:
    """Bytes: what the configuration says, else the largest that a registered hop allows.

    At least 1 GiB, which is one long video; where Cloudflare is the only way in, at least what its plan lets through.
    """
    if config.upload_size is not None:
        return config.upload_size
    ways = stack.once(doors)
    only_cloudflare = bool(ways) and all(one.cloudflare for one in ways)
    floor = plan_limit(config) if only_cloudflare else _FLOOR
    return max([floor, *stack.once(_sizes)])


def plan_limit(config: Config) -> int:
    """Bytes of a request that Cloudflare lets through."""
    return PLANS[config.cloudflare_plan] if config.cloudflare_plan is not None else min(PLANS.values())


def fits(size: int | None, wanted: int) -> bool:
    """Whether a limit lets an upload through; 0 is no limit."""
    return size is not None and (size == _UNLIMITED or size >= wanted)


def body_size(found: Directive | None) -> int | None:
    """Bytes of `client_max_body_size`; None where nginx could not read it."""
    return NGINX_DEFAULT if found is None else nginx_size(found.args[0]) if found.args else None


def _sizes(stack: Stack) -> list[int]:
    return [size for size in _limits(stack) if size]


def _limits(stack: Stack) -> Iterator[int | None]:
    for one in stack.once(configurations):
        for _, chain in uploads_through(stack, one):
            yield body_size(effective(chain, "client_max_body_size"))
    for ingress in stack.of_kind("Ingress", group="networking.k8s.io"):
        if leads_to_immich(stack, ingress):
            yield from (
                nginx_size(known_annotations(ingress)[name])
                for name in BODY_ANNOTATIONS
                if name in known_annotations(ingress)
            )
    for policy in stack.of_kind("ClientSettingsPolicy"):
        yield nginx_size(text(policy.props, "spec", "body", "maxSize"))


def known_annotations(one: Registered) -> dict[str, str]:
    """Annotations of a Kubernetes resource that are known."""
    return {
        key: value
        for key, value in mapping(one.props, "metadata", "annotations").items()
        if isinstance(value, str)
    }

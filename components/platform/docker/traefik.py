"""Traefik's routers and middlewares as labels of the container that it leads to. Pure.

The middlewares are those of a cluster (components/platform/traefik.py), in the same order. Labels cannot define a
servers transport.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from components.model.exposure import TraefikSpec
from components.platform import traefik


def labels(spec: TraefikSpec, prefix: str) -> dict[str, str]:
    """The labels. Names begin with `prefix`: one Traefik may serve several stacks."""
    # A dot in a stack's name would end the name in Traefik's eyes.
    name = f"{prefix}-{spec.to}".replace(".", "-")
    found = {
        "traefik.enable": "true",
        f"traefik.http.services.{name}.loadbalancer.server.port": str(spec.port),
        f"traefik.http.services.{name}.loadbalancer.server.scheme": "http",
        f"traefik.http.services.{name}.loadbalancer.passhostheader": "true",
    }
    if spec.network is not None:
        found["traefik.docker.network"] = spec.network
    for middleware, body in traefik.middlewares(spec):
        for path, value in _flat(body):
            found[f"traefik.http.middlewares.{name}-{middleware}.{path}"] = value
    if spec.lan:
        found["immich.door"] = "lan"
    for suffix, rule, chain, priority in traefik.rules(spec):
        router = f"traefik.http.routers.{name}{suffix}"
        found[f"{router}.rule"] = rule
        found[f"{router}.service"] = name
        found[f"{router}.entrypoints"] = ",".join(spec.entry_points)
        found[f"{router}.tls"] = "true"
        if spec.cert_resolver is not None:
            found[f"{router}.tls.certresolver"] = spec.cert_resolver
        if priority is not None:
            found[f"{router}.priority"] = str(priority)
        if chain:
            found[f"{router}.middlewares"] = ",".join(f"{name}-{one}" for one in chain)
    return found


def _flat(body: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in body.items():
        where = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            yield from _flat(cast("Mapping[str, Any]", value), where)
        elif isinstance(value, list):
            if value:
                yield where, ",".join(str(one) for one in cast("list[Any]", value))
        else:
            yield where, str(value).lower() if isinstance(value, bool) else str(value)

"""Settings for tests of doors: ways in as a stack's file has them, and Cloudflare as far as doors look at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from components.settings.host import Host
from components.settings.proxy import Proxy
from components.values import Hostname

MEGABYTE = 10**6
PLANS = {
    "free": 100 * MEGABYTE,
    "pro": 100 * MEGABYTE,
    "business": 200 * MEGABYTE,
    "enterprise": 500 * MEGABYTE,
}
NAME = "photos.example.com"


@dataclass(frozen=True)
class Record:
    """A DNS record."""

    name: str
    proxied: bool = True


@dataclass(frozen=True)
class Edge:
    """What doors read of `immich:cloudflare`."""

    plan: str = "free"
    tunnel: object | None = None
    records: tuple[Record, ...] = field(default=())

    @property
    def upload_limit(self) -> int:
        """Bytes."""
        return PLANS[self.plan]


def edge(plan: str = "free", *, tunnel: bool = False, records: Sequence[Record] = ()) -> Any:
    """Cloudflare's section, in the place of the real one."""
    return Edge(plan, object() if tunnel else None, tuple(records))


def host(name: str = NAME, **more: Any) -> Host:
    """The public name."""
    return Host(name=Hostname(name), **more)


def proxy(*expose: dict[str, Any], **more: Any) -> Proxy:
    """The proxy section with these ways in, read as a stack's file is."""
    return Proxy.model_validate(
        {**more, **({"expose": list(expose)} if expose else {})}, by_alias=True, by_name=False
    )


CLUSTER_IP: dict[str, Any] = {"kind": "clusterIp"}
LAN: dict[str, Any] = {"kind": "loadBalancer", "address": "192.168.1.20"}
OPEN: dict[str, Any] = {"kind": "loadBalancer", "door": "internet"}
GATEWAY: dict[str, Any] = {"kind": "httpRoute", "gateway": "public", "gatewayNamespace": "gateway"}
PLAIN: dict[str, Any] = {"kind": "ingress", "className": "haproxy", "controllerNamespace": "haproxy"}
TRAEFIK: dict[str, Any] = {"kind": "traefik", "controllerNamespace": "traefik", "entryPointReadTimeout": "0s"}
"""Traefik with only what must be given."""

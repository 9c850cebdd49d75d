"""Settings for tests of doors, read as those of a stack's file are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.cloudflare.settings import Cloudflare
from components.model.values import Hostname
from components.proxy.host_settings import Host
from components.proxy.settings import Proxy

NAME = "photos.example.com"
PLANS = {"free": 100 * 10**6, "pro": 100 * 10**6, "business": 200 * 10**6, "enterprise": 500 * 10**6}
"""Bytes that a plan's edge lets through."""


def record(name: str = NAME, *, proxied: bool = True, content: str = "93.184.215.14") -> dict[str, Any]:
    """A DNS record of the type A."""
    return {"name": name, "type": "A", "content": content, "proxied": proxied}


def edge(plan: str = "free", *, tunnel: bool = False, records: Sequence[dict[str, Any]] = ()) -> Cloudflare:
    """Cloudflare's section, read as a stack's file is."""
    section: dict[str, Any] = {"plan": plan, "accountId": "a" * 32, "zone": "example.com", "zoneId": "b" * 32}
    section |= {"records": list(records), **({"tunnel": {}} if tunnel else {})}
    return Cloudflare.model_validate(section, by_alias=True, by_name=False)


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

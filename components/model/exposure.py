"""Ways in, as plain data: what the settings ask of a platform, or of a proxy that is somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


def _paths(backups: str) -> str:
    return rf"(?i)^/api/(auth/admin-sign-up/*|admin/(database-backups/{backups}/*|maintenance(/.*)?))$"


BEGINS = _paths("(start-restore|upload)")
"""Paths that, by POST, make the first administrator or begin a restore or maintenance, in every spelling that Express
accepts, for RE2 as a part of a path or as the whole of it.
"""
BEGINS_SMALL = _paths("start-restore")
"""Those of `BEGINS` with a small body: without the upload of a dump, which needs what one of these gives."""
SMALL_BODY = 64 * 1024
"""Bytes that a body of `BEGINS_SMALL` may have where it is limited, as at nginx."""

Begins = Literal["passed", "limited", "refused"]
"""What a way in does with `BEGINS`: leaves it to nginx behind it, limits rate and body, or refuses it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteSpec:
    """A Gateway API route to a workload."""

    name: str
    to: str
    port: int
    gateway: str
    gateway_namespace: str
    section_name: str | None
    hostnames: tuple[str, ...]
    implementation: str = "other"
    """`envoy-gateway`, `nginx-gateway-fabric`, `traefik`, `cilium` or `other`."""
    begins: Begins = "passed"
    """What is more than passed needs a gateway that puts expressions before prefixes: Envoy Gateway."""
    attempts: int = 10
    """What begins something in a minute, of all clients together, where it is limited."""
    lan: bool = False
    """Whether only the local network comes in."""
    timeout: int = 600
    """Seconds of silence that the gateway must put up with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IngressSpec:
    """A plain Ingress to a workload."""

    name: str
    to: str
    port: int
    class_name: str
    hostnames: tuple[str, ...]
    tls_secret: str | None
    annotations: Mapping[str, str]
    controllers: tuple[str, ...] = ("nginx.org", "ingress-nginx", "haproxy")
    """The controllers that may read it, also `traefik` and `other`; by default all that need annotations."""
    lan: bool = False
    """Whether only the local network comes in."""
    timeout: int = 600
    """Seconds of silence that the controller must put up with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BouncerSpec:
    """The CrowdSec plugin of a Traefik."""

    plugin: str
    mode: str
    lapi_scheme: str
    lapi_host: str
    lapi_key_file: str
    never_blocked: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SignInPageSpec:
    """A sign-in page of another program before some paths."""

    address: str
    paths: tuple[str, ...]
    response_headers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TraefikSpec:
    """Traefik's own route to a workload, with its middlewares."""

    name: str
    to: str
    port: int
    hostnames: tuple[str, ...]
    entry_points: tuple[str, ...]
    cert_resolver: str | None
    tls_secret: str | None
    proxies: tuple[str, ...]
    """Networks of the proxies in front of it."""
    bouncer: BouncerSpec | None
    attempts: int | None
    """Attempts to sign in that one address has in a minute; None limits nothing."""
    security_headers: bool
    hsts: bool
    sign_in_page: SignInPageSpec | None
    begins: Begins = "passed"
    """`attempts` limit the rate in any case."""
    lan: bool = False
    """Whether only the local network comes in."""
    network: str | None = None
    """Network of a container engine that Traefik is in, where it reads labels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadBalancerSpec:
    """An address of its own for a workload."""

    name: str
    to: str
    port: int
    listen: int
    """Port of the address."""
    redirect: int | None
    """Port of the workload that leads plain HTTP, at 80, to TLS; None without TLS."""
    address: str | None
    load_balancer_class: str | None
    source_ranges: tuple[str, ...]
    annotations: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedPortSpec:
    """A port of the host that leads to a workload; one address of the host, never all of them unsaid."""

    name: str
    to: str
    port: int
    """Port of the workload."""
    address: str
    """Address of the host; `0.0.0.0` or `::` is every one."""
    listen: int
    """Port of the host."""


Way = RouteSpec | IngressSpec | TraefikSpec | LoadBalancerSpec | PublishedPortSpec
"""Any of them."""

"""nginx's listeners: one for each kind of peer, each with its own idea of whom to believe about the client.

Pure. A peer that is not in `trust` is the client itself, whatever it says (facts on headers: docs/doors.md).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from components.proxy.settings import (
    Exposure,
    HttpRoute,
    Ingress,
    LoadBalancer,
    Proxy,
    PublishedPort,
    TraefikLabels,
    TraefikRoute,
    TraefikWay,
)

CLOUDFLARE_RANGES = (
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
)
"""The 22 networks of Cloudflare's edge (cloudflare.com/ips, unchanged since 2023-09)."""

ClientFrom = Literal["peer", "cf-connecting-ip", "x-forwarded-for", "proxy-protocol"]

LAN_PORT = 8080
GATEWAY_PORT = 8081
TUNNEL_PORT = 8082
CLOUDFLARE_PORT = 8083
PROXY_PROTOCOL_PORT = 8084
STATUS_PORT = 8090
LAN_TLS_PORT = 8443
CLOUDFLARE_TLS_PORT = 8444
PROXY_PROTOCOL_TLS_PORT = 8445


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """One port of nginx."""

    name: str
    """`lan`, `gateway`, `tunnel`, `cloudflare` or `lb`; at most 15 characters, it names the port as well."""
    port: int
    client: ClientFrom
    """Where the client's address is read."""
    trust: tuple[str, ...] = ()
    """Networks of peers that are believed about it; empty with `peer`."""
    scheme: Literal["own", "https", "forwarded"] = "own"
    """X-Forwarded-Proto: the listener's own scheme, always https (a tunnel's edge), or what a trusted peer says."""
    tls_port: int | None = None
    """A second port with TLS, where nginx has a certificate; the first then leads there."""
    internet: bool = False
    """Whether a door of the internet leads to it, or some do."""
    behind_cloudflare: bool = False
    """The address that the peer tells may be one of Cloudflare's edge, which is then asked in turn."""


def listeners(
    settings: Proxy,
    *,
    pods: Sequence[str],
    tunnel: bool,
    cloudflare_in_front: bool,
    host: Sequence[str] = (),
) -> tuple[Listener, ...]:
    """The listeners that the ways in need, each once.

    `pods`: networks of the pods, where gateways and tunnel connectors are. `cloudflare_in_front`: the internet door has
    a proxied DNS record, so its peers are Cloudflare's edge. `host`: addresses that programs of the host
    have for nginx.
    """
    found: dict[str, Listener] = {}
    tls = settings.tls is not None
    for way in settings.expose:
        listener = _listener(way, tuple(pods), tuple(host), tls=tls, cloudflare=cloudflare_in_front)
        listener = replace(listener, internet=getattr(way, "door", "lan") == "internet")
        known = found.get(listener.name)
        if known is not None:
            listener = replace(
                known,
                trust=(*known.trust, *(network for network in listener.trust if network not in known.trust)),
                internet=known.internet or listener.internet,
                behind_cloudflare=known.behind_cloudflare or listener.behind_cloudflare,
            )
        found[listener.name] = listener
    if tunnel:
        found["tunnel"] = Listener(
            name="tunnel",
            port=TUNNEL_PORT,
            client="cf-connecting-ip",
            trust=tuple(pods),
            scheme="https",
            internet=True,
        )
    return tuple(found.values())


def way_listener(way: object, *, cloudflare_in_front: bool) -> str:
    """Name of the listener that a way in leads to."""
    match way:
        case HttpRoute() | Ingress() | TraefikWay():
            return "gateway"
        case PublishedPort() if way.trusted_sources:
            return "gateway"
        case LoadBalancer(proxy_protocol=True):
            return "lb"
        case LoadBalancer(door="internet") | PublishedPort(door="internet") if cloudflare_in_front:
            return "cloudflare"
        case _:
            return "lan"


def _listener(
    way: Exposure, pods: tuple[str, ...], host: tuple[str, ...], *, tls: bool, cloudflare: bool
) -> Listener:
    match way_listener(way, cloudflare_in_front=cloudflare), way:
        case "gateway", HttpRoute() | Ingress() | TraefikRoute() | TraefikLabels() | PublishedPort():
            trust = way.trusted_sources if way.trusted_sources is not None else pods
            if isinstance(way, PublishedPort):
                trust = _with_host(trust, host)
            return Listener(
                name="gateway",
                port=GATEWAY_PORT,
                client="x-forwarded-for",
                trust=trust,
                scheme="forwarded",
                behind_cloudflare=cloudflare and way.door == "internet",
            )
        case "lb", LoadBalancer():
            return Listener(
                name="lb",
                port=PROXY_PROTOCOL_PORT,
                client="proxy-protocol",
                trust=way.trusted_sources,
                tls_port=PROXY_PROTOCOL_TLS_PORT if tls else None,
                behind_cloudflare=cloudflare and way.door == "internet",
            )
        case "cloudflare", _:
            return Listener(
                name="cloudflare",
                port=CLOUDFLARE_PORT,
                client="cf-connecting-ip",
                trust=CLOUDFLARE_RANGES,
                scheme="forwarded",
                tls_port=CLOUDFLARE_TLS_PORT if tls else None,
            )
        case _:
            return Listener(name="lan", port=LAN_PORT, client="peer", tls_port=LAN_TLS_PORT if tls else None)


def _with_host(trust: tuple[str, ...], host: tuple[str, ...]) -> tuple[str, ...]:
    """Programs of the host come to a published port by the engine's own address, never by 127.0.0.1."""
    loopback = any(ipaddress.ip_network(network).is_loopback for network in trust)
    return (*trust, *(one for one in host if one not in trust)) if loopback else trust

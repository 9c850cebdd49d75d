"""nginx's listeners: one for each kind of peer, each with its own idea of whom to believe about the client.

Pure. A peer that is not in `trust` is the client itself, whatever it says (facts on headers: docs/doors.md).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from components.proxy.settings import (
    ClusterIp,
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

LOCAL_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)
"""Networks whose addresses nobody has on the internet (RFC 1918, 3927, 4193, 4291)."""
EVERYBODY = ("all",)
"""Every client, as nginx's `allow` has it."""

ClientFrom = Literal["peer", "cf-connecting-ip", "x-forwarded-for", "proxy-protocol"]

LAN_PORT = 8080
GATEWAY_PORT = 8081
TUNNEL_PORT = 8082
CLOUDFLARE_PORT = 8083
PROXY_PROTOCOL_PORT = 8084
INTERNET_PORT = 8085
STATUS_PORT = 8090
LAN_TLS_PORT = 8443
CLOUDFLARE_TLS_PORT = 8444
PROXY_PROTOCOL_TLS_PORT = 8445
INTERNET_TLS_PORT = 8446


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """One port of nginx."""

    name: str
    """`lan`, `internet`, `gateway`, `tunnel`, `cloudflare` or `lb`; at most 15 characters, it names the port too."""
    port: int
    client: ClientFrom
    """Where the client's address is read."""
    trust: tuple[str, ...] = ()
    """Networks of peers that are believed about it; empty with `peer`."""
    scheme: Literal["own", "https", "forwarded"] = "own"
    """X-Forwarded-Proto: the listener's own scheme, always https (a tunnel's edge), or what a trusted peer says."""
    tls_port: int | None = None
    """A second port with TLS, where nginx has a certificate; the first then leads there."""
    begins: tuple[str, ...] = ()
    """Networks of clients that may make the first administrator and begin a restore or maintenance: nobody's where a
    door of the internet leads to it, or `EVERYBODY`."""
    sign_up: bool = True
    """Whether those may make the first administrator; not where this program does."""
    behind_cloudflare: bool = False
    """The address that the peer tells may be one of Cloudflare's edge, which is then asked in turn."""


def listeners(
    settings: Proxy,
    *,
    pods: Sequence[str],
    tunnel: bool,
    cloudflare_in_front: bool,
    host: Sequence[str] = (),
    hides_clients: bool = False,
) -> tuple[Listener, ...]:
    """The listeners that the ways in need, each once.

    `pods`: networks of the pods, where gateways and tunnel connectors are. `cloudflare_in_front`: the internet door has
    a proxied DNS record, so its peers are Cloudflare's edge. `host`: addresses that programs of the host
    have for nginx. `hides_clients`: behind published ports every client has an address of the engine's.
    """
    found: dict[str, Listener] = {}
    tls = settings.tls is not None
    for way in settings.expose:
        listener = _listener(way, tuple(pods), tuple(host), tls=tls, cloudflare=cloudflare_in_front)
        begins = _begins(settings, way, listener, hides_clients=hides_clients)
        listener = replace(listener, begins=begins)
        known = found.get(listener.name)
        if known is not None:
            listener = replace(
                known,
                trust=(*known.trust, *(network for network in listener.trust if network not in known.trust)),
                begins=tuple(dict.fromkeys(known.begins + begins)) if known.begins and begins else (),
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
            begins=EVERYBODY if settings.maintenance == "everywhere" else (),
        )
    return tuple(found.values())


def _begins(settings: Proxy, way: Exposure, listener: Listener, *, hides_clients: bool) -> tuple[str, ...]:
    """Clients that may begin what only an administrator shall, on a way in."""
    if settings.maintenance == "everywhere":
        return EVERYBODY
    if settings.maintenance == "nowhere" or not begins_at(way, hides_clients=hides_clients):
        return ()
    ranges: tuple[str, ...] = way.source_ranges if isinstance(way, LoadBalancer) else ()
    return tuple(dict.fromkeys((*LOCAL_NETWORKS, *ranges, *listener.trust)))


def begins_at(way: Exposure, *, hides_clients: bool = False) -> bool:
    """Whether the first administrator can be made, and a restore begun, by a way in at all.

    Not from the internet; nor at a port of every address of a host where clients of the internet look like those of the
    local network: an engine without root passes connections on itself, and each engine does so with IPv6.
    """
    if isinstance(way, ClusterIp):
        return True
    if isinstance(way, PublishedPort):
        address = ipaddress.ip_address(way.address)
        if (address.is_unspecified or address.is_global) and (hides_clients or address.version == 6):
            return False
    return way.door == "lan"


def way_listener(way: object, *, cloudflare_in_front: bool) -> str:
    """Name of the listener that a way in leads to."""
    match way:
        case HttpRoute() | Ingress() | TraefikWay():
            return "gateway"
        case PublishedPort() if way.trusted_sources:
            return "gateway"
        case LoadBalancer(proxy_protocol=True):
            return "lb"
        case LoadBalancer(door="internet") | PublishedPort(door="internet"):
            return "cloudflare" if cloudflare_in_front else "internet"
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
        case "internet", _:
            tls_port = INTERNET_TLS_PORT if tls else None
            return Listener(name="internet", port=INTERNET_PORT, client="peer", tls_port=tls_port)
        case _:
            return Listener(name="lan", port=LAN_PORT, client="peer", tls_port=LAN_TLS_PORT if tls else None)


def _with_host(trust: tuple[str, ...], host: tuple[str, ...]) -> tuple[str, ...]:
    """Programs of the host come to a published port by the engine's own address, never by 127.0.0.1."""
    loopback = any(ipaddress.ip_network(network).is_loopback for network in trust)
    return (*trust, *(one for one in host if one not in trust)) if loopback else trust

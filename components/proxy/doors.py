"""Doors and hops: every way in, what it passes, and the largest upload that comes through. Pure.

Immich uploads an asset in one request, so the smallest limit of a door's hops is the door's limit.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from components.proxy.listeners import LAN_PORT, begins_at, listeners, way_listener
from components.proxy.settings import (
    ClusterIp,
    Exposure,
    HttpRoute,
    LoadBalancer,
    PlainIngress,
    Proxy,
    PublishedPort,
    TraefikRoute,
    TraefikWay,
)

if TYPE_CHECKING:
    from components.cloudflare.settings import Cloudflare
    from components.proxy.host_settings import Host

CLOUDFLARE_READ_TIMEOUT = 120
"""Seconds that Cloudflare waits for an answer before 524 (connection limits, 2026-07-23); fixed below Enterprise."""
ENVOY_STREAM_IDLE_TIMEOUT = 300
"""Seconds of silence in a request after which Envoy Gateway ends it (timeout_types.go: streamIdleTimeout)."""
IMMICH_PORT = 2283
"""Where Immich's own image listens."""
HAPROXY_CLIENT_TIMEOUT = 50
"""Seconds: haproxytech's `timeout-client`, which only the controller's ConfigMap can change."""

DoorName = Literal["internet", "lan", "cluster"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hop:
    """One program that an upload passes."""

    name: str
    """`cloudflare(free)`, `cloudflared`, `gateway public`, `nginx`, `immich`."""
    limit: int | None = None
    """Largest request body in bytes; None has no limit."""
    limited_by: str = ""
    """The setting or plan that the limit comes from."""
    timeout: int | None = None
    """Seconds after which it gives up; None waits, or what it does is not known here."""
    buffers: bool = False
    """Whether it takes in the whole body before it passes it on."""
    peer: str = ""
    """Who it is to the next hop: the address that the next hop may trust about the client."""

    @property
    def program(self) -> str:
        """Its name without what is in brackets."""
        return self.name.partition("(")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """A way in."""

    name: DoorName
    url: str
    hops: tuple[Hop, ...]
    address: str | None = None
    """Where it is on the local network, when the settings say so."""

    @property
    def narrowest(self) -> Hop | None:
        """The hop with the smallest limit, the first of several; None where nothing limits."""
        limits = [(hop.limit, index) for index, hop in enumerate(self.hops) if hop.limit is not None]
        return self.hops[min(limits)[1]] if limits else None

    @property
    def largest_upload(self) -> int | None:
        """Bytes of the largest upload that comes through; None has no limit."""
        narrowest = self.narrowest
        return narrowest.limit if narrowest is not None else None

    @property
    def impatient(self) -> Hop | None:
        """The hop with the shortest timeout, the first of several."""
        timeouts = [(hop.timeout, index) for index, hop in enumerate(self.hops) if hop.timeout is not None]
        return self.hops[min(timeouts)[1]] if timeouts else None

    def carries(self, upload: int) -> bool:
        """Whether an upload of so many bytes comes through."""
        return self.largest_upload is None or self.largest_upload >= upload


def doors(host: Host, proxy: Proxy, cloudflare: Cloudflare | None) -> tuple[Door, ...]:
    """Every door of a deployment: the tunnel first, then the ways in as the settings have them.

    From the internet a name leads to one place: what leads into the tunnel reaches no other internet door.
    """
    inner = (*_nginx(proxy), Hop(name="immich"))
    found: list[Door] = []
    if cloudflare is not None:
        edge = _edge(cloudflare, peer="the tunnel's connector, by no address")
        connector = Hop(name="cloudflared", peer="its pod")
        found += [
            Door(name="internet", url=_url(host, name), hops=(edge, connector, *inner))
            for name in cloudflare.tunnel_names(host.names)
        ]
    for way in proxy.expose:
        found += _ways(way, host, proxy, cloudflare, inner)
    return tuple(found)


def beginning(
    host: Host, proxy: Proxy, cloudflare: Cloudflare | None, *, hides_clients: bool = False
) -> Door | None:
    """The first door at which the first administrator can be made; None where they all refuse it."""
    edge = any(is_proxied(str(name), cloudflare) for name in host.names)
    found = listeners(proxy, pods=(), tunnel=False, cloudflare_in_front=edge, hides_clients=hides_clients)
    open_at = {one.name for one in found if one.begins}
    for way in proxy.expose:
        listener = way_listener(way, cloudflare_in_front=edge)
        if (
            listener in open_at
            if proxy.kind == "nginx"
            else (begins_at(way) and not proxy.closes(way)) or proxy.maintenance == "everywhere"
        ):
            for door in _ways(way, host, proxy, cloudflare, ()):
                return door
    return None


def names_of(way: Exposure, host: Host) -> tuple[str, ...]:
    """The names that a way in answers to, the main one first."""
    own = () if isinstance(way, ClusterIp | LoadBalancer | PublishedPort) else way.hostnames
    return tuple(str(name) for name in dict.fromkeys(own or host.names))


def is_proxied(name: str, cloudflare: Cloudflare | None) -> bool:
    """Whether a name's DNS record leads to Cloudflare's edge."""
    return cloudflare is not None and any(str(one.name) == name and one.proxied for one in cloudflare.records)


def in_tunnel(name: str, host: Host, cloudflare: Cloudflare | None) -> bool:
    """Whether a name leads into the tunnel."""
    return cloudflare is not None and name in {str(one) for one in cloudflare.tunnel_names(host.names)}


def _ways(
    way: Exposure, host: Host, proxy: Proxy, cloudflare: Cloudflare | None, inner: tuple[Hop, ...]
) -> list[Door]:
    if isinstance(way, ClusterIp):
        forward = Hop(name="kubectl port-forward", peer="the node")
        port = LAN_PORT if proxy.kind == "nginx" else IMMICH_PORT
        return [Door(name="cluster", url=f"http://localhost:{port}", hops=(forward, *inner))]
    front = _front(way)
    names = names_of(way, host)
    if way.door == "lan":
        address = str(way.address) if isinstance(way, LoadBalancer) and way.address is not None else None
        url = _url(host, names[0])
        if isinstance(way, LoadBalancer):
            url = _direct_url(names[0], address, tls=proxy.tls is not None)
        # With a proxy of the host in front, people come to that one, under the name.
        if isinstance(way, PublishedPort) and not way.trusted_sources:
            everywhere = ipaddress.ip_address(way.address).is_unspecified
            address = None if everywhere else str(way.address)
            url = _published_url(way, names[0], address, tls=proxy.tls is not None)
        return [Door(name="lan", url=url, hops=(*front, *inner), address=address)]
    found: list[Door] = []
    for name in names:
        if in_tunnel(name, host, cloudflare):
            continue
        edge: tuple[Hop, ...] = ()
        if cloudflare is not None and is_proxied(name, cloudflare):
            edge = (_edge(cloudflare, peer="an address of Cloudflare's"),)
        found.append(Door(name="internet", url=_url(host, name), hops=(*edge, *front, *inner)))
    return found


def _url(host: Host, name: str) -> str:
    port = f":{host.port}" if host.port is not None else ""
    return f"{'https' if host.https else 'http'}://{name}{port}"


def _direct_url(name: str, address: str | None, *, tls: bool) -> str:
    """nginx answers there itself: by https under the certificate's name, else by http, best at its address."""
    if tls:
        return f"https://{name}"
    where = name if address is None else f"[{address}]" if ":" in address else address
    return f"http://{where}"


def _published_url(way: PublishedPort, name: str, address: str | None, *, tls: bool) -> str:
    number = way.listen(tls=tls)
    port = "" if number == (443 if tls else 80) else f":{number}"
    return _direct_url(name, address, tls=tls) + port


def _edge(cloudflare: Cloudflare, peer: str) -> Hop:
    return Hop(
        name=f"cloudflare({cloudflare.plan})",
        limit=cloudflare.upload_limit,
        limited_by=f'cloudflare plan "{cloudflare.plan}"',
        timeout=CLOUDFLARE_READ_TIMEOUT,
        peer=peer,
    )


def _front(
    way: LoadBalancer | HttpRoute | PlainIngress | TraefikWay | PublishedPort,
) -> tuple[Hop, ...]:
    """What stands before nginx on a way in. Its body limit is lifted by our objects where it has one."""
    match way:
        case LoadBalancer():
            # Without the PROXY protocol it passes packets on, and nginx sees the client itself.
            return (Hop(name="load balancer", peer="its address"),) if way.proxy_protocol else ()
        case HttpRoute():
            nginx = way.implementation == "nginx-gateway-fabric"
            envoy = way.implementation == "envoy-gateway"
            return (
                Hop(
                    name=f"gateway {way.gateway}",
                    # nginx takes in bodies unless told otherwise, and its policies cannot tell it.
                    buffers=nginx,
                    timeout=ENVOY_STREAM_IDLE_TIMEOUT if envoy else None,
                    peer="its node" if way.from_nodes else "its pod",
                ),
            )
        case PlainIngress():
            haproxy = "haproxy" in way.controllers
            return (
                Hop(
                    name=f"ingress {way.class_name}",
                    buffers="nginx.org" in way.controllers,
                    timeout=HAPROXY_CLIENT_TIMEOUT if haproxy else None,
                    peer="its pod",
                ),
            )
        case PublishedPort():
            return (Hop(name="proxy of the host", peer="its address"),) if way.trusted_sources else ()
        case TraefikWay():
            return (
                Hop(
                    name=f"traefik {'+'.join(way.entry_points)}",
                    timeout=way.entry_point_read_timeout.seconds or None,
                    peer="its pod" if isinstance(way, TraefikRoute) else "its container",
                ),
            )


def _nginx(proxy: Proxy) -> tuple[Hop, ...]:
    if proxy.kind != "nginx":
        return ()
    return (
        Hop(
            name="nginx",
            limit=int(proxy.max_upload.amount),
            limited_by="immich:proxy.maxUpload",
            timeout=proxy.timeout.seconds,
            peer="its pod",
        ),
    )


def carries(found: Sequence[Door], upload: int) -> bool:
    """Whether some door lets an upload of so many bytes through."""
    return any(door.carries(upload) for door in found)


def widest(found: Sequence[Door]) -> Door | None:
    """The door with the largest upload, the first of several."""
    return max(found, key=lambda door: (door.largest_upload is None, door.largest_upload or 0), default=None)


def too_narrow(found: Sequence[Door], upload: int) -> Door | None:
    """The widest internet door, when it is too narrow for such an upload and people have no other that carries it."""
    for_people = [door for door in found if door.name != "cluster"]
    outside = [door for door in for_people if door.name == "internet"]
    return None if carries(for_people, upload) else widest(outside)


def readable(size: int | None) -> str:
    """Bytes for people: `100 MB`, `50 GiB`."""
    if size is None:
        return "no limit"
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20)):
        if size >= factor and size % factor == 0:
            return f"{size // factor} {unit}"
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{(Decimal(size) / factor).normalize():f} {unit}"
    return f"{size} B"


def table(found: Sequence[Door]) -> list[dict[str, str]]:
    """The doors as rows for people, each with the same columns."""
    rows: list[dict[str, str]] = []
    for door in found:
        narrowest, impatient = door.narrowest, door.impatient
        rows.append(
            {
                "door": door.name,
                "url": door.url,
                "hops": " > ".join(hop.name for hop in door.hops),
                "largest upload": readable(door.largest_upload),
                "limited by": narrowest.limited_by if narrowest is not None else "nothing",
                "idle/read timeout": f"{impatient.timeout} s ({impatient.program})" if impatient else "none",
            }
        )
    return rows


def data(found: Sequence[Door]) -> list[dict[str, object]]:
    """The doors for programs: sizes in bytes, times in seconds, null where there is no limit."""
    return [
        {
            "door": door.name,
            "url": door.url,
            "address": door.address,
            "largestUpload": door.largest_upload,
            "limitedBy": door.narrowest.limited_by if door.narrowest is not None else None,
            "timeout": door.impatient.timeout if door.impatient is not None else None,
            "hops": [
                {("limitedBy" if key == "limited_by" else key): value for key, value in asdict(hop).items()}
                for hop in door.hops
            ],
        }
        for door in found
    ]

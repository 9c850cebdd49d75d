"""Doors and hops: every way in, what it passes, and the largest upload that comes through. Pure.

Immich uploads an asset in one request, so the smallest limit of a door's hops is the door's limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from components.settings.cloudflare import Cloudflare
from components.settings.host import Host
from components.settings.proxy import ClusterIp, Exposure, HttpRoute, Ingress, LoadBalancer, Proxy

CLOUDFLARE_READ_TIMEOUT = 120
"""Seconds that Cloudflare waits for an answer before 524 (connection limits, 2026-07-23); fixed below Enterprise."""
INGRESS_TIMEOUT = 600
"""Seconds: what our annotations set on the controllers that read them."""


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
    """Seconds of silence after which it gives up; None waits."""
    buffers: bool = False
    """Whether it takes in the whole body before it passes it on."""
    peer: str = ""
    """What the next hop sees as its peer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """A way in."""

    name: str
    url: str
    hops: tuple[Hop, ...]

    @property
    def narrowest(self) -> Hop | None:
        """The hop with the smallest limit, the first of several; None where nothing limits."""
        limited = [hop for hop in self.hops if hop.limit is not None]
        return min(limited, key=lambda hop: hop.limit or 0) if limited else None

    @property
    def largest_upload(self) -> int | None:
        """Bytes of the largest upload that comes through; None has no limit."""
        narrowest = self.narrowest
        return narrowest.limit if narrowest is not None else None

    @property
    def impatient(self) -> Hop | None:
        """The hop with the shortest timeout."""
        timed = [hop for hop in self.hops if hop.timeout is not None]
        return min(timed, key=lambda hop: hop.timeout or 0) if timed else None


def doors(host: Host, proxy: Proxy, cloudflare: Cloudflare | None) -> tuple[Door, ...]:
    """Every door of a deployment, the widest known first where several have the same name."""
    inner = (*_nginx(proxy), Hop(name="immich"))
    found: list[Door] = []
    if cloudflare is not None and cloudflare.tunnel is not None:
        edge = _edge(cloudflare, peer="the tunnel's connector")
        found.append(
            Door(name="internet", url=host.url, hops=(edge, Hop(name="cloudflared", peer="its pod"), *inner))
        )
    for way in proxy.expose:
        found += _ways(way, host, cloudflare, inner)
    return tuple(found)


def _ways(
    way: Exposure, host: Host, cloudflare: Cloudflare | None, inner: tuple[Hop, ...]
) -> list[Door]:
    match way:
        case ClusterIp():
            return [
                Door(
                    name="cluster",
                    url="http://localhost:8080",
                    hops=(Hop(name="kubectl port-forward"), *inner),
                )
            ]
        case LoadBalancer():
            front = () if not way.proxy_protocol else (Hop(name="load balancer", peer="its address"),)
        case HttpRoute():
            front = (_gateway(way),)
        case Ingress():
            front = (Hop(name=f"ingress {way.class_name}", timeout=INGRESS_TIMEOUT, peer="its pod"),)
    if way.door == "lan":
        return [Door(name="lan", url=host.url, hops=(*front, *inner))]
    names = {str(name) for name in host.names}
    if isinstance(way, HttpRoute | Ingress) and way.hostnames:
        names = {str(name) for name in way.hostnames}
    plain: list[Door] = []
    for name in sorted(names, key=lambda one: (one != host.name, one)):
        edge: tuple[Hop, ...] = ()
        if cloudflare is not None and any(one.name == name and one.proxied for one in cloudflare.records):
            edge = (_edge(cloudflare, peer="an address of Cloudflare's"),)
        url = host.url.replace(str(host.name), name)
        plain.append(Door(name="internet", url=url, hops=(*edge, *front, *inner)))
    return plain


def _edge(cloudflare: Cloudflare, peer: str) -> Hop:
    return Hop(
        name=f"cloudflare({cloudflare.plan})",
        limit=cloudflare.upload_limit,
        limited_by=f'cloudflare plan "{cloudflare.plan}"',
        timeout=CLOUDFLARE_READ_TIMEOUT,
        peer=peer,
    )


def _gateway(way: HttpRoute) -> Hop:
    # Its body limit is lifted by a policy object where the implementation has one (components/platform/.../routes.py).
    return Hop(name=f"gateway {way.gateway}", peer="its pod")


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
    return any(door.largest_upload is None or door.largest_upload >= upload for door in found)


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
    """The doors as rows for people: door, url, hops, largest upload, limited by, timeout."""
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
                "timeout": f"{impatient.timeout} s ({impatient.name})" if impatient is not None else "none",
            }
        )
    return rows


def widest(found: Sequence[Door]) -> Door | None:
    """The door with the largest upload."""
    return max(found, key=lambda door: (door.largest_upload is None, door.largest_upload or 0), default=None)

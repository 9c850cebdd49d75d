"""Rules about doors: uploads get through some door, names lead to one, proxies are no clients."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from components.fields.finding import Finding
from components.model.values import Bytes
from components.proxy.settings import ClusterIp, TraefikWay

if TYPE_CHECKING:
    from components.cloudflare.settings import Cloudflare
    from components.proxy.host_settings import Host
    from components.proxy.settings import Proxy


def some_door_carries_uploads(host: Host, proxy: Proxy, cloudflare: Cloudflare | None) -> Iterator[Finding]:
    """Immich sends an asset in one request: what the narrowest hop refuses is never backed up."""
    from components.proxy.doors import doors, readable, too_narrow

    wanted = int(proxy.max_upload.amount)
    door = too_narrow(doors(host, proxy, cloudflare), wanted)
    if door is None or door.narrowest is None:
        return
    most = door.narrowest.limit
    yield Finding(
        key="proxy.maxUpload",
        given=proxy.max_upload,
        reason=f"no door lets that through: the widest is {door.url}, where {door.narrowest.limited_by} ends a request "
        f"at {readable(most)}. Immich sends each photo or video in one request, so the phone would try a larger "
        "one again and again, and it would never arrive",
        hint="add a door of the local network (a loadBalancer in proxy.expose) and let your own DNS lead the name "
        "there; or publish a second name that is not proxied; or reach the local door over WARP; or accept the "
        f"limit: pulumi config set --path 'immich:proxy.maxUpload' {most and Bytes.of(most)}",
    )


def names_lead_to_doors(host: Host, proxy: Proxy, cloudflare: Cloudflare | None) -> Iterator[Finding]:
    """A name leads to one place, and somebody must answer there."""
    from components.proxy.doors import in_tunnel, names_of

    if cloudflare is None:
        return
    outside: set[str] = set()
    anywhere: set[str] = set()
    for index, way in enumerate(proxy.expose):
        if isinstance(way, ClusterIp):
            continue
        names = names_of(way, host)
        anywhere.update(names)
        if way.door == "lan":
            continue
        outside.update(names)
        if all(in_tunnel(name, host, cloudflare) for name in names):
            yield Finding(
                key=f"proxy.expose[{index}].door",
                given="internet",
                reason=f"{', '.join(names)} leads into the tunnel (cloudflare.tunnel): nobody comes in here from "
                "the internet",
                hint="say door: lan where your own DNS leads there; or give the name a record in cloudflare.records",
            )
    for index, record in enumerate(cloudflare.records):
        if not anywhere and record.name in host.names:
            continue  # said by cloudflare_leads_to_immich, for all of them at once
        public = record.proxied or record.type == "CNAME" or ipaddress.ip_address(record.content).is_global
        if not record.leads_into_a_tunnel and str(record.name) not in (outside if public else anywhere):
            yield Finding(
                key=f"cloudflare.records[{index}].name",
                given=record.name,
                reason="leads here, but no way in answers to that name"
                + (" from the internet" if public else ""),
                hint=f"add {record.name} to immich:host.aliases (or to the way's hostnames) and a way in with door "
                + ("internet" if public else "lan")
                + " to proxy.expose; or leave the record out",
            )


def proxies_are_judged_by_their_clients(
    host: Host, proxy: Proxy, cloudflare: Cloudflare | None
) -> Iterator[Finding]:
    """An exception for a proxy is one for everybody who comes through it."""
    from components.proxy.door_advice import front_proxies
    from components.proxy.doors import is_proxied, names_of
    from components.proxy.traefik_settings import overlapping

    for index, way in enumerate(proxy.expose):
        if not isinstance(way, TraefikWay) or way.crowd_sec is None or way.front_proxies is not None:
            continue
        behind = any(is_proxied(name, cloudflare) for name in names_of(way, host))
        pair = overlapping(way.crowd_sec.never_blocked, front_proxies(way, cloudflare=behind))
        if pair is not None:
            yield Finding(
                key=f"proxy.expose[{index}].crowdSec.neverBlocked",
                given=pair[0],
                reason=f"has addresses of Cloudflare's ({pair[1]}): everybody who comes through it would pass unjudged",
                hint="leave it out: Traefik and the plugin learn the client from X-Forwarded-For",
            )


DOOR_CHECKS: tuple[Callable[[Host, Proxy, Cloudflare | None], Iterator[Finding]], ...] = (
    some_door_carries_uploads,
    names_lead_to_doors,
    proxies_are_judged_by_their_clients,
)
"""Each takes the sections `host`, `proxy` and `cloudflare`."""

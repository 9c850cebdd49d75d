"""What a person does about the doors: the app's addresses, DNS on the local network, what proxies of others must allow.

Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from components.proxy.doors import Door, is_proxied, names_of, readable
from components.proxy.listeners import CLOUDFLARE_RANGES
from components.proxy.settings import (
    HttpRoute,
    LoadBalancer,
    PlainIngress,
    Proxy,
    PublishedPort,
    TraefikLabels,
    TraefikRoute,
    TraefikWay,
    refuses,
)

if TYPE_CHECKING:
    from components.cloudflare.settings import Cloudflare
    from components.proxy.host_settings import Host


def mobile_app(found: Sequence[Door]) -> dict[str, str]:
    """What to enter in the mobile app: `serverUrl`, and what automatic switching of addresses asks for."""
    outside = next((door for door in found if door.name == "internet"), None)
    inside = next((door for door in found if door.name == "lan"), None)
    if outside is None and inside is None:
        return {"hint": "no door for people yet: add a way in to immich:proxy.expose"}
    if inside is None or outside is None:
        only = outside or inside
        return _only(only) if only is not None else {}
    if inside.url == outside.url:
        return {
            "serverUrl": outside.url,
            "hint": "one address for both; on the local network the name leads to the LAN door (splitHorizonDns)",
        }
    local, hint = (
        inside.url,
        "Settings > Networking > Automatic URL switching: your Wi-Fi's name with localUrl, then externalUrl",
    )
    parts = urlsplit(inside.url)
    if parts.scheme == "http" and parts.hostname == urlsplit(outside.url).hostname:
        # The name leads to the door of the internet, also at home, and nothing answers at this port there.
        local = f"http://ADDRESS{f':{parts.port}' if parts.port else ''}"
        hint += "; instead of ADDRESS write the address that Immich's door has on the local network"
    return {"serverUrl": outside.url, "externalUrl": outside.url, "localUrl": local, "hint": hint}


def _only(door: Door) -> dict[str, str]:
    told = {"serverUrl": door.url}
    if "://localhost" in door.url:
        told["hint"] = (
            "localhost is this machine alone: in the app enter the machine's address on the network instead"
        )
    return told


def split_horizon(host: Host, proxy: Proxy) -> list[dict[str, str]]:
    """Records for the DNS server of the local network, so that a name leads to the LAN door at home."""
    found: list[dict[str, str]] = []
    for way in proxy.expose:
        match way:
            case LoadBalancer(door="lan"):
                # Without a certificate nginx cannot answer under the name: browsers come back by https.
                if host.https and proxy.tls is None:
                    continue
                where = (
                    str(way.address)
                    if way.address is not None
                    else "EXTERNAL-IP of the load balancer's Service"
                )
            case HttpRoute(door="lan"):
                where = f"address of the gateway {way.gateway_namespace}/{way.gateway}"
            case PlainIngress(door="lan"):
                where = f"address of the ingress class {way.class_name}"
            case TraefikRoute(door="lan"):
                where = f"address of Traefik in {way.controller_namespace}"
            case TraefikWay(door="lan"):
                where = "address of the host"
            case PublishedPort(door="lan") if ipaddress.ip_address(way.address).is_loopback:
                continue
            case PublishedPort(door="lan"):
                if host.https and proxy.tls is None and not way.trusted_sources:
                    continue
                everywhere = ipaddress.ip_address(way.address).is_unspecified
                where = "address of the host" if everywhere else str(way.address)
            case _:
                continue
        found += [{"name": name, "type": _type(where), "value": where} for name in names_of(way, host)]
    return [one for one in found if one["name"] != "localhost"]


def _type(where: str) -> str:
    try:
        return "AAAA" if ipaddress.ip_address(where).version == 6 else "A"
    except ValueError:
        return "A or AAAA"


def preconditions(host: Host, proxy: Proxy, cloudflare: Cloudflare | None) -> list[str]:
    """What must hold at programs that are not this one's: only their own configuration can say it."""
    return list(dict.fromkeys(_preconditions(host, proxy, cloudflare)))


def _preconditions(host: Host, proxy: Proxy, cloudflare: Cloudflare | None) -> Iterator[str]:
    for way in proxy.expose:
        behind = any(is_proxied(name, cloudflare) for name in names_of(way, host))
        if isinstance(way, HttpRoute | PlainIngress) and proxy.begins(way) == "limited" and not refuses(way):
            where = (
                f"gateway {way.gateway}" if isinstance(way, HttpRoute) else f"ingress class {way.class_name}"
            )
            yield (
                f"{where}: limits neither how often nor with how large a body the first administrator is made and a "
                "restore begun: put nginx behind it, or let in only people who may do that (docs/doors.md)"
            )
        match way:
            case HttpRoute():
                yield from _gateway(way)
                if behind and way.door == "internet":
                    yield _cloudflare_only(f"gateway {way.gateway}")
            case PlainIngress():
                yield from _controller(way)
                if behind and way.door == "internet":
                    yield _cloudflare_only(f"ingress class {way.class_name}")
            case TraefikWay():
                yield from _traefik(way, behind=behind)
                if behind and way.door == "internet":
                    yield _cloudflare_only("Traefik")
            case LoadBalancer(door="lan") if host.https and proxy.tls is None:
                yield (
                    "the LAN door speaks plain http: give immich:proxy.tls a certificate for "
                    f"{host.name}, and one address serves at home and away"
                )
            case LoadBalancer(door="internet") if host.https and proxy.tls is None:
                yield (
                    "the internet door's load balancer ends TLS itself, or Cloudflare does in front of it: nginx "
                    "speaks plain http there until immich:proxy.tls gives it a certificate"
                )
            case PublishedPort(door="internet") if (
                host.https and proxy.tls is None and not way.trusted_sources
            ):
                yield (
                    "the internet door's port speaks plain http: only Cloudflare's networks may reach it, or "
                    "immich:proxy.tls gives nginx a certificate"
                )
            case PublishedPort() if way.trusted_sources:
                yield (
                    f"the proxy in front of {way.address}:{way.listen(tls=False)} ends TLS, sets X-Forwarded-For and "
                    "X-Forwarded-Proto anew, and passes bodies on unbuffered"
                )
            case _:
                pass


def _cloudflare_only(who: str) -> str:
    return (
        f"{who}: lets only Cloudflare's networks connect from outside, and trusts X-Forwarded-For from those alone "
        "(docs/doors.md, a gateway behind Cloudflare)"
    )


def _gateway(way: HttpRoute) -> Iterator[str]:
    match way.implementation:
        case "envoy-gateway":
            yield (
                f"gateway {way.gateway}: its ClientTrafficPolicy, if there is one, sets no "
                "timeout.http.requestReceivedTimeout, and no streamIdleTimeout below 5m"
            )
        case "nginx-gateway-fabric":
            yield (
                f"gateway {way.gateway}: nginx there keeps each upload on its own disk before it passes it on; "
                f"give it room, or lead large uploads through a loadBalancer"
            )
        case "traefik":
            yield (
                f"gateway {way.gateway}: Traefik's entry point needs respondingTimeouts.readTimeout 0s or at least 10m "
                "and writeTimeout 0s (immich#27985, immich#25837)"
            )
        case "cilium":
            pass
        case "other":
            yield (
                f"gateway {way.gateway}: has no limit for bodies of its own and keeps none whole; where its product is "
                "known to immich:proxy.expose[].implementation, name it there"
            )


def _controller(way: PlainIngress) -> Iterator[str]:
    where = f"ingress class {way.class_name}"
    if "nginx.org" in way.controllers:
        yield f"{where}: F5's nginx keeps each upload on its own disk before it passes it on; give it room"
    if "haproxy" in way.controllers:
        yield f"{where}: timeout-client in the controller's ConfigMap, 50s by default, is at least 10m"
    if "traefik" in way.controllers:
        yield f"{where}: Traefik's entry point needs respondingTimeouts.readTimeout 0s or at least 10m, writeTimeout 0s"
    if way.controllers == ("other",):
        yield f"{where}: has no limit of {readable(2**20)} or so for bodies, and no timeout below 10m"


def _traefik(way: TraefikWay, *, behind: bool) -> Iterator[str]:
    for name in way.entry_points:
        yield (
            f"Traefik, entry point {name}: transport.respondingTimeouts.readTimeout "
            f"{way.entry_point_read_timeout}, writeTimeout 0s"
        )
        proxies = front_proxies(way, cloudflare=behind)
        if proxies:
            yield f"Traefik, entry point {name}: forwardedHeaders.trustedIPs {', '.join(proxies)}, never insecure"
    if isinstance(way, TraefikLabels):
        yield (
            f"Traefik: its Docker provider is on, it is in the network {way.network}, and "
            "serversTransport.forwardingTimeouts.idleConnTimeout is 4s or less: labels cannot say that, and Immich "
            "closes a silent connection after 5s"
        )
    if way.crowd_sec is not None:
        yield (
            f"Traefik: experimental.plugins.{way.crowd_sec.plugin} is "
            "github.com/maxlerebourg/crowdsec-bouncer-traefik-plugin, and Traefik has the bouncer's key in "
            f"{way.crowd_sec.lapi_key_file}"
        )


def front_proxies(way: TraefikWay, *, cloudflare: bool) -> tuple[str, ...]:
    """Networks of the proxies in front of Traefik; `cloudflare`: a name of the way is proxied there."""
    if way.front_proxies is not None:
        return tuple(str(network) for network in way.front_proxies)
    return CLOUDFLARE_RANGES if cloudflare and way.door == "internet" else ()

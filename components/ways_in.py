"""The ways in: which workload and port each leads to, who may connect there, and the object that opens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pulumi

from components.door_advice import front_proxies
from components.listeners import Listener, way_listener
from components.platform.base import Platform
from components.platform.specs import (
    BouncerSpec,
    IngressSpec,
    LoadBalancerSpec,
    RouteSpec,
    SignInPageSpec,
    TraefikSpec,
)
from components.server import NAME as SERVER
from components.server import PORT as SERVER_PORT
from components.settings.proxy import (
    ClusterIp,
    Exposure,
    HttpRoute,
    LoadBalancer,
    PlainIngress,
    TraefikRoute,
)
from components.settings.proxy import Proxy as ProxySettings
from components.workload import Ingress

PROXY = "proxy"


def front(settings: ProxySettings) -> str:
    """The workload that ways in lead to."""
    return PROXY if settings.kind == "nginx" else SERVER


def port(
    settings: ProxySettings, way: Exposure, found: Sequence[Listener], *, cloudflare_in_front: bool
) -> int:
    """The port of `front` that a way leads to."""
    if settings.kind != "nginx":
        return SERVER_PORT
    wanted = way_listener(way, cloudflare_in_front=cloudflare_in_front)
    listener = next(one for one in found if one.name == wanted)
    direct = isinstance(way, LoadBalancer | ClusterIp)
    return listener.tls_port if direct and listener.tls_port is not None else listener.port


def redirect_port(
    settings: ProxySettings, way: Exposure, found: Sequence[Listener], *, cloudflare_in_front: bool
) -> int | None:
    """The port of nginx that leads plain HTTP of this way to TLS; None without TLS, or where TLS ends before nginx."""
    if settings.kind != "nginx" or not isinstance(way, LoadBalancer):
        return None
    wanted = way_listener(way, cloudflare_in_front=cloudflare_in_front)
    listener = next(one for one in found if one.name == wanted)
    return listener.port if listener.tls_port is not None else None


def ingress(
    settings: ProxySettings, found: Sequence[Listener], *, cloudflare_in_front: bool
) -> tuple[Ingress, ...]:
    """Who may connect to `front`."""
    rules: list[Ingress] = []
    for way in settings.expose:
        number = port(settings, way, found, cloudflare_in_front=cloudflare_in_front)
        match way:
            case HttpRoute():
                rules.append(
                    Ingress(
                        reason=f"gateway {way.gateway}",
                        port=number,
                        namespace=way.gateway_namespace,
                        pods=way.gateway_pods,
                    )
                )
                if way.from_nodes:
                    rules.append(
                        Ingress(
                            reason=f"gateway {way.gateway} on the nodes",
                            port=number,
                            cidrs=way.source_ranges,
                            nodes=True,
                        )
                    )
            case PlainIngress():
                rules.append(
                    Ingress(
                        reason=f"ingress class {way.class_name}",
                        port=number,
                        namespace=way.controller_namespace,
                    )
                )
            case TraefikRoute():
                rules.append(
                    Ingress(
                        reason="Traefik",
                        port=number,
                        namespace=way.controller_namespace,
                        pods=way.controller_pods,
                    )
                )
            case LoadBalancer():
                rules.append(
                    Ingress(
                        reason="load balancer",
                        port=number,
                        cidrs=way.source_ranges,
                        anyone=not way.source_ranges,
                    )
                )
                redirect = redirect_port(settings, way, found, cloudflare_in_front=cloudflare_in_front)
                if redirect is not None:
                    rules.append(replace(rules[-1], reason="load balancer, to TLS", port=redirect))
            case ClusterIp():
                pass
    return tuple(rules)


def open_way(
    platform: Platform,
    settings: ProxySettings,
    way: Exposure,
    *,
    index: int,
    number: int,
    hostnames: tuple[str, ...],
    parent: pulumi.Resource,
    after: Sequence[pulumi.Resource],
    cloudflare_in_front: bool = False,
    redirect: int | None = None,
) -> None:
    """Register the object that opens a way; the first has the plain name, others a number.

    `redirect` is what `redirect_port` says.
    """
    to = front(settings)
    suffix = "" if index == 0 else f"-{index + 1}"
    match way:
        case HttpRoute():
            spec = RouteSpec(
                name=f"immich-{to}{suffix}",
                to=to,
                port=number,
                gateway=way.gateway,
                gateway_namespace=way.gateway_namespace,
                section_name=way.section_name,
                hostnames=way.hostnames or hostnames,
                implementation=way.implementation,
                timeout=settings.timeout.seconds,
            )
            platform.route(spec, parent=parent, after=after)
        case PlainIngress():
            platform.ingress(
                IngressSpec(
                    name=f"immich-{to}{suffix}",
                    to=to,
                    port=number,
                    class_name=way.class_name,
                    hostnames=way.hostnames or hostnames,
                    tls_secret=way.tls_secret,
                    annotations=way.annotations,
                    controllers=way.controllers,
                    timeout=settings.timeout.seconds,
                ),
                parent=parent,
                after=after,
            )
        case TraefikRoute():
            spec = traefik_spec(
                settings,
                way,
                name=f"immich-{to}{suffix}",
                number=number,
                hostnames=hostnames,
                cloudflare_in_front=cloudflare_in_front,
            )
            platform.traefik(spec, parent=parent, after=after)
        case LoadBalancer():
            platform.load_balancer(
                LoadBalancerSpec(
                    name=f"immich-{to}-{way.door}{suffix}",
                    to=to,
                    port=number,
                    listen=443 if settings.tls is not None else 80,
                    redirect=redirect,
                    address=way.address,
                    load_balancer_class=way.load_balancer_class,
                    source_ranges=way.source_ranges,
                    annotations=way.annotations,
                ),
                parent=parent,
                after=after,
            )
        case ClusterIp():
            pass


def traefik_spec(
    settings: ProxySettings,
    way: TraefikRoute,
    *,
    name: str,
    number: int,
    hostnames: tuple[str, ...],
    cloudflare_in_front: bool,
) -> TraefikSpec:
    """What Traefik is asked for on a way in."""
    guard, page = way.crowd_sec, way.forward_auth
    return TraefikSpec(
        name=name,
        to=front(settings),
        port=number,
        hostnames=way.hostnames or hostnames,
        entry_points=way.entry_points,
        cert_resolver=way.cert_resolver,
        tls_secret=way.tls_secret,
        proxies=front_proxies(way, cloudflare=cloudflare_in_front),
        bouncer=BouncerSpec(
            plugin=guard.plugin,
            mode=guard.mode,
            lapi_scheme=guard.lapi_scheme,
            lapi_host=guard.lapi_host,
            lapi_key_file=guard.lapi_key_file,
            never_blocked=guard.never_blocked,
        )
        if guard is not None
        else None,
        attempts=settings.login_rate if way.rate_limit else None,
        security_headers=way.security_headers,
        hsts=settings.hsts,
        sign_in_page=SignInPageSpec(
            address=page.address, paths=page.paths, response_headers=page.response_headers
        )
        if page is not None
        else None,
    )

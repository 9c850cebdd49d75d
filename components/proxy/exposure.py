"""The ways in: which workload and port each leads to, who may connect there, and what opens it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from components.model.connection import DirectExposure
from components.model.exposure import (
    BouncerSpec,
    IngressSpec,
    LoadBalancerSpec,
    PublishedPortSpec,
    RouteSpec,
    SignInPageSpec,
    TraefikSpec,
    Way,
)
from components.model.workload import Ingress
from components.proxy.door_advice import front_proxies
from components.proxy.listeners import Listener, way_listener
from components.proxy.settings import (
    ClusterIp,
    Exposure,
    HttpRoute,
    LoadBalancer,
    PlainIngress,
    PublishedPort,
    TraefikLabels,
    TraefikRoute,
    TraefikWay,
)
from components.proxy.settings import Proxy as ProxySettings
from components.server.component import NAME as SERVER
from components.server.component import PORT as SERVER_PORT

PROXY = "proxy"


def front(settings: ProxySettings, proxy: str = PROXY) -> str:
    """The workload that ways in lead to; `proxy` is nginx's name."""
    return proxy if settings.kind == "nginx" else SERVER


def port(
    settings: ProxySettings, way: Exposure, found: Sequence[Listener], *, cloudflare_in_front: bool
) -> int:
    """The port of `front` that a way leads to."""
    if settings.kind != "nginx":
        return SERVER_PORT
    wanted = way_listener(way, cloudflare_in_front=cloudflare_in_front)
    listener = next(one for one in found if one.name == wanted)
    direct = isinstance(way, LoadBalancer | ClusterIp | PublishedPort)
    return listener.tls_port if direct and listener.tls_port is not None else listener.port


def redirect_port(
    settings: ProxySettings, way: Exposure, found: Sequence[Listener], *, cloudflare_in_front: bool
) -> int | None:
    """The port of nginx that leads plain HTTP of this way to TLS; None without TLS, or where TLS ends before nginx."""
    if settings.kind != "nginx" or not isinstance(way, LoadBalancer | PublishedPort):
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
            case ClusterIp() | PublishedPort() | TraefikLabels():
                # On a host there is no rule: the published port is the way, and Traefik is in a network of its own.
                pass
    return tuple(rules)


def trusted(settings: ProxySettings) -> tuple[str, ...] | None:
    """Without nginx: networks of the proxies that talk to the server, where every way in names them."""
    if settings.kind != "none":
        return None
    found: list[str] = []
    for way in settings.expose:
        sources: tuple[str, ...] | None = getattr(way, "trusted_sources", None)
        if not sources:
            return None
        found += [str(network) for network in sources]
    return tuple(dict.fromkeys(found))


def direct(
    settings: ProxySettings, hostnames: tuple[str, ...], *, cloudflare_in_front: bool
) -> DirectExposure:
    """How the server is exposed without nginx; with nginx it is not."""
    if settings.kind == "nginx":
        return DirectExposure()
    return DirectExposure(
        ways=specs(settings, (), hostnames=hostnames, cloudflare_in_front=cloudflare_in_front),
        ingress=ingress(settings, (), cloudflare_in_front=False),
        proxies=trusted(settings),
    )


def specs(
    settings: ProxySettings,
    found: Sequence[Listener],
    *,
    hostnames: tuple[str, ...],
    cloudflare_in_front: bool,
    proxy: str = PROXY,
) -> tuple[Way, ...]:
    """What opens each way in; the first has the plain name, others a number."""
    made: list[Way] = []
    for index, way in enumerate(settings.expose):
        number = port(settings, way, found, cloudflare_in_front=cloudflare_in_front)
        redirect = redirect_port(settings, way, found, cloudflare_in_front=cloudflare_in_front)
        made += _specs(
            settings,
            way,
            to=front(settings, proxy),
            suffix="" if index == 0 else f"-{index + 1}",
            number=number,
            redirect=redirect,
            hostnames=hostnames,
            cloudflare_in_front=cloudflare_in_front,
        )
    return tuple(made)


def _specs(
    settings: ProxySettings,
    way: Exposure,
    *,
    to: str,
    suffix: str,
    number: int,
    redirect: int | None,
    hostnames: tuple[str, ...],
    cloudflare_in_front: bool,
) -> list[Way]:
    match way:
        case HttpRoute():
            return [
                RouteSpec(
                    name=f"immich-{to}{suffix}",
                    to=to,
                    port=number,
                    gateway=way.gateway,
                    gateway_namespace=way.gateway_namespace,
                    section_name=way.section_name,
                    hostnames=way.hostnames or hostnames,
                    implementation=way.implementation,
                    timeout=settings.timeout.seconds,
                    begins=settings.begins(way),
                    attempts=settings.login_rate,
                    lan=way.door == "lan",
                )
            ]
        case PlainIngress():
            return [
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
                    lan=way.door == "lan",
                )
            ]
        case TraefikWay():
            return [
                traefik_spec(
                    settings,
                    way,
                    to=to,
                    name=f"immich-{to}{suffix}",
                    number=number,
                    hostnames=hostnames,
                    cloudflare_in_front=cloudflare_in_front,
                )
            ]
        case LoadBalancer():
            return [
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
                )
            ]
        case PublishedPort():
            name, address = f"immich-{to}-{way.door}{suffix}", str(way.address)
            listen = way.listen(tls=settings.tls is not None)
            ports = [PublishedPortSpec(name=name, to=to, port=number, address=address, listen=listen)]
            if redirect is not None and way.redirect_from is not None:
                ports.append(
                    PublishedPortSpec(
                        name=f"{name}-redirect",
                        to=to,
                        port=redirect,
                        address=address,
                        listen=way.redirect_from,
                    )
                )
            return list[Way](ports)
        case ClusterIp():
            return []


def traefik_spec(
    settings: ProxySettings,
    way: TraefikWay,
    *,
    to: str,
    name: str,
    number: int,
    hostnames: tuple[str, ...],
    cloudflare_in_front: bool,
) -> TraefikSpec:
    """What Traefik is asked for on a way in."""
    guard, page = way.crowd_sec, way.forward_auth
    return TraefikSpec(
        name=name,
        to=to,
        port=number,
        hostnames=way.hostnames or hostnames,
        entry_points=way.entry_points,
        cert_resolver=way.cert_resolver,
        tls_secret=way.tls_secret if isinstance(way, TraefikRoute) else None,
        network=way.network if isinstance(way, TraefikLabels) else None,
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
        begins=settings.begins(way),
        lan=way.door == "lan",
        sign_in_page=SignInPageSpec(
            address=page.address, paths=page.paths, response_headers=page.response_headers
        )
        if page is not None
        else None,
    )

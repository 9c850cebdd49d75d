"""The ways in: which workload and port each leads to, who may connect there, and the object that opens it."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.listeners import Listener, way_listener
from components.platform.base import Platform
from components.platform.specs import IngressSpec, LoadBalancerSpec, RouteSpec
from components.server import NAME as SERVER
from components.server import PORT as SERVER_PORT
from components.settings.proxy import ClusterIp, Exposure, HttpRoute, LoadBalancer
from components.settings.proxy import Ingress as IngressWay
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
            case IngressWay():
                rules.append(
                    Ingress(
                        reason=f"ingress class {way.class_name}",
                        port=number,
                        namespace=way.controller_namespace,
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
) -> None:
    """Register the object that opens a way; the first has the plain name, others a number."""
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
            )
            platform.route(spec, parent=parent, after=after)
        case IngressWay():
            platform.ingress(
                IngressSpec(
                    name=f"immich-{to}{suffix}",
                    to=to,
                    port=number,
                    class_name=way.class_name,
                    hostnames=way.hostnames or hostnames,
                    tls_secret=way.tls_secret,
                    annotations=way.annotations,
                ),
                parent=parent,
                after=after,
            )
        case LoadBalancer():
            platform.load_balancer(
                LoadBalancerSpec(
                    name=f"immich-{to}-{way.door}{suffix}",
                    to=to,
                    port=number,
                    listen=443 if settings.tls is not None else 80,
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

"""nginx in front of the server, and the ways in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components import versions
from components.platform.base import Platform
from components.platform.specs import IngressSpec, LoadBalancerSpec, RouteSpec
from components.server import NAME as SERVER
from components.server import PORT as SERVER_PORT
from components.settings.proxy import ClusterIp, HttpRoute, LoadBalancer
from components.settings.proxy import Ingress as IngressWay
from components.settings.proxy import Proxy as ProxySettings
from components.sizing import placement, resources
from components.templates import render
from components.values import Quantity
from components.workload import ConfigFiles, HttpCheck, Ingress, Link, Port, Probe, Scratch, Workload

NAME = "proxy"
PORT = 8080
_NGINX_UID = 101


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyArgs:
    """What `Proxy` needs."""

    platform: Platform
    settings: ProxySettings
    hostnames: tuple[str, ...]
    server: pulumi.Resource
    """What is ready when the server is."""


class Proxy(pulumi.ComponentResource):
    """nginx, where it is wanted, and one object for each way in."""

    def __init__(self, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Proxy", NAME, {}, opts)
        front, port = entrance(args.settings)
        ready = args.server
        if args.settings.kind == "nginx":
            ready = args.platform.workload(
                workload(args.settings, args.platform.address(SERVER)), parent=self, after=[args.server]
            )
        for index, way in enumerate(args.settings.expose):
            name = f"immich-{front}" if index == 0 else f"immich-{front}-{index + 1}"
            match way:
                case HttpRoute():
                    args.platform.route(
                        RouteSpec(
                            name=name,
                            to=front,
                            port=port,
                            gateway=way.gateway,
                            gateway_namespace=way.gateway_namespace,
                            section_name=way.section_name,
                            hostnames=way.hostnames or args.hostnames,
                        ),
                        parent=self,
                        after=[ready],
                    )
                case IngressWay():
                    args.platform.ingress(
                        IngressSpec(
                            name=name,
                            to=front,
                            port=port,
                            class_name=way.class_name,
                            hostnames=way.hostnames or args.hostnames,
                            tls_secret=way.tls_secret,
                            annotations=way.annotations,
                        ),
                        parent=self,
                        after=[ready],
                    )
                case LoadBalancer():
                    args.platform.load_balancer(
                        LoadBalancerSpec(
                            name=f"immich-{front}-lan" if index == 0 else f"immich-{front}-lan-{index + 1}",
                            to=front,
                            port=port,
                            listen=80,
                            address=way.address,
                            load_balancer_class=way.load_balancer_class,
                            source_ranges=way.source_ranges,
                            annotations=way.annotations,
                        ),
                        parent=self,
                        after=[ready],
                    )
                case ClusterIp():
                    pass
        self.register_outputs({})


def entrance(settings: ProxySettings) -> tuple[str, int]:
    """The workload that ways in lead to, and its port."""
    return (NAME, PORT) if settings.kind == "nginx" else (SERVER, SERVER_PORT)


def ingress(ways: Sequence[object], port: int) -> tuple[Ingress, ...]:
    """Who may connect to the entrance."""
    found: list[Ingress] = []
    for way in ways:
        match way:
            case HttpRoute():
                found.append(
                    Ingress(
                        reason=f"gateway {way.gateway}",
                        port=port,
                        namespace=way.gateway_namespace,
                        pods=way.gateway_pods,
                    )
                )
                if way.from_nodes:
                    found.append(
                        Ingress(
                            reason=f"gateway {way.gateway} on the nodes",
                            port=port,
                            cidrs=way.source_ranges,
                            nodes=True,
                        )
                    )
            case IngressWay():
                found.append(
                    Ingress(
                        reason=f"ingress class {way.class_name}",
                        port=port,
                        namespace=way.controller_namespace,
                    )
                )
            case LoadBalancer():
                found.append(
                    Ingress(
                        reason="load balancer",
                        port=port,
                        cidrs=way.source_ranges,
                        anyone=not way.source_ranges,
                    )
                )
            case _:
                pass
    return tuple(found)


def configuration(settings: ProxySettings, server: str) -> str:
    """nginx.conf."""
    return render(
        "nginx.conf.j2",
        {
            "port": PORT,
            "upstream": f"{server}:{SERVER_PORT}",
            "body_size": int(settings.max_upload.amount),
            "timeout": settings.timeout.seconds,
            "trusted_sources": (),
        },
    )


def workload(settings: ProxySettings, server: str) -> Workload:
    """nginx without root, its configuration from a file."""
    health = HttpCheck(port="http", path="/nginx-health")
    return Workload(
        name=NAME,
        image=settings.image or versions.nginx_image(),
        resources=resources("proxy", settings.resources),
        user=_NGINX_UID,
        group=_NGINX_UID,
        # No entrypoint scripts: they would write to /etc/nginx, which is read-only.
        command=("nginx", "-c", "/etc/immich/nginx.conf", "-g", "daemon off;"),
        ports=(Port(name="http", number=PORT, app_protocol="kubernetes.io/ws"),),
        liveness=Probe(check=health, failures=3, startup_budget=60),
        readiness=Probe(check=health),
        mounts=(
            ConfigFiles(
                name="proxy", path="/etc/immich", files={"nginx.conf": configuration(settings, server)}
            ),
            Scratch(path="/tmp", size=Quantity("256Mi")),
        ),
        replicas=settings.replicas,
        links=(Link(to=SERVER, port=SERVER_PORT),),
        ingress=ingress(settings.expose, PORT),
        # Uploads in progress are let through before nginx ends.
        termination_grace=300,
        start_timeout=300,
        placement=placement(settings.placement),
    )

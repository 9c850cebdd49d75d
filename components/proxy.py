"""nginx in front of the server, and the ways in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components import ways_in
from components.certificates import certificate
from components.listeners import Listener, listeners
from components.nginx import exporter, workload
from components.platform.base import Platform
from components.server import NAME as SERVER
from components.settings.proxy import Proxy as ProxySettings
from components.workload import scrapers

NAME = ways_in.PROXY


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyArgs:
    """What `Proxy` needs."""

    platform: Platform
    settings: ProxySettings
    hostnames: tuple[str, ...]
    tunnel: bool
    """Whether a Cloudflare tunnel leads to nginx."""
    cloudflare_in_front: bool
    """Whether the internet door has a proxied DNS record."""
    server: pulumi.Resource
    """What is ready when the server is."""
    monitoring_namespace: str | None = None
    """Where whoever reads the metrics runs."""


class Proxy(pulumi.ComponentResource):
    """nginx, where it is wanted, and one object for each way in."""

    ready: pulumi.Resource
    """What a tunnel's connector waits for."""

    def __init__(self, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Proxy", NAME, {}, opts)
        settings, platform = args.settings, args.platform
        found = proxy_listeners(args.settings, platform.proxy_sources, args.tunnel, args.cloudflare_in_front)
        self.ready = args.server
        if settings.kind == "nginx":
            spec = certificate(settings, args.hostnames)
            if spec is not None:
                platform.certificate(spec, parent=self)
            rules = (
                *ways_in.ingress(settings, found, cloudflare_in_front=args.cloudflare_in_front),
                *scrapers(exporter().ports if settings.metrics else (), args.monitoring_namespace),
            )
            self.ready = platform.workload(
                workload(
                    settings,
                    found,
                    platform.address(SERVER),
                    rules,
                    ipv6=any(":" in network for network in platform.proxy_sources),
                ),
                parent=self,
                after=[args.server],
            )
        for index, way in enumerate(settings.expose):
            number = ways_in.port(settings, way, found, cloudflare_in_front=args.cloudflare_in_front)
            ways_in.open_way(
                platform,
                settings,
                way,
                index=index,
                number=number,
                hostnames=args.hostnames,
                parent=self,
                after=[self.ready],
                cloudflare_in_front=args.cloudflare_in_front,
                redirect=ways_in.redirect_port(
                    settings, way, found, cloudflare_in_front=args.cloudflare_in_front
                ),
            )
        self.register_outputs({})


def proxy_listeners(
    settings: ProxySettings, pods: Sequence[str], tunnel: bool, cloudflare_in_front: bool
) -> tuple[Listener, ...]:
    """nginx's listeners; without nginx there are none."""
    if settings.kind != "nginx":
        return ()
    return listeners(settings, pods=pods, tunnel=tunnel, cloudflare_in_front=cloudflare_in_front)

"""nginx in front of the server, and the ways in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.model.watch import UNSEEN, Seen
from components.model.workload import Port, scrapers
from components.platform.base import Platform
from components.proxy import access_log
from components.proxy import exposure as ways_in
from components.proxy.certificate_keeper import KeeperArgs, Kept, keep
from components.proxy.certificates import certificate
from components.proxy.listeners import Listener, listeners
from components.proxy.nginx import USER, exporter, workload
from components.proxy.settings import Proxy as ProxySettings
from components.secrets.component import Secrets
from components.server.component import NAME as SERVER

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
    secrets: Secrets
    server: pulumi.Resource
    """What is ready when the server is."""
    monitoring_namespace: str | None = None
    """Where whoever reads the metrics runs."""
    seen: Seen = UNSEEN
    """What follows from somebody reading them."""


class Proxy(pulumi.ComponentResource):
    """nginx, where it is wanted, and one object for each way in."""

    ready: pulumi.Resource
    """What a tunnel's connector waits for."""

    def __init__(self, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Proxy", NAME, {}, opts)
        settings, platform = args.settings, args.platform
        found = proxy_listeners(
            settings,
            args.tunnel,
            args.cloudflare_in_front,
            sources=platform.sources(NAME),
            host=platform.host_addresses(NAME),
        )
        ways = ways_in.specs(
            settings, found, hostnames=args.hostnames, cloudflare_in_front=args.cloudflare_in_front
        )
        self.ready = args.server
        if settings.kind == "nginx":
            before = self._certificate(args)
            rules = (
                *ways_in.ingress(settings, found, cloudflare_in_front=args.cloudflare_in_front),
                *scrapers(self._numbers(args), args.monitoring_namespace),
            )
            self.ready = platform.workload(
                workload(
                    settings,
                    found,
                    platform.address(SERVER),
                    rules,
                    ipv6=any(":" in network for network in platform.sources(NAME)),
                    resolver=platform.resolver,
                    ways=(*ways, *args.seen.of(NAME)),
                    own_certificates=not platform.makes_certificates,
                    exporter_image=args.seen.exporter,
                    access_log_image=args.seen.access_log,
                    meets=args.seen.meets,
                ),
                parent=self,
                after=[args.server, *before],
            )
        for way in ways:
            platform.open(way, parent=self, after=[self.ready])
        self.register_outputs({})

    def _numbers(self, args: ProxyArgs) -> tuple[Port, ...]:
        """Ports with numbers."""
        counted = (access_log.PORT,) if args.seen.access_log is not None else ()
        return (*(exporter().ports if args.settings.metrics else ()), *counted)

    def _certificate(self, args: ProxyArgs) -> list[pulumi.Resource]:
        """Have the certificate made, or make it here; gives what nginx waits for."""
        if args.settings.tls is None:
            return []
        if args.platform.makes_certificates:
            spec = certificate(args.settings, args.hostnames)
            if spec is not None:
                args.platform.certificate(spec, parent=self)
            return []
        assert isinstance(args.settings.tls, Kept), "checked by a rule of the settings"
        keeper = KeeperArgs(
            platform=args.platform,
            tls=args.settings.tls,
            hostnames=args.hostnames,
            user=USER,
            secrets=args.secrets,
        )
        return keep(keeper, parent=self)


def proxy_listeners(
    settings: ProxySettings,
    tunnel: bool,
    cloudflare_in_front: bool,
    *,
    sources: Sequence[str],
    host: Sequence[str] = (),
) -> tuple[Listener, ...]:
    """nginx's listeners; without nginx there are none. `sources` and `host` as `Platform` has them."""
    if settings.kind != "nginx":
        return ()
    return listeners(
        settings, pods=sources, tunnel=tunnel, cloudflare_in_front=cloudflare_in_front, host=host
    )

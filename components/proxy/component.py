"""nginx in front of the server, and the ways in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pulumi

from components.model.connection import ExternalService
from components.model.watch import UNSEEN, Seen
from components.model.workload import Ingress, Link, Port, scrapers
from components.platform.base import Platform
from components.proxy import access_log, exposure
from components.proxy.certificate_keeper import KeeperArgs, Kept, keep
from components.proxy.certificates import certificate
from components.proxy.host_settings import address
from components.proxy.listeners import TUNNEL_PORT, Listener, listeners
from components.proxy.nginx import USER, exporter, workload
from components.proxy.settings import Proxy as ProxySettings
from components.secrets.component import Secrets

NAME = exposure.PROXY


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyArgs:
    """What `Proxy` is made of."""

    platform: Platform
    """Where it runs: a `KubernetesPlatform` or a `DockerPlatform`."""
    settings: ProxySettings = field(default_factory=ProxySettings)
    """How Immich is exposed, limits, TLS, as the section `immich:proxy` has them."""
    hostnames: tuple[str, ...]
    """Public names, the main one first."""
    https: bool = True
    """Whether people come by https, to nginx or to what is in front of it."""
    port: int | None = None
    """The port that people type; None is the scheme's own."""
    server: Link | ExternalService
    """Immich: `Server.link`, or an Immich that is somewhere else."""
    tunnel: bool = False
    """Whether a Cloudflare tunnel leads to nginx."""
    cloudflare_in_front: bool = False
    """Whether Cloudflare's proxy is in front of the internet door."""
    secrets: Secrets | None = None
    """Secrets of a deployment, with `acmeDnsToken` for a certificate by DNS; not needed otherwise."""
    allow: tuple[Ingress, ...] = ()
    """Who may connect beside what `settings.expose` says."""
    sign_up: bool = True
    """Whether a visitor of the local network may make the first administrator; false where a `Setup` does."""
    after: tuple[pulumi.Resource, ...] = ()
    """What nginx waits for, such as `Server.ready` or `Setup.ready`."""
    monitoring_namespace: str | None = None
    """Where whoever reads the metrics runs."""
    seen: Seen = UNSEEN
    """What follows from somebody reading them."""


class Proxy(pulumi.ComponentResource):
    """nginx, where it is wanted, and one object for each way in.

    On a cluster: Deployment and Service of nginx; a Service, an Ingress, an HTTPRoute or a Traefik route for each.
    On a host: nginx with published ports, labels for Traefik, and a container that renews certificates.
    """

    ready: tuple[pulumi.Resource, ...]
    """What a tunnel's connector waits for."""
    tunnel_link: Link
    """For a tunnel: nginx's listener for what comes through Cloudflare."""
    urls: tuple[str, ...]
    """Public addresses, the main one first."""

    def __init__(self, name: str, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Proxy", name, {}, opts)
        settings, platform = args.settings, args.platform
        found = proxy_listeners(
            settings,
            args.tunnel,
            args.cloudflare_in_front,
            sources=platform.sources(name),
            host=platform.host_addresses(name),
            hides_clients=platform.hides_clients,
        )
        found = tuple(replace(one, sign_up=args.sign_up) for one in found)
        ways = exposure.specs(
            settings,
            found,
            hostnames=args.hostnames,
            cloudflare_in_front=args.cloudflare_in_front,
            proxy=name,
        )
        self.ready, self.tunnel_link = args.after, Link(to=name, port=TUNNEL_PORT)
        if settings.kind == "nginx":
            before = self._certificate(args)
            rules = (
                *exposure.ingress(settings, found, cloudflare_in_front=args.cloudflare_in_front),
                *scrapers(self._numbers(args), args.monitoring_namespace),
            )
            nginx = platform.workload(
                workload(
                    settings,
                    found,
                    platform.address(args.server.to) if isinstance(args.server, Link) else args.server.host,
                    (*rules, *args.allow),
                    name=name,
                    server=args.server,
                    ipv6=any(":" in network for network in platform.sources(name)),
                    resolver=platform.resolver,
                    ways=(*ways, *args.seen.of(name)),
                    own_certificates=not platform.makes_certificates,
                    exporter_image=args.seen.exporter,
                    access_log_image=args.seen.access_log,
                    meets=args.seen.meets,
                ),
                parent=self,
                after=[*args.after, *before],
            )
            self.ready = (nginx,)
        for way in ways:
            platform.open(way, parent=self, after=self.ready)
        self.urls = tuple(address(one, https=args.https, port=args.port) for one in args.hostnames)
        self.register_outputs({"urls": self.urls})

    def _numbers(self, args: ProxyArgs) -> tuple[Port, ...]:
        """Ports with numbers."""
        counted = (access_log.PORT,) if args.seen.access_log is not None else ()
        return (*(exporter().ports if args.settings.metrics else ()), *counted)

    def _certificate(self, args: ProxyArgs) -> list[pulumi.Resource]:
        """Have the certificate made, or make it here; gives what nginx waits for."""
        if args.settings.tls is None:
            return []
        names = (*args.hostnames, *(str(one.hostname) for one in args.settings.sites))
        if args.platform.makes_certificates:
            spec = certificate(args.settings, names)
            if spec is not None:
                args.platform.certificate(spec, parent=self)
            return []
        assert isinstance(args.settings.tls, Kept), "checked by a rule of the settings"
        keeper = KeeperArgs(
            platform=args.platform,
            tls=args.settings.tls,
            hostnames=names,
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
    hides_clients: bool = False,
) -> tuple[Listener, ...]:
    """nginx's listeners; without nginx there are none. `sources`, `host`, `hides_clients` as `Platform` has them."""
    if settings.kind != "nginx":
        return ()
    return listeners(
        settings,
        pods=sources,
        tunnel=tunnel,
        cloudflare_in_front=cloudflare_in_front,
        host=host,
        hides_clients=hides_clients,
    )

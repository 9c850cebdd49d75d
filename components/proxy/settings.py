"""The reverse proxy in front of the server and how it is reached."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from components.fields.base import AUTO, Section, WholeNumber, default_kind
from components.fields.grammar import Annotations, Labels, QualifiedName
from components.fields.health import Health
from components.fields.placement import Placement
from components.fields.resources import Resources
from components.fields.urls import BaseUrl
from components.model.exposure import Begins
from components.model.values import Bytes, Cidr, Duration, Hostname, ImageRef, IpAddress, ObjectName
from components.proxy.tls_settings import Tls
from components.proxy.traefik_settings import CrowdSec, EntryPoint, ForwardAuth, overlapping


class ClusterIp(Section):
    """Reachable inside the cluster only; for a person: `kubectl port-forward`."""

    kind: Literal["clusterIp"] = "clusterIp"
    """`clusterIp`."""


class LoadBalancer(Section):
    """An address of its own from the cluster's load balancer (cloud, MetalLB, Cilium, kube-vip)."""

    kind: Literal["loadBalancer"]
    """`loadBalancer`."""
    door: Literal["lan", "internet"] = "lan"
    """Who can connect here: `lan` is the local network, `internet` everybody, by a name with a public address."""
    address: IpAddress | None = None
    """A fixed address (`spec.loadBalancerIP`); none takes what is handed out."""
    source_ranges: tuple[Cidr, ...] = ()
    """Networks that may connect; none is every one that reaches the address."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations that the load balancer reads."""
    load_balancer_class: QualifiedName | None = None
    """`spec.loadBalancerClass`."""
    proxy_protocol: bool = False
    """The load balancer speaks the PROXY protocol: only so does nginx learn the client behind one that hides it."""
    trusted_sources: tuple[Cidr, ...] = ()
    """Addresses of such a load balancer."""

    @field_validator("address")
    @classmethod
    def _address_of_a_network(cls, value: IpAddress | None) -> IpAddress | None:
        address = None if value is None else ipaddress.ip_address(value)
        if address is not None and (address.is_unspecified or address.is_loopback or address.is_link_local):
            raise ValueError("expected an address of the network that the load balancer can hand out")
        return value

    @model_validator(mode="after")
    def _protocol_has_senders(self) -> Self:
        if self.proxy_protocol != bool(self.trusted_sources):
            raise ValueError(
                "proxyProtocol and trustedSources belong together: nginx believes the protocol from those only"
            )
        return self


class HttpRoute(Section):
    """A Gateway API HTTPRoute on a Gateway that exists."""

    kind: Literal["httpRoute"]
    """`httpRoute`."""
    gateway: ObjectName
    """Name of the Gateway."""
    gateway_namespace: ObjectName
    """Its namespace; the proxy (or the server) accepts connections from there."""
    section_name: str | None = Field(
        default=None, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", examples=["https"]
    )
    """The Gateway's listener, such as `https`."""
    door: Literal["lan", "internet"] = "internet"
    """Who can connect here: `lan` or `internet`."""
    implementation: Literal["other", "envoy-gateway", "nginx-gateway-fabric", "traefik", "cilium"] = "other"
    """The Gateway's implementation; some need a policy object of their own for large uploads."""
    hostnames: tuple[Hostname, ...] = ()
    """Names of the route; none takes those of `immich:host`."""
    trusted_sources: Annotated[tuple[Cidr, ...] | None, AUTO] = None
    """Networks of the Gateway, whose X-Forwarded-For is believed; auto is the pods' network."""
    gateway_pods: Labels = Field(default_factory=dict)
    """Labels of the Gateway's pods, to accept connections from them only; none accepts its whole namespace."""
    from_nodes: bool = False
    """The Gateway is part of the node's network (Cilium): accept connections from `sourceRanges` as well."""
    source_ranges: tuple[Cidr, ...] = ()
    """Networks of such a Gateway: with Cilium the node network."""

    @model_validator(mode="after")
    def _nodes_are_named(self) -> Self:
        if self.from_nodes and not self.source_ranges:
            raise ValueError("fromNodes needs sourceRanges, the networks that the nodes' addresses are in")
        return self


class Ingress(Section):
    """A way in through an ingress controller of the cluster: what its kinds have in common."""

    controller_namespace: ObjectName
    """Where the controller's pods run; the proxy accepts connections from there."""
    door: Literal["lan", "internet"] = "internet"
    """Who can connect here: `lan` or `internet`."""
    trusted_sources: Annotated[tuple[Cidr, ...] | None, AUTO] = None
    """Networks of the controller, whose X-Forwarded-For is believed; auto is the pods' network."""
    hostnames: tuple[Hostname, ...] = ()
    """Names; none takes those of `immich:host`."""
    tls_secret: ObjectName | None = None
    """Secret with the certificate; none leaves TLS to the controller."""


class PublishedPort(Section):
    """A port of the host itself, on a machine with a container engine."""

    kind: Literal["publishedPort"]
    """`publishedPort`."""
    address: IpAddress
    """Address of the host that the port is bound to: `127.0.0.1` for the machine itself, its address on the local
    network, or `0.0.0.0` for every address."""
    port: WholeNumber | None = Field(default=None, ge=1, le=65535)
    """Port of the host; none is 443 with TLS, else 2283."""
    redirect_from: Annotated[WholeNumber, Field(ge=1, le=65535)] | None = 80
    """With TLS: the port that leads plain http there, and that a certificate's HTTP challenge comes by; none opens no
    second port."""
    door: Literal["lan", "internet"] = "lan"
    """Who can connect here: `lan` or `internet`."""
    trusted_sources: tuple[Cidr, ...] = ()
    """Networks of a proxy in front that ends TLS, whose X-Forwarded-For is believed, such as Tailscale's 100.64.0.0/10;
    127.0.0.1 means programs of the host itself."""

    def listen(self, *, tls: bool) -> int:
        """The port of the host."""
        if self.port is not None:
            return self.port
        return 443 if tls and not self.trusted_sources else 2283


Controller = Literal["nginx.org", "ingress-nginx", "haproxy", "traefik", "other"]


class PlainIngress(Ingress):
    """A plain Ingress."""

    kind: Literal["ingress"]
    """`ingress`."""
    class_name: ObjectName
    """IngressClass."""
    controller: Annotated[Controller | None, AUTO] = None
    """Which controller reads it: F5's `nginx.org`, `ingress-nginx` (retired in March 2026), haproxytech's `haproxy`,
    `traefik`, or one that needs no annotations; auto goes by the class's name."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations that the controller reads; those for body size and timeouts of a known controller are set already."""

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """The controllers that may read it: two have classes that are called nginx."""
        if self.controller is not None:
            return (self.controller,)
        by_name: dict[str, tuple[Controller, ...]] = {
            "nginx": ("nginx.org", "ingress-nginx"),
            "haproxy": ("haproxy",),
            "traefik": ("traefik",),
        }
        return by_name.get(str(self.class_name), ("other",))


class TraefikWay(Section):
    """A way in through a Traefik that is somebody else's: what its kinds have in common."""

    door: Literal["lan", "internet"] = "internet"
    """Who can connect here: `lan` or `internet`."""
    hostnames: tuple[Hostname, ...] = ()
    """Names; none takes those of `immich:host`."""
    entry_point_read_timeout: Duration
    """What Traefik's static configuration has as `entryPoints.<name>.transport.respondingTimeouts.readTimeout`, which
    no object can change: `0s` for none, or at least `10m`. Its default of 60s ends every upload that takes longer."""
    entry_points: Annotated[tuple[EntryPoint, ...], Field(min_length=1)] = ("websecure",)
    """Entry points with TLS."""
    cert_resolver: EntryPoint | None = None
    """Traefik's resolver that fetches the certificate; none takes the certificate that Traefik has."""
    front_proxies: Annotated[tuple[Cidr, ...] | None, AUTO] = None
    """Networks of proxies in front of Traefik, the same as its `forwardedHeaders.trustedIPs`; auto is Cloudflare's when
    a name of this way is proxied there, else none."""
    crowd_sec: CrowdSec | None = None
    """Block addresses on CrowdSec's list."""
    rate_limit: bool = True
    """Limit attempts to sign in to `loginRate`; nothing else is limited, a page of thumbnails is 700 requests."""
    security_headers: bool = True
    """Set security headers; none that would break maps, uploads or workers."""
    forward_auth: ForwardAuth | None = None
    """A sign-in page of another program before some pages; never before what the mobile app needs."""

    @model_validator(mode="after")
    def _lets_uploads_through(self) -> Self:
        seconds = self.entry_point_read_timeout.seconds
        if 0 < seconds < 600:
            raise ValueError(
                f"entryPointReadTimeout {self.entry_point_read_timeout} cuts every upload that takes longer "
                "(immich#27985); set it in Traefik's static configuration to 0s or at least 10m, and here as well"
            )
        if self.crowd_sec is not None and self.front_proxies is not None:
            pair = overlapping(self.crowd_sec.never_blocked, self.front_proxies)
            if pair is not None:
                raise ValueError(
                    f"crowdSec.neverBlocked {pair[0]} has addresses of frontProxies {pair[1]}: everybody who comes "
                    "through that proxy would pass unjudged"
                )
        return self


class TraefikRoute(TraefikWay):
    """Traefik's own IngressRoute, with its middlewares, on a cluster."""

    kind: Literal["traefik"]
    """`traefik`."""
    controller_namespace: ObjectName
    """Where Traefik's pods run; the proxy accepts connections from there."""
    trusted_sources: Annotated[tuple[Cidr, ...] | None, AUTO] = None
    """Networks of Traefik, whose X-Forwarded-For is believed; auto is the pods' network."""
    controller_pods: Labels = Field(default_factory=dict)
    """Labels of Traefik's pods, to accept connections from them only; none accepts the whole namespace."""
    tls_secret: ObjectName | None = None
    """Secret with the certificate; none leaves TLS to Traefik."""

    @model_validator(mode="after")
    def _one_certificate(self) -> Self:
        if self.cert_resolver is not None and self.tls_secret is not None:
            raise ValueError("certResolver and tlsSecret are two certificates; give one")
        return self


class TraefikLabels(TraefikWay):
    """Traefik on the same host, which reads the labels of containers (its Docker provider)."""

    kind: Literal["traefikLabels"]
    """`traefikLabels`."""
    network: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$", examples=["reverse_proxy"])]
    """The engine's network that Traefik is in; it exists already, and what Traefik leads to joins it."""
    trusted_sources: Annotated[tuple[Cidr, ...], Field(min_length=1)]
    """Addresses of that network, or Traefik's own: whose X-Forwarded-For is believed."""


Exposure = Annotated[
    ClusterIp | LoadBalancer | HttpRoute | PlainIngress | TraefikRoute | PublishedPort | TraefikLabels,
    Field(discriminator="kind"),
    default_kind("clusterIp"),
]


class Site(Section):
    """Another site behind the same nginx, on one host: at every way in that leads to nginx, by its name."""

    hostname: Hostname
    """Its public name, none of Immich's."""
    to: BaseUrl
    """Where it is: `http://` or `https://`, a name or address that containers of the host reach, and a port."""
    max_upload: Bytes = Bytes("1Gi")
    """Largest body of a request."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `to`."""
        parts = urlsplit(self.to)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)

    @model_validator(mode="after")
    def _is_an_origin(self) -> Self:
        if urlsplit(self.to).path not in {"", "/"}:
            raise ValueError("to: leave out the path; a site is at the root of its name")
        if self.address[0] in {"localhost", "127.0.0.1", "::1"}:
            raise ValueError("to: localhost is the container of nginx itself; give the address of the host")
        return self


class Proxy(Section):
    """nginx in front of the server, or nothing, and how Immich is exposed."""

    kind: Literal["nginx", "none"] = "nginx"
    """`nginx`, or `none`: a gateway talks to the server itself."""
    expose: Annotated[tuple[Exposure, ...], Field(max_length=8)] = (ClusterIp(),)
    """How Immich is exposed, one entry for each way in. Empty where a tunnel is the only one."""
    max_upload: Bytes = Bytes("50Gi")
    """Largest upload that nginx lets through (`client_max_body_size`)."""
    timeout: Duration = Duration("600s")
    """How long a silent connection is kept, in both directions."""
    tls: Tls | None = None
    """TLS of nginx itself, on ways in that lead to it directly; behind a gateway or a tunnel those have it."""
    hsts: bool = False
    """Send `Strict-Transport-Security` for one year."""
    login_rate: WholeNumber = Field(default=10, ge=1, le=600)
    """Attempts to sign in that one address has in a minute; the next gets 429."""
    maintenance: Literal["lan", "everywhere", "nowhere"] = "lan"
    """Where the first administrator can be made, and a restore or maintenance begun, by Immich's API and page: `lan`,
    for clients of the local network at doors that are not of the internet, `everywhere`, or `nowhere`. A server without
    an administrator lets anybody do so."""
    content_security_policy: bool = False
    """Tell browsers what Immich's pages may load. It fits Immich's own map, workers and casting; a map style or custom
    CSS that loads from other hosts is blocked by it."""
    metrics: bool = False
    """Run the nginx exporter beside nginx."""
    sites: Annotated[tuple[Site, ...], Field(max_length=32)] = ()
    """Other sites behind the same nginx, on one host."""
    image: ImageRef | None = None
    """Another image than the table's; it must be nginx-unprivileged."""
    replicas: WholeNumber = Field(default=1, ge=1, le=16)
    """Number of nginx replicas."""
    resources: Resources = Resources()
    """CPU and memory."""
    placement: Placement = Placement()
    """Node selector, tolerations and priority class."""
    health: Health = Health()
    """Health check: interval, timeout, number of failures."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.timeout.seconds < 60:
            raise ValueError("timeout must be at least 60s; Immich advises 600s (reverse-proxy.md)")
        if self.max_upload.amount < Bytes("100M").amount:
            raise ValueError(f"maxUpload {self.max_upload} would refuse ordinary videos; give at least 100M")
        hsts = self.hsts and not any(isinstance(way, TraefikWay) for way in self.expose)
        if self.kind == "none" and (self.tls is not None or self.metrics or hsts):
            raise ValueError("tls, hsts and metrics are nginx's, but kind is none")
        if self.kind == "none" and self.sites:
            raise ValueError("sites are nginx's, but kind is none")
        for way in self.expose:
            if self.kind == "none" and isinstance(way, LoadBalancer | PublishedPort):
                raise ValueError(
                    f"expose: a {way.kind} needs kind nginx; Immich itself must not face a network directly"
                )
            if self.closes(way) and not refuses(way):
                raise ValueError(
                    f"expose: no {way.kind} can refuse what makes the first administrator and begins a restore, which "
                    "Immich lets anybody do until there is an administrator. Put nginx behind it (pulumi config set "
                    "--path immich:proxy.kind nginx); or say door lan, where only the local network comes in; or "
                    "maintenance everywhere, where there always is an administrator"
                )
        return self

    def closes(self, way: Exposure | TraefikWay) -> bool:
        """Whether a way in must itself refuse what begins maintenance: without nginx behind it one of the internet, or
        any where nobody may begin it.
        """
        if self.kind != "none" or self.maintenance == "everywhere" or isinstance(way, ClusterIp):
            return False
        return self.maintenance == "nowhere" or way.door == "internet"

    def begins(self, way: Exposure | TraefikWay) -> Begins:
        """What a way in does itself with what begins maintenance."""
        return "passed" if self.kind == "nginx" else "refused" if self.closes(way) else "limited"


def refuses(way: Exposure) -> bool:
    """Whether objects of ours can have it refuse, or limit, a path in every spelling.

    Traefik's rules do. Of gateways Envoy Gateway does: it puts expressions before prefixes (envoyproxy/gateway,
    internal/gatewayapi/sort.go), which the Gateway API leaves open; an Ingress knows no expressions.
    """
    return isinstance(way, TraefikWay) or (
        isinstance(way, HttpRoute) and way.implementation == "envoy-gateway"
    )

"""The reverse proxy in front of the server and how it is reached."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.settings.base import Section, default_kind
from components.settings.placement import Placement
from components.settings.resources import Resources
from components.values import Cidr, Duration, Hostname, ImageRef, ObjectName, Quantity


class ClusterIp(Section):
    """Reachable inside the cluster only; for a person: `kubectl port-forward`."""

    kind: Literal["clusterIp"] = "clusterIp"
    """`clusterIp`."""


class LoadBalancer(Section):
    """An address of its own from the cluster's load balancer (cloud, MetalLB, Cilium, kube-vip)."""

    kind: Literal["loadBalancer"]
    """`loadBalancer`."""
    address: str | None = Field(default=None, pattern=r"^[0-9a-fA-F.:]+$")
    """A fixed address (`spec.loadBalancerIP`); none takes what is handed out."""
    source_ranges: tuple[Cidr, ...] = ()
    """Networks that may connect; none is every one that reaches the address."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations that the load balancer reads."""
    load_balancer_class: str | None = None
    """`spec.loadBalancerClass`."""


class HttpRoute(Section):
    """A Gateway API HTTPRoute on a Gateway that exists."""

    kind: Literal["httpRoute"]
    """`httpRoute`."""
    gateway: ObjectName
    """Name of the Gateway."""
    gateway_namespace: ObjectName
    """Its namespace; the proxy (or the server) accepts connections from there."""
    section_name: str | None = Field(default=None, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    """The Gateway's listener, such as `https`."""
    hostnames: tuple[Hostname, ...] = ()
    """Names of the route; none takes those of `immich:host`."""
    gateway_pods: dict[str, str] = Field(default_factory=dict)
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
    """A plain Ingress."""

    kind: Literal["ingress"]
    """`ingress`."""
    class_name: ObjectName
    """IngressClass."""
    controller_namespace: ObjectName
    """Where the controller's pods run; the proxy accepts connections from there."""
    hostnames: tuple[Hostname, ...] = ()
    """Names; none takes those of `immich:host`."""
    tls_secret: ObjectName | None = None
    """Secret with the certificate; none leaves TLS to the controller."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations that the controller reads; the body size and timeouts of known controllers are set already."""


Exposure = Annotated[
    ClusterIp | LoadBalancer | HttpRoute | Ingress, Field(discriminator="kind"), default_kind("clusterIp")
]


class Proxy(Section):
    """nginx in front of the server, or nothing, and the ways in."""

    kind: Literal["nginx", "none"] = "nginx"
    """`nginx`, or `none`: a gateway talks to the server itself."""
    expose: Annotated[tuple[Exposure, ...], Field(min_length=1, max_length=8)] = (ClusterIp(),)
    """How it is reached; several are several doors."""
    max_upload: Quantity = Quantity("50Gi")
    """Largest upload that nginx lets through (`client_max_body_size`)."""
    timeout: Duration = Duration("600s")
    """How long a silent connection is kept, in both directions."""
    trusted_sources: tuple[Cidr, ...] = ()
    """Networks of gateways in front of nginx whose X-Forwarded-For is believed; none believes nobody."""
    image: ImageRef | None = None
    """Another image than the table's; it must be nginx-unprivileged."""
    replicas: int = Field(default=1, ge=1, le=16)
    """Copies of nginx."""
    resources: Resources = Resources()
    """CPU and memory."""
    placement: Placement = Placement()
    """Which nodes."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.timeout.seconds < 60:
            raise ValueError("timeout must be at least 60s; Immich advises 600s (reverse-proxy.md)")
        if self.max_upload.amount < Quantity("100M").amount:
            raise ValueError(f"maxUpload {self.max_upload} would refuse ordinary videos; give at least 100M")
        if self.kind == "none" and any(isinstance(way, LoadBalancer) for way in self.expose):
            raise ValueError(
                "expose: a loadBalancer needs kind nginx; Immich itself must not face a network directly"
            )
        return self

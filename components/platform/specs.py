"""What only some platforms can do, as plain data: operated database clusters, ways in, published secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from components.secret_text import SecretText
from components.values import ImageRef, Quantity
from components.workload import Placement, Resources


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedSecret:
    """A secret that pods mount, by its logical name."""

    name: str
    """Logical name: `database`, `cache`, `app`."""
    items: Mapping[str, SecretText]
    """Key -> text."""
    namespace: str | None = None
    """Another namespace than Immich's."""
    type: str = "Opaque"
    """Kubernetes type, such as `kubernetes.io/basic-auth`."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    generated: bool = False
    """Its values are made by this program: they are published by it also where others come from an external store."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """Continuous archive and base backups of a database cluster."""

    name: str
    destination_path: str
    endpoint_url: str | None
    compression: str
    schedule: str
    retention: str
    server_name: str
    immediate: bool
    credentials: str
    """Logical name of the secret with `ACCESS_KEY_ID` and `SECRET_ACCESS_KEY`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseCluster:
    """PostgreSQL kept by an operator."""

    name: str
    namespace: str | None
    operator_namespace: str
    instances: int
    image: ImageRef
    database: str
    owner: str
    size: Quantity
    storage_class: str | None
    wal_size: Quantity | None
    parameters: Mapping[str, str]
    resources: Resources
    placement: Placement
    pod_monitor: bool
    credentials: str
    """Logical name of the basic-auth secret of the owner."""
    archive: Archive | None
    monitoring_namespace: str | None = None
    """Where whoever reads the metrics runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteSpec:
    """A Gateway API route to a workload."""

    name: str
    to: str
    port: int
    gateway: str
    gateway_namespace: str
    section_name: str | None
    hostnames: tuple[str, ...]
    implementation: str = "other"
    """`envoy-gateway`, `nginx-gateway-fabric`, `traefik`, `cilium` or `other`."""
    timeout: int = 600
    """Seconds of silence that the gateway must put up with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IngressSpec:
    """A plain Ingress to a workload."""

    name: str
    to: str
    port: int
    class_name: str
    hostnames: tuple[str, ...]
    tls_secret: str | None
    annotations: Mapping[str, str]
    controllers: tuple[str, ...] = ("nginx.org", "ingress-nginx", "haproxy")
    """The controllers that may read it, also `traefik` and `other`; by default all that need annotations."""
    timeout: int = 600
    """Seconds of silence that the controller must put up with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BouncerSpec:
    """The CrowdSec plugin of a Traefik."""

    plugin: str
    mode: str
    lapi_scheme: str
    lapi_host: str
    lapi_key_file: str
    never_blocked: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SignInPageSpec:
    """A sign-in page of another program before some paths."""

    address: str
    paths: tuple[str, ...]
    response_headers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TraefikSpec:
    """Traefik's own route to a workload, with its middlewares."""

    name: str
    to: str
    port: int
    hostnames: tuple[str, ...]
    entry_points: tuple[str, ...]
    cert_resolver: str | None
    tls_secret: str | None
    proxies: tuple[str, ...]
    """Networks of the proxies in front of it."""
    bouncer: BouncerSpec | None
    attempts: int | None
    """Attempts to sign in that one address has in a minute; None limits nothing."""
    security_headers: bool
    hsts: bool
    sign_in_page: SignInPageSpec | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadBalancerSpec:
    """An address of its own for a workload."""

    name: str
    to: str
    port: int
    listen: int
    """Port of the address."""
    redirect: int | None
    """Port of the workload that leads plain HTTP, at 80, to TLS; None without TLS."""
    address: str | None
    load_balancer_class: str | None
    source_ranges: tuple[str, ...]
    annotations: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class CertificateSpec:
    """A TLS certificate that workloads mount by its logical name, as `tls.crt` and `tls.key`."""

    name: str
    """Logical name."""
    secret: str
    """Name of the Secret of the type kubernetes.io/tls."""
    kind: Literal["existing", "issued", "self-signed"]
    """It is there, an issuer that is there makes it, or it is made without one."""
    hostnames: tuple[str, ...] = ()
    issuer: str = ""
    """With `issued`: the issuer."""
    issuer_kind: str = "ClusterIssuer"


@dataclass(frozen=True, kw_only=True, slots=True)
class LanAllowance:
    """A machine of the LAN that pods may reach."""

    address: str
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """Pods that are no workload of ours and that links may name, such as a database cluster."""

    namespace: str | None
    labels: Mapping[str, str]

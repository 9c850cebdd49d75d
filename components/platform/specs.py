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

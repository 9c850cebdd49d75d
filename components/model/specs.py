"""What only some platforms can do, as plain data: operated database clusters, ways in, published secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from components.model.secret_text import SecretText
from components.model.values import ImageRef, Quantity
from components.model.workload import Placement, Resources

if TYPE_CHECKING:
    import pulumi

EXTENSIONS = ("vector", "vchord", "cube", "earthdistance")
"""What Immich needs and its role may not create (postgres-standalone.md): vchord needs vector, earthdistance cube."""


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


_GENERATION = re.compile(r".*-g[0-9]+")
_LONGEST_CLUSTER_NAME = 50
"""CloudNativePG's webhook refuses longer ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovery:
    """What a database cluster is recovered from when it is made: the archive of another one, which is only read."""

    server_name: str
    """Folder of the source in the object store."""
    target_time: str | None = None
    """RFC 3339 with a zone: the state at that time."""
    backup_id: str | None = None
    """The state at the end of this base backup. With neither, all that was archived."""

    def __post_init__(self) -> None:
        if self.target_time is not None and self.backup_id is not None:
            raise ValueError("give a time or a backup id: a recovery has one target")

    @property
    def origin(self) -> str:
        """For people: what it comes from."""
        until = self.target_time or (f"backup {self.backup_id}" if self.backup_id else "latest")
        return f"recovered from {self.server_name}: {until}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """One generation of a database cluster and where it came from.

    Names of clusters and of their folders in the object store derive from the generation, so that a new generation
    writes where nothing was ever written: a base never ends like a derived name. Raises `ValueError` for a source that
    is not earlier.
    """

    generation: int = 1
    source: int | None = None
    """The generation whose archive is read; the first has none."""
    target_time: str | None = None
    backup_id: str | None = None
    kept: tuple[int, ...] = ()
    """Other generations whose clusters are there and stay as they are."""

    def __post_init__(self) -> None:
        if self.generation < 1:
            raise ValueError(f"generation {self.generation}: the first is 1")
        if (self.generation == 1) != (self.source is None):
            raise ValueError(
                f"generation {self.generation}: the first has no source, and every other one has"
            )
        if self.source is not None and not 1 <= self.source < self.generation:
            raise ValueError(f"generation {self.generation}: its source {self.source} is not an earlier one")
        if self.generation in self.kept:
            raise ValueError(f"generation {self.generation} is in use, so that it is none of the kept ones")

    @staticmethod
    def named(base: str, generation: int) -> str:
        """Name of a generation: the base for the first, then `<base>-g2` and so on.

        Raises `ValueError` for a base that looks like such a name, which could be the same one as another's.
        """
        if _GENERATION.fullmatch(base):
            raise ValueError(
                f"the name {base} ends like that of a later generation; choose one that does not end in -g and a number"
            )
        return base if generation == 1 else f"{base}-g{generation}"

    def cluster(self, base: str) -> str:
        """Name of the Cluster. Raises `ValueError` where it is longer than CloudNativePG takes."""
        name = self.named(base, self.generation)
        if len(name) > _LONGEST_CLUSTER_NAME:
            raise ValueError(
                f"the cluster name {name} has {len(name)} characters, and CloudNativePG takes {_LONGEST_CLUSTER_NAME}"
            )
        return name

    def kept_clusters(self, base: str) -> tuple[str, ...]:
        """Names of the clusters that stay as they are."""
        return tuple(self.named(base, number) for number in sorted(set(self.kept)))

    def server_name(self, base: str) -> str:
        """Folder in the object store that this generation writes."""
        return self.named(base, self.generation)

    def recovery(self, base: str) -> Recovery | None:
        """What this generation is made from; None for the first, which starts empty."""
        if self.source is None:
            return None
        return Recovery(
            server_name=self.named(base, self.source), target_time=self.target_time, backup_id=self.backup_id
        )

    def origin(self, base: str) -> str:
        """For people and for the next update: where this generation came from."""
        found = self.recovery(base)
        return "started empty" if found is None else found.origin


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
    storage_class: pulumi.Input[str] | None
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
    monitor_labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels that the cluster's Prometheus selects by."""
    monitor_interval: str | None = None
    """How often it reads; None is its own choice."""
    queries: str | None = None
    """What the operator asks the database for numbers beside its own queries: a file as postgres_exporter has it."""
    recovery: Recovery | None = None
    """What it is made from; None starts empty. It matters when the cluster is made and never again."""
    kept: tuple[str, ...] = ()
    """Names of earlier generations of this cluster, which are there and stay as they are: nobody talks to them."""

    def __post_init__(self) -> None:
        if self.recovery is not None:
            if self.archive is None:
                raise ValueError(f"{self.name}: a recovery reads an archive; give the one that it is in")
            written = self.archive.server_name
            if self.recovery.server_name == written:
                raise ValueError(
                    f"{self.name}: it would write into {written}, the archive that it is recovered from; a new "
                    f"generation writes a new one"
                )
        if self.name in self.kept:
            raise ValueError(f"{self.name}: it is in use, so that it is none of the kept ones")


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

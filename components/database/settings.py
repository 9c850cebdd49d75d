"""The PostgreSQL database: ours in a container, a CloudNativePG cluster, or somebody else's."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from components.database.recover_settings import Lineage
from components.fields.base import Deferred, Section, TextValue, WholeNumber, default_kind
from components.fields.grammar import HostFolder, StorageClassName
from components.fields.health import Health
from components.fields.placement import Placement
from components.fields.resources import Resources
from components.model.values import ImageRef, Memory, ObjectName, ServerAddress, ValueRefused, VolumeSize


def _identifier(text: str) -> str:
    if re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", text) is None:
        near = re.sub(r"[^a-z0-9_]+", "_", text.strip(" \"'").lower())
        fits = re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", near)
        raise ValueRefused(
            "expected a name that needs no quotes in SQL: lower-case letters, digits and _, no digit first, at most 63",
            near if fits else None,
        )
    return text


Identifier = Annotated[str, Field(examples=["immich"]), AfterValidator(_identifier)]


SUPERUSER = "immich_superuser"
"""Superuser of a bundled database. It has no password: only processes of its container are it, by the socket."""


def _is_free(text: str) -> str:
    if text in {SUPERUSER, "immich_metrics", "immich_renaming"}:
        raise ValueError("is a role of this program's own; give a name such as immich")
    if text.startswith("pg_") or text in {"public", "none", "current_user", "session_user"}:
        raise ValueError("is a role of PostgreSQL's own; give a name such as immich")
    return text


def _is_no_template(text: str) -> str:
    if text in {"template0", "template1"}:
        raise ValueError("is a database that PostgreSQL copies new ones from; give a name such as immich")
    return text


Role = Annotated[Identifier, AfterValidator(_is_free)]
DatabaseName = Annotated[Identifier, AfterValidator(_is_no_template)]
VectorChordVersion = Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,3}){1,2}$", examples=["1.1.1"])]


class BundledDatabase(Section):
    """One PostgreSQL with VectorChord in a container, from Immich's own image."""

    kind: Literal["bundled"] = "bundled"
    """`bundled`."""
    postgres: WholeNumber = Field(default=18, ge=14, le=18)
    """Major version of PostgreSQL. A change needs dump and restore, so it is refused on a database with data."""
    vectorchord: VectorChordVersion = "1.1.1"
    """Version of VectorChord, from the table of supported images."""
    image: Deferred[ImageRef] | None = None
    """Another image than the table's; it must carry VectorChord and Immich's entrypoint."""
    name: DatabaseName = "immich"
    """Name of the database."""
    user: Role = "immich"
    """Role of Immich: owner of the database, not a superuser."""
    size: VolumeSize = VolumeSize("20Gi")
    """Size of the data volume."""
    storage_class: Deferred[StorageClassName] | None = None
    """StorageClass of local or block storage; a network file system is refused by the image."""
    host_path: HostFolder | None = None
    """Folder of the host for the data, instead of a volume; it must exist, be empty or hold this database, and on btrfs
    have copy-on-write switched off (`chattr +C`) before the first file is in it."""
    storage_type: Literal["SSD", "HDD"] = "SSD"
    """Which of the image's two tunings to use (`DB_STORAGE_TYPE`)."""
    shared_memory: Memory = Memory("256Mi")
    """Size of /dev/shm; Immich's compose file has 128 MB."""
    ignore_filesystem_check: bool = False
    """Run on a file system that the image refuses (NFS, CephFS, virtiofs ...). Data loss is likely there."""
    resources: Resources = Resources()
    """CPU and memory."""
    placement: Placement = Placement()
    """Node selector, tolerations and priority class."""
    health: Health = Health()
    """Health check: interval, timeout, number of failures."""


class CloudNativePg(Section):
    """A PostgreSQL cluster kept by the CloudNativePG operator, which must be installed."""

    kind: Literal["cloudnative-pg"]
    """`cloudnative-pg`."""
    cluster_name: ObjectName = ObjectName("immich-database")
    """Name of the Cluster; services are `<name>-rw`, `-ro`, `-r`."""
    namespace: ObjectName | None = None
    """Namespace of the Cluster; none puts it beside Immich. One that differs must exist already."""
    operator_namespace: ObjectName = ObjectName("cnpg-system")
    """Where the operator runs; it must reach the pods."""
    lineage: Lineage = Lineage()
    """Which generation of it is in use; raising the number recovers a new cluster from the archive."""
    instances: WholeNumber = Field(default=1, ge=1, le=9)
    """PostgreSQL instances; 3 survive the loss of a node."""
    postgres: TextValue = Field(default="18.4", pattern=r"^1[4-8](\.[0-9]{1,2})?$", examples=["18.4"])
    """Version of PostgreSQL, from the table of supported images."""
    vectorchord: VectorChordVersion = "1.1.1"
    """Version of VectorChord, from the table of supported images."""
    image: ImageRef | None = None
    """Another image than the table's; it must carry VectorChord and run under CloudNativePG."""
    name: DatabaseName = "immich"
    """Name of the database."""
    user: Role = "immich"
    """Role of Immich: owner of the database, not a superuser."""
    size: VolumeSize = VolumeSize("20Gi")
    """Size of each instance's data volume."""
    storage_class: Deferred[StorageClassName] | None = None
    """StorageClass of the data and WAL volumes."""
    wal_size: VolumeSize | None = None
    """Size of an own volume for the write-ahead log; none keeps it with the data."""
    parameters: dict[str, TextValue] = Field(default_factory=dict)
    """PostgreSQL parameters over those computed from the memory limit."""
    pod_monitor: bool = False
    """Make a PodMonitor (needs the Prometheus operator)."""
    resources: Resources = Resources()
    """CPU and memory of an instance."""
    placement: Placement = Placement()
    """Node selector, tolerations and priority class."""

    @model_validator(mode="after")
    def _parameters_are_free(self) -> Self:
        fixed = {
            "shared_preload_libraries",
            "archive_mode",
            "archive_command",
            "port",
            "data_directory",
            "hba_file",
        }
        taken = sorted(fixed & self.parameters.keys())
        if taken:
            raise ValueError(
                f"parameters: {', '.join(taken)} is set by the operator or by this program; leave it out"
            )
        return self


class ExternalDatabase(Section):
    """A PostgreSQL that exists already and has VectorChord."""

    kind: Literal["external"]
    """`external`."""
    host: Deferred[ServerAddress]
    """Address or name."""
    port: Deferred[Annotated[WholeNumber, Field(ge=1, le=65535)]] = 5432
    """Port."""
    name: DatabaseName = "immich"
    """Name of the database. `vchord` and `earthdistance` must be installed in it."""
    user: Role = "immich"
    """Role, owner of the database."""
    ssl_mode: Literal["disable", "allow", "prefer", "require", "verify-full"] = "require"
    """`DB_SSL_MODE`; `verify-full` with a private authority needs `caCertificate`."""
    ca_certificate: str | None = None
    """PEM text of the authority that signed the server's certificate."""
    vector_extension: Literal["vectorchord", "pgvector"] | None = None
    """`DB_VECTOR_EXTENSION`; none lets Immich choose. Never change it later."""
    postgres: WholeNumber | None = Field(default=None, ge=14, le=18)
    """Its major version, to be checked against Immich's range."""
    vectorchord: VectorChordVersion | None = None
    """Its VectorChord version, to be checked against Immich's range."""

    @model_validator(mode="after")
    def _authority_is_used(self) -> Self:
        if self.ca_certificate is not None:
            if self.ssl_mode not in {"require", "verify-full"}:
                raise ValueError(f"caCertificate is not used with sslMode {self.ssl_mode}; use verify-full")
            if "-----BEGIN CERTIFICATE-----" not in self.ca_certificate:
                raise ValueError("caCertificate is not a PEM certificate (-----BEGIN CERTIFICATE----- ...)")
        return self


Database = Annotated[
    BundledDatabase | CloudNativePg | ExternalDatabase, Field(discriminator="kind"), default_kind("bundled")
]

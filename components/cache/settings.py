"""The queue and cache server (Redis protocol): ours or somebody else's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.fields.base import Deferred, Section, WholeNumber, default_kind
from components.fields.grammar import StorageClassName
from components.fields.health import Health
from components.fields.placement import Placement
from components.fields.resources import Resources
from components.model.values import ImageRef, Memory, ServerAddress, VolumeSize


class BundledCache(Section):
    """One Valkey with a password, append-only file and `noeviction`, which Immich's job queues need."""

    kind: Literal["bundled"] = "bundled"
    """`bundled`."""
    image: Deferred[ImageRef] | None = None
    """Another image than the table's."""
    size: VolumeSize = VolumeSize("1Gi")
    """Size of the volume of the append-only file."""
    storage_class: Deferred[StorageClassName] | None = None
    """StorageClass; none takes the cluster's default."""
    max_memory: Memory = Memory("384Mi")
    """`maxmemory`: writes are refused above it, nothing is evicted. Below the memory limit."""
    resources: Resources = Resources()
    """CPU and memory."""
    placement: Placement = Placement()
    """Node selector, tolerations and priority class."""
    health: Health = Health()
    """Health check: interval, timeout, number of failures."""


class ExternalCache(Section):
    """A Redis or Valkey that exists already; its `maxmemory-policy` must be `noeviction`."""

    kind: Literal["external"]
    """`external`."""
    host: Deferred[ServerAddress]
    """Address or name."""
    port: Deferred[Annotated[WholeNumber, Field(ge=1, le=65535)]] = 6379
    """Port."""
    tls: bool = False
    """Speak TLS, verified against the system's authorities."""
    username: str | None = Field(default=None, pattern=r"^[!-~]+$", examples=["immich"])
    """ACL user; none is the default user."""
    password: bool = True
    """Whether it needs a password (`immich:cachePassword`)."""
    database: WholeNumber = Field(default=0, ge=0, le=1023)
    """Number of the database."""


Cache = Annotated[BundledCache | ExternalCache, Field(discriminator="kind"), default_kind("bundled")]

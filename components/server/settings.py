"""The Immich server: version, workers, transcoding, metrics, whom it trusts."""

from __future__ import annotations

import functools
import zoneinfo
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from components.fields.base import AUTO, Section, WholeNumber, default_kind
from components.fields.health import Health
from components.fields.placement import GpuAccess, Placement
from components.fields.resources import Resources
from components.model.values import Cidr, Duration, ImageRef
from components.versions import NEWEST

TelemetryGroup = Literal["host", "api", "io", "repo", "job"]


@functools.cache  # it reads a folder of hundreds of files
def _known_timezones() -> frozenset[str]:
    """The IANA names that this machine knows; none where it has no time zone data."""
    try:
        return frozenset(zoneinfo.available_timezones())
    except OSError:
        return frozenset()


class CombinedWorkers(Section):
    """One pod with both workers, as Immich's compose file has it."""

    kind: Literal["combined"] = "combined"
    """`combined`."""


class SplitWorkers(Section):
    """API pods and a background-jobs pod, so that the site stays quick while videos are transcoded."""

    kind: Literal["split"]
    """`split`."""
    api_replicas: WholeNumber = Field(default=1, ge=1, le=32)
    """API pods. More than one needs media that several pods can write to."""
    microservices_replicas: WholeNumber = Field(default=1, ge=1, le=8)
    """Background pods. Several run facial recognition at the same time and split people up (immich#28051)."""
    accept_parallel_recognition: bool = False
    """Say true to have more than one `microservicesReplicas` all the same."""
    api_resources: Resources = Resources()
    """CPU and memory of an API pod; `server.resources` is for the background pod."""

    @model_validator(mode="after")
    def _recognition_is_single(self) -> Self:
        if self.microservices_replicas > 1 and not self.accept_parallel_recognition:
            raise ValueError(
                f"microservicesReplicas is {self.microservices_replicas}: several run facial recognition at the same "
                "time and split people up (immich#28051); use 1, or set acceptParallelRecognition to true"
            )
        return self


class Metrics(Section):
    """Immich's own telemetry; no port opens while it is off."""

    enabled: bool = False
    """Serve `/metrics`."""
    include: Annotated[tuple[TelemetryGroup, ...], Field(min_length=1)] = ("host", "api", "job")
    """Groups; `repo` has very many series. `monitoring` adds it, and reads of it those of machine learning alone."""
    api_port: WholeNumber = Field(default=8081, ge=1024, le=65535)
    """Port of the API worker."""
    microservices_port: WholeNumber = Field(default=8082, ge=1024, le=65535)
    """Port of the background worker."""

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if len({self.api_port, self.microservices_port, 2283}) != 3:
            raise ValueError("apiPort, microservicesPort and 2283 (Immich itself) must differ")
        return self


class Server(Section):
    """The Immich server."""

    version: str = Field(default=NEWEST, pattern=r"^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}$", examples=[NEWEST])
    """Release of Immich, for server and machine learning alike. Upgrades cannot be undone without a restore."""
    image: ImageRef | None = None
    """Another image than the table's; its tag must carry `version`."""
    timezone: str = "Etc/UTC"
    """IANA time zone: dates of photos without one, times of jobs."""
    log_level: Literal["verbose", "debug", "log", "warn", "error", "fatal"] = "log"
    """`IMMICH_LOG_LEVEL`; it overrides the setting in Immich."""
    log_format: Literal["console", "json"] = "console"
    """`IMMICH_LOG_FORMAT`."""
    workers: Annotated[
        CombinedWorkers | SplitWorkers, Field(discriminator="kind"), default_kind("combined")
    ] = CombinedWorkers()
    """One pod, or API and background pods."""
    acceleration: Literal["disabled", "nvenc", "qsv", "vaapi", "rkmpp"] = "disabled"
    """Hardware transcoding, on the worker that transcodes."""
    gpu: GpuAccess = GpuAccess()
    """How the transcoding pod reaches the accelerator."""
    metrics: Metrics = Metrics()
    """Telemetry."""
    trusted_proxies: Annotated[tuple[Cidr, ...] | None, AUTO] = None
    """Networks whose X-Forwarded-For is believed; auto is the network of the pods that may connect at all."""
    allow_setup: bool = True
    """Whether a visitor may create the first admin; set false once it exists (`IMMICH_ALLOW_SETUP`)."""
    user: WholeNumber = Field(default=1000, ge=1, le=65_535)
    """Numeric user of the processes; must be able to write the media."""
    group: WholeNumber = Field(default=1000, ge=1, le=65_535)
    """Numeric group of the processes, and of the media volumes where the storage can change it."""
    startup_budget: Duration = Duration("15m")
    """How long a start may take: migrations and re-indexing run before the server listens."""
    termination_grace: Duration = Duration("5m")
    """How long uploads in progress may take to finish when the server is stopped or replaced, 30s to 1h; what takes
    longer is cut off, and sent again by its client."""
    resources: Resources = Resources()
    """CPU and memory of the pod that runs background jobs."""
    placement: Placement = Placement()
    """Node selector, tolerations and priority class."""
    health: Health = Health()
    """Health check: interval, timeout, number of failures."""

    @field_validator("timezone")
    @classmethod
    def _timezone_exists(cls, value: str) -> str:
        known = _known_timezones()
        if known and value not in known:
            raise ValueError("expected an IANA time zone such as America/Denver or Etc/UTC")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.acceleration == "disabled" and (
            self.gpu.resource or self.gpu.devices or self.gpu.runtime_class
        ):
            raise ValueError(
                "gpu is given but acceleration is disabled; set acceleration to nvenc, qsv, vaapi or rkmpp"
            )
        if not Duration("1m").seconds <= self.startup_budget.seconds <= Duration("2h").seconds:
            raise ValueError("startupBudget must be between 1m and 2h")
        if not Duration("30s").seconds <= self.termination_grace.seconds <= Duration("1h").seconds:
            raise ValueError("terminationGrace must be between 30s and 1h")
        return self

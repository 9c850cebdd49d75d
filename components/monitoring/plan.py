"""What is watched in one deployment, as plain data: from it come alerts, recorded series and dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from components.model.watch import Job

Source = Literal[
    "immich",
    "library",
    "postgres",
    "cloudnative-pg",
    "valkey",
    "nginx",
    "access-log",
    "traefik",
    "cloudflared",
    "dcgm",
    "hwmon",
    "node",
    "kubernetes",
    "blackbox",
    "backup",
]
"""Where series come from; `metric_names.FAMILIES` says what each gives and where that was read."""
SOURCES: Final = frozenset[Source](get_args(Source))

JOBS: Final[Mapping[Job, str]] = {job: f"immich-{job}" for job in get_args(Job)}
"""Scrape job -> its label `job`: `immich-api`, `immich-doors`, ..."""

EXPORTERS: Final[tuple[Job, ...]] = (
    "postgres", "valkey", "nginx", "access-log", "traefik", "node", "backup",
)  # fmt: skip
"""Jobs that only look, each with the name of its source: when one is gone its alerts are blind.

`api`, `cloudflared` and `doors` have alerts of their own; on a cluster DCGM is scraped by somebody else's job."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """From where a number is worth a message, as far as settings say it; the defaults of four are system hwc's."""

    storage_percent: float = 85
    """A volume is filling."""
    machine_learning_queue: int = 100
    """Waiting jobs of machine learning."""
    down: str = "5m"
    """How long something may be away, a duration of Prometheus."""
    gpu_celsius: float = 80
    storage_critical_percent: float = 95
    deleted_photos: int = 50
    """So many within an hour, or a small library rings at every tidying."""
    certificate_days: int = 14
    """Renewal is tried from 30 days before the end, so then it has been failing for a fortnight."""

    def __post_init__(self) -> None:
        if not 0 < self.storage_percent < self.storage_critical_percent < 100:
            raise ValueError(
                f"storage_percent {self.storage_percent:g}, storage_critical_percent "
                f"{self.storage_critical_percent:g}: two shares in %, the second is the larger"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitoringPlan:
    """One deployment, as far as series about it go."""

    stack: str
    platform: Literal["kubernetes", "docker"]
    sources: frozenset[Source]
    """What is scraped. An alert or panel is there only where all that it needs is."""
    namespace: str = ""
    """Label that tells this deployment's series from others'; empty with our own Prometheus."""
    database_namespace: str = ""
    """The same for a database cluster of an operator."""
    jobs: Mapping[Job, str] = field(default_factory=lambda: dict(JOBS))
    """Labels `job`, where they are not those of `JOBS`."""
    thresholds: Thresholds = Thresholds()
    mountpoints: tuple[str, ...] = ("/",)
    """On one host: where the file systems are mounted that hold data, as node_exporter's `mountpoint` has them."""
    instances: int = 1
    """Instances of the database."""
    base_backup_age: int = 0
    """With CloudNativePG's archive: seconds after which its last base backup is too old; 0 without an archive."""
    doors: bool = True
    """Whether ways in are asked; machine learning, which the same exporter asks, is none."""
    tunnel_connectors: int = 0
    """Replicas of cloudflared; 0 without a tunnel."""
    backups: Mapping[str, int] = field(default_factory=dict[str, int])
    """Name of a status (`dump`, `copy-nas`, `check-nas`) -> seconds after which its last success is too old."""
    drill_days: int = 0
    """Days after which a restore counts as unproven; 0 without drills."""
    service_tokens: Mapping[str, int] = field(default_factory=dict[str, int])
    """Name of a Cloudflare Access service token -> when it ends, in seconds since 1970."""
    runbooks: str = "docs/alerts.md"
    """Where docs/alerts.md is found, without an anchor; an URL makes the links work from elsewhere."""

    def __post_init__(self) -> None:
        unknown = self.sources - SOURCES
        if unknown:
            raise ValueError(
                f"sources: {', '.join(sorted(unknown))} is unknown; {', '.join(sorted(SOURCES))}"
            )

    @property
    def facts(self) -> frozenset[str]:
        """What a group of rules may need: the sources, and `cluster`, `doors`, ... where they are so."""
        found = {
            "cluster": self.platform == "kubernetes",
            "doors": self.doors and "blackbox" in self.sources,
            "replicas": self.instances > 1,
            "archive": self.base_backup_age > 0,
            "connectors": self.tunnel_connectors > 1,
            "drills": self.drill_days > 0,
            "service-token": bool(self.service_tokens),
        }
        return self.sources | {fact for fact, so in found.items() if so}

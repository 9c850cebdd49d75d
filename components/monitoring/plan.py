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
    "nvidia",
    "hwmon",
    "node",
    "kubernetes",
    "cadvisor",
    "cert-manager",
    "blackbox",
    "backup",
]
"""Where series come from; `metric_names.FAMILIES` says what each gives and where that was read."""
SOURCES: Final = frozenset[Source](get_args(Source))

JOBS: Final[Mapping[Job, str]] = {job: f"immich-{job}" for job in get_args(Job)}
"""Scrape job -> its label `job`: `immich-api`, `immich-doors`, ..."""

EXPORTERS: Final[Mapping[Job, frozenset[Source]]] = {
    "microservices": frozenset({"immich"}),
    "postgres": frozenset({"postgres"}),
    "valkey": frozenset({"valkey"}),
    "nginx": frozenset({"nginx"}),
    "access-log": frozenset({"access-log"}),
    "traefik": frozenset({"traefik"}),
    "gpu": frozenset({"dcgm", "nvidia"}),
    "node": frozenset({"node"}),
    "backup": frozenset({"backup"}),
}
"""Jobs that only look, with the sources that stand for them: when one is gone its alerts are blind.

`api`, `cloudflared` and `doors` have alerts of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Thresholds:
    """From where a number is worth a message. The first four are those of system hwc."""

    storage_percent: float = 85
    """A volume is filling."""
    machine_learning_queue: int = 100
    """Waiting jobs of machine learning."""
    down: str = "5m"
    """How long something may be away, a duration of Prometheus."""
    gpu_celsius: float = 80
    storage_critical_percent: float = 95
    storage_days: int = 7
    """A volume will be full within."""
    machine_learning_hours: int = 12
    """A backlog over `machine_learning_queue` that will be done within this at its present pace is no news."""
    deleted_percent: float = 5
    """Share of the uploaded photos that goes within an hour."""
    deleted_photos: int = 50
    """And at least so many, or a small library rings at every tidying."""
    failed_jobs: int = 10
    """Failed jobs of one queue within an hour."""
    upload_errors: int = 3
    """Refused or broken requests at one door within a quarter of an hour."""
    connections_percent: float = 85
    """Of the database's `max_connections`."""
    cache_memory_percent: float = 90
    """Of Valkey's `maxmemory`: at 100 % it refuses to write, and Immich queues nothing more."""
    replication_lag: int = 300
    """Seconds."""
    wal_files_waiting: int = 10
    """Segments that are not in the archive yet."""
    restarts: int = 3
    """Of one container within an hour."""
    certificate_days: int = 14
    """Renewal is tried from 30 days before the end, so then it has been failing for a fortnight."""
    certificate_critical_days: int = 3
    token_days: int = 21
    """Cloudflare Access service token: every phone has it in its settings."""

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
    immich_version: str
    """Of the deployment, such as 3.3.1; shown, not compared."""
    matchers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels that tell this deployment's series from others', such as `namespace`; none with our own Prometheus."""
    database_matchers: Mapping[str, str] | None = None
    """The same for a database cluster of an operator, where it lives in another namespace."""
    jobs: Mapping[Job, str] = field(default_factory=lambda: dict(JOBS))
    """Labels `job`, where they are not those of `JOBS`."""
    thresholds: Thresholds = Thresholds()
    library_prefix: str = ""
    """`cnpg_` where CloudNativePG asks the queries of monitoring_queries.py, which prefixes its series."""
    mountpoints: tuple[str, ...] = ("/",)
    """On one host: where the file systems are mounted that hold data, as node_exporter's `mountpoint` has them."""
    containers: str = "immich.*"
    """On one host: RE2 for the names of the containers, as cAdvisor's `name` has them."""
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

    def has(self, *needs: Source) -> bool:
        """Whether all of these are scraped."""
        return self.sources.issuperset(needs)

    def select(self, job: Job | None = None, *more: str) -> str:
        """Label matchers of one scrape job, or of the deployment with None: `{namespace="immich",job="immich-api"}`.

        `more` are further matchers, such as `status=~"5.."`. Empty where there is nothing to match.
        """
        own = [f'{label}="{value}"' for label, value in self.matchers.items()]
        if job is not None:
            own.append(f'job="{self.jobs[job]}"')
        return _braces(*own, *more)

    def database(self, *more: str) -> str:
        """Label matchers of an operator's database cluster."""
        matchers = self.matchers if self.database_matchers is None else self.database_matchers
        return _braces(*(f'{label}="{value}"' for label, value in matchers.items()), *more)

    def recorded(self, *more: str) -> str:
        """Label matchers of a series that our own rules record."""
        return _braces(f'stack="{self.stack}"', *more)


def _braces(*matchers: str) -> str:
    return "{" + ",".join(matchers) + "}" if matchers else ""

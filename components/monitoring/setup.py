"""What is watched in a stack, as its settings have it: sources, the MonitoringPlan, and which programs run. Pure."""

from __future__ import annotations

import math

from components.database.component import ClusterMonitor
from components.database.settings import BundledDatabase, CloudNativePg
from components.model.watch import Job
from components.monitoring import exporters, scrapes
from components.monitoring.plan import JOBS, MonitoringPlan, Source, Thresholds
from components.monitoring.queries import queries
from components.monitoring.settings import BundledMonitoring, OperatorMonitoring, Part, ScrapeOnly, Watched
from components.recovery.schedules import longest_gap
from components.settings.backup_rules import takes_dumps
from components.settings.model import Settings

_LATE = 12 * 3600
"""Seconds that a backup may take, or wait for its turn, before it is missed."""
_LATE_DAYS = 7
"""The same of a drill."""

TOKEN = "mobile-app"
"""Label `token` of the service token that the phones have."""


def sources(settings: Settings) -> frozenset[Source]:
    """Where series come from."""
    given = scrapes.watched(settings)
    if given is None:
        return frozenset()
    found: set[Source] = {"immich", "valkey"}
    if isinstance(given, ScrapeOnly) and given.traefik:
        found.add("traefik")
    if settings.proxy.kind == "nginx":
        found.add("nginx")
    match settings.database:
        case BundledDatabase():
            found |= {"postgres", "library"}
        case CloudNativePg():
            found |= (
                {"cloudnative-pg", "library"} if isinstance(given, OperatorMonitoring) else {"cloudnative-pg"}
            )
        case _:
            pass
    if scrapes.counts_access_log(settings):
        found.add("access-log")
    if any(one.job == "cloudflared" for one in scrapes.targets(settings)):
        found.add("cloudflared")
    if scrapes.probes(settings):
        found.add("blackbox")
    looked = scrapes.watching(settings)
    if looked is not None:
        found |= {"node"} if looked.volumes else set()
        found |= {"backup"} if looked.statuses is not None else set()
        found |= {"hwmon"} if looked.sensors else set()
    if scrapes.gpus(settings) is not None or (settings.docker is None and given.gpu):
        found.add("dcgm")
    if settings.docker is None and not isinstance(given, BundledMonitoring):
        # The cluster's Prometheus has the kubelet's numbers and kube-state-metrics', ours has no rights to them.
        found.add("kubernetes")
    return frozenset(found)


def jobs(settings: Settings) -> dict[Job, str]:
    """Label `job` of each scrape job."""
    given = settings.monitoring
    return {**JOBS, **(given.jobs if isinstance(given, ScrapeOnly) else {})}


def plan(settings: Settings, stack: str, *, token_ends: int | None = None) -> MonitoringPlan:
    """What alerts and dashboards follow from; `token_ends` is known once Cloudflare has made the service token.

    Raises `ValueError` for a stack that nobody watches.
    """
    given = scrapes.watched(settings)
    if given is None:
        raise ValueError(f"nobody watches {stack}")
    database = settings.database
    operated = isinstance(database, CloudNativePg)
    looked = scrapes.watching(settings)
    own = isinstance(given, BundledMonitoring)
    namespace = str(settings.kubernetes.namespace)
    on_cluster = settings.docker is None and not own
    tunnel = settings.cloudflare.tunnel if settings.cloudflare is not None else None
    backup = settings.backup
    drills = (
        looked is not None
        and looked.statuses is not None
        and backup is not None
        and backup.drill is not None
        and bool(backup.targets)
        and takes_dumps(backup, database)
    )
    archive = backup.archive if backup is not None and operated else None
    return MonitoringPlan(
        stack=stack,
        platform="docker" if settings.docker is not None else "kubernetes",
        sources=sources(settings),
        namespace=namespace if on_cluster else "",
        database_namespace=str(database.namespace or namespace)
        if on_cluster and isinstance(database, CloudNativePg)
        else "",
        jobs=jobs(settings),
        thresholds=_thresholds(given),
        mountpoints=tuple(exporters.mountpoint(name) for name in looked.volumes)
        if looked is not None and looked.volumes
        else ("/",),
        instances=database.instances if isinstance(database, CloudNativePg) else 1,
        base_backup_age=longest_gap(str(archive.schedule)) + _LATE if archive is not None else 0,
        doors=any(one.job == "doors" for one in scrapes.probes(settings)),
        tunnel_connectors=tunnel.replicas if tunnel is not None else 0,
        backups=_backups(settings) if looked is not None and looked.statuses is not None else {},
        drill_days=math.ceil(longest_gap(str(backup.drill.schedule)) / 86400) + _LATE_DAYS
        if drills and backup is not None and backup.drill is not None
        else 0,
        service_tokens={TOKEN: token_ends} if token_ends is not None and _has_token(settings) else {},
        runbooks=given.runbooks,
    )


def _has_token(settings: Settings) -> bool:
    access = settings.cloudflare.access if settings.cloudflare is not None else None
    return access is not None and access.service_token is not None


def _thresholds(given: Watched) -> Thresholds:
    chosen, table = given.thresholds, Thresholds()
    critical = max(table.storage_critical_percent, (chosen.storage_percent + 100) / 2)
    return Thresholds(
        storage_percent=chosen.storage_percent,
        storage_critical_percent=critical,
        machine_learning_queue=chosen.machine_learning_queue,
        down=scrapes.duration(chosen.down),
        gpu_celsius=chosen.gpu_celsius,
        deleted_photos=chosen.deleted_photos,
        certificate_days=chosen.certificate_days,
    )


def _backups(settings: Settings) -> dict[str, int]:
    backup = settings.backup
    if backup is None:
        return {}
    oldest = longest_gap(str(backup.schedule)) + _LATE
    names = ["dump"] if takes_dumps(backup, settings.database) else []
    return dict.fromkeys([*names, *(f"copy-{one.name}" for one in backup.targets)], oldest)


def parts(settings: Settings) -> tuple[Part, ...]:
    """Programs of monitoring that a stack has."""
    given = scrapes.watched(settings)
    if given is None:
        return ()
    own = isinstance(given, BundledMonitoring)
    there: dict[Part, bool] = {
        "valkey": True,
        "postgres": isinstance(settings.database, BundledDatabase),
        "volumes": scrapes.watching(settings) is not None,
        "doors": scrapes.prober(settings) is not None,
        "gpu": scrapes.gpus(settings) is not None,
        "nginx": settings.proxy.kind == "nginx",
        "access-log": scrapes.counts_access_log(settings),
        "prometheus": own,
        "alertmanager": own,
        "grafana": isinstance(given, BundledMonitoring) and given.grafana is not None,
    }
    return tuple(part for part, runs in there.items() if runs)


def cluster_monitor(settings: Settings) -> ClusterMonitor | None:
    """What the cluster's operator reads of a database cluster; None where it reads nothing."""
    given = settings.monitoring
    if not isinstance(given, OperatorMonitoring) or not isinstance(settings.database, CloudNativePg):
        return None
    return ClusterMonitor(
        labels=given.labels, interval=scrapes.duration(given.interval), queries=queries("cloudnative-pg")
    )

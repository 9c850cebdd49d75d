"""The dashboards: what a person asks first, and one for each part."""

from __future__ import annotations

from components.monitoring.alerts_rule import needs
from components.monitoring.dashboards_backup import backups
from components.monitoring.dashboards_data import database
from components.monitoring.dashboards_edge import learning, proxy
from components.monitoring.dashboards_panel import GOOD_OR_BAD, Dashboard, Panel, Query, Row
from components.monitoring.dashboards_queues import cache
from components.monitoring.dashboards_server import server
from components.monitoring.dashboards_shared import (
    gpu_panels,
    learning_p95_panel,
    p95_panel,
    requests_panel,
    up_panel,
    volumes_panel,
)
from components.monitoring.metric_names import COUNTED
from components.monitoring.plan import MonitoringPlan


def dashboards(plan: MonitoringPlan) -> tuple[Dashboard, ...]:
    """The overview and one for each part; a part of which nothing is known is left out."""
    every = (
        overview(plan),
        server(plan),
        database(plan),
        cache(plan),
        proxy(plan),
        learning(plan),
        backups(plan),
    )
    chosen = (dashboard.chosen(plan) for dashboard in every)
    return tuple(dashboard for dashboard in chosen if dashboard.rows)


def overview(plan: MonitoringPlan) -> Dashboard:
    """Is it up, is it used, is it quick, is there room, could it be restored."""
    return Dashboard(
        name="overview",
        title="Overview",
        rows=(
            _there(plan),
            Row(title="Use", panels=(_uploads(plan), requests_panel(plan), p95_panel(plan))),
            Row(title="Work", panels=(_backlog(plan), learning_p95_panel(plan), *gpu_panels(plan))),
            Row(title="Storage", panels=(volumes_panel(plan), _days(plan))),
            _restorable(plan),
        ),
    )


def _there(plan: MonitoringPlan) -> Row:
    firing = "ALERTS" + plan.recorded('alertstate="firing"')
    version = plan.select("api", 'service_name="immich"')
    doors = up_panel(
        title="Doors",
        queries=(Query(expr=f"max by (door) (probe_success{plan.select('doors')})", legend="{{door}}"),),
        alert="ImmichDoorDown",
        description="Whether Immich answers through each way in.",
        width=8,
        needs=needs("blackbox"),
    )
    return Row(
        title="Is it up",
        panels=(
            up_panel(
                title="Immich",
                queries=(Query(expr=f"max(up{plan.select('api')}) or vector(0)"),),
                alert="ImmichDown",
                description="Whether a copy of the server answers.",
                width=4,
                needs=needs("immich"),
            ),
            up_panel(
                title="Background work",
                queries=(Query(expr=f"max(up{plan.select('microservices')}) or vector(0)"),),
                alert="ImmichMicroservicesDown",
                description="Whether what makes thumbnails, reads metadata and transcodes answers.",
                width=4,
                needs=needs("immich"),
            ),
            *([doors] if plan.doors else []),
            Panel(
                title="Alerts",
                kind="stat",
                unit="none",
                queries=(Query(expr=f"count({firing}) or vector(0)"),),
                alert="ImmichExporterDown",
                description="How many alerts of this deployment ring now.",
                thresholds=((1, "red"),),
                width=4,
                needs=needs("immich"),
            ),
            Panel(
                title="Version",
                kind="stat",
                unit="none",
                queries=(
                    Query(
                        expr=f"max by (service_version) (target_info{version})", legend="{{service_version}}"
                    ),
                ),
                alert="ImmichVersionsDiffer",
                description="What runs; two versions at once are an upgrade that stopped half way.",
                name_only=True,
                base="blue",
                thresholds=((2, "red"),),
                width=4,
                needs=needs("immich"),
            ),
        ),
    )


def _uploads(plan: MonitoringPlan) -> Panel:
    where = plan.database() if plan.library_prefix else plan.select("postgres")
    uploaded = f"{plan.library_prefix}immich_assets_uploaded{where}"
    return Panel(
        title="Uploads per hour",
        unit="short",
        queries=(
            Query(expr=f"clamp_min(deriv((max({uploaded}))[15m:1m]) * 3600, 0)", legend="photos and videos"),
        ),
        alert="ImmichUploadErrors" if plan.sources & COUNTED else "ImmichMassDeletion",
        description="At the pace of the last quarter of an hour; deletions are taken off.",
        base="blue",
        thresholds=((10_000, "orange"),),
        needs=needs("library"),
    )


def _backlog(plan: MonitoringPlan) -> Panel:
    return Panel(
        title="Jobs that wait",
        unit="short",
        queries=(Query(expr=f"immich:queue_backlog:sum{plan.recorded()} > 0", legend="{{queue}}"),),
        alert="ImmichQueueStuck" if plan.has("immich") else "ImmichMachineLearningBacklog",
        description="By queue, from Valkey: Immich itself does not tell. Empty queues are left out.",
        thresholds=((plan.thresholds.machine_learning_queue, "yellow"), (100_000, "orange")),
        needs=needs("valkey"),
    )


def _days(plan: MonitoringPlan) -> Panel:
    free = f"immich:volume_available:bytes{plan.recorded()}"
    return Panel(
        title="Days until full",
        kind="bars",
        unit="d",
        queries=(
            Query(
                # Volumes that do not fill would be full in the past, or never.
                expr=f"clamp_max({free} / (-deriv({free}[1d]) > 0) / 86400, 999)",
                legend="{{volume}}",
            ),
        ),
        alert="ImmichStorageFullSoon",
        description="At the pace of the last day. A volume that does not fill is left out.",
        base="red",
        thresholds=((plan.thresholds.storage_days, "orange"), (30, "green")),
        width=12,
        needs=needs("kubernetes" if plan.platform == "kubernetes" else "node"),
    )


def _restorable(plan: MonitoringPlan) -> Row:
    here, drill = plan.select("backup", 'name!="drill"'), plan.select("backup", 'name="drill"')
    oldest = max((*plan.backups.values(), 86400))
    return Row(
        title="Could it be restored",
        panels=(
            Panel(
                title="Age of the last backups",
                kind="bars",
                unit="s",
                queries=(
                    Query(
                        expr=f"time() - max by (name) (immich_backup_last_success_timestamp_seconds{here} > 0)",
                        legend="{{name}}",
                    ),
                ),
                alert="ImmichBackupStale" if plan.backups else "ImmichBackupFailed",
                description="Since each of them succeeded last.",
                thresholds=((0.9 * oldest, "yellow"), (oldest, "red")),
                width=10,
                needs=needs("backup"),
            ),
            Panel(
                title="Last runs",
                kind="stat",
                unit="none",
                queries=(Query(expr=f"max by (name) (immich_backup_success{here})", legend="{{name}}"),),
                alert="ImmichBackupFailed",
                description="How the last run of each ended.",
                words=GOOD_OR_BAD,
                base="red",
                thresholds=((1, "green"),),
                width=8,
                needs=needs("backup"),
            ),
            *(
                [
                    Panel(
                        title="Last proven restore",
                        kind="stat",
                        unit="s",
                        queries=(
                            Query(
                                expr=f"time() - max(immich_backup_last_success_timestamp_seconds{drill} > 0)"
                            ),
                        ),
                        alert="ImmichDrillUnproven",
                        description="Since a drill last restored everything and found it whole.",
                        thresholds=(
                            (0.8 * plan.drill_days * 86400, "yellow"),
                            (plan.drill_days * 86400, "red"),
                        ),
                        width=6,
                        needs=needs("backup"),
                    )
                ]
                if plan.drill_days
                else []
            ),
        ),
    )

"""The dashboard of the database, and of the library that is in it."""

from __future__ import annotations

from components.monitoring.alerts_rule import needs
from components.monitoring.dashboards_panel import Dashboard, Panel, Query, Row
from components.monitoring.dashboards_shared import up_panel
from components.monitoring.metric_names import COUNTED
from components.monitoring.plan import MonitoringPlan


def database(plan: MonitoringPlan) -> Dashboard:
    """PostgreSQL, and the library that is in it."""
    return Dashboard(
        name="database",
        title="Database and library",
        rows=(
            Row(title="PostgreSQL", panels=_postgres(plan)),
            Row(title="CloudNativePG", panels=_operated(plan)),
            _library(plan),
        ),
    )


def _postgres(plan: MonitoringPlan) -> tuple[Panel, ...]:
    here, needed = plan.select("postgres"), needs("postgres")
    hits, reads = f"pg_stat_database_blks_hit{here}", f"pg_stat_database_blks_read{here}"
    full = plan.thresholds.connections_percent / 100
    return (
        up_panel(
            title="Database",
            queries=(Query(expr=f"max(pg_up{here})"),),
            alert="ImmichDatabaseDown",
            description="Whether it answers the exporter.",
            width=4,
            needs=needed,
        ),
        Panel(
            title="Connections",
            unit="percentunit",
            queries=(
                Query(
                    expr=f"sum(pg_stat_activity_count{here}) / max(pg_settings_max_connections{here})",
                    legend="of max_connections",
                ),
            ),
            alert="ImmichDatabaseConnections",
            description="Share of those that it allows.",
            thresholds=((0.7, "yellow"), (full, "red")),
            needs=needed,
        ),
        Panel(
            title="Transactions",
            unit="ops",
            queries=(
                Query(expr=f"sum(rate(pg_stat_database_xact_commit{here}[5m]))", legend="committed"),
                Query(expr=f"sum(rate(pg_stat_database_xact_rollback{here}[5m]))", legend="rolled back"),
                Query(expr=f"sum(rate(pg_stat_database_deadlocks{here}[5m]))", legend="deadlocks"),
            ),
            alert="ImmichDatabaseDown",
            description="In a second.",
            base="blue",
            thresholds=((2000, "orange"),),
            needs=needed,
        ),
        Panel(
            title="Found in memory",
            unit="percentunit",
            queries=(
                Query(
                    expr=f"sum(rate({hits}[5m])) / (sum(rate({hits}[5m])) + sum(rate({reads}[5m])) > 0)",
                    legend="blocks",
                ),
            ),
            alert="ImmichSlowNow" if plan.sources & COUNTED else "ImmichDatabaseConnections",
            description="Much less than 1 for hours: it has too little memory for the vectors.",
            base="red",
            thresholds=((0.8, "yellow"), (0.95, "green")),
            needs=needed,
        ),
        Panel(
            title="Longest transaction",
            unit="s",
            queries=(Query(expr=f"max(pg_stat_activity_max_tx_duration{here})", legend="seconds"),),
            alert="ImmichDatabaseConnections",
            description="One that stays open keeps VACUUM from its work.",
            thresholds=((300, "yellow"), (3600, "red")),
            needs=needed,
        ),
        Panel(
            title="Size",
            unit="bytes",
            queries=(Query(expr=f"max by (datname) (pg_database_size_bytes{here})", legend="{{datname}}"),),
            alert="ImmichStorageFilling" if plan.has("node") else "ImmichDatabaseDown",
            description="Of each database.",
            base="blue",
            thresholds=((1e11, "orange"),),
            needs=needed,
        ),
    )


def _operated(plan: MonitoringPlan) -> tuple[Panel, ...]:
    here, needed = plan.database(), needs("cloudnative-pg")
    allowed, ready = plan.database('name="max_connections"'), plan.database('value="ready"')
    hits, reads = f"cnpg_pg_stat_database_blks_hit{here}", f"cnpg_pg_stat_database_blks_read{here}"
    full = plan.thresholds.connections_percent / 100
    followed = plan.instances > 1
    base = f"max(barman_cloud_cloudnative_pg_io_last_available_backup_timestamp{here})"
    archived = Panel(
        title="Last base backup",
        kind="stat",
        unit="s",
        queries=(Query(expr=f"time() - {base}"),),
        alert="ImmichBaseBackupStale",
        description="Ago.",
        thresholds=((0.8 * plan.base_backup_age, "yellow"), (plan.base_backup_age, "red")),
        width=4,
        needs=needed,
    )
    return (
        *([archived] if plan.base_backup_age else []),
        up_panel(
            title="Instances",
            queries=(Query(expr=f"cnpg_collector_up{here}", legend="{{pod}}"),),
            alert="ImmichDatabaseDown",
            description="Whether each answers.",
            needs=needed,
        ),
        Panel(
            title="Replication lag",
            unit="s",
            queries=(Query(expr=f"cnpg_pg_replication_lag{here}", legend="{{pod}}"),),
            alert="ImmichReplicationLag" if followed else "ImmichDatabaseDown",
            description="What a failover would lose.",
            thresholds=((60, "yellow"), (plan.thresholds.replication_lag, "red")),
            needs=needed,
        ),
        Panel(
            title="Replicas that follow",
            kind="stat",
            unit="none",
            queries=(Query(expr=f"max(cnpg_pg_replication_streaming_replicas{here})"),),
            alert="ImmichReplicaMissing" if followed else "ImmichDatabaseDown",
            description=f"{plan.instances - 1} are wanted.",
            base="red",
            thresholds=((plan.instances - 1, "green"),),
            width=4,
            needs=needed,
        ),
        Panel(
            title="Log files that wait for the archive",
            unit="short",
            queries=(
                Query(expr=f"max by (pod) (cnpg_collector_pg_wal_archive_status{ready})", legend="{{pod}}"),
            ),
            alert="ImmichWalArchive",
            description="Each has 16 MiB that cannot be restored yet.",
            thresholds=((3, "yellow"), (plan.thresholds.wal_files_waiting, "red")),
            needs=needed,
        ),
        Panel(
            title="Last log file in the archive",
            kind="stat",
            unit="s",
            queries=(Query(expr=f"time() - max(cnpg_pg_stat_archiver_last_archived_time{here})"),),
            alert="ImmichWalArchive",
            description="Ago. Without writes there are five minutes between two.",
            thresholds=((900, "yellow"), (3600, "red")),
            width=4,
            needs=needed,
        ),
        Panel(
            title="Connections",
            unit="percentunit",
            queries=(
                Query(
                    expr=f"sum by (pod) (cnpg_backends_total{here}) "
                    f"/ max by (pod) (cnpg_pg_settings_setting{allowed})",
                    legend="{{pod}}",
                ),
            ),
            alert="ImmichDatabaseConnections",
            description="Share of those that each instance allows.",
            thresholds=((0.7, "yellow"), (full, "red")),
            needs=needed,
        ),
        Panel(
            title="Found in memory",
            unit="percentunit",
            queries=(
                Query(
                    expr=f"sum by (pod) (rate({hits}[5m])) "
                    f"/ (sum by (pod) (rate({hits}[5m])) + sum by (pod) (rate({reads}[5m])) > 0)",
                    legend="{{pod}}",
                ),
            ),
            alert="ImmichDatabaseConnections",
            description="Much less than 1 for hours: it has too little memory for the vectors.",
            base="red",
            thresholds=((0.8, "yellow"), (0.95, "green")),
            needs=needed,
        ),
        Panel(
            title="Longest transaction",
            unit="s",
            queries=(
                Query(expr=f"max by (pod) (cnpg_backends_max_tx_duration_seconds{here})", legend="{{pod}}"),
            ),
            alert="ImmichDatabaseConnections",
            description="One that stays open keeps VACUUM from its work.",
            thresholds=((300, "yellow"), (3600, "red")),
            needs=needed,
        ),
        Panel(
            title="Size",
            unit="bytes",
            queries=(
                Query(expr=f"max by (datname) (cnpg_pg_database_size_bytes{here})", legend="{{datname}}"),
            ),
            alert="ImmichStorageFilling" if plan.has("kubernetes") else "ImmichDatabaseDown",
            description="Of each database.",
            base="blue",
            thresholds=((1e11, "orange"),),
            needs=needed,
        ),
    )


def _library(plan: MonitoringPlan) -> Row:
    prefix, needed = plan.library_prefix, needs("library")
    where = plan.database() if prefix else plan.select("postgres")
    return Row(
        title="Library",
        panels=(
            Panel(
                title="Photos and videos",
                unit="short",
                queries=tuple(
                    Query(expr=f"max({prefix}immich_assets_{kind}{where})", legend=legend)
                    for kind, legend in (
                        ("uploaded", "uploaded"),
                        ("external", "in external libraries"),
                        ("trashed", "in the trash"),
                        ("offline", "files gone"),
                    )
                ),
                alert="ImmichMassDeletion",
                description="How many there are, counted every five minutes.",
                base="blue",
                thresholds=((5e6, "orange"),),
                needs=needed,
            ),
            Panel(
                title="External libraries, files that are there",
                unit="short",
                queries=(
                    Query(
                        expr=f"max by (library, name) ({prefix}immich_library_assets{where})",
                        legend="{{name}}",
                    ),
                    Query(
                        expr=f"max by (library, name) ({prefix}immich_library_offline{where}) > 0",
                        legend="{{name}}, gone",
                    ),
                ),
                alert="ImmichExternalLibraryEmpty",
                description="By library, as its last scan found them.",
                base="red",
                thresholds=((1, "green"),),
                needs=needed,
            ),
            Panel(
                title="Newest release",
                kind="stat",
                unit="none",
                queries=(
                    Query(
                        expr=f"max by (newest) ({prefix}immich_version_outdated{where})", legend="{{newest}}"
                    ),
                ),
                alert="ImmichNewVersion",
                description="What Immich's own check found.",
                name_only=True,
                thresholds=((1, "yellow"),),
                width=4,
                needs=needed,
            ),
        ),
    )

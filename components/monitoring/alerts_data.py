"""Alerts about what must not be lost: the library, the database, the queues' memory."""

from __future__ import annotations

from components.monitoring.alerts_rule import Alert, needs
from components.monitoring.plan import MonitoringPlan, Source

_HANGS = 4
"""Seconds after which numbers that did not come are late: whoever refuses to talk does so at once, and Prometheus
waits 5 s at the shortest interval."""


def library(plan: MonitoringPlan) -> list[Alert]:
    """Photos that disappear."""
    prefix, thresholds = plan.library_prefix, plan.thresholds
    source: Source = "library"
    where = plan.database() if prefix else plan.select("postgres")
    uploaded = f"{prefix}immich_assets_uploaded{where}"
    before, now = f"max(max_over_time({uploaded}[1h]))", f"max({uploaded})"
    # Only the newest of an exporter that was started again within the hour.
    there = f"max by (library, name) ({prefix}immich_library_assets{where})"
    gone = f"max by (library, name) ({prefix}immich_library_offline{where})"
    outdated = f"max by (running, newest) ({prefix}immich_version_outdated{where})"
    return [
        Alert(
            name="ImmichMassDeletion",
            expr=f"({before} - {now}) > {thresholds.deleted_photos} "
            f"and ({before} - {now}) / {before} > {thresholds.deleted_percent / 100:g}",
            for_="5m",
            severity="critical",
            summary="{{ $value | humanize }} photos were deleted within an hour",
            description=f"More than {thresholds.deleted_percent:g} % of all uploaded ones. If nobody meant to: what "
            "is in the trash stays there for the days of `trash.days` and comes back from Trash, Restore all; stop "
            "the server before the trash is emptied, and find out whose account or key did it. What is gone from "
            "the trash comes from the backup: docs/runbooks.",
            needs=needs(source),
        ),
        Alert(
            name="ImmichExternalLibraryEmpty",
            expr=f"{there} == 0 and {gone} > 0 or {gone} / ({there} + {gone}) > 0.5",
            for_="10m",
            severity="critical",
            summary="The files of the external library {{ $labels.name }} are gone",
            description="Immich finds less than half of what it knew of this library, most likely because the share "
            "is not mounted: the files themselves are elsewhere and unharmed. Mount it again in every server "
            "container and let the library be scanned, before 30 days are over: then Immich forgets what is "
            "offline, with its albums and faces.",
            needs=needs(source),
        ),
        Alert(
            name="ImmichNewVersion",
            expr=f"{outdated} == 1",
            for_="3d",
            severity="info",
            summary="Immich {{ $labels.newest }} is out, {{ $labels.running }} runs",
            description="As Immich's own check says (`newVersionCheck`). Read its release notes, update the mobile "
            "apps, then set `immich:version` and `make preview`: there is no way back without a restore.",
            needs=needs(source),
        ),
    ]


def database(plan: MonitoringPlan) -> list[Alert]:
    """PostgreSQL, bundled or CloudNativePG's."""
    down, thresholds = plan.thresholds.down, plan.thresholds
    allowed, waiting = plan.database('name="max_connections"'), plan.database('value="ready"')
    ours, here = plan.select("postgres"), plan.database()
    full = (
        "Immich keeps ten connections for each worker process; a job that hangs, or a second program, takes the rest. "
        "`pg_stat_activity` shows who. Raise `max_connections` only after that."
    )
    limit = f"{thresholds.connections_percent / 100:g}"
    away = (
        "Immich runs on and its pings are answered, but every other request fails until the database is back; a server "
        "that starts meanwhile ends at once. Look at the database's last lines of log and at the space on its volume. "
        "Do not delete anything in its folder."
    )
    return [
        Alert(
            name="ImmichDatabaseDown",
            expr=f"max(pg_up{ours}) == 0 or max(up{ours}) == 0 and max(scrape_duration_seconds{ours}) "
            f"> {_HANGS}",
            for_=down,
            severity="critical",
            summary="The database does not answer",
            description=f"{away} Numbers about it that do not come in time count as no answer: then it hangs, mostly "
            "because its disk does.",
            needs=needs("postgres"),
        ),
        Alert(
            name="ImmichDatabaseDown",
            expr=f"max(cnpg_collector_up{here}) == 0 or absent(cnpg_collector_up{here})",
            for_=down,
            severity="critical",
            summary="The database cluster does not answer",
            description=away,
            needs=needs("cloudnative-pg"),
        ),
        Alert(
            name="ImmichDatabaseConnections",
            expr=f"sum(pg_stat_activity_count{ours}) / max(pg_settings_max_connections{ours}) > {limit}",
            for_="10m",
            severity="warning",
            summary="{{ $value | humanizePercentage }} of the database's connections are in use",
            description=full,
            needs=needs("postgres"),
        ),
        Alert(
            name="ImmichDatabaseConnections",
            expr=f"sum by (pod) (cnpg_backends_total{here}) / max by (pod) "
            f"(cnpg_pg_settings_setting{allowed}) > {limit}",
            for_="10m",
            severity="warning",
            summary="{{ $value | humanizePercentage }} of the connections of {{ $labels.pod }} are in use",
            description=full,
            needs=needs("cloudnative-pg"),
        ),
        Alert(
            name="ImmichReplicationLag",
            expr=f"max by (pod) (cnpg_pg_replication_lag{here}) > {thresholds.replication_lag}",
            for_="10m",
            severity="warning",
            summary="{{ $labels.pod }} is {{ $value | humanizeDuration }} behind",
            description="A failover now would lose that much. Usually its disk or the network is slower than what the "
            "primary writes, as after a large import; else `kubectl cnpg status` says why.",
            needs=needs("cloudnative-pg"),
        ),
        Alert(
            name="ImmichReplicaMissing",
            expr=f"max(cnpg_pg_replication_streaming_replicas{here}) < {plan.instances - 1}",
            for_="15m",
            severity="warning",
            summary="{{ $value }} replicas of the database follow, "
            f"{plan.instances - 1} {'is' if plan.instances == 2 else 'are'} wanted",
            description="The next failure of the primary may find nobody to take over. `kubectl cnpg status` names the "
            "instance that does not follow.",
            needs=needs("cloudnative-pg"),
        ),
        Alert(
            name="ImmichWalArchive",
            expr=f"max(cnpg_collector_pg_wal_archive_status{waiting}) "
            f"> {thresholds.wal_files_waiting} or max(cnpg_pg_stat_archiver_last_failed_time{here}) "
            f"> max(cnpg_pg_stat_archiver_last_archived_time{here})",
            for_="15m",
            severity="critical",
            summary="The database's write-ahead log does not reach the archive",
            description="Since then nothing can be restored to a point in time, and the volume of the log fills until "
            "the database stops. The log of the primary says why: credentials, the bucket's space, or a server name "
            "that another cluster used before.",
            needs=needs("cloudnative-pg"),
        ),
    ]


def base_backups(plan: MonitoringPlan) -> list[Alert]:
    """The archive of an operator's database."""
    if not plan.base_backup_age:
        return []
    here = plan.database()
    last = f"max(barman_cloud_cloudnative_pg_io_last_available_backup_timestamp{here})"
    failed = f"max(barman_cloud_cloudnative_pg_io_last_failed_backup_timestamp{here})"
    return [
        Alert(
            name="ImmichBaseBackupStale",
            expr=f"time() - {last} > {plan.base_backup_age} or {failed} > {last}",
            for_="1h",
            severity="critical",
            summary="The database's archive has no new base backup",
            description="The last one failed, or is too old. A restore then replays the log of all that time, if it "
            "is whole. `kubectl get backups` shows the reason of the last failure.",
            needs=needs("cloudnative-pg"),
        )
    ]


def cache(plan: MonitoringPlan) -> list[Alert]:
    """Valkey, which holds the queues."""
    here = plan.select("valkey")
    evicting = plan.select("valkey", 'maxmemory_policy!="noeviction"')
    share = f"{plan.thresholds.cache_memory_percent / 100:g}"
    return [
        Alert(
            name="ImmichCacheDown",
            expr=f"max(redis_up{here}) == 0",
            for_=plan.thresholds.down,
            severity="critical",
            summary="The cache does not answer",
            description="Immich queues no work. Uploads are stored, but answered only when it is back: apps send them "
            "again later and are told that the photo is there. Look at its log and at the space on its "
            "volume; a damaged append-only file is repaired with `valkey-check-aof --fix` on a copy.",
            needs=needs("valkey"),
        ),
        Alert(
            name="ImmichCacheMemory",
            expr=f"max(redis_memory_used_bytes{here} / (redis_memory_max_bytes{here} > 0)) > {share}",
            for_="15m",
            severity="warning",
            summary="The cache uses {{ $value | humanizePercentage }} of its memory",
            description="At 100 % it refuses to write, and uploads get no thumbnails. Failed jobs stay in it: clear "
            "them in Administration, Jobs. Else raise `cache.maxMemory`.",
            needs=needs("valkey"),
        ),
        Alert(
            name="ImmichCacheEvicts",
            expr=f"redis_instance_info{evicting} == 1 or increase(redis_evicted_keys_total{here}[1h]) > 0",
            for_="5m",
            severity="critical",
            summary="The cache throws jobs away",
            description="Its `maxmemory-policy` is not `noeviction`: when its memory is full, queued work disappears "
            "without a trace. Set `noeviction`, then start `Missing` for each queue in Administration, Jobs.",
            needs=needs("valkey"),
        ),
        Alert(
            name="ImmichCacheNotSaved",
            expr=f"redis_rdb_last_bgsave_status{here} == 0 "
            f"or redis_aof_last_write_status{here} == 0 and redis_aof_enabled{here} == 1",
            for_="10m",
            severity="warning",
            summary="The cache cannot write to its volume",
            description="A restart now loses what is queued. The volume is full or read-only: its log says which.",
            needs=needs("valkey"),
        ),
    ]

"""Names of series, pinned: what each source gives, in which versions, and where that was read.

Tests hold every expression against these names, and these names against the exporters that they can build.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from components.monitoring.plan import Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """A queue of Immich (server/src/enum.ts)."""

    name: str
    """In Valkey's keys: `immich_bull:<name>:wait`."""
    jobs: str
    """RE2 for its jobs, as counters have them: `immich_jobs_<job>_<status>_total`."""

    @property
    def metric(self) -> str:
        """In `immich_queues_<metric>_active`."""
        return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in self.name)


QUEUES: Final = (
    Queue(name="thumbnailGeneration", jobs="asset_generate_thumbnails.*|person_generate_thumbnail"),
    Queue(name="metadataExtraction", jobs="asset_extract_metadata.*"),
    Queue(name="videoConversion", jobs="asset_encode_video.*"),
    Queue(name="faceDetection", jobs="asset_detect_faces.*"),
    Queue(name="facialRecognition", jobs="facial_recognition.*"),
    Queue(name="smartSearch", jobs="smart_search.*"),
    Queue(name="duplicateDetection", jobs="asset_detect_duplicates.*"),
    Queue(name="ocr", jobs="ocr.*"),
    Queue(
        name="backgroundTask",
        jobs="asset_delete.*|asset_empty_trash|audit_.+|file_delete|hls_session_cleanup|memory_.+|notifications_cleanup|"
        "person_cleanup|session_cleanup|tag_cleanup|user_.+|version_check",
    ),
    Queue(name="storageTemplateMigration", jobs="storage_template_migration.*"),
    Queue(name="migration", jobs="file_migration.*|asset_file_migration|person_file_migration"),
    Queue(name="sidecar", jobs="sidecar_.+"),
    Queue(name="library", jobs="library_.+"),
    Queue(name="notifications", jobs="notify_.+|send_mail"),
    Queue(name="backupDatabase", jobs="database_backup"),
    Queue(name="workflow", jobs="workflow_.+"),
    Queue(name="integrityCheck", jobs="integrity_.+"),
    Queue(name="editor", jobs="asset_edit_.+"),
)
"""Queues with their jobs (the `@OnJob` of server/src/services). `search` has no job of its own."""

STATES: Final[Mapping[str, str]] = {
    "wait": "list",
    "active": "list",
    "paused": "list",
    "prioritized": "zset",
    "delayed": "zset",
}
"""State of a job -> Redis type of the key `immich_bull:<queue>:<state>` (BullMQ 5). A key without jobs is not there.

Finished jobs are removed (`removeOnComplete`). None is in BullMQ's `failed`: Immich catches what a job throws
(job.service.ts of 3.0.3), and counts it in `immich_jobs_<job>_failed_total` alone."""

PREFIX: Final = "immich_bull"
"""Of BullMQ's keys (server/src/repositories/config.repository.ts)."""


def single_keys(database: int = 0) -> str:
    """`--check-single-keys` of redis_exporter: the length of every state of every queue, without a SCAN.

    `database` is Valkey's number of it (`REDIS_DBINDEX`).
    """
    return ",".join(f"db{database}={PREFIX}:{queue.name}:{state}" for queue in QUEUES for state in STATES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """What a source gives."""

    read_in: str
    """Where the names were read."""
    names: frozenset[str]
    patterns: tuple[str, ...] = ()
    """RE2 for names that are made at run time."""
    scraped: bool = False
    """Whether the tests get them from the exporter itself."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


FAMILIES: Final[Mapping[Source, Family]] = {
    "immich": Family(
        read_in="server/src/repositories/telemetry.repository.ts and services/telemetry.service.ts",
        names=_names(
            "immich_users_total target_info "
            "immich_machine_learning_repository_encode_image_duration_bucket "
            "immich_machine_learning_repository_detect_faces_duration_bucket "
            "immich_machine_learning_repository_encode_text_duration_bucket"
        ),
        patterns=(
            "immich_queues_[a-z_]+_active",
            "immich_jobs_[a-z_]+_(success|failed|skipped)_total",
        ),
    ),
    "library": Family(
        read_in="components/monitoring/queries.py",
        names=_names(
            "immich_assets_uploaded immich_assets_external immich_assets_trashed immich_assets_offline "
            "immich_library_assets immich_library_offline immich_version_outdated"
        ),
        scraped=True,
    ),
    "postgres": Family(
        read_in="postgres_exporter 0.19.1 and 0.20.1 (collector/*.go)",
        names=_names(
            "pg_up pg_stat_activity_count pg_settings_max_connections pg_database_size_bytes "
            "pg_stat_database_xact_commit pg_stat_database_xact_rollback pg_stat_database_blks_hit "
            "pg_stat_database_blks_read pg_stat_database_deadlocks pg_stat_activity_max_tx_duration"
        ),
        scraped=True,
    ),
    "cloudnative-pg": Family(
        read_in="cloudnative-pg: config/manager/default-monitoring.yaml, docs/src/monitoring.md; plugin-barman-cloud",
        names=_names(
            "cnpg_collector_up cnpg_backends_total cnpg_pg_settings_setting cnpg_pg_replication_lag "
            "cnpg_pg_replication_streaming_replicas cnpg_collector_pg_wal_archive_status "
            "cnpg_pg_stat_archiver_last_archived_time cnpg_pg_stat_archiver_last_failed_time "
            "cnpg_pg_database_size_bytes cnpg_pg_stat_database_blks_hit cnpg_pg_stat_database_blks_read "
            "cnpg_backends_max_tx_duration_seconds barman_cloud_cloudnative_pg_io_last_available_backup_timestamp "
            "barman_cloud_cloudnative_pg_io_last_failed_backup_timestamp"
        ),
    ),
    "valkey": Family(
        read_in="redis_exporter 1.88.0 (exporter/info.go, exporter/keys.go)",
        names=_names(
            "redis_up redis_key_size redis_memory_used_bytes redis_memory_max_bytes redis_instance_info "
            "redis_evicted_keys_total redis_rdb_last_bgsave_status redis_aof_last_write_status redis_aof_enabled "
            "redis_commands_processed_total"
        ),
        scraped=True,
    ),
    "nginx": Family(
        read_in="nginx-prometheus-exporter 1.5.1: stub_status knows connections, no status codes",
        names=_names(
            "nginx_up nginx_connections_active nginx_connections_reading nginx_connections_waiting "
            "nginx_connections_writing nginx_http_requests_total"
        ),
        scraped=True,
    ),
    "access-log": Family(
        read_in="prometheus-nginxlog-exporter 1.11.0 (pkg/metrics/collection_init.go), run with the file of "
        "components/proxy/access_log.py: a combination of labels is not there before its first request",
        names=_names(
            "immich_proxy_http_response_count_total immich_proxy_http_upstream_time_seconds_hist_bucket "
            "immich_proxy_http_upstream_time_seconds_hist_count"
        ),
        scraped=True,
    ),
    "traefik": Family(
        read_in="Traefik 3: docs, observability, metrics; needs addRoutersLabels",
        names=_names(
            "traefik_router_requests_total traefik_router_request_duration_seconds_bucket "
            "traefik_router_request_duration_seconds_count traefik_tls_certs_not_after"
        ),
    ),
    "cloudflared": Family(
        read_in="cloudflared: proxy/metrics.go, connection/metrics.go, supervisor/metrics.go",
        names=_names(
            "cloudflared_tunnel_ha_connections cloudflared_tunnel_response_by_code cloudflared_tunnel_request_errors"
        ),
    ),
    "dcgm": Family(
        read_in="dcgm-exporter: etc/default-counters.csv",
        names=_names("DCGM_FI_DEV_GPU_TEMP DCGM_FI_DEV_GPU_UTIL DCGM_FI_DEV_FB_USED DCGM_FI_DEV_FB_FREE"),
    ),
    "hwmon": Family(
        read_in="node_exporter: collector/hwmon_linux.go, collector/drm_linux.go (--collector.drm, amdgpu only)",
        names=_names(
            "node_hwmon_temp_celsius node_hwmon_chip_names node_drm_gpu_busy_percent node_drm_memory_vram_used_bytes "
            "node_drm_memory_vram_size_bytes"
        ),
    ),
    "node": Family(
        read_in="node_exporter 1.12.1",
        names=_names(
            "node_filesystem_avail_bytes node_filesystem_size_bytes node_filesystem_files node_filesystem_files_free "
            "node_vmstat_oom_kill node_memory_MemAvailable_bytes node_memory_MemTotal_bytes "
            "node_cpu_seconds_total"
        ),
        scraped=True,
    ),
    "kubernetes": Family(
        read_in="kubelet: volume_stats, cAdvisor; kube-state-metrics: docs/metrics/workload",
        names=_names(
            "kubelet_volume_stats_available_bytes kubelet_volume_stats_capacity_bytes kubelet_volume_stats_inodes "
            "kubelet_volume_stats_inodes_free kube_pod_container_status_restarts_total "
            "kube_pod_container_status_last_terminated_reason kube_deployment_spec_replicas "
            "kube_deployment_status_replicas_available kube_statefulset_replicas "
            "kube_statefulset_status_replicas_ready container_memory_working_set_bytes "
            "container_cpu_usage_seconds_total"
        ),
    ),
    "blackbox": Family(
        read_in="blackbox_exporter 0.28.0",
        names=_names("probe_success probe_duration_seconds probe_ssl_earliest_cert_expiry"),
        scraped=True,
    ),
    "backup": Family(
        read_in="status files of our own, as node_exporter's textfile collector gives them",
        names=_names(
            "immich_backup_success immich_backup_last_success_timestamp_seconds immich_backup_duration_seconds "
            "immich_backup_bytes immich_drill_assets node_textfile_scrape_error"
        ),
        scraped=True,
    ),
}
"""Source -> its names."""

OF_PROMETHEUS: Final = frozenset({"up", "ALERTS", "scrape_duration_seconds"})
"""Names that Prometheus makes itself."""

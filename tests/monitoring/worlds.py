"""Deployments with everything, one of each platform, and the series that they give when all is well.

Names and labels are those of the exporters (test_worlds.py compares where Debian has them). Time begins at 0 in
promtool.
Values are promtool's, with `{n}` for the number of steps and `{s}` for the seconds of one.
"""

from __future__ import annotations

from collections.abc import Callable

from components.monitoring.plan import SOURCES, MonitoringPlan, Source

KUBERNETES = MonitoringPlan(
    stack="prod",
    platform="kubernetes",
    sources=SOURCES - {"node", "postgres", "hwmon"},
    namespace="immich",
    database_namespace="immich",
    instances=3,
    base_backup_age=26 * 3600,
    tunnel_connectors=2,
    backups={"dump": 26 * 3600, "copy-nas": 26 * 3600},
    drill_days=35,
    service_tokens={"phones": 4_000_000_000},
    runbooks="https://example.org/docs/alerts.md",
)
"""A cluster with an operator's database."""

DOCKER = MonitoringPlan(
    stack="home",
    platform="docker",
    sources=SOURCES - {"kubernetes", "cloudnative-pg", "hwmon"},
    mountpoints=("/", "/srv/photos"),
    tunnel_connectors=1,
    backups={"dump": 26 * 3600},
    drill_days=35,
)
"""One host with our own Prometheus."""

AMD = MonitoringPlan(
    stack="amd", platform="docker", sources=frozenset({"immich", "node", "hwmon", "traefik"})
)
"""One host with a GPU that is not NVIDIA's, and a Traefik before the server."""

PLANS = {"kubernetes": KUBERNETES, "docker": DOCKER, "amd": AMD}

_Series = Callable[..., None]

World = dict[str, tuple[str, str]]
"""Short name -> series and its values."""

_ON_KUBERNETES = {
    "api": ("immich-server-0", "immich-server-1"),
    "cloudflared": ("cloudflared-0", "cloudflared-1"),
}


def healthy(plan: MonitoringPlan) -> World:
    """What is there when all is well."""
    world: World = {}

    def series(
        key: str, metric: str, values: str, /, *, job: str = "", instance: str = "", **labels: str
    ) -> None:
        own = {"job": f"immich-{job}", "instance": instance or f"{job}:9000"} if job else {}
        around = {"namespace": "immich"} if plan.platform == "kubernetes" else {}
        every = {**around, **own, **labels}
        inner = ",".join(f'{label}="{value}"' for label, value in every.items())
        world[key] = (f"{metric}{{{inner}}}", values)

    _immich(plan, series)
    for source, add in _ADD.items():
        if source in plan.sources:
            add(plan, series)
    return world


def _immich(plan: MonitoringPlan, series: _Series) -> None:
    for index, instance in enumerate(_ON_KUBERNETES["api"] if plan.platform == "kubernetes" else ("server",)):
        series(f"up-api-{index}", "up", "1x{n}", job="api", instance=instance)
        series(
            f"version-{index}", "target_info", "1x{n}",
            job="api", instance=instance, service_name="immich", service_version="3.3.1",
        )  # fmt: skip
    series("up-microservices", "up", "1x{n}", job="microservices")
    series(
        "version-microservices", "target_info", "1x{n}",
        job="microservices", service_name="immich", service_version="3.3.1",
    )  # fmt: skip
    for method in ("encode_image", "detect_faces", "encode_text"):
        for bound in ("1000", "+Inf"):
            series(
                f"{method}-{bound}", f"immich_machine_learning_repository_{method}_duration_bucket", "0+5x{n}",
                job="api" if method == "encode_text" else "microservices", le=bound,
            )  # fmt: skip
    for queue, job in (("smart_search", "smart_search"), ("video_conversion", "asset_encode_video")):
        series(f"active-{queue}", f"immich_queues_{queue}_active", "0x{n}", job="microservices")
        series(f"done-{job}", f"immich_jobs_{job}_success_total", "0+5x{n}", job="microservices")
        series(f"failed-{job}", f"immich_jobs_{job}_failed_total", "0x{n}", job="microservices")


def _library(plan: MonitoringPlan, series: _Series) -> None:
    prefix, job = ("cnpg_", "") if "cloudnative-pg" in plan.sources else ("", "postgres")
    for kind, value in {"uploaded": 10000, "external": 500, "trashed": 10, "offline": 0}.items():
        series(kind, f"{prefix}immich_assets_{kind}", f"{value}x{{n}}", job=job)
    nas = {"library": "5a6f", "name": "NAS"}
    series("nas", f"{prefix}immich_library_assets", "500x{n}", job=job, **nas)
    series("nas-offline", f"{prefix}immich_library_offline", "0x{n}", job=job, **nas)
    series("new", f"{prefix}immich_library_assets", "0x{n}", job=job, library="0000", name="New")
    series("new-offline", f"{prefix}immich_library_offline", "0x{n}", job=job, library="0000", name="New")
    series("outdated", f"{prefix}immich_version_outdated", "0x{n}", job=job, running="3.3.1", newest="v3.4.0")


def _postgres(plan: MonitoringPlan, series: _Series) -> None:
    series("up-postgres", "up", "1x{n}", job="postgres")
    series("took-postgres", "scrape_duration_seconds", "0.1x{n}", job="postgres")
    series("pg-up", "pg_up", "1x{n}", job="postgres")
    shared = {"datname": "immich", "server": "database:5432"}
    series("connections", "pg_stat_activity_count", "20x{n}", job="postgres", state="idle", **shared)
    series("connections-active", "pg_stat_activity_count", "2x{n}", job="postgres", state="active", **shared)
    series(
        "connections-max", "pg_settings_max_connections", "100x{n}", job="postgres", server="database:5432"
    )


def _cnpg(plan: MonitoringPlan, series: _Series) -> None:
    for index in range(3):
        pod = {"pod": f"immich-database-{index + 1}"}
        series(f"cnpg-up-{index}", "cnpg_collector_up", "1x{n}", **pod)
        series(f"lag-{index}", "cnpg_pg_replication_lag", "0x{n}", **pod)
        series(
            f"replicas-{index}", "cnpg_pg_replication_streaming_replicas", f"{0 if index else 2}x{{n}}", **pod
        )
        series(f"connections-{index}", "cnpg_backends_total", "20x{n}", datname="immich", state="idle", **pod)
        series(
            f"connections-max-{index}", "cnpg_pg_settings_setting", "100x{n}", name="max_connections", **pod
        )
    primary = {"pod": "immich-database-1"}
    series("wal-ready", "cnpg_collector_pg_wal_archive_status", "0x{n}", value="ready", **primary)
    series("wal-archived", "cnpg_pg_stat_archiver_last_archived_time", "0+{s}x{n}", **primary)
    base = "barman_cloud_cloudnative_pg_io_last"
    series("base-backup", f"{base}_available_backup_timestamp", "1+{s}x{n}", **primary)
    series("base-backup-failed", f"{base}_failed_backup_timestamp", "0x{n}", **primary)
    series("wal-failed", "cnpg_pg_stat_archiver_last_failed_time", "-1x{n}", **primary)


def _valkey(plan: MonitoringPlan, series: _Series) -> None:
    series("up-valkey", "up", "1x{n}", job="valkey")
    series("redis-up", "redis_up", "1x{n}", job="valkey")
    for queue in ("smartSearch", "videoConversion", "thumbnailGeneration", "metadataExtraction", "search"):
        for state in ("wait", "active", "paused", "prioritized", "delayed"):
            key = f"immich_bull:{queue}:{state}"
            series(f"{state}-{queue}", "redis_key_size", "0x{n}", job="valkey", db="db0", key=key)
    series("memory", "redis_memory_used_bytes", "1e8x{n}", job="valkey")
    series("memory-max", "redis_memory_max_bytes", "5e8x{n}", job="valkey")
    series(
        "policy", "redis_instance_info", "1x{n}", job="valkey", maxmemory_policy="noeviction", role="master"
    )
    series("evicted", "redis_evicted_keys_total", "0x{n}", job="valkey")
    series("rdb", "redis_rdb_last_bgsave_status", "1x{n}", job="valkey")
    series("aof", "redis_aof_last_write_status", "1x{n}", job="valkey")
    series("aof-on", "redis_aof_enabled", "1x{n}", job="valkey")


def _nginx(plan: MonitoringPlan, series: _Series) -> None:
    series("up-nginx", "up", "1x{n}", job="nginx")
    series("nginx-up", "nginx_up", "1x{n}", job="nginx")


def _access_log(plan: MonitoringPlan, series: _Series) -> None:
    series("up-access-log", "up", "1x{n}", job="access-log")
    name, door = "immich_proxy_http_response_count_total", {"listener": "lan", "method": "POST"}
    series("log-201", name, "0+5x{n}", job="access-log", status="201", **door)
    series("log-413", name, "0x{n}", job="access-log", status="413", **door)
    get = {"job": "access-log", "listener": "lan", "method": "GET"}
    series("http-error", name, "0x{n}", status="500", **get)
    series("http", name, "0+60x{n}", status="200", **get)
    _timed(series, "http", "immich_proxy_http_upstream_time_seconds_hist", "2.5", status="200", **get)
    # Playing of a video, for as long as it takes.
    _timed(series, "video", "immich_proxy_http_upstream_time_seconds_hist", "2.5", status="206", **get)
    series(
        "video-fast",
        "immich_proxy_http_upstream_time_seconds_hist_bucket",
        "0x{n}",
        le="2.5",
        status="206",
        **get,
    )


def _traefik(plan: MonitoringPlan, series: _Series) -> None:
    series("up-traefik", "up", "1x{n}", job="traefik")
    name = "traefik_router_requests_total"
    router = {"router": "immich@docker", "service": "immich@docker", "method": "POST", "protocol": "http"}
    series("traefik-201", name, "0+5x{n}", job="traefik", code="201", **router)
    series("traefik-499", name, "0x{n}", job="traefik", code="499", **router)
    get = {"job": "traefik", **router, "method": "GET"}
    series("traefik-error", name, "0x{n}", code="500", **get)
    series("traefik-http", name, "0+60x{n}", code="200", **get)
    _timed(series, "traefik", "traefik_router_request_duration_seconds", "5.0", code="200", **get)
    series("traefik-other", name, "0+5x{n}", job="traefik", code="500", **{**router, "router": "blog@docker"})
    series("traefik-certificate", "traefik_tls_certs_not_after", "9e9x{n}", job="traefik", cn="photos.test")


def _timed(series: _Series, key: str, name: str, bound: str, **labels: str) -> None:
    """A histogram whose answers all come within a bound."""
    series(f"{key}-fast", f"{name}_bucket", "0+60x{n}", le=bound, **labels)
    series(f"{key}-all", f"{name}_bucket", "0+60x{n}", le="+Inf", **labels)
    series(f"{key}-count", f"{name}_count", "0+60x{n}", **labels)


def _cloudflared(plan: MonitoringPlan, series: _Series) -> None:
    for index in range(plan.tunnel_connectors):
        at = {"job": "cloudflared", "instance": f"cloudflared-{index}:2000"}
        series(f"up-cloudflared-{index}", "up", "1x{n}", **at)
        series(f"connector-{index}", "cloudflared_tunnel_ha_connections", "4x{n}", **at)
        series(f"tunnel-errors-{index}", "cloudflared_tunnel_request_errors", "0x{n}", **at)
        series(
            f"tunnel-200-{index}", "cloudflared_tunnel_response_by_code", "0+5x{n}", status_code="200", **at
        )
        series(f"tunnel-502-{index}", "cloudflared_tunnel_response_by_code", "0x{n}", status_code="502", **at)


def _dcgm(plan: MonitoringPlan, series: _Series) -> None:
    job = "" if plan.platform == "kubernetes" else "gpu"
    card = {"job": job, "gpu": "0", "UUID": "GPU-1", "modelName": "Quadro P1000"}
    series("gpu-temperature", "DCGM_FI_DEV_GPU_TEMP", "60x{n}", **card)
    series("gpu-use", "DCGM_FI_DEV_GPU_UTIL", "30x{n}", **card)
    series("gpu-memory", "DCGM_FI_DEV_FB_USED", "1000x{n}", **card)
    series("gpu-free", "DCGM_FI_DEV_FB_FREE", "3000x{n}", **card)
    series("up-gpu", "up", "1x{n}", job="gpu")


def _hwmon(plan: MonitoringPlan, series: _Series) -> None:
    chip = "0000:00:08_1_0000:c1:00_0"
    series("gpu-temperature", "node_hwmon_temp_celsius", "60x{n}", job="node", chip=chip, sensor="temp1")
    series("gpu-name", "node_hwmon_chip_names", "1x{n}", job="node", chip=chip, chip_name="amdgpu")
    disk = "nvme_nvme0"
    series("disk-temperature", "node_hwmon_temp_celsius", "85x{n}", job="node", chip=disk, sensor="temp1")
    series("disk-name", "node_hwmon_chip_names", "1x{n}", job="node", chip=disk, chip_name="nvme")
    series("gpu-use", "node_drm_gpu_busy_percent", "30x{n}", job="node", card="card0")
    series("gpu-memory", "node_drm_memory_vram_used_bytes", "1e9x{n}", job="node", card="card0")
    series("gpu-total", "node_drm_memory_vram_size_bytes", "8e9x{n}", job="node", card="card0")


def _node(plan: MonitoringPlan, series: _Series) -> None:
    series("up-node", "up", "1x{n}", job="node")
    for key, mountpoint in (("root", "/"), ("photos", "/srv/photos"), ("other", "/mnt/other")):
        at = {"job": "node", "device": f"/dev/{key}", "fstype": "ext4", "mountpoint": mountpoint}
        free = "1e10x{n}" if key == "other" else "5e11x{n}"
        series(f"free-{key}", "node_filesystem_avail_bytes", free, **at)
        series(f"size-{key}", "node_filesystem_size_bytes", "1e12x{n}", **at)
        series(f"inodes-free-{key}", "node_filesystem_files_free", "9e6x{n}", **at)
        series(f"inodes-{key}", "node_filesystem_files", "1e7x{n}", **at)
    series("oom", "node_vmstat_oom_kill", "3x{n}", job="node")


def _kubernetes(plan: MonitoringPlan, series: _Series) -> None:
    for claim in ("immich-library", "immich-backup"):
        at = {"persistentvolumeclaim": claim, "node": "worker-1"}
        series(f"free-{claim}", "kubelet_volume_stats_available_bytes", "5e11x{n}", **at)
        series(f"size-{claim}", "kubelet_volume_stats_capacity_bytes", "1e12x{n}", **at)
        series(f"inodes-free-{claim}", "kubelet_volume_stats_inodes_free", "9e6x{n}", **at)
        series(f"inodes-{claim}", "kubelet_volume_stats_inodes", "1e7x{n}", **at)
    pod = {"pod": "immich-server-0", "container": "server", "uid": "1"}
    series("restarts", "kube_pod_container_status_restarts_total", "0x{n}", **pod)
    killed = "kube_pod_container_status_last_terminated_reason"
    series("killed", killed, "0x{n}", reason="OOMKilled", **pod)
    series("wanted", "kube_deployment_spec_replicas", "2x{n}", deployment="immich-server")
    series("available", "kube_deployment_status_replicas_available", "2x{n}", deployment="immich-server")
    series("cache-wanted", "kube_statefulset_replicas", "1x{n}", statefulset="immich-cache")
    series("cache-ready", "kube_statefulset_status_replicas_ready", "1x{n}", statefulset="immich-cache")


def _blackbox(plan: MonitoringPlan, series: _Series) -> None:
    for door in ("lan", "internet"):
        at = {"job": "doors", "instance": f"https://{door}.test", "door": door}
        series(f"door-{door}", "probe_success", "1x{n}", **at)
        series(f"certificate-{door}", "probe_ssl_earliest_cert_expiry", "9e9x{n}", **at)
    series("learning", "probe_success", "1x{n}", job="machine-learning")


def _backup(plan: MonitoringPlan, series: _Series) -> None:
    series("up-backup", "up", "1x{n}", job="backup")
    series("unreadable", "node_textfile_scrape_error", "0x{n}", job="backup")
    for name in (*plan.backups, "drill"):
        at = {"job": "backup", "name": name}
        series(f"success-{name}", "immich_backup_success", "1x{n}", **at)
        series(f"last-{name}", "immich_backup_last_success_timestamp_seconds", "1+{s}x{n}", **at)
        series(f"bytes-{name}", "immich_backup_bytes", "1e8x{n}", **at)


_ADD: dict[Source, Callable[[MonitoringPlan, _Series], None]] = {
    "library": _library,
    "postgres": _postgres,
    "cloudnative-pg": _cnpg,
    "valkey": _valkey,
    "nginx": _nginx,
    "access-log": _access_log,
    "traefik": _traefik,
    "cloudflared": _cloudflared,
    "dcgm": _dcgm,
    "hwmon": _hwmon,
    "node": _node,
    "kubernetes": _kubernetes,
    "blackbox": _blackbox,
    "backup": _backup,
}

"""Recorded series: what differs between platforms, exporters and versions ends here."""

from __future__ import annotations

from collections.abc import Mapping

from components.monitoring.alerts_rule import Record, needs
from components.monitoring.metric_names import PREFIX, QUEUES, requests_of
from components.monitoring.plan import MonitoringPlan, Source

WINDOWS = ("5m", "30m", "1h", "6h")
"""Over which the share of slow answers is recorded."""


def records(plan: MonitoringPlan) -> tuple[Record, ...]:
    """Every recorded series; those whose sources the plan lacks are left out."""
    every = (
        *_requests(plan),
        *_queues(plan),
        *_volumes(plan),
        *_gpus(plan),
        *_certificates(plan),
        *_constants(plan),
    )
    return tuple(record for record in every if plan.has(*record.needs))


def _requests(plan: MonitoringPlan) -> list[Record]:
    counted = requests_of(plan)
    if counted is None:
        return []

    def by_door(expr: str) -> str:
        return _as("door", counted.door, expr)

    # Uploads last as long as the sender's line needs, a video (206) as long as somebody watches.
    watched = ('method="GET"', f'{counted.code}!="206"', *counted.which)
    every, within = plan.select(counted.job, *watched), plan.select(counted.job, *watched, counted.in_time)
    name, sums = counted.seconds, f"sum by ({counted.door})"
    rate = f"rate({counted.count}{plan.select(counted.job, *counted.which)}[5m])"
    coded = _as("code", counted.code, by_door(rate))
    quantile = f"histogram_quantile(0.95, sum by (le, {counted.door}) (rate({name}_bucket{every}[5m])))"
    return [
        Record(
            name="immich:http_requests:rate5m",
            expr=f"sum by (door, code) ({coded})",
            needs=needs(counted.job),
        ),
        Record(name="immich:http_duration:p95_5m", expr=by_door(quantile), needs=needs(counted.job)),
        *(
            Record(
                name=f"immich:http_slow:ratio_rate{window}",
                expr=by_door(
                    f"(1 - {sums} (rate({name}_bucket{within}[{window}])) "
                    f"/ {sums} (rate({name}_count{every}[{window}])))"
                ),
                needs=needs(counted.job),
            )
            for window in WINDOWS
        ),
    ]


def _queues(plan: MonitoringPlan) -> list[Record]:
    key = f'key=~"{PREFIX}:[^:]+:[a-z]+"'
    sizes = f"sum by (key) (redis_key_size{plan.select('valkey', key)})"
    queue = _as("queue", "key", sizes, f"{PREFIX}:([^:]+):.+")
    state = _as("state", "key", queue, f"{PREFIX}:[^:]+:(.+)")

    waiting = plan.recorded('state=~"wait|prioritized"')

    def counters(jobs: str, statuses: str) -> str:
        name = f'__name__=~"immich_jobs_({jobs})_({statuses})_total"'
        return f"sum({plan.select('microservices', name)})"

    return [
        Record(name="immich:queue_jobs:sum", expr=f"sum by (queue, state) ({state})", needs=needs("valkey")),
        Record(
            name="immich:queue_backlog:sum",
            expr=f"sum by (queue) (immich:queue_jobs:sum{waiting})",
            needs=needs("valkey"),
        ),
        *(
            Record(
                name=f"immich:queue_{name}:sum",
                expr=counters(item.jobs, statuses),
                labels={"queue": item.name},
                needs=needs("immich"),
            )
            for item in QUEUES
            for name, statuses in (("finished", "success|failed|skipped"), ("failed", "failed"))
        ),
        *(
            Record(
                name="immich:queue_active:sum",
                expr=f"sum(immich_queues_{item.metric}_active{plan.select('microservices')})",
                labels={"queue": item.name},
                needs=needs("immich"),
            )
            for item in QUEUES
        ),
    ]


def _volumes(plan: MonitoringPlan) -> list[Record]:
    if plan.platform == "kubernetes":
        source, label, where = needs("kubernetes"), "persistentvolumeclaim", plan.select()
        available, size = "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"
        free, nodes = "kubelet_volume_stats_inodes_free", "kubelet_volume_stats_inodes"
    else:
        mounted = "|".join(point.replace(".", "[.]") for point in plan.mountpoints)
        source, label, where = needs("node"), "mountpoint", plan.select("node", f'mountpoint=~"{mounted}"')
        available, size = "node_filesystem_avail_bytes", "node_filesystem_size_bytes"
        free, nodes = "node_filesystem_files_free", "node_filesystem_files"

    def volume(expr: str) -> str:
        return _as("volume", label, expr)

    def each(name: str) -> str:
        return f"max by ({label}) ({name}{where})"

    return [
        Record(name="immich:volume_available:bytes", expr=volume(each(available)), needs=source),
        Record(
            name="immich:volume_used:ratio",
            expr=volume(f"(1 - {each(available)} / {each(size)})"),
            needs=source,
        ),
        Record(
            # Btrfs and most network file systems have no fixed number of inodes, and say 0.
            name="immich:volume_inodes_used:ratio",
            expr=volume(f"(1 - {each(free)} / ({each(nodes)} > 0))"),
            needs=source,
        ),
    ]


def _gpus(plan: MonitoringPlan) -> list[Record]:
    of_job, node = plan.select("gpu"), plan.select("node")
    # DCGM runs once per node for everybody, in a namespace of its own.
    dcgm = "" if plan.platform == "kubernetes" else of_job
    used = f"DCGM_FI_DEV_FB_USED{dcgm}"
    chips = plan.select("node", 'chip_name=~"amdgpu|i915|xe"')
    warm = f"node_hwmon_temp_celsius{node} * on (instance, chip) group_left (chip_name) node_hwmon_chip_names{chips}"
    return [
        *_by_source(
            "immich:gpu:celsius",
            {
                "dcgm": _as("card", "UUID", f"DCGM_FI_DEV_GPU_TEMP{dcgm}"),
                "nvidia": _as("card", "uuid", f"nvidia_smi_temperature_gpu{of_job}"),
                "hwmon": f"max by (card) ({_as('card', 'chip', warm)})",
            },
        ),
        *_by_source(
            "immich:gpu_used:ratio",
            {
                "dcgm": _as("card", "UUID", f"(DCGM_FI_DEV_GPU_UTIL{dcgm} / 100)"),
                "nvidia": _as("card", "uuid", f"nvidia_smi_utilization_gpu_ratio{of_job}"),
                "hwmon": f"node_drm_gpu_busy_percent{node} / 100",
            },
        ),
        *_by_source(
            "immich:gpu_memory_used:ratio",
            {
                "dcgm": _as("card", "UUID", f"({used} / ({used} + DCGM_FI_DEV_FB_FREE{dcgm}))"),
                "nvidia": _as(
                    "card",
                    "uuid",
                    f"(nvidia_smi_memory_used_bytes{of_job} / nvidia_smi_memory_total_bytes{of_job})",
                ),
                "hwmon": f"node_drm_memory_vram_used_bytes{node} / node_drm_memory_vram_size_bytes{node}",
            },
        ),
    ]


def _certificates(plan: MonitoringPlan) -> list[Record]:
    seen = f"min by (door) (probe_ssl_earliest_cert_expiry{plan.select('doors')})"
    kept = f"min by (name) (certmanager_certificate_expiration_timestamp_seconds{plan.select()})"
    served = f"min by (cn) (traefik_tls_certs_not_after{plan.select('traefik')})"
    return _by_source(
        "immich:certificate_expiry:timestamp_seconds",
        {
            "blackbox": _as("certificate", "door", seen),
            "cert-manager": _as("certificate", "name", kept),
            "traefik": _as("certificate", "cn", served),
        },
    )


def _as(new: str, label: str, expr: str, pattern: str = "(.+)") -> str:
    """The series with what `pattern` finds in a label as another label."""
    return f'label_replace({expr}, "{new}", "$1", "{label}", "{pattern}")'


def _by_source(name: str, exprs: Mapping[Source, str]) -> list[Record]:
    """One series that several sources give, with their names in the label `source`."""
    return [
        Record(name=name, expr=expr, needs=needs(source), labels={"source": source})
        for source, expr in exprs.items()
    ]


def _constants(plan: MonitoringPlan) -> list[Record]:
    """What was known when the rules were made, as series: a rule can then compare by name."""
    return [
        *(
            Record(
                name="immich:backup_age_limit:seconds",
                expr=f"vector({seconds})",
                labels={"name": name},
                needs=needs("backup"),
            )
            for name, seconds in plan.backups.items()
        ),
        *(
            Record(
                name="immich:service_token_expiry:timestamp_seconds",
                expr=f"vector({ends})",
                labels={"token": name},
                needs=frozenset(),
            )
            for name, ends in plan.service_tokens.items()
        ),
    ]

"""Alerts about what everything runs on: storage, restarts, memory, GPUs."""

from __future__ import annotations

from components.monitoring.alerts_rule import Alert, Severity, needs
from components.monitoring.metric_names import MACHINE_LEARNING_QUEUES
from components.monitoring.plan import MonitoringPlan, Source


def storage(plan: MonitoringPlan) -> list[Alert]:
    """Volumes that fill."""
    thresholds = plan.thresholds
    where: Source = "kubernetes" if plan.platform == "kubernetes" else "node"
    used, free = (
        f"immich:volume_used:ratio{plan.recorded()}",
        f"immich:volume_available:bytes{plan.recorded()}",
    )
    room = (
        "Grow the volume, or make room: the trash and videos that were transcoded anew take the most. Thumbnails and "
        "transcoded videos can be made again, originals cannot."
    )
    now = "At 100 % uploads fail and the database stops. Grow the volume now; never delete from it by hand."
    full: tuple[tuple[str, float, Severity, str, str], ...] = (
        ("ImmichStorageFilling", thresholds.storage_percent, "warning", "15m", room),
        ("ImmichStorageFull", thresholds.storage_critical_percent, "critical", "5m", now),
    )
    return [
        *(
            Alert(
                name=name,
                expr=f"{used} > {percent / 100:g}",
                for_=for_,
                severity=severity,
                summary="{{ $labels.volume }} is {{ $value | humanizePercentage }} full",
                description=description,
                needs=needs(where),
            )
            for name, percent, severity, for_, description in full
        ),
        Alert(
            name="ImmichStorageFullSoon",
            expr=f"predict_linear({free}[1d], {thresholds.storage_days} * 86400) < 0 and on (volume) {used} > 0.5",
            for_="6h",
            severity="warning",
            summary=f"{{{{ $labels.volume }}}} will be full within {thresholds.storage_days} days",
            description="At the pace of the last day. An import that will end is one reason; else something writes "
            "that should not: compare the folders' sizes with yesterday's.",
            needs=needs(where),
        ),
        Alert(
            name="ImmichStorageInodes",
            expr=f"immich:volume_inodes_used:ratio{plan.recorded()} > 0.9",
            for_="15m",
            severity="warning",
            summary="{{ $labels.volume }} has used {{ $value | humanizePercentage }} of its inodes",
            description="There is space, but soon no file more can be made: each photo has several. ext4 gets its "
            "number of inodes when it is made; a larger volume, or XFS, has more.",
            needs=needs(where),
        ),
    ]


def processes(plan: MonitoringPlan) -> list[Alert]:
    """Containers that end again and again."""
    here, most = plan.select(), plan.thresholds.restarts
    named = plan.select(None, f'name=~"{plan.containers}"')
    again = (
        "Its last lines of log before it ended say why; exit code 137 is a lack of memory. The server ends itself when "
        "its database, its cache or a marker file is not there."
    )
    memory = (
        "The kernel ended it. Machine learning needs about 1 GiB for each model and worker, the server more with "
        "large videos: raise the limit in `resources`, or lower the concurrency of the jobs."
    )
    return [
        Alert(
            name="ImmichRestarts",
            expr=f"increase(kube_pod_container_status_restarts_total{here}[1h]) > {most}",
            for_="5m",
            severity="warning",
            summary="{{ $labels.container }} in {{ $labels.pod }} restarted {{ $value | humanize }} times in an hour",
            description=again,
            needs=needs("kubernetes"),
        ),
        Alert(
            name="ImmichRestarts",
            expr=f"changes(container_start_time_seconds{named}[1h]) > {most}",
            for_="5m",
            severity="warning",
            summary="{{ $labels.name }} restarted {{ $value | humanize }} times in an hour",
            description=again,
            needs=needs("cadvisor"),
        ),
        Alert(
            name="ImmichOutOfMemory",
            expr=f"kube_pod_container_status_last_terminated_reason{plan.select(None, _KILLED)} == 1 "
            "and on (namespace, pod, container) "
            f"increase(kube_pod_container_status_restarts_total{here}[15m]) > 0",
            for_="0s",
            severity="warning",
            summary="{{ $labels.container }} in {{ $labels.pod }} was ended for want of memory",
            description=memory,
            needs=needs("kubernetes"),
        ),
        Alert(
            name="ImmichOutOfMemory",
            expr=f"increase(container_oom_events_total{named}[15m]) > 0",
            for_="0s",
            severity="warning",
            summary="A process in {{ $labels.name }} was ended for want of memory",
            description=memory,
            needs=needs("cadvisor"),
        ),
        Alert(
            name="ImmichOutOfMemory",
            expr=f"increase(node_vmstat_oom_kill{plan.select('node')}[15m]) > 0",
            for_="0s",
            severity="warning",
            summary="The host ended a process for want of memory",
            description=f"`dmesg` on the host names it; it may be none of ours. {memory}",
            needs=needs("node"),
        ),
    ]


_GPU = needs("dcgm", "nvidia", "hwmon")
_KILLED = 'reason="OOMKilled"'


def gpus(plan: MonitoringPlan) -> list[Alert]:
    """GPUs that are hot, or bought for nothing."""
    here, degrees = plan.recorded(), plan.thresholds.gpu_celsius
    learning = plan.recorded(f'queue=~"{"|".join(MACHINE_LEARNING_QUEUES)}"')
    return [
        Alert(
            name="ImmichGpuHot",
            expr=f"immich:gpu:celsius{here} > {degrees:g}",
            for_="5m",
            severity="warning",
            summary="The GPU {{ $labels.card }} is at {{ $value }} °C",
            description=f"Over {degrees:g} °C for five minutes: it slows itself down, and ages. Look at its fan, its "
            "dust and the air around; lower the concurrency of the jobs until then.",
            any_of=_GPU,
        ),
        Alert(
            name="ImmichGpuIdle",
            expr=f"max(max_over_time(immich:gpu_used:ratio{here}[30m])) < 0.01 "
            f"and sum(avg_over_time(immich:queue_active:sum{learning}[30m])) > 0.5",
            for_="15m",
            severity="warning",
            summary="Machine learning works, and the GPU does not",
            description="It fell back to the processor without a word: the log of machine learning names the provider "
            "that it uses. Mostly the image has no suffix of the backend, the driver does not fit, or the device is "
            "not in the container. `make verify` checks it.",
            needs=needs("immich"),
            any_of=_GPU,
        ),
    ]

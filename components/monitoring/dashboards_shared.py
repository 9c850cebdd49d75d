"""Panels that the overview shares with the dashboards of parts."""

from __future__ import annotations

from components.model.watch import Job
from components.monitoring.alerts_rule import needs
from components.monitoring.dashboards_panel import UP_OR_DOWN, Panel, Query
from components.monitoring.metric_names import COUNTED, MACHINE_LEARNING_QUEUES, requests_of
from components.monitoring.plan import MonitoringPlan, Source

_GPU = needs("dcgm", "nvidia", "hwmon")


def up_panel(
    *,
    title: str,
    queries: tuple[Query, ...],
    alert: str,
    description: str,
    needs: frozenset[Source],
    width: int = 8,
) -> Panel:
    """Whether something answers: green 1, red 0."""
    return Panel(
        title=title,
        kind="stat",
        unit="none",
        queries=queries,
        alert=alert,
        description=description,
        words=UP_OR_DOWN,
        base="red",
        thresholds=((1, "green"),),
        width=width,
        needs=needs,
    )


def requests_panel(plan: MonitoringPlan) -> Panel:
    """Requests by door and status; together, where nobody but nginx itself counts them."""
    if plan.sources & COUNTED:
        counted = f"sum by (door, code) (immich:http_requests:rate5m{plan.recorded()})"
        query = Query(expr=counted, legend="{{door}} {{code}}")
    else:
        query = Query(expr=f"sum(rate(nginx_http_requests_total{plan.select('nginx')}[5m]))", legend="all")
    return Panel(
        title="Requests",
        unit="reqps",
        queries=(query,),
        alert="ImmichServerErrors" if plan.sources & COUNTED else "ImmichProxyDown",
        description="By door and status, from the proxy's access log or Traefik: nginx's own counter knows neither. "
        "499 is a client that gave up.",
        base="blue",
        thresholds=((500, "orange"),),
        any_of=COUNTED | needs("nginx"),
    )


def p95_panel(plan: MonitoringPlan) -> Panel:
    """How long answers take."""
    counted = requests_of(plan)
    slow = counted.slow if counted is not None else 0
    return Panel(
        title="95 % of the answers took at most",
        unit="s",
        queries=(Query(expr=f"immich:http_duration:p95_5m{plan.recorded()}", legend="{{door}}"),),
        alert="ImmichSlowNow",
        description="GET without the playing of videos, by door: until nginx had the beginning, or Traefik all of it.",
        thresholds=((slow / 2, "yellow"), (slow, "red")),
        any_of=COUNTED,
    )


def learning_p95_panel(plan: MonitoringPlan) -> Panel:
    """How long machine learning takes to answer; the histograms are in milliseconds."""
    jobs: dict[str, Job] = {
        "encode_image": "microservices",
        "detect_faces": "microservices",
        "encode_text": "api",
    }
    name = "histogram_quantile(0.95, sum by (le) (rate(immich_machine_learning_repository_{}_duration_bucket{}[5m])))"
    return Panel(
        title="Machine learning, 95 % took at most",
        unit="s",
        queries=tuple(
            Query(expr=f"{name.format(method, plan.select(job))} / 1000", legend=method)
            for method, job in jobs.items()
        ),
        alert="ImmichMachineLearningDown" if plan.has("blackbox") else "ImmichJobsFail",
        description="Of its answers, as the server measures them (group `repo` of its telemetry). Searches are "
        "encode_text.",
        thresholds=((2, "yellow"), (10, "red")),
        needs=needs("immich"),
    )


def mean_job_panel(plan: MonitoringPlan) -> Panel:
    """How long machine learning takes."""
    here = plan.recorded(f'queue=~"{"|".join(MACHINE_LEARNING_QUEUES)}"')
    at_work = f"avg_over_time(immich:queue_active:sum{here}[15m])"
    return Panel(
        title="Machine learning, time for a photo",
        unit="s",
        queries=(
            Query(expr=f"{at_work} / (rate(immich:queue_finished:sum{here}[15m]) > 0)", legend="{{queue}}"),
        ),
        alert="ImmichMachineLearningBacklog" if plan.has("valkey") else "ImmichJobsFail",
        description="Jobs at work divided by jobs that end in a second (Little's law): the mean time of one.",
        thresholds=((2, "yellow"), (10, "orange")),
        needs=needs("immich"),
    )


def gpu_panels(plan: MonitoringPlan) -> tuple[Panel, ...]:
    """How warm and how busy GPUs are."""
    here, hot = plan.recorded(), plan.thresholds.gpu_celsius
    return (
        Panel(
            title="GPU, temperature",
            unit="celsius",
            queries=(Query(expr=f"immich:gpu:celsius{here}", legend="{{card}}"),),
            alert="ImmichGpuHot",
            description="As the driver says it.",
            thresholds=((hot - 10, "yellow"), (hot, "red")),
            width=4,
            any_of=_GPU,
        ),
        Panel(
            title="GPU, use",
            unit="percentunit",
            queries=(
                Query(expr=f"immich:gpu_used:ratio{here}", legend="{{card}}"),
                Query(expr=f"immich:gpu_memory_used:ratio{here}", legend="{{card}} memory"),
            ),
            alert="ImmichGpuIdle",
            description="Share of the time and of the memory. Nothing while machine learning works is a fault.",
            base="blue",
            thresholds=((0.95, "orange"),),
            width=4,
            any_of=_GPU,
        ),
    )


def volumes_panel(plan: MonitoringPlan) -> Panel:
    """How full volumes are."""
    thresholds = plan.thresholds
    return Panel(
        title="Used",
        kind="bars",
        unit="percentunit",
        queries=(Query(expr=f"immich:volume_used:ratio{plan.recorded()}", legend="{{volume}}"),),
        alert="ImmichStorageFilling",
        description="Share of each volume that holds data.",
        thresholds=(
            (thresholds.storage_percent / 100, "orange"),
            (thresholds.storage_critical_percent / 100, "red"),
        ),
        width=12,
        needs=needs("kubernetes" if plan.platform == "kubernetes" else "node"),
    )

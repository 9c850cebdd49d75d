"""The dashboard of the server, its background work and its processes."""

from __future__ import annotations

from components.monitoring.alerts_rule import needs
from components.monitoring.alerts_server import MAY_BE_SLOW
from components.monitoring.dashboards_panel import Dashboard, Panel, Query, Row
from components.monitoring.dashboards_shared import p95_panel, requests_panel
from components.monitoring.metric_names import COUNTED, requests_of
from components.monitoring.plan import MonitoringPlan


def server(plan: MonitoringPlan) -> Dashboard:
    """The server and its background work."""
    here, counted = plan.recorded(), requests_of(plan)
    slow = counted.slow if counted is not None else 0
    return Dashboard(
        name="server",
        title="Server",
        rows=(
            Row(
                title="Answers",
                panels=(
                    requests_panel(plan),
                    p95_panel(plan),
                    Panel(
                        title=f"Answers over {slow:g} s",
                        unit="percentunit",
                        queries=tuple(
                            Query(
                                expr=f"immich:http_slow:ratio_rate{window}{here}",
                                legend=f"{{{{door}}}} {window}",
                            )
                            for window in ("5m", "1h", "6h")
                        ),
                        alert="ImmichSlowAllDay",
                        description=f"Share of them; {MAY_BE_SLOW:.0%} may be over 30 days.",
                        thresholds=((6 * MAY_BE_SLOW, "yellow"), (14.4 * MAY_BE_SLOW, "red")),
                        any_of=COUNTED,
                    ),
                    Panel(
                        title="Accounts",
                        kind="stat",
                        unit="short",
                        queries=(Query(expr=f"max(immich_users_total{plan.select('api')})"),),
                        alert="ImmichDown",
                        description="Users that are not deleted.",
                        base="blue",
                        thresholds=((1000, "orange"),),
                        width=4,
                        needs=needs("immich"),
                    ),
                ),
            ),
            Row(
                title="Background work",
                panels=(
                    Panel(
                        title="Jobs that end",
                        unit="ops",
                        queries=(
                            Query(
                                expr=f"sum by (queue) (rate(immich:queue_finished:sum{here}[5m])) > 0",
                                legend="{{queue}}",
                            ),
                        ),
                        alert="ImmichQueueStuck" if plan.has("valkey") else "ImmichJobsFail",
                        description="In a second, by queue, however they end.",
                        base="blue",
                        thresholds=((100, "orange"),),
                        needs=needs("immich"),
                    ),
                    Panel(
                        title="Jobs that fail",
                        unit="short",
                        queries=(
                            Query(
                                expr=f"sum by (queue) (increase(immich:queue_failed:sum{here}[1h])) > 0",
                                legend="{{queue}}",
                            ),
                        ),
                        alert="ImmichJobsFail",
                        description="Within an hour, by queue.",
                        thresholds=((1, "yellow"), (plan.thresholds.failed_jobs, "red")),
                        needs=needs("immich"),
                    ),
                ),
            ),
            _processes(plan),
        ),
    )


def _processes(plan: MonitoringPlan) -> Row:
    named = plan.select(None, f'name=~"{plan.containers}"')
    pods = plan.select(None, 'container!=""')
    memory, cpu = "container_memory_working_set_bytes", "container_cpu_usage_seconds_total"
    restarts = f"kube_pod_container_status_restarts_total{plan.select()}"
    node = plan.select("node")
    idle = plan.select("node", 'mode="idle"')
    used: list[Panel] = []
    for source, label, where in (("kubernetes", "container", pods), ("cadvisor", "name", named)):
        needed = needs("kubernetes") if source == "kubernetes" else needs("cadvisor")
        used += [
            Panel(
                title="Memory",
                unit="bytes",
                queries=(Query(expr=f"sum by ({label}) ({memory}{where})", legend=f"{{{{{label}}}}}"),),
                alert="ImmichOutOfMemory",
                description="What the kernel counts against the limit.",
                base="blue",
                thresholds=((8e9, "orange"),),
                needs=needed,
            ),
            Panel(
                title="Processors",
                unit="short",
                queries=(
                    Query(expr=f"sum by ({label}) (rate({cpu}{where}[5m]))", legend=f"{{{{{label}}}}}"),
                ),
                alert="ImmichSlowNow" if plan.sources & COUNTED else "ImmichRestarts",
                description="How many are busy.",
                base="blue",
                thresholds=((8, "orange"),),
                needs=needed,
            ),
        ]
    return Row(
        title="Processes",
        panels=(
            *used,
            Panel(
                title="Restarts in a day",
                unit="short",
                queries=(
                    Query(expr=f"sum by (container) (increase({restarts}[1d]))", legend="{{container}}"),
                ),
                alert="ImmichRestarts",
                description="By container.",
                thresholds=((1, "yellow"), (plan.thresholds.restarts, "red")),
                needs=needs("kubernetes"),
            ),
            Panel(
                title="The host",
                unit="percentunit",
                queries=(
                    Query(expr=f"1 - avg(rate(node_cpu_seconds_total{idle}[5m]))", legend="processors"),
                    Query(
                        expr=f"1 - node_memory_MemAvailable_bytes{node} / node_memory_MemTotal_bytes{node}",
                        legend="memory",
                    ),
                ),
                alert="ImmichSlowNow" if plan.sources & COUNTED else "ImmichStorageFilling",
                description="Share that is busy or in use.",
                thresholds=((0.8, "yellow"), (0.95, "red")),
                needs=needs("node"),
            ),
        ),
    )

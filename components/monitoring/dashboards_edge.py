"""Dashboards of the ways in, and of machine learning with its GPUs."""

from __future__ import annotations

from components.monitoring.alerts_rule import needs
from components.monitoring.dashboards_panel import Dashboard, Panel, Query, Row
from components.monitoring.dashboards_shared import (
    gpu_panels,
    learning_p95_panel,
    mean_job_panel,
    requests_panel,
    up_panel,
)
from components.monitoring.metric_names import MACHINE_LEARNING_QUEUES
from components.monitoring.plan import MonitoringPlan


def proxy(plan: MonitoringPlan) -> Dashboard:
    """The ways in."""
    nginx, tunnel, doors = plan.select("nginx"), plan.select("cloudflared"), plan.select("doors")
    expiry = f"min by (certificate) (immich:certificate_expiry:timestamp_seconds{plan.recorded()})"
    warn, critical = plan.thresholds.certificate_days, plan.thresholds.certificate_critical_days
    wanted = min(2, plan.tunnel_connectors)
    return Dashboard(
        name="proxy",
        title="Doors and proxy",
        rows=(
            Row(
                title="Doors",
                panels=(
                    up_panel(
                        title="Answer",
                        queries=(Query(expr=f"max by (door) (probe_success{doors})", legend="{{door}}"),),
                        alert="ImmichDoorDown",
                        description="Whether Immich answers through each way in.",
                        needs=needs("blackbox"),
                    ),
                    Panel(
                        title="Time to answer",
                        unit="s",
                        queries=(
                            Query(expr=f"max by (door) (probe_duration_seconds{doors})", legend="{{door}}"),
                        ),
                        alert="ImmichDoorDown",
                        description="Of `/api/server/ping`, with name, connection and TLS.",
                        thresholds=((1, "yellow"), (5, "red")),
                        needs=needs("blackbox"),
                    ),
                    Panel(
                        title="Certificates end in",
                        kind="bars",
                        unit="d",
                        queries=(Query(expr=f"({expiry} - time()) / 86400", legend="{{certificate}}"),),
                        alert="ImmichCertificateExpires",
                        description="Days. Renewal begins at 30.",
                        base="red",
                        thresholds=((critical, "orange"), (warn, "green")),
                        any_of=needs("blackbox", "cert-manager", "traefik"),
                    ),
                ),
            ),
            Row(
                title="Requests",
                panels=(
                    requests_panel(plan),
                    Panel(
                        title="Connections of the proxy",
                        unit="short",
                        queries=tuple(
                            Query(expr=f"sum(nginx_connections_{state}{nginx})", legend=state)
                            for state in ("active", "reading", "writing", "waiting")
                        ),
                        alert="ImmichProxyDown",
                        description="An open WebSocket is one that writes.",
                        thresholds=((3000, "yellow"), (4000, "red")),
                        needs=needs("nginx"),
                    ),
                ),
            ),
            *([_tunnel(tunnel, wanted)] if wanted else []),
        ),
    )


def _tunnel(here: str, wanted: int) -> Row:
    return Row(
        title="Tunnel",
        panels=(
            Panel(
                title="Connectors",
                kind="stat",
                unit="none",
                queries=(Query(expr=f"count(cloudflared_tunnel_ha_connections{here} > 0) or vector(0)"),),
                alert="ImmichTunnelConnectors",
                description="Copies of cloudflared with a connection to Cloudflare.",
                base="red",
                thresholds=((wanted, "green"),),
                width=4,
                needs=needs("cloudflared"),
            ),
            Panel(
                title="Through the tunnel",
                unit="reqps",
                queries=(
                    Query(
                        expr=f"sum by (status_code) (rate(cloudflared_tunnel_response_by_code{here}[5m]))",
                        legend="{{status_code}}",
                    ),
                    Query(expr=f"sum(rate(cloudflared_tunnel_request_errors{here}[5m]))", legend="no answer"),
                ),
                alert="ImmichTunnelErrors",
                description="By status. What Cloudflare refuses never comes this far.",
                base="blue",
                thresholds=((200, "orange"),),
                needs=needs("cloudflared"),
            ),
        ),
    )


def learning(plan: MonitoringPlan) -> Dashboard:
    """Machine learning and GPUs."""
    queues = plan.recorded(f'queue=~"{"|".join(MACHINE_LEARNING_QUEUES)}"')
    return Dashboard(
        name="machine-learning",
        title="Machine learning",
        rows=(
            Row(
                title="Work",
                panels=(
                    up_panel(
                        title="Machine learning",
                        queries=(Query(expr=f"max(probe_success{plan.select('machine-learning')})"),),
                        alert="ImmichMachineLearningDown",
                        description="Whether `/ping` answers.",
                        width=4,
                        needs=needs("blackbox"),
                    ),
                    Panel(
                        title="Jobs that wait for it",
                        unit="short",
                        queries=(Query(expr=f"immich:queue_backlog:sum{queues}", legend="{{queue}}"),),
                        alert="ImmichMachineLearningBacklog",
                        description="By queue, from Valkey.",
                        thresholds=((plan.thresholds.machine_learning_queue, "yellow"),),
                        needs=needs("valkey"),
                    ),
                    mean_job_panel(plan),
                    learning_p95_panel(plan),
                ),
            ),
            Row(title="GPU", panels=gpu_panels(plan)),
        ),
    )

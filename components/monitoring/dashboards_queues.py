"""The dashboard of Valkey and the queues in it."""

from __future__ import annotations

from components.monitoring.alerts_rule import needs
from components.monitoring.dashboards_panel import GOOD_OR_BAD, Dashboard, Panel, Query, Row
from components.monitoring.dashboards_shared import up_panel
from components.monitoring.plan import MonitoringPlan


def cache(plan: MonitoringPlan) -> Dashboard:
    """Valkey and the queues in it."""
    here, recorded, needed = plan.select("valkey"), plan.recorded(), needs("valkey")
    memory = f"redis_memory_used_bytes{here} / (redis_memory_max_bytes{here} > 0)"
    full = plan.thresholds.cache_memory_percent / 100
    stuck = "ImmichQueueStuck" if plan.has("immich") else "ImmichMachineLearningBacklog"
    queues = tuple(
        Panel(
            title=title,
            unit="short",
            queries=(
                Query(
                    expr="sum by (queue) (immich:queue_jobs:sum"
                    + plan.recorded(f'state="{state}"')
                    + ") > 0",
                    legend="{{queue}}",
                ),
            ),
            alert=alert,
            description=description,
            base="blue",
            thresholds=((limit, "orange"),),
            needs=needed,
        )
        for title, state, alert, limit, description in (
            ("Jobs at work", "active", stuck, 1000, "By queue; more than its concurrency cannot be."),
            ("Jobs in paused queues", "paused", "ImmichQueuePaused", 1, "Until somebody resumes them."),
            ("Jobs for later", "delayed", stuck, 100_000, "That wait for their time."),
        )
    )
    return Dashboard(
        name="cache",
        title="Cache and queues",
        rows=(
            Row(
                title="Queues",
                panels=(
                    Panel(
                        title="Jobs that wait",
                        unit="short",
                        queries=(Query(expr=f"immich:queue_backlog:sum{recorded}", legend="{{queue}}"),),
                        alert=stuck,
                        description="By queue.",
                        thresholds=((100_000, "orange"),),
                        needs=needed,
                    ),
                    *queues,
                ),
            ),
            Row(
                title="Valkey",
                panels=(
                    up_panel(
                        title="Cache",
                        queries=(Query(expr=f"max(redis_up{here})"),),
                        alert="ImmichCacheDown",
                        description="Whether it answers the exporter.",
                        width=4,
                        needs=needed,
                    ),
                    Panel(
                        title="Memory",
                        unit="percentunit",
                        queries=(Query(expr=f"max({memory})", legend="of maxmemory"),),
                        alert="ImmichCacheMemory",
                        description="At 1 it refuses to write.",
                        thresholds=((0.7, "yellow"), (full, "red")),
                        needs=needed,
                    ),
                    Panel(
                        title="Thrown away",
                        unit="short",
                        queries=(
                            Query(expr=f"sum(increase(redis_evicted_keys_total{here}[1h]))", legend="keys"),
                        ),
                        alert="ImmichCacheEvicts",
                        description="Within an hour. Every one may be a lost job.",
                        thresholds=((1, "red"),),
                        needs=needed,
                    ),
                    Panel(
                        title="Policy",
                        kind="stat",
                        unit="none",
                        queries=(
                            Query(
                                expr=f"max by (maxmemory_policy) (redis_instance_info{here})",
                                legend="{{maxmemory_policy}}",
                            ),
                        ),
                        alert="ImmichCacheEvicts",
                        description="Must be noeviction.",
                        name_only=True,
                        base="blue",
                        thresholds=((2, "red"),),
                        width=4,
                        needs=needed,
                    ),
                    Panel(
                        title="Written to disk",
                        kind="stat",
                        unit="none",
                        queries=(
                            Query(expr=f"min(redis_rdb_last_bgsave_status{here})", legend="snapshot"),
                            Query(expr=f"min(redis_aof_last_write_status{here})", legend="log"),
                        ),
                        alert="ImmichCacheNotSaved",
                        description="How the last attempts ended.",
                        words=GOOD_OR_BAD,
                        base="red",
                        thresholds=((1, "green"),),
                        width=4,
                        needs=needed,
                    ),
                    Panel(
                        title="Commands",
                        unit="ops",
                        queries=(
                            Query(
                                expr=f"sum(rate(redis_commands_processed_total{here}[5m]))", legend="commands"
                            ),
                        ),
                        alert="ImmichCacheDown",
                        description="In a second.",
                        base="blue",
                        thresholds=((10_000, "orange"),),
                        needs=needed,
                    ),
                ),
            ),
        ),
    )

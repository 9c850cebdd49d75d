"""The dashboard of backups, drills and volumes."""

from __future__ import annotations

from components.monitoring.alerts_rule import needs
from components.monitoring.dashboards_panel import GOOD_OR_BAD, Dashboard, Panel, Query, Row
from components.monitoring.dashboards_shared import volumes_panel
from components.monitoring.plan import MonitoringPlan


def backups(plan: MonitoringPlan) -> Dashboard:
    """Backups, drills and volumes."""
    needed = needs("backup")
    here, drill = plan.select("backup", 'name!="drill"'), plan.select("backup", 'name="drill"')
    oldest = max((*plan.backups.values(), 86400))
    stale = "ImmichBackupStale" if plan.backups else "ImmichBackupFailed"
    drills = (
        Panel(
            title="Photos in the last proven restore",
            kind="stat",
            unit="short",
            queries=(Query(expr=f"max(immich_drill_assets{plan.select('backup')})"),),
            alert="ImmichDrillUnproven",
            description="How many a drill found.",
            base="red",
            thresholds=((1, "green"),),
            needs=needed,
        ),
        Panel(
            title="Time of a restore",
            unit="s",
            queries=(Query(expr=f"max(immich_backup_duration_seconds{drill})", legend="drill"),),
            alert="ImmichDrillUnproven",
            description="How long the last drill took: what a real one takes at least.",
            base="blue",
            thresholds=((4 * 3600, "orange"),),
            needs=needed,
        ),
    )
    return Dashboard(
        name="backups",
        title="Backups and storage",
        rows=(
            Row(
                title="Backups",
                panels=(
                    Panel(
                        title="Last runs",
                        kind="stat",
                        unit="none",
                        queries=(
                            Query(expr=f"max by (name) (immich_backup_success{here})", legend="{{name}}"),
                        ),
                        alert="ImmichBackupFailed",
                        description="How each ended.",
                        words=GOOD_OR_BAD,
                        base="red",
                        thresholds=((1, "green"),),
                        needs=needed,
                    ),
                    Panel(
                        title="Since the last success",
                        unit="s",
                        queries=(
                            Query(
                                expr="time() - max by (name) "
                                f"(immich_backup_last_success_timestamp_seconds{here} > 0)",
                                legend="{{name}}",
                            ),
                        ),
                        alert=stale,
                        description="What was taken since then is in one place only.",
                        thresholds=((0.9 * oldest, "yellow"), (oldest, "red")),
                        needs=needed,
                    ),
                    Panel(
                        title="Size",
                        unit="bytes",
                        queries=(
                            Query(expr=f"max by (name) (immich_backup_bytes{here})", legend="{{name}}"),
                        ),
                        alert="ImmichBackupShrunk",
                        description="A dump that shrinks by half rings.",
                        base="blue",
                        thresholds=((1e13, "orange"),),
                        needs=needed,
                    ),
                    Panel(
                        title="Duration",
                        unit="s",
                        queries=(
                            Query(
                                expr=f"max by (name) (immich_backup_duration_seconds{here})",
                                legend="{{name}}",
                            ),
                        ),
                        alert=stale,
                        description="Of the last run of each.",
                        base="blue",
                        thresholds=((6 * 3600, "orange"),),
                        needs=needed,
                    ),
                ),
            ),
            *([Row(title="Drills", panels=drills)] if plan.drill_days else []),
            Row(title="Storage", panels=(volumes_panel(plan),)),
        ),
    )

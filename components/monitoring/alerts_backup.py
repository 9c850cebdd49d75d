"""Alerts about backups and the proof that they can be restored."""

from __future__ import annotations

from components.monitoring.alerts_rule import Alert, needs
from components.monitoring.plan import MonitoringPlan

_SEEN = "14d"
"""How long it is remembered that there were status files."""


def backups(plan: MonitoringPlan) -> list[Alert]:
    """Copies that fail, grow old or shrink, and drills."""
    here, limits = plan.select("backup"), f"immich:backup_age_limit:seconds{plan.recorded()}"
    last = f"max by (name) (immich_backup_last_success_timestamp_seconds{here})"
    dump, drills = plan.select("backup", 'name="dump"'), plan.select("backup", 'name="drill"')
    others = plan.select("backup", 'name!="drill"')
    size, drill = f"immich_backup_bytes{dump}", f"immich_backup_last_success_timestamp_seconds{drills}"
    patience = max((*plan.backups.values(), 86400)) // 3600
    found = [
        Alert(
            name="ImmichBackupFailed",
            expr=f"max by (name) (immich_backup_success{others}) == 0",
            for_="15m",
            severity="warning",
            summary="The last run of {{ $labels.name }} failed",
            description="`make status` shows its verdict and what to do, and so does `status/{{ $labels.name }}.json` "
            "in the backup volume. Older copies are still there.",
            needs=needs("backup"),
        ),
        Alert(
            name="ImmichBackupStale",
            expr=f"time() - ({last} > 0) > on (name) group_left () {limits}",
            for_="15m",
            severity="critical",
            summary="{{ $labels.name }} has not succeeded for {{ $value | humanizeDuration }}",
            description="What was taken since then is in one place only. See why its runs fail, or why they do not "
            "begin at all; then start one by hand: docs/runbooks.",
            needs=needs("backup"),
        ),
        Alert(
            name="ImmichBackupNever",
            expr=f"{limits} unless on (name) {last} > 0",
            for_=f"{patience}h",
            severity="critical",
            summary="{{ $labels.name }} has never succeeded",
            description=f"It has been wanted for {patience} hours. A target that was never reached, a password that "
            "does not fit, or a schedule that never comes: `make status` shows the verdict of its last run.",
            needs=needs("backup"),
        ),
        Alert(
            name="ImmichBackupShrunk",
            expr=f"max({size}) < 0.5 * max(max_over_time({size}[7d]))",
            for_="1h",
            severity="critical",
            summary="The newest dump has {{ $value | humanize1024 }}B, less than half of one of this week",
            description="Either much was deleted from the database, or the dump is not whole. Keep the larger one "
            "before it is rotated away, then compare the number of photos with what you expect.",
            needs=needs("backup"),
        ),
        Alert(
            name="ImmichStatusUnreadable",
            expr=f"max(node_textfile_scrape_error{here}) == 1 "
            f"and max(max_over_time(immich_backup_last_success_timestamp_seconds{here}[{_SEEN}])) > 0",
            for_="15m",
            severity="warning",
            summary="The status files of the backups cannot be read",
            description="A file in the folder `status` of the backup volume is broken or has the wrong owner: alerts "
            "about backups may not ring. Until the first backup there is none, which is no fault.",
            needs=needs("backup"),
        ),
    ]
    if plan.drill_days:
        found.append(
            Alert(
                name="ImmichDrillUnproven",
                expr=f"time() - max({drill}) > {plan.drill_days} * 86400 "
                f"or absent({drill}) or max(immich_backup_success{drills}) == 0",
                for_="1d",
                severity="warning",
                summary=f"No restore has been proven for {plan.drill_days} days",
                description="A backup that was never restored is a hope. The drill failed or did not run: "
                "`status/drill.json` has its verdict; `make drill` starts one.",
                needs=needs("backup"),
            )
        )
    return found

"""The table of alerts, chosen by what a deployment has, and its two forms: a rule file and a PrometheusRule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import yaml

from components.monitoring.alerts_backup import backups
from components.monitoring.alerts_data import base_backups, cache, database, library
from components.monitoring.alerts_edge import edge
from components.monitoring.alerts_host import gpus, processes, storage
from components.monitoring.alerts_records import records
from components.monitoring.alerts_rule import Alert
from components.monitoring.alerts_server import queues, server
from components.monitoring.plan import MonitoringPlan

INTERVAL = "30s"
"""Between two evaluations, as between two scrapes."""


_GROUPS: Final[Mapping[str, tuple[Callable[[MonitoringPlan], list[Alert]], ...]]] = {
    "server": (server,),
    "queues": (queues,),
    "library": (library,),
    "database": (database, base_backups),
    "cache": (cache,),
    "edge": (edge,),
    "host": (storage, processes, gpus),
    "backup": (backups,),
}


def alerts(plan: MonitoringPlan) -> tuple[Alert, ...]:
    """Every alert whose sources the plan has, in the order of docs/alerts.md."""
    found = [
        replace(alert, group=group)
        for group, tables in _GROUPS.items()
        for table in tables
        for alert in table(plan)
        if alert.fits(plan)
    ]
    if plan.instances < 2:
        found = [
            alert for alert in found if alert.name not in {"ImmichReplicationLag", "ImmichReplicaMissing"}
        ]
    if not plan.backups:
        found = [alert for alert in found if alert.name not in {"ImmichBackupStale", "ImmichBackupNever"}]
    if plan.sources & {"kubernetes", "cadvisor"}:
        # They name the container; the host's counter would only say it a second time.
        found = [alert for alert in found if alert.name != "ImmichOutOfMemory" or "node" not in alert.needs]
    return tuple(found)


def rule_body(plan: MonitoringPlan) -> dict[str, Any]:
    """`spec` of a PrometheusRule, and a whole rule file: recorded series first, then a group for each subject."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in records(plan):
        groups.setdefault("records", []).append(record.body(plan))
    for alert in alerts(plan):
        groups.setdefault(alert.group, []).append(alert.body(plan))
    return {
        "groups": [
            {"name": f"immich-{plan.stack}-{name}", "interval": INTERVAL, "rules": rules}
            for name, rules in groups.items()
        ]
    }


def rule_file(plan: MonitoringPlan) -> str:
    """The same as YAML, for `rule_files` of the bundled Prometheus."""
    return yaml.safe_dump(rule_body(plan), sort_keys=False, width=120, allow_unicode=True)

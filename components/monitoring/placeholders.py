"""What differs between deployments in rules and dashboards: words in capitals, and labels of scrape jobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from components.monitoring.plan import MonitoringPlan

_WORD: Final = re.compile(r"(?<![A-Z])[A-Z][A-Z_]*[A-Z](?![A-Z])")
_JOB: Final = re.compile(r'\bjob(=~?)"([^"]*)"')


def values(plan: MonitoringPlan) -> dict[str, str]:
    """Placeholder -> its value. PromQL takes one in the place of a number for the name of a series."""
    limits = plan.thresholds
    oldest = max((*plan.backups.values(), 86400))
    return {
        "STACK": plan.stack,
        "NAMESPACE": plan.namespace,
        "DATABASE_NAMESPACE": plan.database_namespace,
        "MOUNTPOINTS": "|".join(point.replace(".", "[.]") for point in plan.mountpoints),
        "RUNBOOKS": plan.runbooks,
        "DOWN": limits.down,
        "STORAGE_RATIO": f"{limits.storage_percent / 100:g}",
        "STORAGE_CRITICAL_RATIO": f"{limits.storage_critical_percent / 100:g}",
        "MACHINE_LEARNING_QUEUE": str(limits.machine_learning_queue),
        "GPU_CELSIUS": f"{limits.gpu_celsius:g}",
        "DELETED_PHOTOS": str(limits.deleted_photos),
        "CERTIFICATE_DAYS": str(limits.certificate_days),
        # A bound of the histogram that is recorded (alerts/server.yaml).
        "SLOW_SECONDS": "2.5" if "access-log" in plan.sources else "5",
        "REPLICAS": str(plan.instances - 1),
        "CONNECTORS": str(min(2, plan.tunnel_connectors)),
        "BASE_BACKUP_SECONDS": str(plan.base_backup_age),
        "BACKUP_AGE": str(oldest),
        "BACKUP_PATIENCE": f"{oldest // 3600}h",
        "DRILL_DAYS": str(plan.drill_days),
    }


def filled(node: Any, given: Mapping[str, str]) -> Any:
    """Data with values in the place of placeholders."""
    return over_texts(node, lambda text: _WORD.sub(lambda word: given.get(word[0], word[0]), text))


def over_texts(node: Any, change: Callable[[str], str]) -> Any:
    """Data with every text in it changed, keys apart."""
    if isinstance(node, str):
        return change(node)
    if isinstance(node, dict):
        return {key: over_texts(value, change) for key, value in cast("dict[str, Any]", node).items()}
    return (
        [over_texts(value, change) for value in cast("list[Any]", node)] if isinstance(node, list) else node
    )


def selecting(expr: str, plan: MonitoringPlan) -> str:
    """PromQL whose selectors by `job="immich-..."` have the deployment's namespace and names of jobs."""
    names = {f"immich-{job}": label for job, label in plan.jobs.items()}
    own = f'namespace="{plan.namespace}",' if plan.namespace else ""

    def chosen(match: re.Match[str]) -> str:
        jobs = "|".join(names.get(job, job) for job in match[2].split("|"))
        return f'{own}job{match[1]}"{jobs}"'

    # Our own Prometheus reads this deployment alone and gives its series no namespace.
    return re.sub('namespace="",?', "", _JOB.sub(chosen, expr)).replace("{}", "")

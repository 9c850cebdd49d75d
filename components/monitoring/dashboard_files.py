"""Dashboards: Grafana's own JSON in the folder `dashboards`, filled in for a deployment.

Words in capitals are placeholders (`placeholders.values`), also in thresholds, with factors: `0.9 * BACKUP_AGE`. A
query is left out whose series no source of the deployment gives; a panel without queries, or none of whose alerts the
deployment has; a row without panels. What is changed in Grafana is put back with `python -m toolchain.dashboards`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

from components.monitoring.metric_names import FAMILIES
from components.monitoring.placeholders import filled, selecting, values
from components.monitoring.plan import MonitoringPlan
from components.monitoring.rule_files import rules

FOLDER: Final = Path(__file__).with_name("dashboards")
COLUMNS: Final = 24
"""Of a dashboard of Grafana."""
_UID_LENGTH: Final = 40
"""Grafana takes no longer one."""
_SERIES: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_PINNED: Final = frozenset(name for family in FAMILIES.values() for name in family.names)

Panel = dict[str, Any]
Dashboard = dict[str, Any]


def dashboards(plan: MonitoringPlan) -> dict[str, Dashboard]:
    """Name -> dashboard as Grafana reads it, the same at every deployment; one without panels is left out."""
    given, names = values(plan), {rule.name for rule in rules(plan)}
    series = names.union(*(FAMILIES[source].names for source in plan.sources))
    found: dict[str, Dashboard] = {}
    for file in sorted(FOLDER.glob("*.json")):
        made: Dashboard = filled(json.loads(file.read_text(encoding="utf-8")), given)
        shown = [
            panel for panel in made["panels"] if panel["type"] == "row" or _shows(panel, plan, names, series)
        ]
        rows = [
            panel
            for panel, after in zip(shown, [*shown[1:], None], strict=True)
            if panel["type"] != "row" or (after is not None and after["type"] != "row")
        ]
        if rows:
            found[file.stem] = {**made, "uid": _uid(made["uid"]), "panels": laid_out(rows)}
    return found


def dashboard_files(plan: MonitoringPlan) -> dict[str, str]:
    """File name -> text, for a ConfigMap or a folder that Grafana reads."""
    return {f"{name}.json": json.dumps(made, indent=2) + "\n" for name, made in dashboards(plan).items()}


def panels(dashboard: Dashboard) -> list[Panel]:
    """Those that show something."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def laid_out(shown: Iterable[Panel]) -> list[Panel]:
    """Panels from left to right in their order, each line as high as its highest."""
    lines: list[list[Panel]] = []
    for panel in shown:
        if not lines or sum(one["gridPos"]["w"] for one in (*lines[-1], panel)) > COLUMNS:
            lines.append([])
        lines[-1].append(panel)
    top, found = 0, list[Panel]()
    for line in lines:
        left, height = 0, max(panel["gridPos"]["h"] for panel in line)
        for panel in line:
            width = panel["gridPos"]["w"]
            found.append({**panel, "gridPos": {"x": left, "y": top, "w": width, "h": height}})
            left += width
        top += height
    return found


def _shows(panel: Panel, plan: MonitoringPlan, rules: Collection[str], series: Collection[str]) -> bool:
    """Whether a panel has something to show; leaves out queries and links that have not."""
    panel["targets"] = [
        {**target, "expr": selecting(target["expr"], plan)}
        for target in panel["targets"]
        if all(
            name in series
            for name in _SERIES.findall(target["expr"])
            if name in _PINNED or name.startswith("immich:")
        )
    ]
    panel["links"] = [link for link in panel["links"] if link["title"].rpartition(" ")[2] in rules]
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if isinstance(step["value"], str):
            step["value"] = math.prod(float(factor) for factor in step["value"].split("*"))
    return bool(panel["targets"] and panel["links"])


def _uid(whole: str) -> str:
    """Links to a dashboard stay, and two stacks have two."""
    if len(whole) <= _UID_LENGTH:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{whole[: _UID_LENGTH - 9]}-{digest}"

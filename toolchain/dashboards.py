"""Puts a dashboard that somebody changed in Grafana back into its file.

    python -m toolchain.dashboards STACK EXPORT.json [--name overview]

In Grafana: save it as a copy, change it, export it as JSON (classic). What the stack has of its own becomes a
placeholder again, and panels that it does not show stay as they are. `git diff` shows what is new.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from components.monitoring import scrapes, setup
from components.monitoring.dashboard_files import FOLDER, Dashboard, Panel, dashboards, laid_out
from components.monitoring.placeholders import over_texts
from components.monitoring.plan import MonitoringPlan
from toolchain.deployment import items, mapping
from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import settings_file
from toolchain.stack_settings import settings_without_secrets, stack_texts

_WIDTH: Final = 140
_OF_GRAFANA: Final = {"pluginVersion"}
"""Keys of a panel that Grafana writes by itself."""


def put_back(name: str, exported: Dashboard, plan: MonitoringPlan) -> Dashboard:
    """The content of the file, with what was changed in the dashboard as the deployment shows it."""
    file: Dashboard = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    shown = dashboards(plan)[name]
    before = {panel["id"]: panel for panel in file["panels"]}
    rendered = {panel["id"]: panel for panel in shown["panels"]}
    panels: dict[int, Panel] = {}
    for panel in sorted(exported["panels"], key=lambda one: (one["gridPos"]["y"], one["gridPos"]["x"])):
        own = {key: value for key, value in panel.items() if key not in _OF_GRAFANA}
        panels[own["id"]] = _merged(before.get(own["id"]), rendered.get(own["id"]), own, plan)
    order, previous = list(panels), None
    for number in before:
        if number not in rendered:
            order.insert(order.index(previous) + 1 if previous in order else 0, number)
        previous = number
    kept = {key: _merged(file[key], shown[key], exported.get(key), plan) for key in file if key != "panels"}
    return {**kept, "panels": laid_out({**before, **panels}[number] for number in order)}


def written(dashboard: Dashboard) -> str:
    """JSON with as much on a line as there is room for."""
    return _lines(dashboard, 0, 0) + "\n"


def _lines(node: Any, indent: int, start: int) -> str:
    """`indent` is that of the line, `start` is where the node begins in it."""
    flat = json.dumps(node, ensure_ascii=False)
    if len(flat) + start <= _WIDTH or flat[0] not in "{[":
        return flat
    items: list[tuple[str, Any]] = (
        [(f"{json.dumps(key)}: ", value) for key, value in node.items()]
        if flat[0] == "{"
        else [("", value) for value in node]
    )
    if len(items) == 1:
        key, value = items[0]
        return flat[0] + key + _lines(value, indent, start + 1 + len(key)) + flat[-1]
    lines: list[str] = []
    for key, value in items:
        item = key + _lines(value, indent + 2, indent + 2 + len(key))
        if lines and "\n" not in lines[-1] + item and indent + 4 + len(lines[-1]) + len(item) < _WIDTH:
            lines[-1] += f", {item}"
        else:
            lines.append(item)
    pad = "\n" + " " * (indent + 2)
    return flat[0] + pad + f",{pad}".join(lines) + "\n" + " " * indent + flat[-1]


def _merged(file: Any, shown: Any, exported: Any, plan: MonitoringPlan) -> Any:
    """What is as it was shown is as the file has it; the rest is the export's, in general terms."""
    if file and exported == shown:
        return file
    kinds: set[type[Any]] = {type(one) for one in (file, shown, exported)}
    if kinds == {dict}:
        keys = [key for key in (*file, *(key for key in exported if key not in file)) if key in exported]
        return {key: _merged(file.get(key), shown.get(key), exported[key], plan) for key in keys}
    if kinds == {list} and len(file) == len(shown) == len(exported):
        return [_merged(file[at], shown[at], exported[at], plan) for at in range(len(file))]
    return over_texts(exported, lambda text: _general(text, plan))


def _general(text: str, plan: MonitoringPlan) -> str:
    """PromQL of a deployment as the files have it."""
    jobs = {label: f"immich-{job}" for job, label in plan.jobs.items()}
    found = text.replace(f'stack="{plan.stack}"', 'stack="STACK"')
    if plan.namespace:
        found = found.replace(f'namespace="{plan.namespace}",job=', "job=")
        found = found.replace(f'namespace="{plan.namespace}"', 'namespace="NAMESPACE"')
    if plan.database_namespace:
        found = found.replace(f'namespace="{plan.database_namespace}"', 'namespace="DATABASE_NAMESPACE"')
    return re.sub(r'job="([^"]*)"', lambda job: f'job="{jobs.get(job[1], job[1])}"', found)


def _name(exported: Dashboard, plan: MonitoringPlan, given: str | None) -> str:
    names = {made["uid"]: name for name, made in dashboards(plan).items()}
    name = given or names.get(exported.get("uid"))
    if name is None or name not in names.values():
        raise ToolchainError(
            f"uid {exported.get('uid')} is no dashboard of {plan.stack}: give --name, one of "
            f"{', '.join(sorted(names.values()))}"
        )
    return name


def _exported(path: Path) -> Dashboard:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ToolchainError(
            f"{path} cannot be read as JSON: {getattr(error, 'strerror', None) or error}"
        ) from None
    exported = mapping(found)
    shown = [mapping(panel) for panel in items(exported.get("panels"))]
    if not shown or not all({"id", "gridPos"} <= set(panel) for panel in shown):
        raise ToolchainError(
            f"{path} is no dashboard with panels: in Grafana choose Export as JSON, with the model Classic"
        )
    return exported


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file. ToolchainError for an export that is no dashboard of the stack, and for wrong settings."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.dashboards", description=__doc__)
    parser.add_argument("stack")
    parser.add_argument("export", type=Path, help="JSON model of Grafana, in its classic form")
    parser.add_argument(
        "--name", help="of the file, where the export has another uid than the stack's dashboard"
    )
    chosen = parser.parse_args(arguments)
    given, _ = settings_without_secrets(chosen.stack, *stack_texts(settings_file(chosen.stack)))
    plan = setup.plan(scrapes.with_numbers(given), chosen.stack)
    exported = _exported(chosen.export)
    name = _name(exported, plan, chosen.name)
    path = FOLDER / f"{name}.json"
    path.write_text(written(put_back(name, exported, plan)), encoding="utf-8")
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    exit_with(main)

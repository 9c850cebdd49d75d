"""promtool: every expression of a panel is one, and shows something where all is well."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.monitoring.dashboard_files import dashboards, panels
from components.monitoring.plan import MonitoringPlan
from components.monitoring.rule_files import rule_body
from tests.monitoring.promtool import check
from tests.monitoring.worlds import DOCKER, PLANS, World, healthy


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_promtool_takes_every_expression_of_a_panel(plan: MonitoringPlan, tmp_path: Path) -> None:
    rules = [
        {
            "record": f"panel:{name.replace('-', '_')}:{panel['id']}",
            "expr": target["expr"],
            "labels": {"query": target["refId"]},
        }
        for name, dashboard in dashboards(plan).items()
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]
    assert rules
    check(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), tmp_path)


SILENT_WHEN_WELL = {
    "Jobs that wait", "Jobs that fail", "Jobs at work", "Jobs in paused queues", "Jobs for later",
    "Days until full",
}  # fmt: skip
"""Panels that show something only when there is something."""


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_overview_shows_something_when_all_is_well(plan: MonitoringPlan, tmp_path: Path) -> None:
    asked = [
        target["expr"]
        for panel in panels(dashboards(plan)["overview"])
        if panel["title"] not in SILENT_WHEN_WELL
        for target in panel["targets"]
    ]
    # What is absent has the value 1 here: then promtool says so.
    tests = [{"expr": f"absent({expr})", "eval_time": "90m", "exp_samples": []} for expr in asked]
    _ask(tests, plan, healthy(plan), tmp_path)


def test_days_until_a_volume_is_full_are_told_once_it_is_known_for_an_hour(tmp_path: Path) -> None:
    (days,) = [
        panel for panel in panels(dashboards(DOCKER)["overview"]) if panel["title"] == "Days until full"
    ]
    world = healthy(DOCKER)
    # 144e9 bytes in a day, of which 300e9 are left after 90 minutes.
    world["free-photos"] = (world["free-photos"][0], "309e9-1e8x{n}")
    expr = f"sum by (volume) (round({days['targets'][0]['expr']}, 0.1))"
    told = {"labels": '{volume="/srv/photos"}', "value": 2.1}
    tests = [
        {"expr": expr, "eval_time": "45m", "exp_samples": []},
        {"expr": expr, "eval_time": "90m", "exp_samples": [told]},
    ]
    _ask(tests, DOCKER, world, tmp_path)


def _ask(tests: list[dict[str, Any]], plan: MonitoringPlan, world: World, directory: Path) -> None:
    """promtool's tests of expressions in a world, with what our rules record of it."""
    body = rule_body(plan)
    (directory / "rules.yml").write_text(json.dumps(body), encoding="utf-8")
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": [group["name"] for group in body["groups"]],
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": series, "values": values.format(n=92, s=60)}
                    for series, values in world.values()
                ],
                "promql_expr_test": tests,
            }
        ],
    }
    (directory / "test.yml").write_text(json.dumps(test), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "test", "rules", directory / "test.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

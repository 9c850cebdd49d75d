"""promtool: every expression of a panel is one, and shows something where all is well."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from components.monitoring.alerts import rule_body
from components.monitoring.dashboards import dashboards
from components.monitoring.plan import MonitoringPlan
from tests.monitoring.promtool import check
from tests.monitoring.worlds import PLANS, healthy


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_promtool_takes_every_expression_of_a_panel(plan: MonitoringPlan, tmp_path: Path) -> None:
    rules = [
        {
            "record": f"panel:{dashboard.name.replace('-', '_')}:{index}",
            "expr": query.expr,
            "labels": {"query": str(at)},
        }
        for dashboard in dashboards(plan)
        for index, panel in enumerate(dashboard.panels)
        for at, query in enumerate(panel.queries)
    ]
    assert rules
    check(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), tmp_path)


SILENT_WHEN_WELL = {
    "Jobs that wait", "Jobs that fail", "Jobs at work", "Jobs in paused queues", "Jobs for later",
    "Failed jobs that are kept", "Days until full",
}  # fmt: skip
"""Panels that show something only when there is something."""


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_overview_shows_something_when_all_is_well(plan: MonitoringPlan, tmp_path: Path) -> None:
    (overview,) = [dashboard for dashboard in dashboards(plan) if dashboard.name == "overview"]
    body = rule_body(plan)
    (tmp_path / "rules.yml").write_text(json.dumps(body), encoding="utf-8")
    asked = [
        (panel.title, query.expr)
        for panel in overview.panels
        if panel.title not in SILENT_WHEN_WELL
        for query in panel.queries
    ]
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "group_eval_order": [group["name"] for group in body["groups"]],
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": series, "values": values.format(n=92, s=60)}
                    for series, values in healthy(plan).values()
                ],
                # What is absent has the value 1 here: then promtool says so.
                "promql_expr_test": [
                    {"expr": f"absent({expr})", "eval_time": "90m", "exp_samples": []} for _, expr in asked
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(json.dumps(test), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

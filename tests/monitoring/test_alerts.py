"""promtool: every rule is one, every alert rings when it should, and not when something else is near."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pytest
from _pytest.mark.structures import ParameterSet

from components.monitoring.plan import SOURCES, MonitoringPlan, Source
from components.monitoring.rule_files import FOLDER, alerts, rule_file
from tests.monitoring.promtool import check, ringing
from tests.monitoring.scenarios import DATA, QUEUES, SERVER, Scenario
from tests.monitoring.scenarios_around import BACKUP, EDGE, HOST
from tests.monitoring.worlds import PLANS

ALL = (*SERVER, *QUEUES, *DATA, *EDGE, *HOST, *BACKUP)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_promtool_takes_a_file_as_it_stands(file: Path, tmp_path: Path) -> None:
    check(file.read_text(encoding="utf-8"), tmp_path)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_promtool_takes_every_rule(plan: MonitoringPlan, tmp_path: Path) -> None:
    check(rule_file(plan), tmp_path)


@pytest.mark.parametrize("platform", ["kubernetes", "docker"])
@pytest.mark.parametrize("source", sorted(SOURCES))
def test_promtool_takes_the_rules_of_one_source_alone(
    platform: Literal["kubernetes", "docker"], source: Source, tmp_path: Path
) -> None:
    plan = MonitoringPlan(stack="one", platform=platform, sources=frozenset({source}), drill_days=7)
    check(rule_file(plan), tmp_path)


def test_every_alert_has_something_that_makes_it_ring_and_something_that_does_not() -> None:
    asked = {(scenario.alert, scenario.plan.platform) for scenario in ALL}
    named = {alert for alert, _ in asked}
    for plan in PLANS.values():
        assert {alert.name for alert in alerts(plan)} - named == set()
    assert all(scenario.fires != scenario.quiet or scenario.alert in _BY_PLAN for scenario in ALL)


_BY_PLAN = {"ImmichServiceTokenExpires"}
"""Those that a constant of the plan decides: see the test of its own."""


def _cases(scenarios: Iterable[Scenario]) -> list[ParameterSet]:
    """Those of a cluster are for the deep run where there is one of a host: the rules differ by labels alone."""
    chosen = list(scenarios)
    on_hosts = {scenario.alert for scenario in chosen if scenario.plan.platform == "docker"}
    return [
        pytest.param(
            scenario,
            id=scenario.title,
            marks=pytest.mark.deep
            if scenario.plan.platform == "kubernetes" and scenario.alert in on_hosts
            else (),
        )
        for scenario in chosen
    ]


@pytest.mark.parametrize("scenario", _cases(ALL))
def test_it_rings(scenario: Scenario, tmp_path: Path) -> None:
    rung = ringing(
        scenario.plan, scenario.world(scenario.fires), tmp_path, at=scenario.at, step=scenario.step
    )
    assert {alert.name for alert in rung} == {scenario.alert, *scenario.also}
    own = [alert for alert in rung if alert.name == scenario.alert]
    assert any(scenario.says in alert.annotations["summary"] for alert in own), own
    for alert in rung:
        assert alert.labels["stack"] == scenario.plan.stack
        for text in alert.annotations.values():
            assert "<no value>" not in text
            assert "error expanding" not in text
            assert "{{" not in text


@pytest.mark.parametrize("scenario", _cases(item for item in ALL if item.alert not in _BY_PLAN))
def test_it_does_not_ring_for_what_is_near(scenario: Scenario, tmp_path: Path) -> None:
    rung = ringing(
        scenario.plan, scenario.world(scenario.quiet), tmp_path, at=scenario.at, step=scenario.step
    )
    assert {alert.name for alert in rung} <= scenario.also

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.monitoring.alerts import alerts, rule_body, rule_file
from components.monitoring.alerts_records import records
from components.monitoring.plan import SOURCES, MonitoringPlan, Source, Thresholds
from toolchain import alerts_reference

FULL = alerts_reference.plans()


@pytest.mark.parametrize("plan", FULL, ids=lambda plan: plan.platform)
@pytest.mark.parametrize("source", sorted(SOURCES))
def test_without_a_source_nothing_that_needs_it_is_there(plan: MonitoringPlan, source: Source) -> None:
    less = replace(plan, sources=plan.sources - {source})
    assert all(source not in alert.needs for alert in alerts(less))
    assert all(source not in record.needs for record in records(less))


def test_without_sources_there_are_no_rules() -> None:
    nothing = MonitoringPlan(stack="s", platform="docker", sources=frozenset(), immich_version="3.3.1")
    assert rule_body(nothing) == {"groups": []}


@given(sources=st.sets(st.sampled_from(sorted(SOURCES))), index=st.integers(0, 1))
def test_an_alert_never_asks_for_a_series_that_no_rule_records(sources: set[Source], index: int) -> None:
    plan = replace(FULL[index], sources=frozenset(sources))
    recorded = {record.name for record in records(plan)}
    for alert in alerts(plan):
        asked = set(re.findall(r"immich:[a-z_0-9]+:[a-z_0-9]+", alert.expr))
        # A GPU that idles is one of another source than the queues.
        assert asked <= recorded, alert.name


@pytest.mark.parametrize("plan", FULL, ids=lambda plan: plan.platform)
def test_every_alert_says_what_to_do_and_where_to_read_on(plan: MonitoringPlan) -> None:
    for group in rule_body(plan)["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["labels"]["severity"] in {"critical", "warning", "info"}
                assert rule["labels"]["stack"] == plan.stack
                assert len(rule["annotations"]["description"]) > 40, rule["alert"]
                assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"


@pytest.mark.parametrize("plan", FULL, ids=lambda plan: plan.platform)
def test_no_two_rules_are_the_same_but_for_their_expression(plan: MonitoringPlan) -> None:
    seen = [
        (rule.get("alert") or rule["record"], tuple(sorted(rule["labels"].items())))
        for group in rule_body(plan)["groups"]
        for rule in group["rules"]
    ]
    assert len(seen) == len(set(seen))


def test_the_file_says_the_same_as_the_object() -> None:
    assert yaml.safe_load(rule_file(FULL[0])) == rule_body(FULL[0])


def test_thresholds_are_those_of_the_plan() -> None:
    plan = replace(
        FULL[1],
        thresholds=Thresholds(storage_percent=70, machine_learning_queue=5, down="9m", gpu_celsius=77),
    )
    found = {alert.name: alert for alert in alerts(plan)}
    assert "> 0.7" in found["ImmichStorageFilling"].expr
    assert "> 5 " in found["ImmichMachineLearningBacklog"].expr
    assert found["ImmichDown"].for_ == "9m"
    assert "> 77" in found["ImmichGpuHot"].expr


def test_one_connector_is_enough_where_one_is_wanted_and_none_is_asked_for_without_a_tunnel() -> None:
    def found(connectors: int) -> list[str]:
        plan = replace(FULL[0], tunnel_connectors=connectors)
        return [alert.expr for alert in alerts(plan) if alert.name == "ImmichTunnelConnectors"]

    assert [expr[-3:] for expr in found(4)] == ["< 2"]
    assert [expr[-3:] for expr in found(1)] == ["< 1"]
    assert found(0) == []


def test_a_single_instance_has_no_replicas_to_miss() -> None:
    names = {alert.name for alert in alerts(replace(FULL[0], instances=1))}
    assert names.isdisjoint({"ImmichReplicaMissing", "ImmichReplicationLag"})


def test_the_page_of_alerts_is_that_of_the_table() -> None:
    assert alerts_reference.PATH.read_text(encoding="utf-8") == alerts_reference.document(), (
        "run `python -m toolchain.alerts_reference`"
    )


def test_the_page_has_a_section_for_every_alert() -> None:
    page = alerts_reference.document()
    for plan in FULL:
        for alert in alerts(plan):
            assert f"\n### {alert.name}\n" in page
    assert "{{" not in page

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.monitoring.metric_names import QUEUES
from components.monitoring.placeholders import values
from components.monitoring.plan import SOURCES, MonitoringPlan, Source, Thresholds
from components.monitoring.rule_files import FOLDER, alerts, fits, rule_body, rule_file, rules
from toolchain import alerts_reference

FULL = alerts_reference.plans()


FILES = [
    (file.stem, group, rule)
    for file in sorted(FOLDER.glob("*.yaml"))
    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]


@pytest.mark.parametrize(("needs", "given"), [("immich", True), ("traefik", False), ("not traefik and immich", True),
                                              ("immich and traefik", False), ("traefik or immich and not node", True),
                                              ("immich and traefik or node", False), ("cluster", False)])  # fmt: skip
def test_what_a_group_needs_is_read_as_words(needs: str, given: bool) -> None:
    plan = MonitoringPlan(stack="s", platform="docker", sources=frozenset({"immich"}))
    assert fits(needs, plan) is given


def test_a_group_needs_nothing_that_no_deployment_could_have() -> None:
    known = SOURCES.union(*(plan.facts for plan in FULL))
    for _, group, _ in FILES:
        assert set(re.split(r" and | or |not ", group["labels"]["needs"])) - {""} <= known, group["name"]


def test_every_rule_is_for_some_deployment() -> None:
    uncounted = replace(FULL[1], sources=FULL[1].sources - {"access-log", "traefik"})
    plans = (*FULL, replace(FULL[1], sources=FULL[1].sources - {"access-log"}), uncounted)
    for part, group, rule in FILES:
        name = rule.get("alert") or rule["record"]
        found = [one for plan in plans for one in rules(plan) if one.part == part and one.name == name]
        assert group["labels"]["needs"] in {one.needs for one in found}, (group["name"], name)


def test_no_placeholder_is_left_and_each_is_used() -> None:
    given = {*values(FULL[0]), "QUEUE", "QUEUE_JOBS", "QUEUE_METRIC", "EXPORTER", "BACKUP", "BACKUP_SECONDS", "TOKEN",
             "TOKEN_ENDS"}  # fmt: skip
    for plan in FULL:
        assert not given & set(re.findall(r"[A-Z][A-Z_]+[A-Z]", rule_file(plan)))
    files = [file for folder in ("alerts", "dashboards") for file in (FOLDER.parent / folder).iterdir()]
    written = "".join(file.read_text(encoding="utf-8") for file in files)
    assert given <= set(re.findall(r"(?<![A-Z])[A-Z][A-Z_]*[A-Z](?![A-Z])", written))


def test_every_queue_has_its_series() -> None:
    found = [(rule.name, rule.body["labels"].get("queue")) for rule in rules(FULL[0])]
    for queue in QUEUES:
        for what in ("finished", "failed", "active"):
            assert found.count((f"immich:queue_{what}:sum", queue.name)) == 1


def test_an_expression_names_only_queues_that_there_are() -> None:
    asked = {
        name
        for rule in rules(FULL[0])
        for matcher in re.findall(r'queue[=!]~"([^"]+)"', rule.expr)
        for name in matcher.split("|")
    }
    assert {"metadataExtraction", "smartSearch"} <= asked <= {queue.name for queue in QUEUES} | {"search"}


def test_a_selector_has_the_namespace_and_the_names_of_jobs_of_the_deployment() -> None:
    plan = replace(FULL[0], jobs={**FULL[0].jobs, "postgres": "pg", "api": "photos"}, namespace="here")
    found = {alert.name: alert.expr for alert in alerts(plan)}
    assert found["ImmichDown"] == (
        'max(up{namespace="here",job="photos"}) == 0 or absent(up{namespace="here",job="photos"})'
    )
    assert 'up{namespace="here",job=~"pg|immich-valkey|' in found["ImmichExporterDown"]
    assert 'reason{namespace="here",reason="OOMKilled"}' in found["ImmichOutOfMemory"]
    assert 'cnpg_collector_up{namespace="immich"}' in found["ImmichDatabaseDown"]
    alone = {alert.name: alert.expr for alert in alerts(replace(plan, namespace="", database_namespace=""))}
    assert alone["ImmichDown"] == 'max(up{job="photos"}) == 0 or absent(up{job="photos"})'
    assert alone["ImmichDatabaseDown"] == "max(cnpg_collector_up) == 0 or absent(cnpg_collector_up)"


@pytest.mark.parametrize("plan", FULL, ids=lambda plan: plan.platform)
@pytest.mark.parametrize("source", sorted(SOURCES))
def test_without_a_source_nothing_that_needs_it_is_there(plan: MonitoringPlan, source: Source) -> None:
    less = replace(plan, sources=plan.sources - {source})
    assert all(source not in rule.needs.split(" and ") for rule in rules(less) if " or " not in rule.needs)


def test_without_sources_there_are_no_rules() -> None:
    nothing = MonitoringPlan(stack="s", platform="docker", sources=frozenset())
    assert rule_body(nothing) == {"groups": []}


@given(sources=st.sets(st.sampled_from(sorted(SOURCES))), index=st.integers(0, 1))
def test_an_alert_never_asks_for_a_series_that_no_rule_records(sources: set[Source], index: int) -> None:
    plan = replace(FULL[index], sources=frozenset(sources))
    recorded = {rule.name for rule in rules(plan)}
    for alert in alerts(plan):
        asked = set(re.findall(r"immich:[a-z_0-9]+:[a-z_0-9]+", alert.expr))
        # A deployment without an exporter of its own waits for none.
        assert asked - {"immich:scrape_job:wanted"} <= recorded, alert.name


@pytest.mark.parametrize(("part", "group", "rule"), FILES)
def test_an_alert_has_a_name_in_capitals_and_one_of_three_severities(
    part: str, group: dict[str, Any], rule: dict[str, Any]
) -> None:
    if "alert" in rule:
        assert re.fullmatch(r"Immich[A-Z][A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}


@pytest.mark.parametrize("plan", FULL, ids=lambda plan: plan.platform)
def test_every_alert_says_what_to_do_and_where_to_read_on(plan: MonitoringPlan) -> None:
    for group in rule_body(plan)["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
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
    assert {name for name, alert in found.items() if alert.body["for"] == "9m"} == {
        "ImmichDown", "ImmichMicroservicesDown", "ImmichDatabaseDown", "ImmichCacheDown", "ImmichDoorDown",
        "ImmichProxyDown",
    }  # fmt: skip
    assert "for 9m:" in found["ImmichDown"].body["annotations"]["description"]
    assert found["ImmichBackupNever"].body["for"] == "26h"
    assert "> 77" in found["ImmichGpuHot"].expr


def test_one_connector_is_enough_where_one_is_wanted_and_none_is_asked_for_without_a_tunnel() -> None:
    def found(connectors: int) -> list[str]:
        plan = replace(FULL[0], tunnel_connectors=connectors)
        return [alert.expr for alert in alerts(plan) if alert.name == "ImmichTunnelConnectors"]

    assert [expr[-3:] for expr in found(4)] == ["< 2"]
    assert [expr[-3:] for expr in found(1)] == ["< 1"]
    untunnelled = replace(FULL[0], sources=FULL[0].sources - {"cloudflared"})
    assert "ImmichTunnelConnectors" not in {alert.name for alert in alerts(untunnelled)}


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

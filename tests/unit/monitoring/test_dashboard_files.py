from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.dashboard_picture import told
from bench.dashboard_picture import written as picture_text
from components.monitoring.dashboard_files import FOLDER, Dashboard, dashboard_files, dashboards, panels
from components.monitoring.metric_names import FAMILIES
from components.monitoring.plan import SOURCES, MonitoringPlan, Source, Thresholds
from components.monitoring.rule_files import alerts, rules
from toolchain import alerts_reference
from toolchain.dashboards import main as put_back_command
from toolchain.dashboards import put_back, written
from toolchain.failure import ToolchainError

PROD, HOME = alerts_reference.plans()
FULL = (PROD, HOME, replace(HOME, stack="uncounted", sources=HOME.sources - {"access-log", "traefik"}))
EVERY = [(plan, name, dashboard) for plan in FULL for name, dashboard in dashboards(plan).items()]
IDS = [f"{plan.stack}-{name}" for plan, name, _ in EVERY]


def titled(plan: MonitoringPlan, title: str, name: str = "overview") -> dict[str, Any]:
    (found,) = [panel for panel in panels(dashboards(plan)[name]) if panel["title"] == title]
    return found


def steps(panel: dict[str, Any]) -> list[Any]:
    return [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]


def test_where_nobody_counts_requests_by_status_nginx_tells_how_many_there_are() -> None:
    uncounted = FULL[-1]
    (recorded,) = [rule for rule in rules(uncounted) if rule.name == "immich:http_requests:rate5m"]
    assert recorded.expr == 'sum(rate(nginx_http_requests_total{job="immich-nginx"}[5m]))'
    assert titled(uncounted, "Requests")["targets"]
    titles = {panel["title"] for one in dashboards(uncounted).values() for panel in panels(one)}
    assert "95 % of the answers took at most" not in titles
    assert {"ImmichServerErrors", "ImmichSlowNow", "ImmichUploadErrors"}.isdisjoint(
        alert.name for alert in alerts(uncounted)
    )


@pytest.mark.parametrize(("plan", "name", "dashboard"), EVERY, ids=IDS)
def test_every_panel_has_a_unit_thresholds_words_and_a_link_to_what_to_do(
    plan: MonitoringPlan, name: str, dashboard: Dashboard
) -> None:
    known = {alert.name for alert in alerts(plan)}
    for panel in panels(dashboard):
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert len(steps(panel)) >= 2, panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for link in panel["links"]:
            alert = link["title"].removeprefix("What to do: ")
            assert alert in known, (panel["title"], alert)
            assert link["url"] == f"docs/alerts.md#{alert.lower()}"
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        # A number or bars are of now, a line is of a time.
        assert all(
            target.get("instant", False) != (panel["type"] == "timeseries") for target in panel["targets"]
        )


@pytest.mark.parametrize(("plan", "name", "dashboard"), EVERY, ids=IDS)
def test_panels_are_numbered_and_lie_beside_each_other(
    plan: MonitoringPlan, name: str, dashboard: Dashboard
) -> None:
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert sorted(set(numbers)) == sorted(numbers)
    assert 0 not in numbers
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


@pytest.mark.parametrize(("plan", "name", "dashboard"), EVERY, ids=IDS)
def test_a_row_has_panels_and_thresholds_ascend(
    plan: MonitoringPlan, name: str, dashboard: Dashboard
) -> None:
    kinds = [panel["type"] for panel in dashboard["panels"]]
    assert kinds[0] == "row" != kinds[-1]
    assert ("row", "row") not in pairwise(kinds)
    for panel in panels(dashboard):
        first, *values = steps(panel)
        assert first is None
        assert values == sorted(set(values)), panel["title"]


@given(sources=st.sets(st.sampled_from(sorted(SOURCES))), index=st.integers(0, 1))
def test_a_panel_asks_only_for_series_that_a_source_gives_or_a_rule_records(
    sources: set[Source], index: int
) -> None:
    plan = replace(FULL[index], sources=frozenset(sources))
    there = {name for source in sources for name in FAMILIES[source].names} | {
        rule.name for rule in rules(plan)
    }
    elsewhere = {name for family in FAMILIES.values() for name in family.names} - there
    for dashboard in dashboards(plan).values():
        assert panels(dashboard)
        for panel in panels(dashboard):
            assert panel["targets"]
            assert panel["links"]
            for target in panel["targets"]:
                asked = set(re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*", target["expr"]))
                assert asked & elsewhere == set()
                assert {name for name in asked if name.startswith("immich:")} <= there


def test_the_overview_answers_what_a_person_asks() -> None:
    assert [panel["title"] for panel in panels(dashboards(PROD)["overview"])] == [
        "Immich", "Background work", "Doors", "Alerts", "Version",
        "Uploads per hour", "Requests", "95 % of the answers took at most",
        "Jobs that wait", "Machine learning, 95 % took at most", "GPU, temperature", "GPU, use",
        "Used", "Days until full",
        "Age of the last backups", "Last runs", "Last proven restore",
    ]  # fmt: skip


def test_there_is_an_overview_and_one_dashboard_for_each_part() -> None:
    assert dashboards(PROD).keys() == {
        "overview", "server", "database", "cache", "proxy", "machine-learning", "backups",
    }  # fmt: skip
    assert dashboards(replace(PROD, sources=frozenset())) == {}


def test_what_a_deployment_has_not_is_not_on_its_dashboards() -> None:
    less = replace(PROD, instances=1, base_backup_age=0, drill_days=0, doors=False)
    titles = {panel["title"] for one in dashboards(less).values() for panel in panels(one)}
    there = {panel["title"] for one in dashboards(PROD).values() for panel in panels(one)}
    assert there - titles == {
        "Replication lag", "Replicas that follow", "Last base backup", "Last proven restore", "Doors", "Answer",
        "Time to answer", "Photos in the last proven restore", "Time of a restore",
    }  # fmt: skip


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: file.stem)
def test_every_panel_query_and_link_of_a_file_is_for_some_deployment(file: Path) -> None:
    def parts(panel: dict[str, Any]) -> set[tuple[int, str]]:
        told = (*(one["refId"] for one in panel["targets"]), *(one["title"] for one in panel["links"]))
        return {(panel["id"], part) for part in told}

    written_there = set[tuple[int, str]]().union(
        *map(parts, panels(json.loads(file.read_text(encoding="utf-8"))))
    )
    shown = [panel for plan in FULL for panel in panels(dashboards(plan)[file.stem])]
    assert written_there - set[tuple[int, str]]().union(*map(parts, shown)) == set()


def test_the_colours_of_a_panel_follow_the_thresholds_of_alerts() -> None:
    plan = replace(
        PROD,
        thresholds=Thresholds(storage_percent=70, gpu_celsius=60, machine_learning_queue=7),
        drill_days=10,
    )
    assert steps(titled(plan, "Used")) == [None, 0.7, 0.95]
    assert steps(titled(plan, "GPU, temperature")) == [None, 52.5, 60]
    assert steps(titled(plan, "Jobs that wait"))[1] == 7
    assert steps(titled(plan, "Last proven restore")) == [None, 0.8 * 864000, 864000]
    assert steps(titled(plan, "Replicas that follow", "database")) == [None, 2]
    assert steps(titled(plan, "95 % of the answers took at most")) == [None, 1.25, 2.5]


def test_any_prometheus_can_be_chosen_and_the_dashboards_lead_to_each_other() -> None:
    made = dashboards(PROD)["overview"]
    (variable,) = made["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    assert (made["uid"], made["title"]) == ("immich-prod-overview", "Immich prod: Overview")
    assert made["links"][0]["tags"] == made["tags"] == ["immich", "prod"]


def test_the_address_of_a_dashboard_has_at_most_forty_letters_and_stays_distinct() -> None:
    def uids(stack: str) -> set[str]:
        return {made["uid"] for made in dashboards(replace(PROD, stack=stack)).values()}

    assert {len(uid) for uid in uids("a" * 60)} == {40}
    assert len(uids("a" * 60) | uids("a" * 61)) == 2 * len(dashboards(PROD))


def test_a_dashboard_is_the_same_every_time() -> None:
    assert dashboard_files(PROD) == dashboard_files(PROD)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: file.stem)
def test_a_file_is_written_as_it_is_put_back(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert written(json.loads(text)) == text
    for plan in FULL:
        assert put_back(file.stem, dashboards(plan)[file.stem], plan) == json.loads(text)


def test_what_somebody_changed_in_grafana_is_put_back_with_placeholders_and_what_was_not_shown_stays() -> (
    None
):
    made = json.loads(dashboard_files(HOME)["database.json"])
    changed = next(panel for panel in made["panels"] if panel["title"] == "Photos and videos")
    changed["title"] = "Everything"
    changed["targets"].append(
        {"refId": "E", "expr": 'immich:assets:max{stack="home",kind="hidden"} + up{job="immich-api"}'}
    )
    place = {**changed["gridPos"], "y": 1000}
    made["panels"].append({**changed, "id": 99, "title": "New", "gridPos": place, "pluginVersion": "13.2.3"})
    made["version"] = 12
    back = put_back("database", made, HOME)
    before = json.loads((FOLDER / "database.json").read_text(encoding="utf-8"))
    titles = [panel["title"] for panel in before["panels"]]
    assert [panel["title"] for panel in back["panels"]] == [
        *("Everything" if title == "Photos and videos" else title for title in titles), "New",
    ]  # fmt: skip
    one = next(panel for panel in back["panels"] if panel["title"] == "Everything")
    assert (
        one["targets"][-1]["expr"] == 'immich:assets:max{stack="STACK",kind="hidden"} + up{job="immich-api"}'
    )
    assert back.keys() == before.keys()
    assert "pluginVersion" not in back["panels"][-1]
    assert [panel["gridPos"]["x"] for panel in back["panels"][-4:]] == [0, 8, 16, 0]  # a line is full


def test_a_selector_of_another_namespace_or_job_is_put_back_as_it_was_written() -> None:
    plan = replace(PROD, namespace="photos", database_namespace="databases", jobs={**PROD.jobs, "api": "web"})
    made = json.loads(dashboard_files(plan)["overview.json"])
    first = next(panel for panel in made["panels"] if panel["title"] == "Immich")
    assert first["targets"][0]["expr"] == 'max(up{namespace="photos",job="web"}) or vector(0)'
    first["targets"][0]["expr"] = (
        'min(up{namespace="photos",job="web"}) + sum(x{namespace="databases",a="b"})'
    )
    back = put_back("overview", made, plan)
    (one,) = [panel for panel in back["panels"] if panel["title"] == "Immich"]
    assert one["targets"][0]["expr"] == (
        'min(up{job="immich-api"}) + sum(x{namespace="DATABASE_NAMESPACE",a="b"})'
    )


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.853, "percentunit", "85%"), (90000, "s", "1.04 d"), (0.02, "s", "20 ms"), (0, "s", "0 s"), (5, "s", "5 s"),
        (3 * 1024**3, "bytes", "3 GiB"), (12345, "short", "12.3 k"), (0, "none", "0"), (81, "celsius", "81 °C"),
    ],
)  # fmt: skip
def test_values_are_written_for_people(value: float, unit: str, text: str) -> None:
    assert picture_text(value, unit) == text


def test_a_value_has_the_colour_of_the_last_threshold_that_it_reaches_and_the_word_for_it() -> None:
    panel = titled(PROD, "Used")
    assert [told(panel, value)[1] for value in (0.5, 0.85, 0.97)] == ["green", "orange", "red"]
    assert [told(titled(PROD, "Immich"), value) for value in (0, 1)] == [("down", "red"), ("up", "green")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not JSON", "cannot be read as JSON"),
        ("[]", "is no dashboard with panels"),
        ('{"dashboard": {"panels": []}}', "is no dashboard with panels"),
        (
            '{"uid": "theirs", "panels": [{"id": 1, "gridPos": {}}]}',
            "uid theirs is no dashboard of prod: give --name",
        ),
    ],
)
def test_an_export_that_is_none_of_the_stack_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "export.json").write_text(text)
    with pytest.raises(ToolchainError, match=said):
        put_back_command(["prod", str(tmp_path / "export.json")])


def test_a_stack_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="There is no stack 'nowhere'"):
        put_back_command(["nowhere", str(tmp_path / "export.json")])

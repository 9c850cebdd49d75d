from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.monitoring.alerts import alerts
from components.monitoring.dashboards import dashboards
from components.monitoring.dashboards_grafana import json_of, uid
from components.monitoring.dashboards_panel import Dashboard, Unit
from components.monitoring.metric_names import COUNTED
from components.monitoring.plan import SOURCES, MonitoringPlan, Source
from toolchain import alerts_reference
from toolchain.overview_picture import colour_of, plan_of, written
from toolchain.paths import ROOT

PROD, HOME = alerts_reference.plans()
FULL = (PROD, HOME, replace(HOME, stack="uncounted", sources=HOME.sources - COUNTED))
EVERY = [(plan, dashboard) for plan in FULL for dashboard in dashboards(plan)]
IDS = [f"{plan.stack}-{dashboard.name}" for plan, dashboard in EVERY]


def read(plan: MonitoringPlan, name: str) -> dict[str, Any]:
    (dashboard,) = [one for one in dashboards(plan) if one.name == name]
    return json.loads(json_of(dashboard, plan))


def test_where_nobody_counts_requests_by_status_nginx_tells_how_many_there_are() -> None:
    uncounted = FULL[-1]
    found = {panel.title: panel for one in dashboards(uncounted) for panel in one.panels}
    assert [query.expr for query in found["Requests"].queries] == [
        'sum(rate(nginx_http_requests_total{job="immich-nginx"}[5m]))'
    ]
    assert "95 % of the answers took at most" not in found
    assert {"ImmichServerErrors", "ImmichSlowNow", "ImmichUploadErrors"}.isdisjoint(
        alert.name for alert in alerts(uncounted)
    )


@pytest.mark.parametrize(("plan", "dashboard"), EVERY, ids=IDS)
def test_every_panel_has_a_unit_thresholds_words_and_a_link_to_what_to_do(
    plan: MonitoringPlan, dashboard: Dashboard
) -> None:
    made = json.loads(json_of(dashboard, plan))
    panels = [panel for panel in made["panels"] if panel["type"] != "row"]
    assert len(panels) == len(dashboard.panels)
    known = {alert.name for alert in alerts(plan)}
    for panel, wanted in zip(panels, dashboard.panels, strict=True):
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"] == wanted.unit
        assert len(defaults["thresholds"]["steps"]) == 1 + len(wanted.thresholds) >= 2, wanted.title
        assert panel["description"]
        assert wanted.alert in known, (wanted.title, wanted.alert)
        assert panel["links"][0]["url"] == f"docs/alerts.md#{wanted.alert.lower()}"
        assert [target["expr"] for target in panel["targets"]] == [query.expr for query in wanted.queries]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize(("plan", "dashboard"), EVERY, ids=IDS)
def test_panels_are_numbered_and_lie_beside_each_other(plan: MonitoringPlan, dashboard: Dashboard) -> None:
    panels = json.loads(json_of(dashboard, plan))["panels"]
    numbers = [panel["id"] for panel in panels]
    assert sorted(set(numbers)) == sorted(numbers)
    assert 0 not in numbers
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)


@pytest.mark.parametrize(("plan", "dashboard"), EVERY, ids=IDS)
def test_thresholds_ascend(plan: MonitoringPlan, dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        values = [value for value, _ in panel.thresholds]
        assert values == sorted(set(values)), panel.title


@given(sources=st.sets(st.sampled_from(sorted(SOURCES))), index=st.integers(0, 1))
def test_a_panel_is_there_only_with_its_sources_and_names_an_alert_of_the_page(
    sources: set[Source], index: int
) -> None:
    plan = replace(FULL[index], sources=frozenset(sources))
    page = {alert.name for every in FULL for alert in alerts(every)}
    for dashboard in dashboards(plan):
        assert dashboard.panels
        for panel in dashboard.panels:
            assert panel.needs <= plan.sources
            assert panel.alert in page


def test_the_overview_answers_what_a_person_asks() -> None:
    (overview,) = [one for one in dashboards(FULL[0]) if one.name == "overview"]
    assert [panel.title for panel in overview.panels] == [
        "Immich", "Background work", "Doors", "Alerts", "Version",
        "Uploads per hour", "Requests", "95 % of the answers took at most",
        "Jobs that wait", "Machine learning, 95 % took at most", "GPU, temperature", "GPU, use",
        "Used", "Days until full",
        "Age of the last backups", "Last runs", "Last proven restore",
    ]  # fmt: skip


def test_there_is_an_overview_and_one_dashboard_for_each_part() -> None:
    assert [dashboard.name for dashboard in dashboards(FULL[0])] == [
        "overview", "server", "database", "cache", "proxy", "machine-learning", "backups",
    ]  # fmt: skip


def test_any_prometheus_can_be_chosen_and_the_dashboards_lead_to_each_other() -> None:
    made = read(FULL[0], "overview")
    (variable,) = made["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    assert made["uid"] == "immich-prod-overview"
    assert made["links"][0]["tags"] == made["tags"] == ["immich", "prod"]


def test_the_address_of_a_dashboard_has_at_most_forty_letters_and_stays_distinct() -> None:
    long = replace(FULL[0], stack="a" * 60)
    assert len(uid(long, "overview")) == 40
    assert uid(long, "overview") != uid(long, "server") != uid(replace(FULL[0], stack="a" * 61), "server")


def test_a_dashboard_is_the_same_every_time() -> None:
    (overview, *_) = dashboards(FULL[0])
    assert json_of(overview, FULL[0]) == json_of(overview, FULL[0])


def test_a_stack_without_dashboards_does_not_pay_for_the_library() -> None:
    asked = (
        "import sys, components.monitoring.alerts, components.monitoring.dashboards; "
        "print('grafana_foundation_sdk' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert told.strip() == "False"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.853, "percentunit", "85%"), (90000, "s", "1.04 d"), (0.02, "s", "20 ms"), (0, "s", "0 s"), (5, "s", "5 s"),
        (3 * 1024**3, "bytes", "3 GiB"), (12345, "short", "12.3 k"), (0, "none", "0"), (81, "celsius", "81 °C"),
    ],
)  # fmt: skip
def test_values_are_written_for_people(value: float, unit: Unit, text: str) -> None:
    assert written(value, unit) == text


def test_a_value_has_the_colour_of_the_last_threshold_that_it_reaches() -> None:
    (overview, *_) = dashboards(FULL[0])
    (panel,) = [panel for panel in overview.panels if panel.title == "Used"]
    assert [colour_of(panel, value) for value in (0.5, 0.85, 0.97)] == ["green", "orange", "red"]


def test_a_plan_can_be_read_from_a_file() -> None:
    text = '{"stack": "home", "platform": "docker", "sources": ["immich"], "immich_version": "3.3.1"}'
    assert plan_of(text).sources == frozenset({"immich"})

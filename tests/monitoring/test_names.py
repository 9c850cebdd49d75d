"""Every name in a rule or a panel is pinned, or recorded by a rule."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from components.monitoring.alerts import alerts
from components.monitoring.alerts_records import records
from components.monitoring.dashboards import dashboards
from components.monitoring.metric_names import COUNTED, FAMILIES, OF_PROMETHEUS
from components.monitoring.plan import MonitoringPlan, Source
from tests.monitoring.promql import names
from tests.monitoring.worlds import DOCKER, KUBERNETES, PLANS


def _known(sources: frozenset[Source]) -> tuple[set[str], list[re.Pattern[str]]]:
    families = [family for source, family in FAMILIES.items() if source in sources]
    return (
        {name for family in families for name in family.names} | OF_PROMETHEUS,
        [re.compile(pattern) for family in families for pattern in family.patterns],
    )


def _unknown(expr: str, plan: MonitoringPlan, sources: frozenset[Source]) -> set[str]:
    pinned, patterns = _known(sources)
    recorded = {record.name for record in records(plan)}
    return {
        name
        for name in names(expr) - pinned - recorded
        if name.removeprefix(plan.library_prefix) not in FAMILIES["library"].names or "library" not in sources
        if not any(pattern.fullmatch(name) for pattern in patterns)
    }


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_recorded_series_asks_only_for_what_its_sources_give(plan: MonitoringPlan) -> None:
    for record in records(plan):
        assert _unknown(record.expr, plan, record.needs) == set(), record.name


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_an_alert_asks_only_for_what_its_sources_give(plan: MonitoringPlan) -> None:
    for alert in alerts(plan):
        assert _unknown(alert.expr, plan, alert.needs | alert.any_of) == set(), alert.name


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_panel_asks_only_for_what_its_sources_give(plan: MonitoringPlan) -> None:
    for dashboard in dashboards(plan):
        for panel in dashboard.panels:
            for query in panel.queries:
                assert _unknown(query.expr, plan, panel.needs | panel.any_of) == set(), panel.title


def test_every_pinned_name_is_used() -> None:
    plans = [*PLANS.values(), replace(DOCKER, sources=DOCKER.sources - COUNTED)]
    used = {
        name
        for plan in plans
        for expr in (
            *(record.expr for record in records(plan)),
            *(alert.expr for alert in alerts(plan)),
            *(query.expr for board in dashboards(plan) for panel in board.panels for query in panel.queries),
        )
        for name in names(expr)
    }
    used |= {name.removeprefix(KUBERNETES.library_prefix) for name in used}
    assert {name for family in FAMILIES.values() for name in family.names} - used == set()


@pytest.mark.parametrize(
    ("expr", "asked"),
    [
        (
            'sum by (a, b) (rate(one_total{job="x",le=~"1([.]0)?"}[5m])) / 2e3 > on (q) group_left (z) two',
            {"one_total", "two"},
        ),
        ('max(a:b:c{stack="s"} offset 5m) or vector(0) unless absent(up)', {"a:b:c", "up"}),
        (
            'sum({__name__=~"j_(a|b.*)_(ok|bad)_total",job="m"})',
            {"j_a_ok_total", "j_a_bad_total", "j_bx_ok_total", "j_bx_bad_total"},
        ),
        ("a:b:p95_5m > 30m", {"a:b:p95_5m"}),
        ("changes(x[30m]) == 0 and time() - y < 86400", {"x", "y"}),
    ],
)
def test_the_names_of_an_expression_are_found(expr: str, asked: set[str]) -> None:
    assert names(expr) == asked

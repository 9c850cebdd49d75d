"""Every name in a rule or a panel is pinned, or recorded by a rule."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from components.monitoring.dashboard_files import dashboards, panels
from components.monitoring.metric_names import FAMILIES, OF_PROMETHEUS
from components.monitoring.plan import SOURCES, MonitoringPlan, Source
from components.monitoring.rule_files import Rule, rules
from tests.monitoring.promql import names
from tests.monitoring.worlds import DOCKER, PLANS


def _unknown(expr: str, plan: MonitoringPlan, sources: frozenset[Source]) -> set[str]:
    families = [FAMILIES[source] for source in sources]
    pinned = {name for family in families for name in family.names} | OF_PROMETHEUS
    if "cloudnative-pg" in sources:
        counted = FAMILIES["library"].names
        pinned = pinned - counted | {f"cnpg_{name}" for name in counted}
    patterns = [pattern for family in families for pattern in family.patterns]
    recorded = {rule.name for rule in rules(plan) if "record" in rule.body}
    return {
        name
        for name in names(expr) - pinned - recorded
        if not any(re.fullmatch(pattern, name) for pattern in patterns)
    }


def _needed(rule: Rule) -> frozenset[Source]:
    """Sources that its group names, those that must not be there apart."""
    wanted = re.sub(r"not [a-z-]+", "", rule.needs)
    return frozenset(source for source in SOURCES if re.search(rf"(?<![a-z-]){source}(?![a-z-])", wanted))


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_rule_asks_only_for_what_its_sources_give(plan: MonitoringPlan) -> None:
    for rule in rules(plan):
        # `doors` says that the exporter of that name asks doors, and a service token is known without a source.
        needed = _needed(rule) or frozenset[Source]({"blackbox"})
        assert _unknown(rule.expr, plan, needed) == set(), rule.name


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_panel_asks_only_for_what_its_sources_give(plan: MonitoringPlan) -> None:
    for dashboard in dashboards(plan).values():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                assert _unknown(target["expr"], plan, plan.sources) == set(), panel["title"]


def test_every_pinned_name_is_used() -> None:
    plans = [*PLANS.values(), replace(DOCKER, sources=DOCKER.sources - {"access-log", "traefik"})]
    used = {
        name
        for plan in plans
        for expr in (
            *(rule.expr for rule in rules(plan)),
            *(
                target["expr"]
                for board in dashboards(plan).values()
                for panel in panels(board)
                for target in panel["targets"]
            ),
        )
        for name in names(expr)
    }
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

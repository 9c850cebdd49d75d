"""The world of the tests has the names and labels that exporters give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.monitoring.plan import MonitoringPlan, Source
from tests.monitoring.processes import Sample
from tests.monitoring.promtool import ringing
from tests.monitoring.worlds import PLANS, healthy

TARGET = {"job", "instance", "namespace", "pod", "endpoint", "service", "door"}
"""Labels of the scrape, not of the exporter."""
OF_CNPG = "cnpg_"


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize(("at", "step"), [("90m", "1m"), pytest.param("4d", "30m", marks=pytest.mark.deep)])
def test_nothing_rings_when_all_is_well(plan: MonitoringPlan, at: str, step: str, tmp_path: Path) -> None:
    assert ringing(plan, healthy(plan), tmp_path, at=at, step=step) == []


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_labels_are_those_of_the_exporters(
    plan: MonitoringPlan, scraped: dict[Source, list[Sample]]
) -> None:
    real: dict[str, list[set[str]]] = {}
    for page in scraped.values():
        for sample in page:
            real.setdefault(sample.name, []).append(set(sample.labels))
    compared = 0
    for series, _ in healthy(plan).values():
        name, inner = series.split("{", 1)
        labels = set(re.findall(r'(\w+)="', inner)) - TARGET
        given = real.get(name.removeprefix(OF_CNPG))
        if given is None:
            continue
        compared += 1
        assert any(labels <= known for known in given), (series, given[:3])
    assert compared > 3

"""What a Prometheus operator is told, on a real API server: its schemas take it, and a change of it is a change."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.harness.kube import Kube
from tests.harness.manifests import apply_strict, changed_by_second_apply, remove
from tests.harness.objects import Manifest
from tests.unit.monitoring_component.stacks import OPERATED, objects

pytestmark = pytest.mark.cluster

KINDS = ("ServiceMonitor", "PodMonitor", "PrometheusRule")


def told(where: str) -> list[Manifest]:
    """Monitors and rules of a stack with operators, in a namespace of the test."""
    found = [copy.deepcopy(one) for kind in KINDS for one in objects(OPERATED, kind).values()]
    for one in found:
        one["metadata"]["namespace"] = where
    assert {one["kind"] for one in found} == set(KINDS)
    return found


def test_monitors_and_rules_are_accepted_strictly_and_a_second_time_change_nothing(kube: Kube) -> None:
    where = kube.new_namespace()
    documents = told(where)
    try:
        applied = apply_strict(kube.api, documents)
        assert applied.errors == ()
        assert applied.warnings == ()
        assert len(applied.contents) == len(documents)
        assert changed_by_second_apply(kube.api, documents, applied) == []
    finally:
        assert remove(kube.api, documents) == []


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("ServiceMonitor", ("spec", "endpoints", 0, "interval"), "half a minute"),
        ("ServiceMonitor", ("spec", "endpoints", 0, "relabelings", 0, "action"), "rename"),
        ("PodMonitor", ("spec", "podMetricsEndpoints", 0, "prot"), "metrics"),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0, "for"), "a while"),
    ],
)
def test_what_the_operator_would_not_understand_is_refused(
    kube: Kube, kind: str, path: tuple[str | int, ...], value: str
) -> None:
    where = kube.new_namespace()
    wrong = next(one for one in told(where) if one["kind"] == kind)
    *above, last = path
    here: Any = wrong
    for name in above:
        here = here[name]
    here[last] = value
    applied = apply_strict(kube.api, [wrong])
    assert applied.errors != ()

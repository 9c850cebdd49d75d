"""The annotation pulumi.com/waitFor as the offline kubernetes plugin reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from toolchain.offline.plugins.kubernetes.waitfor import evaluate, wait_conditions
from toolchain.offline.plugins.provider import ProviderError

pytestmark = pytest.mark.deep(unless_changed=("toolchain/offline/plugins",))

ITEM: dict[str, Any] = {
    "status": {
        "phase": "Running",
        "ready": 3,
        "conditions": [
            {"type": "Ready", "status": "True"},
            {"type": "Done", "status": "False", "message": "later"},
        ],
    }
}


def ready(expression: str, item: dict[str, Any] = ITEM) -> bool:
    annotated: dict[str, Any] = {**item, "metadata": {"annotations": {"pulumi.com/waitFor": expression}}}
    return all(check(annotated).ready for check in wait_conditions(annotated))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("condition=Ready", True),
        ("condition=ready=true", True),
        ("condition=Done", False),
        ("condition=Done=False", True),
        ("condition=Absent", False),
        ("jsonpath={.status.phase}=Running", True),
        ("jsonpath='{.status.phase}'=Failed", False),
        ("jsonpath={.status.ready}=3", True),
        ("jsonpath={.status.ready}", True),
        ("jsonpath={.status.absent}", False),
        ('jsonpath={.status.conditions[?(@.type=="Ready")].status}=True', True),
        ("jsonpath={.status.conditions[1].status}=False", True),
        (json.dumps(["condition=Ready", "jsonpath={.status.phase}=Running"]), True),
        (json.dumps(["condition=Ready", "condition=Done"]), False),
    ],
)
def test_conditions_and_json_paths_hold_or_not(expression: str, expected: bool) -> None:
    assert ready(expression) is expected


@pytest.mark.parametrize(
    "expression", ["Ready", "jsonpath=.status.phase", "jsonpath={.status..x}", "[]", '["x"]']
)
def test_an_expression_that_is_not_understood_is_named(expression: str) -> None:
    with pytest.raises(ProviderError, match=r"pulumi\.com/waitFor"):
        ready(expression)


def test_a_path_may_name_keys_with_dots_and_slashes() -> None:
    assert evaluate("['a.b/c'].d", {"a.b/c": {"d": 1}}) == [1]
    assert evaluate(".a[*].b", {"a": [{"b": 1}, {"b": 2}, {}]}) == [1, 2]


def test_no_annotation_means_nothing_to_wait_for() -> None:
    assert wait_conditions({"metadata": {}}) == []

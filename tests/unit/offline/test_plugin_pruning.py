"""What of a live object the offline kubernetes plugin compares with the program."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from toolchain.offline.plugins.kubernetes.ownership import take_over, with_ignored
from toolchain.offline.plugins.kubernetes.pruning import importable_inputs, prune, quantity
from toolchain.offline.plugins.values import Secret, reveal_object

pytestmark = pytest.mark.deep(unless_changed=("toolchain/offline/plugins",))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500m", Decimal("0.5")),
        ("0.5", Decimal("0.5")),
        ("1024Mi", Decimal(2**30)),
        ("1Gi", Decimal(2**30)),
        ("1e3", Decimal(1000)),
        ("1E", Decimal(10**18)),
        ("100M", Decimal(10**8)),
        (2, Decimal(2)),
        ("1 Gi", None),
        ("", None),
        ("abc", None),
        (True, None),
    ],
)
def test_quantities_are_read_as_kubernetes_reads_them(text: Any, number: Decimal | None) -> None:
    assert quantity(text) == number


def container(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c", **fields}]}}


def test_fields_that_the_program_does_not_mention_are_left_out() -> None:
    live: dict[str, Any] = {
        "metadata": {"name": "x", "uid": "u", "labels": {"a": "1", "b": "2"}},
        "spec": {"a": 1, "b": 2},
        "status": {},
    }
    assert prune(live, {"metadata": {"name": "x", "labels": {"a": "0"}}, "spec": {"b": 3}}) == {
        "metadata": {"name": "x", "labels": {"a": "1"}},
        "spec": {"b": 2},
    }


def test_an_equal_quantity_stays_as_the_program_wrote_it_and_a_different_one_shows() -> None:
    inputs = container(resources={"requests": {"cpu": "0.5", "memory": "1024Mi"}})
    live = container(resources={"requests": {"cpu": "500m", "memory": "2Gi"}})
    assert prune(live, inputs) == container(resources={"requests": {"cpu": "0.5", "memory": "2Gi"}})


def test_text_that_looks_like_a_quantity_is_not_one_elsewhere() -> None:
    assert prune({"data": {"a": "1Gi"}}, {"data": {"a": "1024Mi"}}) == {"data": {"a": "1Gi"}}


def test_an_empty_value_that_the_server_leaves_out_is_no_difference() -> None:
    inputs: dict[str, Any] = {"spec": {"readOnly": False, "empty": {}, "list": [], "text": "", "real": 1}}
    assert prune({"spec": {}}, inputs) == {"spec": {"readOnly": False, "empty": {}, "list": [], "text": ""}}


def test_a_container_added_by_someone_else_is_left_out() -> None:
    live: dict[str, Any] = {"spec": {"containers": [{"name": "sidecar"}, {"name": "c", "image": "i:2"}]}}
    assert prune(live, container(image="i:1")) == container(image="i:2")


def test_string_data_of_a_secret_is_read_back_from_its_data() -> None:
    inputs: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "stringData": Secret({"a": "old", "b": "gone"}),
    }
    live: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "data": {"a": "bmV3", "c": "eA=="}}
    pruned = prune(live, inputs)
    assert isinstance(pruned["stringData"], Secret)
    assert reveal_object(pruned)["stringData"] == {"a": "new"}


def test_an_import_leaves_out_what_only_the_server_sets() -> None:
    live: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "x",
            "uid": "u",
            "resourceVersion": "1",
            "creationTimestamp": "t",
            "managedFields": [],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        },
        "data": {"a": "MQ=="},
        "status": {"a": 1},
    }
    assert importable_inputs(live) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "x"},
        "data": Secret({"a": "MQ=="}),
    }


def managed(manager: str, operation: str, fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}


def test_fields_of_the_first_create_and_of_kubectl_are_taken_over_and_those_of_others_are_not() -> None:
    others = managed("controller", "Update", {"f:status": {}}, subresource="status")
    live: dict[str, Any] = {
        "metadata": {
            "resourceVersion": "7",
            "managedFields": [
                managed("pulumi-kubernetes", "Update", {"f:data": {"f:a": {}}}),
                managed("kubectl", "Update", {"f:data": {"f:b": {}}}),
                others,
            ],
        }
    }
    patch = take_over(live, "mine")
    assert patch[0]["value"] == [others, managed("mine", "Apply", {"f:data": {"f:a": {}, "f:b": {}}})]
    assert patch[1]["value"] == "7"
    assert take_over({"metadata": {"managedFields": [others]}}, "mine") == []


def test_an_ignored_field_of_someone_else_is_not_sent_and_one_of_ours_keeps_its_live_value() -> None:
    live: dict[str, Any] = {
        "metadata": {
            "managedFields": [
                managed("autoscaler", "Update", {"f:spec": {"f:replicas": {}}}),
                managed("mine", "Apply", {"f:spec": {"f:paused": {}}}),
            ]
        },
        "spec": {"replicas": 5, "paused": True},
    }
    inputs: dict[str, Any] = {"spec": {"replicas": 1, "paused": False, "other": 1}}
    assert with_ignored(inputs, live, ["spec.replicas", "spec.paused"], "mine") == {
        "spec": {"paused": True, "other": 1}
    }

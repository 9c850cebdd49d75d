"""Each check of rendered manifests is silent on a good set and speaks on exactly one thing made wrong in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.manifests import load_rendered
from tests.harness.objects import at, matches, title
from tests.harness.references import problems

FILES = Path(__file__).with_name("manifest_checks")
GOOD: dict[str, Any] = yaml.safe_load((FILES / "good.yaml").read_text(encoding="utf-8"))
FAULTS: list[dict[str, Any]] = yaml.safe_load((FILES / "faults.yaml").read_text(encoding="utf-8"))
PROVIDED: list[str] = GOOD["provided"]

Where = tuple[str | int, ...]
Change = tuple[str, Where, Any]
"""Object, where in it, the value to set there (GONE removes it)."""

GONE = object()
SERVER = "Deployment immich/server"
POD: Where = ("spec", "template", "spec")
MAIN: Where = (*POD, "containers", 0)


def good() -> list[dict[str, Any]]:
    """A fresh copy, free to be changed."""
    # Through JSON, since YAML aliases are one object in several places and a change must hit one place.
    return json.loads(json.dumps(GOOD["objects"]))


def changed(documents: Sequence[dict[str, Any]], change: Change) -> list[dict[str, Any]]:
    name, path, value = change
    result = copy.deepcopy(list(documents))
    target: Any = next(one for one in result if title(one) == name)
    for step in path[:-1]:
        target = target[step]
    if value is GONE:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return result


def test_a_good_set_has_no_problem() -> None:
    assert problems(good(), PROVIDED) == []


@pytest.mark.parametrize("fault", FAULTS, ids=[fault["case"] for fault in FAULTS])
def test_one_thing_made_wrong_is_told(fault: dict[str, Any]) -> None:
    value = GONE if fault.get("remove") else fault["set"]
    found = problems(changed(good(), (fault["object"], tuple(fault["at"]), value)), PROVIDED)
    assert [one for one in found if fault["says"] in one], f"expected {fault['says']!r}, got {found}"
    assert all(one.endswith(".") for one in found)
    assert "hunter2xyz" not in " ".join(found)


def test_an_object_twice_is_told() -> None:
    documents = good()
    found = problems([*documents, copy.deepcopy(documents[1])], PROVIDED)
    assert found == [f"{title(documents[1])} is there 2 times."]


def test_a_volume_that_nothing_mounts_is_told() -> None:
    documents = changed(
        good(),
        (SERVER, (*POD, "volumes"), [*at(find(SERVER), *POD, "volumes"), {"name": "idle", "emptyDir": {}}]),
    )
    assert problems(documents, PROVIDED) == ["Deployment immich/server: nothing mounts the volume idle."]


def test_what_the_cluster_does_not_provide_is_missing() -> None:
    assert {one.split(" refers to ")[1] for one in problems(good())} == {
        "StorageClass longhorn, which does not exist.",
        "ClusterSecretStore vault, which does not exist.",
    }


def test_optional_references_may_be_missing() -> None:
    optional = {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y", "optional": True}}}
    assert problems(changed(good(), (SERVER, (*MAIN, "env", 0), optional)), PROVIDED) == []


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("writable-root", (SERVER, (*MAIN, "securityContext", "readOnlyRootFilesystem"), False)),
        ("privileged", (SERVER, (*MAIN, "securityContext", "privileged"), True)),
        ("root-user", (SERVER, (*POD, "securityContext", "runAsNonRoot"), False)),
    ],
)
def test_a_step_back_is_permitted_by_its_stated_reason_only(what: str, change: Change) -> None:
    relaxed = changed(good(), change)
    place: Where = ("spec", "template", "metadata", "annotations")
    with_reason = changed(
        relaxed, (SERVER, place, {f"relaxation.immich/{what}": "the driver writes below /etc"})
    )
    assert problems(with_reason, PROVIDED) == []
    for others in ({f"relaxation.immich/{what}": " "}, {"relaxation.immich/other": "because"}):
        found = problems(changed(relaxed, (SERVER, place, others)), PROVIDED)
        assert found
        assert all(one.endswith("no reason is stated.") for one in found)


@pytest.mark.parametrize(
    "value",
    [
        "DB_PASSWORD_FILE: /run/secrets/db",
        "password = ${DB_PASSWORD}",
        '{"clientSecret": ""}',
        "requirepass_file x",
    ],
)
def test_a_placeholder_or_a_path_is_no_password(value: str) -> None:
    assert (
        problems(changed(good(), ("ConfigMap immich/settings", ("data", "some.conf"), value)), PROVIDED) == []
    )


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ({"key": "app", "operator": "In", "values": ["a", "b"]}, True),
        ({"key": "app", "operator": "In", "values": ["b"]}, False),
        ({"key": "app", "operator": "NotIn", "values": ["a"]}, False),
        ({"key": "other", "operator": "NotIn", "values": ["a"]}, True),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "other", "operator": "DoesNotExist"}, True),
    ],
)
def test_label_expressions_select_as_kubernetes_says(expression: dict[str, Any], selected: bool) -> None:
    assert matches({"matchExpressions": [expression]}, {"app": "a"}) is selected


def test_rendered_directories_are_read_whole_and_definitions_first(tmp_path: Path) -> None:
    for folder, name in (("1-manifest", "v1-configmap-default-b"), ("0-crd", "crd-a")):
        (tmp_path / folder).mkdir()
        text = f"kind: ConfigMap\nmetadata: {{name: {name}}}\n---\n---\nkind: X\nmetadata: {{name: y}}\n"
        (tmp_path / folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    assert [one["metadata"]["name"] for one in load_rendered(tmp_path)] == [
        "crd-a",
        "y",
        "v1-configmap-default-b",
        "y",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "holds no manifest"),
        ("a: [", "is not YAML"),
        ("- a\n", "no Kubernetes object"),
        ("a: 1\n", "no Kubernetes object"),
    ],
)
def test_a_directory_that_was_not_rendered_is_refused(tmp_path: Path, text: str | None, words: str) -> None:
    (tmp_path / "1-manifest").mkdir()
    if text is not None:
        (tmp_path / "1-manifest" / "x.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        load_rendered(tmp_path)


def find(name: str) -> dict[str, Any]:
    return next(one for one in good() if title(one) == name)

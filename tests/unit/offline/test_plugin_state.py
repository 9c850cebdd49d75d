"""What the offline kubernetes plugin hands to the engine to store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toolchain.offline.plugins.kubernetes.plugin import KubernetesProvider
from toolchain.offline.plugins.provider import (
    Autonaming,
    CheckRequest,
    CreateRequest,
    Host,
    ReadRequest,
    Severity,
    UpdateRequest,
)
from toolchain.offline.plugins.values import UNKNOWN, Secret, reveal_object

pytestmark = pytest.mark.deep(unless_changed=("toolchain/offline/plugins",))

SECRET_URN = "urn:pulumi:s::p::kubernetes:core/v1:Secret::token"
SECRET: dict[str, Any] = {"metadata": {"name": "token"}, "stringData": {"a": "b"}, "data": {"c": "ZA=="}}


class Said:
    """Collects what a plugin logs."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def __call__(self, severity: Severity, message: str, urn: str = "", *, status: bool = False) -> None:
        self.messages.append(message)


def provider(directory: Path) -> KubernetesProvider:
    made = KubernetesProvider()
    made.start(Host(root=directory, log=Said()))
    made.configure({"renderYamlToDirectory": "out"})
    return made


def checked(
    plugin: KubernetesProvider, inputs: dict[str, Any], urn: str = SECRET_URN, **more: Any
) -> dict[str, Any]:
    return plugin.check(CheckRequest(urn=urn, olds=more.pop("olds", None), news=inputs, **more)).inputs


def test_a_secret_that_the_program_did_not_mark_is_secret_in_inputs_and_outputs(tmp_path: Path) -> None:
    plugin = provider(tmp_path)
    inputs = checked(plugin, SECRET)
    assert inputs["stringData"] == Secret({"a": "b"})
    assert inputs["data"] == Secret({"c": "ZA=="})
    outputs: Any = plugin.create(CreateRequest(urn=SECRET_URN, inputs=inputs)).outputs
    assert outputs["stringData"] == Secret({"a": "b"})
    assert outputs["__inputs"]["data"] == Secret({"c": "ZA=="})


def test_a_secret_value_elsewhere_stays_secret_in_the_outputs(tmp_path: Path) -> None:
    urn = "urn:pulumi:s::p::kubernetes:core/v1:ConfigMap::c"
    plugin = provider(tmp_path)
    inputs = checked(plugin, {"metadata": {"name": "c"}, "data": {"a": Secret("b"), "c": "d"}}, urn)
    outputs: Any = plugin.create(CreateRequest(urn=urn, inputs=inputs)).outputs
    assert outputs["data"] == {"a": Secret("b"), "c": "d"}
    assert "b" not in repr(outputs["data"]["a"])


def test_the_same_seed_gives_the_same_name_and_old_names_are_kept(tmp_path: Path) -> None:
    urn = "urn:pulumi:s::p::my:component:C$kubernetes:core/v1:ConfigMap::auto"
    plugin = provider(tmp_path)
    first = checked(plugin, {}, urn, seed=b"1")
    assert first["metadata"]["name"].startswith("auto-")
    assert first == checked(plugin, {}, urn, seed=b"1")
    assert first != checked(plugin, {}, urn, seed=b"2")
    assert checked(plugin, {}, urn, seed=b"3", olds=first) == first
    proposed = checked(plugin, {}, urn, autonaming=Autonaming(disabled=False, proposed_name="mine"))
    assert proposed["metadata"]["name"] == "mine"


def test_the_namespace_of_the_provider_is_used_where_none_is_given(tmp_path: Path) -> None:
    plugin = provider(tmp_path)
    plugin.configure({"renderYamlToDirectory": "out", "namespace": "photos"})
    assert checked(plugin, {"metadata": {"name": "x"}})["metadata"]["namespace"] == "photos"
    given = {"metadata": {"name": "x", "namespace": "n"}}
    assert checked(plugin, given)["metadata"]["namespace"] == "n"
    urn = "urn:pulumi:s::p::kubernetes:core/v1:PersistentVolume::v"
    assert "namespace" not in checked(plugin, {"metadata": {"name": "x"}}, urn)["metadata"]


def test_a_preview_of_an_update_knows_what_stays_but_not_the_status(tmp_path: Path) -> None:
    urn = "urn:pulumi:s::p::kubernetes:core/v1:Service::s"
    before: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s", "uid": "u"},
        "spec": {"clusterIP": "10.0.0.9", "type": "ClusterIP"},
        "status": {"loadBalancer": {}},
    }
    news: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "s"},
        "spec": {"type": "NodePort"},
    }
    expected = provider(tmp_path).update(
        UpdateRequest(urn=urn, id="s", olds=before, old_inputs={}, news=news, preview=True)
    )
    assert reveal_object(expected)["spec"] == {"clusterIP": "10.0.0.9", "type": "NodePort"}
    assert expected["status"] is UNKNOWN


def test_a_rendered_object_whose_file_is_gone_does_not_exist(tmp_path: Path) -> None:
    plugin = provider(tmp_path)
    inputs = checked(plugin, SECRET)
    created = plugin.create(CreateRequest(urn=SECRET_URN, inputs=inputs))
    request = ReadRequest(urn=SECRET_URN, id=created.id, outputs=created.outputs, inputs=inputs)
    found = plugin.read(request)
    assert found is not None
    assert (found.outputs, found.inputs) == (created.outputs, inputs)
    (tmp_path / "out/1-manifest/v1-secret-default-token.yaml").unlink()
    assert plugin.read(request) is None

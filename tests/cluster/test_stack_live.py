"""The stacks of this repository on a live API server: up, up again, refresh, repair, destroy, up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.standins import StandInProtection, at_work, load_stand_ins, must_apply, namespace
from tests.harness.engine import ROOT
from tests.harness.kube import Kube
from tests.harness.objects import at
from tests.harness.stacks import (
    REPOSITORY_STACKS,
    Deployment,
    changes,
    data_bearing,
    free_text,
    require_cli,
    steps,
)
from toolchain.deployment import Resource, mapping

pytestmark = [pytest.mark.cluster, pytest.mark.engine]
unless_changed = pytest.mark.deep(unless_changed=("toolchain/offline/plugins",))


def sections_of(name: str, where: str) -> dict[str, Any]:
    """The settings of a stack of this repository, on a cluster, in namespaces that are nobody else's."""
    config = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text(encoding="utf-8"))["config"]
    sections = {key.removeprefix("immich:"): value for key, value in config.items()}
    sections["kubernetes"] = {**sections["kubernetes"], "target": "cluster", "namespace": where}
    if "namespace" in sections.get("database", {}):
        sections["database"] = {**sections["database"], "namespace": f"{where}-db"}
    return sections


@pytest.fixture
def where(kube: Kube) -> Iterator[str]:
    """A name for namespaces; what is in them is removed with the cluster."""
    load_stand_ins(kube.api)
    name = f"live-{free_text()}"
    must_apply(kube.api, namespace(f"{name}-db"))
    with at_work(StandInProtection(kube, name)):
        yield name


def made(kube: Kube, directory: Path, name: str, where: str) -> Deployment:
    return Deployment.create(
        directory, require_cli(), name, sections_of(name, where), kubeconfig=kube.kubeconfig
    )


def objects(stack: Deployment) -> dict[str, dict[str, Any]]:
    """URN -> manifest of every Kubernetes object of the state, as far as it says which one it is."""
    found: dict[str, dict[str, Any]] = {}
    for one in stack.state():
        if one.type.startswith("kubernetes:"):
            inputs = one.inputs
            found[one.urn] = {
                "apiVersion": inputs["apiVersion"],
                "kind": inputs["kind"],
                "metadata": {key: mapping(inputs["metadata"]).get(key) for key in ("name", "namespace")},
            }
    return found


def uids(kube: Kube, documents: dict[str, dict[str, Any]]) -> dict[str, str | None]:
    """URN -> uid of the live object, None where there is none."""
    answers = {urn: kube.api.get(document) for urn, document in documents.items()}
    return {urn: at(answer.body, "metadata", "uid") if answer.ok else None for urn, answer in answers.items()}


@pytest.mark.parametrize(
    "name",
    [name if name == "dev" else pytest.param(name, marks=pytest.mark.deep) for name in REPOSITORY_STACKS],
)
def test_a_stack_lives_on_a_cluster(kube: Kube, tmp_path: Path, name: str, where: str) -> None:
    stack = made(kube, tmp_path, name, where)
    first = stack.up()
    assert {step.op for step in steps(first)} == {"create"}
    everything = objects(stack)
    born = uids(kube, everything)
    assert len(everything) > 20
    assert [urn for urn, uid in born.items() if uid is None] == []
    assert not (stack.engine.directory / "rendered").exists()

    # A Deployment that somebody deleted comes back, and is all that differs after everything was read back.
    server = next(urn for urn in everything if "Deployment::" in urn and "server" in urn)
    deleted = kube.api.request("DELETE", kube.api.path_of(everything[server]))
    assert deleted.ok
    restored = stack.up("--refresh")
    assert [(step.op, step.urn) for step in steps(restored) if step.op != "delete"] == [("create", server)]
    after = uids(kube, everything)
    assert after[server] not in {None, born[server]}
    assert {urn for urn in born if born[urn] != after[urn]} == {server}

    # Destroy leaves what holds data where it is, in the cluster and in the state.
    data = {one.urn for one in stack.data()} & everything.keys()
    stack.do("destroy", "--exclude-protected")
    left = uids(kube, everything)
    assert {urn: left[urn] for urn in data} == {urn: born[urn] for urn in data}
    assert {one.urn for one in stack.data() if one.type.startswith("kubernetes:")} == data
    gone = ("Deployment::", "StatefulSet::", "Service::", "HTTPRoute::")
    assert [urn for urn in everything if any(kind in urn for kind in gone) and left[urn]] == []

    # And the next up takes it again.
    again = stack.up()
    assert [step for step in steps(again) if data_bearing(step.urn, step.inputs)] == []
    finally_ = uids(kube, everything)
    assert {urn: finally_[urn] for urn in data} == {urn: born[urn] for urn in data}
    assert [urn for urn, uid in finally_.items() if uid is None] == []
    assert changes(stack.up("--expect-no-changes")) == {}


@unless_changed
def test_what_was_changed_by_hand_is_told_and_what_was_deleted_by_hand_comes_back(
    kube: Kube, tmp_path: Path, where: str
) -> None:
    stack = made(kube, tmp_path, "dev", where)
    stack.up()
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "immich-proxy", "namespace": where},
    }
    path = kube.api.path_of(settings)
    before = kube.api.get(settings).body["data"]
    by_hand = {"data": dict.fromkeys(before, "by hand")}
    assert kube.api.request("PATCH", path, by_hand, content_type="application/merge-patch+json").ok
    # Whoever took a field over keeps it until somebody decides: nothing is overwritten in silence.
    told = stack.up("--refresh", check=False)
    assert told.returncode != 0
    assert f"ConfigMap {where}/immich-proxy: someone else manages a field" in told.text
    assert "Traceback" not in told.text
    assert kube.api.get(settings).body["data"] == by_hand["data"]
    assert kube.api.request("DELETE", path).ok
    repaired = stack.up("--refresh")
    assert ("create", f"{where}/immich-proxy") in {(step.op, step.name) for step in steps(repaired)}
    assert kube.api.get(settings).body["data"] == before


@unless_changed
def test_an_object_that_exists_is_refused_until_it_is_imported(
    kube: Kube, tmp_path: Path, where: str
) -> None:
    stack = made(kube, tmp_path, "dev", where)
    must_apply(kube.api, namespace(where))
    existing = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "immich-existing", "namespace": where},
        "data": {"kept": "as it is"},
    }
    must_apply(kube.api, existing)
    refused = stack.up(check=False)
    assert refused.returncode != 0
    assert f"Namespace {where} already exists" in refused.text
    assert "pulumi import" in refused.text

    # Immich goes into a namespace of somebody else, and takes an object over on purpose.
    stack.change("kubernetes", createNamespace=False)
    stack.up()
    provider = next(one for one in stack.state() if one.type == "pulumi:providers:kubernetes")
    done = stack.run(
        "import", "--yes", "--skip-preview", "--generate-code=false", "--provider", f"kubernetes={provider.urn}",
        "kubernetes:core/v1:ConfigMap", "existing", f"{where}/immich-existing",
    )  # fmt: skip
    assert "Traceback" not in done.text
    (imported,) = [one for one in stack.state() if one.name == "existing"]
    assert mapping(imported.inputs)["data"] == {"kept": "as it is"}
    assert imported.flag("protect")
    assert kube.api.get(existing).body["data"] == {"kept": "as it is"}


@pytest.mark.deep
def test_no_secret_is_printed_or_plain_when_a_cluster_answers(kube: Kube, tmp_path: Path, where: str) -> None:
    stack = made(kube, tmp_path, "prod", where)
    stack.up("--diff")
    stack.do("refresh", "--diff")
    shown: list[dict[str, Any]] = stack.export(show_secrets=True)["deployment"]["resources"]
    random = [
        json.loads(one["outputs"]["result"]["plaintext"])
        for one in shown
        if one["type"].startswith("random:")
    ]
    values = [*random, *stack.secrets.values()]
    assert len(values) >= 4
    files = [path.read_text(encoding="utf-8", errors="replace") for path in stack.state_files]
    for number, value in enumerate(values):
        assert not any(value in text for text in (*stack.said, *files)), f"secret {number}"
    # The live Secrets have them: the search above would otherwise say nothing.
    live = [Resource(one) for one in shown if one["type"] == "kubernetes:core/v1:Secret"]
    assert live


def library() -> dict[str, Any]:
    source = {"kind": "nfs", "server": "10.0.0.9", "path": "/photos"}
    return {"name": "nas", "mountPath": "/mnt/nas", "source": source}


def volumes_of_library(stack: Deployment) -> dict[str, dict[str, Any]]:
    return {urn: one for urn, one in objects(stack).items() if urn.endswith("immich-library-nas")}


@pytest.mark.deep
def test_a_library_that_is_only_read_goes_and_comes_back(kube: Kube, tmp_path: Path, where: str) -> None:
    stack = made(kube, tmp_path, "dev", where)
    stack.change("storage", externalLibraries=[library()])
    stack.up()
    there = volumes_of_library(stack)
    assert {one["kind"] for one in there.values()} == {"PersistentVolume", "PersistentVolumeClaim"}
    stack.change("storage", externalLibraries=[])
    stack.up()
    assert set(uids(kube, there).values()) == {None}
    stack.change("storage", externalLibraries=[library()])
    stack.up()
    assert None not in uids(kube, there).values()

    elsewhere = {
        **library(),
        "source": {"kind": "nfs", "server": "10.0.0.9", "path": "/others"},
    }
    stack.change("storage", externalLibraries=[elsewhere])
    before = uids(kube, there)
    refused = stack.up(check=False)
    assert refused.returncode != 0
    assert "give it another name, such as nas-2" in refused.text
    assert uids(kube, there) == before

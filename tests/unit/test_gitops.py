"""A tree for Argo CD and Flux: waves in the engine's order, no Secrets unasked, nobody else's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain import gitops
from toolchain.failure import ToolchainError


def urn(kind: str, name: str) -> str:
    return f"urn:pulumi:dev::immich::{kind}::{name}"


def entry(kind: str, name: str, *after: dict[str, Any], parent: str = "", spec: Any = None) -> dict[str, Any]:
    """A resource of a state that has a manifest."""
    api, of = ("apps/v1", "apps/v1") if kind in {"Deployment", "StatefulSet"} else ("v1", "core/v1")
    api = "batch/v1" if kind in {"Job", "CronJob"} else api
    space = {} if kind == "Namespace" else {"namespace": "immich"}
    return {
        "urn": urn(f"kubernetes:{of}:{kind}", name),
        "type": f"kubernetes:{of}:{kind}",
        "custom": True,
        "parent": parent,
        "dependencies": [one["urn"] for one in after],
        "inputs": {"apiVersion": api, "kind": kind, "metadata": {"name": name, **space}, "spec": spec or {}},
    }


def mounts(claim: str) -> dict[str, Any]:
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": claim}}
    return {"template": {"spec": {"volumes": [{"name": "t", "emptyDir": {}}, volume]}}}


COMPONENT: dict[str, Any] = {
    "urn": urn("immich:index:Server", "server"),
    "type": "immich:index:Server",
    "dependencies": [],
}
NAMESPACE = entry("Namespace", "immich")
SECRET = entry("Secret", "database", NAMESPACE)
DATA = entry("PersistentVolumeClaim", "data", NAMESPACE)
COPIES = entry("PersistentVolumeClaim", "copies", NAMESPACE)
DATABASE = entry("StatefulSet", "database", SECRET, DATA, spec=mounts("data"))
SERVER = entry("Deployment", "server", DATABASE, parent=COMPONENT["urn"])
PROXY = entry("Deployment", "proxy", SERVER)
BACKUP = entry("CronJob", "backup", SERVER, spec=mounts("copies"))
RESOURCES: list[dict[str, Any]] = [
    COMPONENT,
    NAMESPACE,
    SECRET,
    DATA,
    COPIES,
    DATABASE,
    SERVER,
    PROXY,
    BACKUP,
]
STATE: dict[str, Any] = {"deployment": {"resources": RESOURCES}}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What a rendering of that state has written."""
    folder = tmp_path / "rendered"
    (folder / "1-manifest").mkdir(parents=True)
    for one in RESOURCES[1:]:
        manifest = one["inputs"]
        name = f"{manifest['kind']}-{manifest['metadata']['name']}.yaml".lower()
        (folder / "1-manifest" / name).write_text(yaml.safe_dump(manifest))
    return folder


def wave(kind: str, name: str) -> int:
    return gitops.waves(STATE)[kind, "" if kind == "Namespace" else "immich", name]


def test_what_the_engine_makes_first_comes_in_a_wave_before() -> None:
    order = [
        wave("Namespace", "immich"),
        wave("Secret", "database"),
        wave("StatefulSet", "database"),
        wave("Deployment", "server"),
        wave("Deployment", "proxy"),
    ]
    assert order == [0, 1, 2, 3, 4]


def test_a_claim_comes_with_the_first_pod_that_mounts_it_and_one_of_a_schedule_last() -> None:
    assert wave("PersistentVolumeClaim", "data") == wave("StatefulSet", "database")
    assert wave("PersistentVolumeClaim", "copies") == 4


def test_each_manifest_is_in_its_waves_folder_with_its_annotation(tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "repository" / "immich"
    told = gitops.publish("dev", STATE, tree, output, secrets=False)
    assert (told.manifests, told.waves, told.left_out) == (7, 4, ("immich/database",))
    found = {path.relative_to(output).as_posix() for path in output.rglob("*-*.yaml")}
    assert {"wave-0/namespace-immich.yaml", "wave-2/statefulset-database.yaml"} <= found
    server = yaml.safe_load((output / "wave-3" / "deployment-server.yaml").read_text())
    assert server["metadata"]["annotations"] == {"argocd.argoproj.io/sync-wave": "3"}
    claim = yaml.safe_load((output / "wave-2" / "persistentvolumeclaim-data.yaml").read_text())
    kept = {"argocd.argoproj.io/sync-options": "Prune=false", "kustomize.toolkit.fluxcd.io/prune": "disabled"}
    assert claim["metadata"]["annotations"] == {"argocd.argoproj.io/sync-wave": "2", **kept}
    assert "`immich/database`" in (output / "README.md").read_text()
    assert not any("secret" in name for name in found)


def test_kustomizations_name_every_file_and_folder(tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    gitops.publish("dev", STATE, tree, output, secrets=True)
    top = yaml.safe_load((output / "kustomization.yaml").read_text())["resources"]
    assert top == [f"wave-{number}" for number in range(5)]
    for folder in top:
        listed = yaml.safe_load((output / folder / "kustomization.yaml").read_text())["resources"]
        assert sorted(listed) == sorted(
            path.name for path in (output / folder).iterdir() if path.name != "kustomization.yaml"
        )


def test_each_wave_of_flux_waits_for_what_runs_in_the_one_before(tree: Path, tmp_path: Path) -> None:
    gitops.publish("dev", STATE, tree, tmp_path / "out", secrets=True)
    documents = list(yaml.safe_load_all((tmp_path / "out" / "flux.yaml").read_text()))
    assert [one["metadata"]["name"] for one in documents] == [f"immich-dev-{number}" for number in range(5)]
    assert "dependsOn" not in documents[0]["spec"]
    assert documents[3]["spec"]["dependsOn"] == [{"name": "immich-dev-2"}]
    assert documents[2]["spec"]["healthChecks"] == [
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "database", "namespace": "immich"}
    ]
    # A claim that is bound with its first pod would be waited for without end.
    assert all("wait" not in one["spec"] for one in documents)


def test_secrets_that_are_asked_for_are_closed_to_others(tree: Path, tmp_path: Path) -> None:
    told = gitops.publish("dev", STATE, tree, tmp_path / "out", secrets=True)
    assert told.left_out == ()
    assert (tmp_path / "out" / "wave-1" / "secret-database.yaml").stat().st_mode & 0o777 == 0o600


def test_another_run_takes_away_what_is_gone_and_leaves_files_of_others(tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    gitops.publish("dev", STATE, tree, output, secrets=False)
    (output / "application.yaml").write_text("mine")
    (tree / "1-manifest" / "deployment-proxy.yaml").unlink()
    gitops.publish("dev", STATE, tree, output, secrets=False)
    assert list(output.rglob("deployment-proxy.yaml")) == []
    assert (output / "application.yaml").read_text() == "mine"


def test_a_folder_of_others_is_left_alone(tree: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "README.md").write_text("# My cluster")
    with pytest.raises(ToolchainError, match="holds files that `make render` did not write"):
        gitops.publish("dev", STATE, tree, output, secrets=False)
    assert [path.name for path in output.iterdir()] == ["README.md"]


def test_flux_deletes_nothing_when_waves_move(tree: Path, tmp_path: Path) -> None:
    gitops.publish("dev", STATE, tree, tmp_path / "out", secrets=False)
    found = list(yaml.safe_load_all((tmp_path / "out" / "flux.yaml").read_text()))
    assert {one["spec"]["prune"] for one in found} == {False}


def test_a_file_is_no_output(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ToolchainError, match="is a file"):
        gitops.publish("dev", STATE, tree, tmp_path / "out", secrets=False)


def test_folders_that_only_look_like_waves_stay(tree: Path, tmp_path: Path) -> None:
    gitops.publish("dev", STATE, tree, tmp_path / "out", secrets=False)
    mine = tmp_path / "out" / "wave-of-mine"
    mine.mkdir()
    gitops.clear(tmp_path / "out")
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["wave-of-mine"]


def test_the_readme_names_secrets_of_others_that_pods_mount(tmp_path: Path) -> None:
    folder = tmp_path / "rendered" / "1-manifest"
    folder.mkdir(parents=True)
    sources = [{"secret": {"name": name, "items": []}} for name in ("immich-db-app", "immich-backup")]
    pod = {"volumes": [{"name": "secret-backup", "projected": {"sources": sources}}]}
    about = {"namespace": "immich"}
    documents = [
        {"kind": "Secret", "apiVersion": "v1", "metadata": {**about, "name": "immich-backup"}},
        {
            "kind": "Deployment",
            "apiVersion": "apps/v1",
            "metadata": {**about, "name": "immich-server"},
            "spec": {"template": {"spec": pod}},
        },
    ]
    for document in documents:
        (folder / f"{document['kind']}.yaml".lower()).write_text(yaml.safe_dump(document))
    gitops.publish("dev", None, tmp_path / "rendered", tmp_path / "out", secrets=False)
    told = (tmp_path / "out" / "README.md").read_text()
    assert told.partition("Secrets of somebody else")[2].count("- `") == 1
    assert "- `immich/immich-db-app`" in told.partition("Secrets of somebody else")[2]
    assert "- `immich/immich-backup`" in told.partition("Secrets of somebody else")[0]

"""What a real node is made of, as far as no node is needed: its volumes, its images, why there can be none."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from toolchain.offline.cluster import real_node
from toolchain.offline.cluster.layout import ClusterError
from toolchain.offline.cluster.lifecycle import Options, start
from toolchain.offline.cluster.simulated import STAND_IN_PROVISIONER
from toolchain.offline.cluster.volumes import volume_of

pytestmark = pytest.mark.deep(unless_changed=("toolchain/offline/cluster",))


def claim(**more: Any) -> dict[str, Any]:
    notes = {
        "volume.kubernetes.io/storage-provisioner": STAND_IN_PROVISIONER,
        "volume.kubernetes.io/selected-node": "node-1",
    }
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "standard",
        **more,
    }
    names = {"name": "media", "namespace": "immich", "uid": "12345678-1"}
    return {"metadata": {**names, "annotations": notes}, "spec": spec}


def test_a_claim_gets_a_folder_once_its_node_is_chosen() -> None:
    made = volume_of(claim(), Path("/volumes"))
    assert made is not None
    assert made["spec"]["local"] == {"path": "/volumes/immich-media-12345678"}
    assert made["spec"]["claimRef"]["uid"] == "12345678-1"
    assert volume_of(claim(volumeName="there already"), Path("/volumes")) is None
    for note in list(claim()["metadata"]["annotations"]):
        other = claim()
        del other["metadata"]["annotations"][note]
        assert volume_of(other, Path("/volumes")) is None


def test_an_image_of_one_program_has_what_docker_load_reads(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"a program")
    real_node.write_image(tmp_path / "image.tar", "example.com/pause:1", program)
    with tarfile.open(tmp_path / "image.tar") as archive:

        def read(name: str) -> bytes:
            found = archive.extractfile(name)
            assert found is not None
            return found.read()

        (manifest,) = json.loads(read("manifest.json"))
        assert manifest["RepoTags"] == ["example.com/pause:1"]
        assert json.loads(read(manifest["Config"]))["config"] == {"Entrypoint": ["/pause"]}
        (tmp_path / "layer.tar").write_bytes(read(manifest["Layers"][0]))
    with tarfile.open(tmp_path / "layer.tar") as layer:
        assert [(one.name, one.mode) for one in layer] == [("pause", 0o755)]


def test_a_machine_that_cannot_have_a_node_says_what_it_lacks_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "etcd").symlink_to(shutil.which("true") or "/bin/true")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setattr(real_node.os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match=r"cannot have a real node: it takes root on Linux"):
        start(tmp_path / "cluster", Options(real=True, controllers=True), lambda _line: None)
    monkeypatch.setattr(real_node.os, "geteuid", lambda: 0)
    monkeypatch.setattr(real_node.sys, "platform", "linux")
    with pytest.raises(ClusterError, match=r"not installed \(Debian: apt-get install .*containerd"):
        start(tmp_path / "cluster", Options(real=True, controllers=True), lambda _line: None)
    assert not (tmp_path / "cluster").exists()


def test_a_real_node_runs_alone() -> None:
    with pytest.raises(ClusterError, match="A real node runs alone"):
        Options(real=True, nodes=1, controllers=True)

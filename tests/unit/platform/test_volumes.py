"""Claims and static volumes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.model.values import Quantity
from components.model.workload import NfsTarget, SmbTarget, VolumeRequest
from components.platform.kubernetes.volumes import claim, claim_name, volume, volume_name

NFS = NfsTarget(
    server="10.0.0.9", path="/export/photos", mount_options=("ro", "nfsvers=4.1"), csi=True, read_only=True
)
SMB = SmbTarget(source="//nas/photos", credentials_secret="nas", mount_options=("vers=3.1.1",))


def request(**more: Any) -> VolumeRequest:
    return replace(VolumeRequest(name="media", size=Quantity("50Gi")), **more)


STATIC = {"nfs": request(nfs=NFS), "smb": request(smb=SMB), "hostPath": request(host_path="/srv/photos")}


def test_a_provisioned_volume_is_a_claim_only() -> None:
    asked = request(storage_class="longhorn", access_mode="ReadWriteMany")
    assert volume(asked, "immich") is None
    assert claim(asked, "immich")["spec"] == {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "50Gi"}},
        "storageClassName": "longhorn",
    }


def test_without_a_class_the_clusters_default_is_taken() -> None:
    # An empty text would mean "no class at all".
    assert "storageClassName" not in claim(request(), "immich")["spec"]


@pytest.mark.parametrize("kind", sorted(STATIC))
def test_a_static_volume_and_its_claim_are_made_for_each_other(kind: str) -> None:
    asked = STATIC[kind]
    made, claimed = volume(asked, "media-ns"), claim(asked, "media-ns")
    assert made is not None
    assert claimed["spec"]["volumeName"] == volume_name(asked, "media-ns") == "media-ns-immich-media"
    assert made["spec"]["claimRef"] == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "name": claim_name(asked),
        "namespace": "media-ns",
    }
    assert made["spec"]["storageClassName"] == claimed["spec"]["storageClassName"] == ""
    assert made["spec"]["accessModes"] == claimed["spec"]["accessModes"]
    assert made["spec"]["capacity"]["storage"] == claimed["spec"]["resources"]["requests"]["storage"]


@pytest.mark.parametrize("kind", sorted(STATIC))
def test_a_static_volumes_data_stay_when_its_claim_goes(kind: str) -> None:
    made = volume(STATIC[kind], "immich")
    assert made is not None
    assert made["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def test_a_class_of_a_static_volume_ties_both_together() -> None:
    asked = request(nfs=NFS, storage_class="nfs-photos")
    made = volume(asked, "immich")
    assert made is not None
    assert (
        made["spec"]["storageClassName"] == claim(asked, "immich")["spec"]["storageClassName"] == "nfs-photos"
    )


def test_nfs_by_its_driver_names_server_share_and_options_and_is_read_only() -> None:
    made = volume(request(nfs=NFS), "immich")
    assert made is not None
    assert made["spec"]["csi"] == {
        "driver": "nfs.csi.k8s.io",
        "volumeHandle": "10.0.0.9/export/photos##immich-immich-media",
        "volumeAttributes": {"server": "10.0.0.9", "share": "/export/photos"},
        "readOnly": True,
    }
    assert made["spec"]["mountOptions"] == ["ro", "nfsvers=4.1"]


def test_nfs_by_the_kubelet_is_the_same_without_a_driver() -> None:
    in_tree = NfsTarget(server="10.0.0.9", path="/a", mount_options=("hard",), csi=False)
    made = volume(request(nfs=in_tree), "immich")
    assert made is not None
    assert made["spec"]["nfs"] == {"server": "10.0.0.9", "path": "/a"}
    assert "csi" not in made["spec"]
    assert made["spec"]["mountOptions"] == ["hard"]


def test_smb_takes_its_credentials_from_a_secret_of_the_namespace() -> None:
    made = volume(request(smb=SMB), "immich")
    assert made is not None
    assert made["spec"]["csi"] == {
        "driver": "smb.csi.k8s.io",
        "volumeHandle": "//nas/photos##immich-immich-media",
        "volumeAttributes": {"source": "//nas/photos"},
        "nodeStageSecretRef": {"name": "nas", "namespace": "immich"},
    }


def test_two_shares_of_one_server_have_handles_of_their_own() -> None:
    handles = set[str]()
    for name in ("one", "two"):
        made = volume(request(name=name, nfs=NFS), "immich")
        assert made is not None
        handles.add(made["spec"]["csi"]["volumeHandle"])
    assert len(handles) == 2


def test_a_folder_of_the_host_must_exist() -> None:
    made = volume(STATIC["hostPath"], "immich")
    assert made is not None
    assert made["spec"]["hostPath"] == {"path": "/srv/photos", "type": "Directory"}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "immich-media"),
        ({"claim_name": "library"}, "library"),
        ({"existing_claim": "old", "claim_name": "x"}, "old"),
    ],
)
def test_a_claims_name_is_what_is_given_or_derived(given: dict[str, Any], name: str) -> None:
    assert claim_name(request(**given)) == name

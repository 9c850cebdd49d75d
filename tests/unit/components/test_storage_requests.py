"""Which volumes there are, and where pods mount them."""

from __future__ import annotations

from typing import Any

import pytest

from components.model.workload import Storage as Mounted
from components.model.workload import VolumeRequest
from components.storage import component as storage
from components.storage.settings import Storage

NFS = {"kind": "nfs", "server": "10.0.0.9", "path": "/export/photos"}
SMB = {"kind": "smb", "source": "//nas/photos", "credentialsSecret": "nas"}


def requests(**settings: Any) -> dict[str, VolumeRequest]:
    return {one.name: one for one in storage.volume_requests(Storage.model_validate(settings))}


def library(source: dict[str, Any], **more: Any) -> VolumeRequest:
    given = {"name": "photos", "mountPath": "/mnt/photos", "source": source, **more}
    return requests(externalLibraries=[given])["library-photos"]


def test_the_media_volume_is_mounted_at_data_first() -> None:
    mounts = storage.server_mounts(
        Storage.model_validate({"thumbs": {"size": "1Gi"}, "encodedVideo": {"size": "1Gi"}, "externalLibraries": [
            {"name": "photos", "mountPath": "/mnt/photos", "source": NFS},
            {"name": "scans", "mountPath": "/mnt/scans", "source": NFS, "readOnly": False},
        ]})
    )  # fmt: skip
    assert mounts == (
        Mounted(volume="media", path="/data"),
        Mounted(volume="thumbs", path="/data/thumbs"),
        Mounted(volume="encoded-video", path="/data/encoded-video"),
        Mounted(volume="library-photos", path="/mnt/photos", read_only=True),
        Mounted(volume="library-scans", path="/mnt/scans", read_only=False),
    )


def test_every_folder_of_immich_may_have_a_volume_of_its_own_under_its_own_name() -> None:
    folders = {"thumbs": {}, "encodedVideo": {}, "profile": {}, "backups": {}}
    assert set(requests(**folders)) == {"media", "thumbs", "encoded-video", "profile", "backups"}


def test_all_photos_are_data_that_is_kept() -> None:
    assert all(one.holds_data for one in requests(thumbs={}, backups={}).values())


@pytest.mark.parametrize("source", [NFS, SMB])
def test_a_read_only_library_is_read_only_at_every_level(source: dict[str, Any]) -> None:
    found = library(source)
    target = found.nfs or found.smb
    assert target is not None
    assert target.read_only
    assert found.access_mode == "ReadOnlyMany"
    if found.nfs is not None:
        assert found.nfs.mount_options[0] == "ro"
        given = library({**NFS, "mountOptions": ["nfsvers=4.1", "ro"]}).nfs
        assert given is not None
        assert given.mount_options == ("nfsvers=4.1", "ro"), "said once is enough"


@pytest.mark.parametrize("source", [NFS, SMB])
def test_a_writable_library_is_writable_at_every_level(source: dict[str, Any]) -> None:
    found = library(source, readOnly=False)
    target = found.nfs or found.smb
    assert target is not None
    assert not target.read_only
    assert found.access_mode == "ReadWriteMany"
    assert "ro" not in target.mount_options


def test_the_kubelets_own_nfs_client_can_be_asked_for() -> None:
    in_tree, by_driver = (library({**NFS, "driver": driver}).nfs for driver in ("in-tree", "nfs.csi.k8s.io"))
    assert in_tree is not None
    assert by_driver is not None
    assert (in_tree.csi, by_driver.csi) == (False, True)


def test_a_claim_that_exists_is_adopted() -> None:
    assert requests(media={"kind": "existingClaim", "claimName": "mine"})["media"].existing_claim == "mine"

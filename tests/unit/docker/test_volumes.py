"""Where data is on a host: volumes of the engine, folders, shares."""

from __future__ import annotations

import pytest

from components.model.values import Quantity
from components.model.workload import NfsTarget, SmbTarget, VolumeRequest
from components.platform.docker.volumes import is_made, volume, volume_name
from tests.unit.docker.parts import OPTIONS, labels_of, options

SIZE = Quantity("1Gi")
NFS = NfsTarget(server="10.0.0.9", path="/export/photos", mount_options=("nfsvers=4.2", "hard"), csi=True)


def test_a_volume_is_local_and_carries_the_stack() -> None:
    made = volume(VolumeRequest(name="media", size=SIZE), OPTIONS)
    assert (made["name"], made["driver"]) == ("immich-home-media", "local")
    assert labels_of(made) == {"immich.stack": "home", "immich.volume": "media"}
    assert "driverOpts" not in made


def test_a_volume_may_have_a_name_of_its_own() -> None:
    assert volume_name(VolumeRequest(name="media", size=SIZE, claim_name="photos"), OPTIONS) == "photos"


def test_two_stacks_have_other_volumes() -> None:
    request = VolumeRequest(name="media", size=SIZE)
    assert volume_name(request, options(stack="a")) != volume_name(request, options(stack="b"))


def test_what_is_there_already_is_not_made() -> None:
    assert is_made(VolumeRequest(name="media", size=SIZE))
    assert is_made(VolumeRequest(name="media", size=SIZE, nfs=NFS))
    assert not is_made(VolumeRequest(name="media", size=SIZE, host_path="/srv"))
    existing = VolumeRequest(name="media", size=SIZE, existing_claim="photos")
    assert not is_made(existing)
    assert volume_name(existing, OPTIONS) == "photos"


def test_an_nfs_share_is_mounted_by_the_engine() -> None:
    made = volume(VolumeRequest(name="media", size=SIZE, nfs=NFS), OPTIONS)
    assert made["driverOpts"] == {
        "type": "nfs",
        "o": "addr=10.0.0.9,nfsvers=4.2,hard",
        "device": ":/export/photos",
    }


def test_a_share_whose_password_everybody_could_read_is_refused() -> None:
    smb = SmbTarget(source="//nas/photos", credentials_secret="nas", mount_options=())
    with pytest.raises(ValueError, match="password would stand in the volume's options"):
        volume(VolumeRequest(name="media", size=SIZE, smb=smb), OPTIONS)

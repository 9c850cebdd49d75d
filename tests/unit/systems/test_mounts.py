"""What containers of a host are given of the folders of others."""

from __future__ import annotations

from tests.unit.systems.host import host
from tests.unit.systems.test_skylab import SECRETS


def test_a_library_whose_path_only_begins_like_the_photos_is_not_given_to_the_backup() -> None:
    other = {"name": "other", "mountPath": "/data2", "source": {"kind": "hostPath", "path": "/srv/other"}}
    storage = host("skylab", secrets=SECRETS).stack.sections["storage"]
    found = host(
        "skylab",
        secrets=SECRETS,
        storage={**storage, "externalLibraries": [*storage["externalLibraries"], other]},
    )
    assert "/data2" in found.mounts("server")
    assert "/data" in found.mounts("backup-copy")
    assert "/data2" not in found.mounts("backup-copy")

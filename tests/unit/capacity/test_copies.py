"""3-2-1: which copies a stack has, on what, how old, and what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from components.recovery.copies import Copy, copies, notes, verdicts
from components.settings.model import Settings
from tests.unit.capacity.stacks import AWAY, BUCKET, STACKS, USB, cluster, described, host, of_stack

OPERATED = {"kind": "cloudnative-pg"}


def archive(endpoint: str) -> dict[str, Any]:
    return {"objectStore": {"destinationPath": "s3://bucket/database", "endpointUrl": endpoint}}


def missing(settings: Settings) -> dict[str, tuple[str, ...]]:
    return {verdict.data: verdict.missing for verdict in verdicts(copies(settings, "some"))}


def told(settings: Settings) -> list[str]:
    return notes(settings, copies(settings, "some"))


def named(settings: Settings, name: str) -> Copy:
    (found,) = (copy for copy in copies(settings, "some") if copy.name == name)
    return found


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_has_its_live_data_and_a_copy_for_each_target(stack: str) -> None:
    settings = of_stack(stack)
    found = copies(settings, stack)
    assert [copy.holds for copy in found[:2]] == [("photos",), ("database",)]
    assert all(not copy.offsite for copy in found[:2])
    targets = settings.backup.targets if settings.backup is not None else ()
    assert {str(target.name): target.offsite for target in targets} == {
        copy.name: copy.offsite for copy in found if copy.name not in {"live", "dumps", "archive"}
    }


def test_a_disk_and_another_place_meet_the_rule() -> None:
    settings = host({"targets": [USB, AWAY]})
    assert missing(settings) == {"photos": (), "database": ()}
    assert all("3-2-1 is met" in verdict.told() for verdict in verdicts(copies(settings, "some")))


def test_what_is_missing_is_said() -> None:
    assert missing(host()) == {
        "photos": ("2 more of 3 copies", "a second medium", "one in another place"),
        "database": ("2 more of 3 copies", "a second medium", "one in another place"),
    }
    assert missing(host({"targets": [USB]}))["photos"] == ("1 more of 3 copies", "one in another place")
    assert missing(host({"targets": [AWAY]}))["photos"] == ("1 more of 3 copies",)
    near = {**AWAY, "offsite": False}
    assert missing(host({"targets": [USB, near]}))["photos"] == ("one in another place",)


def test_dumps_beside_the_database_are_no_copy_that_survives_its_disk() -> None:
    (found,) = (one for one in verdicts(copies(host({}), "some")) if one.data == "database")
    assert found.copies == 1
    apart = host({"volume": {"kind": "hostPath", "path": "/mnt/usb/dumps"}})
    (found,) = (one for one in verdicts(copies(apart, "some")) if one.data == "database")
    assert (found.copies, found.media) == (2, 2)


def test_a_folder_beside_docker_s_own_is_on_the_same_disk_and_one_beside_podman_s_is_not() -> None:
    beside = {"volume": {"kind": "hostPath", "path": "/var/backup/dumps"}}
    assert verdicts(copies(host(beside), "some"))[1].copies == 1
    podman = described(
        docker={"engine": "podman"},
        host={"name": "localhost", "https": False, "port": 2283},
        proxy={"expose": [{"kind": "publishedPort", "address": "127.0.0.1"}]},
        backup=beside,
    )
    assert verdicts(copies(podman, "some"))[1].copies == 2


def test_a_folder_of_the_photos_disk_is_none_either() -> None:
    inside = {**USB, "source": {"kind": "hostPath", "path": "/mnt/photos/backup"}}
    storage = {"media": {"kind": "hostPath", "path": "/mnt/photos/immich"}}
    assert "a second medium" in missing(host({"targets": [inside]}, storage=storage))["photos"]
    assert "a second medium" not in missing(host({"targets": [USB]}, storage=storage))["photos"]


def test_a_share_of_the_machine_that_has_the_photos_is_none_either() -> None:
    nas = {"kind": "nfs", "server": "10.0.0.9", "path": "/photos"}
    target = {"name": "nas", "kind": "local", "source": {**nas, "path": "/backup"}}
    assert "a second medium" in missing(cluster({"targets": [target]}, storage={"media": nas}))["photos"]


def test_two_targets_on_one_machine_are_one_medium() -> None:
    other = {**AWAY, "name": "again", "path": "/srv/again"}
    (photos, _) = verdicts(copies(host({"targets": [AWAY, other]}), "some"))
    assert (photos.copies, photos.media) == (3, 2)


def test_an_archive_is_a_copy_of_the_database_alone_and_where_its_store_is() -> None:
    backup = {"archive": archive("https://s3.example.net"), "targets": [BUCKET]}
    found = named(cluster(backup, database=OPERATED), "archive")
    assert found.holds == ("database",)
    assert found.offsite
    inside = cluster({"archive": archive("http://192.168.10.133:30293")}, database=OPERATED)
    assert not named(inside, "archive").offsite
    said = {"archive": archive("https://s3.example.net"), "targets": [{**BUCKET, "offsite": False}]}
    assert not named(cluster(said, database=OPERATED), "archive").offsite


def test_ages_come_from_the_last_success() -> None:
    statuses = {
        "copy-usb": {"verdict": "ok", "lastSuccess": 1_000_000},
        "dump": {"verdict": "wrong-password", "lastSuccess": 0},
        "copy-away": {"verdict": "ok", "lastSuccess": "yesterday"},
    }
    found = copies(host({"targets": [USB, AWAY]}), "some", statuses, 1_000_000 + 7_200)
    assert {copy.name: copy.told()["age"] for copy in found if copy.name != "live"} == {
        "usb": "2 h",
        "dumps": "see make status",
        "away": "see make status",
    }


def test_what_the_settings_cannot_know_is_said() -> None:
    (note,) = told(host({"targets": [USB]}))
    assert "the disk of /mnt/usb must be another one than the disk of /var" in note
    assert told(host({"targets": [AWAY]})) == []


def test_a_target_on_the_disk_of_what_it_copies_is_named() -> None:
    beside = {"name": "near", "kind": "local", "source": {"kind": "hostPath", "path": "/var/copies"}}
    assert [note for note in told(host({"targets": [USB, beside]})) if "does not count" in note] == [
        "near (/var/copies) does not count for photos and database: it is on the disk of /var, as they are"
    ]


SCANS = {"name": "scans", "mountPath": "/mnt/scans", "source": {"kind": "hostPath", "path": "/mnt/usb/scans"}}


def test_a_copied_library_is_judged_by_the_rule_as_well() -> None:
    backup = {"targets": [USB, AWAY], "files": {"externalLibraries": ["scans"]}}
    settings = host(backup, storage={"externalLibraries": [SCANS]})
    assert missing(settings) == {
        "photos": (),
        "database": (),
        "library scans": ("1 more of 3 copies",),
    }
    assert any("usb (/mnt/usb/immich) does not count for library scans" in note for note in told(settings))


def test_a_library_that_nobody_copies_is_named() -> None:
    settings = host({"targets": [USB, AWAY]}, storage={"externalLibraries": [SCANS]})
    assert set(missing(settings)) == {"photos", "database"}
    assert any(note.startswith("library scans is not copied") for note in told(settings))


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_an_export_of_this_host_is_on_its_disks(name: str) -> None:
    source = {"kind": "nfs", "server": name, "path": "/mnt/usb/copies"}
    settings = host({"targets": [{"name": "here", "kind": "local", "source": source}]})
    found = named(settings, "here")
    assert (found.machine, found.medium) == ("this host", "the disk of /mnt/usb")

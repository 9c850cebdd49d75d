"""Copies: real restic, the script as it is rendered, run by busybox's ash with busybox's commands."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components.backup.plan import Keep
from tests.data.immich_library import NAMES, UNKNOWN_NAMES, add_unknown_files
from tests.data.place import Place


def fill_media(place: Place) -> None:
    """A file under every nasty name."""
    for number, name in enumerate(NAMES):
        (place.media / "upload" / os.fsdecode(name)).write_bytes(b"%d " % number * 100)
    add_unknown_files(place.media)


def tree(top: Path) -> dict[bytes, bytes]:
    """Every file below a folder -> its content."""

    def found() -> Iterator[tuple[bytes, bytes]]:
        for path in top.rglob("*"):
            if path.is_file():
                yield os.fsencode(path.relative_to(top)), path.read_bytes()

    return dict(found())


def forge(place: Place, days: int, host: str = "immich-test") -> None:
    """A snapshot of so many days ago."""
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)
    file = place.folder / f"old-{host}-{days}"
    file.write_text(f"{host} {days}")
    place.restic("backup", "--host", host, "--time", f"{moment:%Y-%m-%d %H:%M:%S}", str(file))


@pytest.mark.parametrize("shell", ["ash", pytest.param("bash", marks=pytest.mark.deep)])
def test_a_copy_has_every_byte_and_a_second_one_adds_nearly_nothing(place: Place, shell: str) -> None:
    place.has_run()
    fill_media(place)
    (place.root / "database").mkdir()
    (place.root / "database" / "immich-20260101T000000Z-v3.3.1-pg15.sql.zst").write_text("dump")
    (place.root / "database" / "immich-20260102T000000Z-v3.3.1-pg15.sql.zst.part").write_text("half a dump")
    (place.media / "thumbs" / "a.webp").write_text("can be made again")
    # One shell makes the repository, the other finds one.
    plan = place.plan(None, place.local() if shell == "ash" else place.made())
    first = place.copy(plan, shell)
    assert first.code == 0, first.output
    status = place.status("copy-local")
    (snapshot,) = place.snapshots()
    assert (status["result"], status["verdict"]) == ("success", "ok")
    assert snapshot["id"].startswith(status["snapshot"])
    assert snapshot["hostname"] == "immich-test"
    assert snapshot["tags"][:2] == ["test", "v3.3.1"]

    back = place.folder / "back"
    place.restic("restore", "latest", "--target", str(back))
    wanted = {name: content for name, content in tree(place.media).items() if not name.endswith(b"a.webp")}
    assert tree(back / place.media.relative_to("/")) == wanted
    assert len(wanted) == len(NAMES) + len(UNKNOWN_NAMES) + 6
    assert tree(back / (place.root / "database").relative_to("/")) == {
        b"immich-20260101T000000Z-v3.3.1-pg15.sql.zst": b"dump"
    }
    assert (back / (place.folder / "stack").relative_to("/") / "stack.yaml").exists()
    assert (back / (place.folder / "immich-config").relative_to("/") / "immich.yaml").exists()
    assert status["files"] == len(wanted) + 3

    second = place.copy(plan, shell)
    assert second.code == 0, second.output
    again = place.status("copy-local")
    assert again["bytesAdded"] < 3000 < status["bytesAdded"]
    assert again["bytes"] == status["bytes"] == sum(map(len, wanted.values())) + 4 + 22 + 11
    assert place.status("check-local")["verdict"] == "ok"
    assert place.gauges("copy-local")["immich_backup_bytes"] == status["bytes"]
    place.assert_no_secret(first.output + second.output + json.dumps([status, again]))


def test_before_the_first_start_there_is_nothing_to_copy_but_settings(place: Place) -> None:
    plan = place.plan(None, place.made())
    place.write_status("dump", immichHasRun=0)
    ran = place.copy(plan)
    assert ran.code == 0, ran.output
    assert place.status("copy-local")["files"] == 2
    ran = place.copy(replace(plan, extra=(str(place.folder / "none"),), repositories=(place.made("other"),)))
    assert ran.code == 0, ran.output
    assert place.status("copy-other")["verdict"] == "nothing-yet"


@pytest.mark.parametrize("missing", ["upload", "thumbs/.immich"])
def test_media_that_are_gone_are_not_copied_as_an_empty_folder(place: Place, missing: str) -> None:
    place.has_run()
    plan = place.plan(None, place.made())
    forge(place, 400)
    path = place.media / missing
    if path.is_dir():
        path.rename(place.media / "elsewhere")
        path.mkdir()  # as the mount point of a disk that is not there
    else:
        path.unlink()
    assert place.copy(plan).code == 1
    status = place.status("copy-local")
    assert (status["result"], status["verdict"]) == ("failed", "media-gone")
    assert str(path) in status["message"]
    assert len(place.snapshots()) == 1


def test_an_external_library_that_is_gone_is_not_copied_as_an_empty_folder(place: Place) -> None:
    place.has_run()
    library = place.folder / "photos"
    plan = place.plan(None, place.made())
    plan = replace(plan, folders=(*plan.folders, str(library)))
    assert place.copy(plan).code == 0  # it is not there yet
    library.mkdir()
    (library / "a.jpg").write_text("a")
    assert place.copy(plan).code == 0
    (library / "a.jpg").unlink()
    before = place.snapshots()
    assert place.copy(plan).code == 1
    assert place.status("copy-local")["verdict"] == "media-gone"
    assert place.snapshots() == before


def test_fewer_files_keep_all_older_snapshots_until_somebody_agrees(place: Place) -> None:
    place.has_run()
    fill_media(place)
    plan = place.plan(None, place.made(), keep=Keep(daily=1, weekly=0, monthly=0, yearly=0))
    assert place.copy(plan).code == 0
    for name in NAMES:
        (place.media / "upload" / os.fsdecode(name)).unlink()
    forge(place, 3)
    place.copy(plan)
    assert place.status("copy-local")["verdict"] == "fewer-files"
    # The second run does not take the first one's number for the right one.
    ran = place.copy(plan)
    assert ran.code == 0, ran.output
    status = place.status("copy-local")
    assert (status["result"], status["verdict"]) == ("success", "fewer-files")
    assert len(place.snapshots()) == 4
    Path(status["message"].rpartition("delete ")[2]).unlink()
    assert place.copy(plan).code == 0
    assert place.status("copy-local")["verdict"] == "ok"
    assert len(place.snapshots()) == 1


def test_retention_keeps_what_the_plan_says_and_nothing_of_others(place: Place) -> None:
    place.has_run()
    plan = place.plan(None, place.made(), keep=Keep(daily=3, weekly=0, monthly=0, yearly=0))
    for days in (1, 2, 3, 4, 900):
        forge(place, days)
    forge(place, 500, host="immich-other")
    forge(place, 501, host="immich-other")
    assert place.copy(plan).code == 0
    today = datetime.datetime.now(datetime.UTC)
    left = [
        (each["hostname"], (today - datetime.datetime.fromisoformat(each["time"][:19] + "+00:00")).days)
        for each in place.snapshots()
    ]
    assert sorted(left) == [
        ("immich-other", 500),
        ("immich-other", 501),
        ("immich-test", 0),
        ("immich-test", 1),
        ("immich-test", 2),
    ]


def test_a_snapshot_of_a_clock_that_was_ahead_does_not_push_out_this_run(place: Place) -> None:
    place.has_run()
    plan = place.plan(None, place.made(), keep=Keep(daily=1, weekly=0, monthly=0, yearly=0))
    forge(place, -700)
    assert place.copy(plan).code == 0
    assert place.status("copy-local")["snapshot"] in {each["short_id"] for each in place.snapshots()}


def test_files_that_cannot_be_read_fail_the_run_with_their_number(place: Place) -> None:
    if os.geteuid() != 0:
        pytest.skip("files of another user are made, which needs root")
    place.has_run()
    fill_media(place)
    plan = place.plan(None, place.made(), keep=Keep(daily=1, weekly=0, monthly=0, yearly=0))
    forge(place, 3)
    prefix = place.give_to_nobody()
    for name in NAMES[:3]:
        path = place.media / "upload" / os.fsdecode(name)
        os.chown(path, 0, 0)
        path.chmod(0o600)
    ran = place.copy(plan, prefix=prefix)
    assert ran.code == 1, ran.output
    status = place.status("copy-local")
    assert (status["result"], status["verdict"], status["unreadable"]) == ("failed", "unreadable-files", 3)
    assert [each["short_id"] for each in place.snapshots()][1:] == [status["snapshot"]]
    assert place.status("check-local")["verdict"] == "ok"


def test_files_that_move_while_they_are_copied_are_found_by_a_second_look(place: Place) -> None:
    place.has_run()
    plan = place.plan(None, place.made())
    folder = place.folder / "stand-ins"
    folder.mkdir()
    gone = '{"message_type":"error","error":{"Op":"lstat","Path":"a.jpg","Err":2},"during":"archival","item":"a.jpg"}'
    # A stand-in for the first look alone: what restic says of a file that went between two system calls.
    (folder / "restic").write_text(
        f"#!/bin/sh\nreal={subprocess.check_output(['which', 'restic'], text=True).strip()}\n"
        f'case " $* " in *" backup "*) [ -e {folder}/once ] || {{ : >{folder}/once; "$real" "$@" || exit 9; '
        f'echo \'{gone}\' >&2; exit 3; }};; esac\nexec "$real" "$@"\n'
    )
    (folder / "restic").chmod(0o755)
    ran = place.copy(plan, path=folder)
    assert ran.code == 0, ran.output
    assert (folder / "once").exists()
    assert "1 files were gone when they were read; looking again" in ran.output
    assert place.status("copy-local")["verdict"] == "ok"


def test_a_target_that_fails_does_not_stop_the_others(place: Place) -> None:
    place.has_run()
    gone = replace(place.local("first"), url=str(place.folder / "nowhere" / "first"))
    ran = place.copy(place.plan(None, gone, place.made("second")))
    assert ran.code == 1
    assert place.status("copy-first")["verdict"] == "target-gone"
    assert not (place.root / "status" / "check-first.json").exists()
    assert place.status("copy-second")["verdict"] == "ok"
    assert place.status("check-second")["verdict"] == "ok"

"""A deployment that lost something gets it back: with real restic and PostgreSQL, from backups of the real scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.backup.restore_plan import RestoreChoice
from tests.data.immich_library import add_unknown_files
from tests.data.place import Place
from tests.data.postgres_process import Postgres
from tests.data.recovery_harness import Deployment, deployment, empty


@dataclass(frozen=True, kw_only=True)
class State:
    """A deployment at one moment, and the snapshot of it."""

    snapshot: str
    time: str
    dump: str
    files: dict[bytes, bytes]
    rows: dict[str, str]


@dataclass(kw_only=True)
class Copied:
    """Two moments of one deployment."""

    live: Deployment
    first: State
    last: State


@pytest.fixture(scope="module")
def copied(applets: Path, postgres: Postgres) -> Iterator[Copied]:
    """Backed up twice by the scripts of the backups; tests lose what they like."""
    with Place(applets) as place, postgres.database() as database:
        live = deployment(place, postgres, database, 24)
        (place.media / "thumbs" / ".immich").write_text("marker of thumbs")
        for folder in outside(live):
            folder.mkdir()
            (folder / "a.jpg").write_text("was")
        live.plan = replace(live.plan, folders=(*live.plan.folders, *map(str, outside(live))))
        first = _state(live, before=timedelta(days=1))
        live.add(16, seed=2)
        next(path.path for path in live.assets if path.path.name == "plain.jpg").unlink()
        yield Copied(live=live, first=first, last=_state(live))


@pytest.fixture
def lost(copied: Copied) -> Copied:
    """All is lost but the target."""
    copied.live.lose_files()
    copied.live.lose_backup_volume()
    for folder in outside(copied.live):
        empty(folder)
    return copied


def outside(live: Deployment) -> list[Path]:
    """External libraries."""
    return [live.place.folder / name for name in ("a library", "another library")]


def _state(live: Deployment, *, before: timedelta | None = None) -> State:
    files, rows = live.files(), live.rows()
    if before is None:
        snapshot = live.back_up()
        taken = datetime.now(UTC)
    else:
        # Retention keeps one snapshot of a day.
        assert live.place.dump(live.plan).code == 0
        taken = datetime.now(UTC) - before
        snapshot = live.snapshot("--time", taken.astimezone().strftime("%Y-%m-%d %H:%M:%S"))
    dump = live.place.dumps()[-1]
    return State(snapshot=snapshot, time=taken.isoformat(), dump=dump, files=files, rows=rows)


def test_every_byte_row_and_marker_comes_back_to_a_deployment_that_lost_all(lost: Copied) -> None:
    live, place = lost.live, lost.live.place
    ran = live.restore_files()
    assert ran.code == 0, ran.output
    assert live.files() == lost.last.files
    assert (place.media / "thumbs" / ".immich").read_text() == "marker of thumbs"
    assert place.status("restore")["result"] == "running"
    with live.new_database() as database:
        ran = live.restore_database(database)
        assert ran.code == 0, ran.output
        assert live.rows(database) == lost.last.rows
        status = place.status("restore")
        assert (status["result"], status["verdict"]) == ("success", "ok")
        assert (status["assets"], status["users"], status["dump"]) == (40, 1, lost.last.dump)
        assert status["snapshot"] == lost.last.snapshot
        assert status["files"] == sum(value != b"folder" for value in lost.last.files.values()) - 3 + 2
        assert place.gauges("restore")["immich_restore_assets"] == 40

        # Once more: nothing is done, and it is said.
        before = live.files()
        for again in (live.restore_files(), live.restore_database(database)):
            assert again.code == 0, again.output
            assert place.status("restore")["result"] == "skipped"
        assert live.files() == before
        assert live.rows(database) == lost.last.rows
        assert place.status("restore")["lastSuccess"] == status["lastSuccess"]

    with live.new_database() as database:
        # A database that is lost later is not filled with what is old by then, and is not left empty in silence.
        ran = live.restore_database(database)
        assert ran.code == 1
        assert place.status("restore")["verdict"] == "already-restored"
        assert database.psql("SELECT to_regclass('asset') IS NULL") == "t"


def test_a_chosen_time_brings_the_snapshot_before_it_and_its_own_dump_though_a_newer_one_is_on_disk(
    lost: Copied,
) -> None:
    live, place = lost.live, lost.live.place
    (place.root / "database").mkdir()
    newer = place.root / "database" / lost.last.dump
    newer.write_text("not a dump: whoever loads this one fails")
    choice = RestoreChoice(from_=lost.first.time)
    ran = live.restore_files(choice, "bash")
    assert ran.code == 0, ran.output
    assert live.files() == lost.first.files
    with live.new_database() as database:
        ran = live.restore_database(database, choice)
        assert ran.code == 0, ran.output
        assert live.rows(database) == lost.first.rows
    assert place.status("restore")["dump"] == lost.first.dump
    assert newer.read_text().startswith("not a dump")


def test_files_alone_of_a_chosen_snapshot_with_markers_that_it_lacks_and_libraries_that_are_empty(
    lost: Copied,
) -> None:
    live, place = lost.live, lost.live.place
    (outside(live)[1] / "a.jpg").write_text("is")
    marker = str(place.media / "hls" / ".immich")
    choice = RestoreChoice(what="files", from_=lost.first.snapshot)
    ran = live.restore_files(choice, markers=(*live.plan.markers, marker))
    assert ran.code == 0, ran.output
    found = live.files()
    assert found.pop(b"hls") == b"folder"
    assert found.pop(b"hls/.immich")
    assert Path(marker).read_text().isdigit()
    assert found == lost.first.files
    assert [(folder / "a.jpg").read_text() for folder in outside(live)] == ["was", "is"]
    assert place.status("restore")["result"] == "success"
    assert place.status("restore")["message"].endswith(str(outside(live)[1]))
    assert not place.dumps()
    assert not (place.root / "restore" / "chosen").exists()


def test_a_database_alone_comes_back_beside_files_that_are_there(lost: Copied) -> None:
    live = lost.live
    add = live.place.media / "upload"
    add.mkdir()
    add_unknown_files(live.place.media)
    before = live.files()
    choice = RestoreChoice(what="database")
    ran = live.restore_files(choice)
    assert ran.code == 0, ran.output
    with live.new_database() as database:
        ran = live.restore_database(database, choice)
        assert ran.code == 0, ran.output
        assert live.rows(database) == lost.last.rows
    assert live.files() == before


def test_files_that_are_there_are_left_alone_and_so_is_the_database(lost: Copied) -> None:
    live, place = lost.live, lost.live.place
    (place.media / "library" / "someone").mkdir(parents=True)
    (place.media / "library" / "someone" / "photo.jpg").write_text("taken today")
    before = live.files()
    ran = live.restore_files()
    assert ran.code == 0, ran.output
    assert (place.status("restore")["result"], place.status("restore")["verdict"]) == ("skipped", "has-data")
    assert "library has files already" in place.status("restore")["message"]
    with live.new_database() as database:
        ran = live.restore_database(database)
        assert ran.code == 0, ran.output
        assert place.status("restore")["verdict"] == "has-data"
        assert database.psql("SELECT to_regclass('asset') IS NULL") == "t"
    assert live.files() == before


@pytest.mark.parametrize(
    ("from_", "said"),
    [("0123456789", "no snapshot 0123456789"), ("2001-01-01", "as old as 2001-01-01T23:59:59Z")],
)
def test_a_choice_that_no_snapshot_meets_is_said_with_what_there_is(
    lost: Copied, from_: str, said: str
) -> None:
    ran = lost.live.restore_files(RestoreChoice(from_=from_))
    assert ran.code == 1
    status = lost.live.place.status("restore")
    assert status["verdict"] == "no-backup"
    assert said in status["message"]
    assert not lost.live.files()


def test_one_deleted_file_comes_back_to_its_place_from_the_newest_snapshot_that_has_it(lost: Copied) -> None:
    live, place = lost.live, lost.live.place
    gone = next(asset for asset in live.assets if asset.path.name == "plain.jpg").path
    relative = gone.relative_to(place.media / "upload")
    ran = live.restore_one(str(relative))
    assert ran.code == 0, ran.output
    assert f"to {gone}\n" in ran.output
    assert f"restored from snapshot {lost.first.snapshot}" in ran.output
    content = lost.first.files[str(gone.relative_to(place.media)).encode()]
    assert live.files()[str(gone.relative_to(place.media)).encode()] == content

    # What is there is never written over.
    gone.write_text("another one")
    ran = live.restore_one(str(gone), "latest", "local", interpreter="bash")
    assert ran.code == 0, ran.output
    assert gone.read_text() == "another one"
    (beside,) = gone.parent.glob("plain.jpg.restored-*")
    found = live.files()
    assert found[str(beside.relative_to(place.media)).encode()] == content
    assert not list(place.media.rglob(".immich-restore*"))


@pytest.mark.parametrize(
    "name",
    [
        "new\nline\n.jpg",
        "star * question ? [range] {a,b}.jpg",
        "semi;colon & pipe | < >.jpg",
    ],
)
def test_a_file_of_any_name_comes_back(lost: Copied, name: str) -> None:
    live = lost.live
    path = next(asset for asset in reversed(live.assets) if asset.path.name == name).path
    ran = live.restore_one(f"{path.parent.name}/{name}", lost.last.snapshot)
    assert ran.code == 0, ran.output
    relative = str(path.relative_to(live.place.media)).encode()
    assert live.files()[relative] == lost.last.files[relative]


def test_a_folder_comes_back_whole_and_a_name_that_several_have_is_asked_about(lost: Copied) -> None:
    live = lost.live
    ran = live.restore_one("with space.jpg", lost.first.snapshot[:8])
    assert ran.code == 3
    assert ran.output.count("with space.jpg") == 2
    assert not live.files()
    ran = live.restore_one("upload/")
    assert ran.code == 0, ran.output
    wanted = {name: value for name, value in lost.last.files.items() if name.startswith(b"upload")}
    assert live.files() == wanted
    ran = live.restore_one("no such name")
    assert ran.code == 1
    assert "no snapshot of immich-test that was looked at has 'no such name'; 2 were" in ran.output
    for arguments in ((), ("",), ("a", "b", "elsewhere")):
        assert live.restore_one(*arguments).code == 2

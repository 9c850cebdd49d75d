"""Restores that are killed, that get what is damaged, or that must not go on: nothing half is ever taken for whole."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components.backup.restore_plan import RestoreChoice
from components.backup.restore_scripts import restore_database_script
from tests.data.place import Place, Started, wait_for
from tests.data.postgres_process import Postgres
from tests.data.recovery_harness import Deployment, deployment, full_disk, stand_in

STATES = (
    "SELECT state || ' ' || query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)


@pytest.fixture(scope="module")
def whole(applets: Path, postgres: Postgres) -> Iterator[Deployment]:
    """A deployment with one snapshot; `rows_before` and `files_before` are what it had."""
    with Place(applets) as place, postgres.database() as database:
        live = deployment(place, postgres, database, 24)
        ran = place.dump(live.plan)
        assert ran.code == 0, ran.output
        shutil.copytree(live.dumps, place.folder / "dumps")
        live.snapshot()
        yield live


@pytest.fixture
def lost(whole: Deployment) -> Iterator[tuple[Deployment, dict[bytes, bytes]]]:
    """All is lost but the target, and comes back after the test."""
    kept = whole.place.folder / "kept"
    files = whole.files()
    whole.place.media.rename(kept)
    whole.place.media.mkdir()
    whole.lose_backup_volume()
    yield whole, files
    whole.lose_files()
    whole.place.media.rmdir()
    kept.rename(whole.place.media)


def put_dump(live: Deployment, name: str | None = None, content: bytes | None = None) -> None:
    """The dump as it was, or with another name or content."""
    (kept,) = (live.place.folder / "dumps").glob("immich-*.sql.zst")
    folder = Path(live.dumps)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / (name or kept.name)).write_bytes(kept.read_bytes() if content is None else content)


def choose(live: Deployment, **more: str) -> None:
    """What the first step would have left for the second."""
    (live.place.root / "restore").mkdir(exist_ok=True)
    (dump,) = live.place.dumps()
    values = {
        "key": "both latest local",
        "snapshot": "0",
        "time": "0",
        "dump": dump,
        "files": "1",
        "bytes": "1",
        **more,
    }
    lines = "".join(f"{key}={value}\n" for key, value in values.items())
    (live.place.root / "restore" / "chosen").write_text(lines)


def slow_move(place: Place) -> Path:
    """A stand-in for mv that stops for good before the second folder goes to its place."""
    return stand_in(
        place,
        "mv",
        f'case "$*" in */library/.immich-restore.part/tree/*) exec sleep 60 ;; esac\nexec {place.applets}/mv "$@"',
    )


def slow_restore(place: Place) -> Path:
    """A stand-in for restic that stops for good after it has restored a part of the first folder."""
    return stand_in(
        place,
        "restic",
        'case "$*" in *" restore "*"/upload/.immich-restore.part/tree"*) '
        f'timeout 60 {place.applets}/programs/restic "$@" --exclude plain.jpg; : >"$RESTIC_CACHE_DIR/half"; '
        "exec sleep 60 ;; esac\n"
        f'exec {place.applets}/programs/restic "$@"',
    )


def stopped_in_library(live: Deployment) -> Callable[[], bool]:
    mark = live.place.media / ".immich-restore"
    part = live.place.media / "library" / ".immich-restore.part" / "fetched"
    return lambda: part.exists() and "upload" in mark.read_text()


def stopped_in_upload(live: Deployment) -> Callable[[], bool]:
    return (live.place.root / "cache" / "half").exists


@pytest.mark.parametrize(
    ("slow", "stopped"), [(slow_restore, stopped_in_upload), (slow_move, stopped_in_library)]
)
def test_a_restore_of_files_that_was_killed_goes_on_and_half_of_it_is_not_taken_for_data(
    lost: tuple[Deployment, dict[bytes, bytes]],
    slow: Callable[[Place], Path],
    stopped: Callable[[Deployment], Callable[[], bool]],
) -> None:
    live, files = lost
    started: Started = live.start_files(path=slow(live.place))
    wait_for("the middle of the restore", stopped(live), 60)
    started.kill()
    assert live.files() != files
    assert live.place.status("restore")["result"] == "running"

    # Another choice does not mix with what is half there.
    ran = live.restore_files(RestoreChoice(what="files"))
    assert ran.code == 1
    assert live.place.status("restore")["verdict"] == "half-restored"

    # A newer snapshot that came meanwhile does not mix with it either.
    ran = live.restore_files()
    assert ran.code == 0, ran.output
    assert live.files() == files
    assert not list(live.place.media.rglob(".immich-restore.*"))


def test_a_load_that_was_killed_or_ends_early_leaves_an_empty_database_and_the_next_one_is_whole(
    lost: tuple[Deployment, dict[bytes, bytes]],
) -> None:
    live, _ = lost
    put_dump(live)
    choose(live)
    # Stand-ins for zstd: the second time that it is read, the dump comes up to a half and then stays away, or ends.
    half = (
        'count=$(cat "{mark}" 2>/dev/null || echo 0)\necho $((count + 1)) >"{mark}"\n'
        '[ "$count" -ge 1 ] || exec /usr/bin/zstd "$@"\n'
        "/usr/bin/zstd \"$@\" | sed '/^-- Data for Name: library;/q'\n{then}"
    )
    with live.new_database() as database:
        mark = live.place.folder / "slow"
        slow = stand_in(live.place, "zstd", half.format(mark=mark, then="sleep 60"))
        started = live.start_database(database, path=slow)
        wait_for("the load", lambda: database.psql(STATES).startswith(("active COPY", "idle in transaction")))
        started.kill()
        wait_for("the end of its connection", lambda: not database.psql(STATES))
        assert database.psql("SELECT to_regclass('asset') IS NULL") == "t"

        mark.unlink()
        for then in ("exit 1", "exit 0"):
            early = stand_in(live.place, "zstd", half.format(mark=mark, then=then))
            ran = live.start_database(database, path=early).ended()
            assert ran.code == 1, ran.output
            mark.unlink()
            assert database.psql("SELECT to_regclass('asset') IS NULL") == "t"

        ran = live.restore_database(database)
        assert ran.code == 0, ran.output
        assert live.rows(database) == live.rows()


def test_a_dump_of_a_newer_immich_or_postgresql_is_refused(
    lost: tuple[Deployment, dict[bytes, bytes]],
) -> None:
    live, _ = lost
    ran = live.restore_files(immich_version="3.3.0")
    assert ran.code == 1
    assert live.place.status("restore")["verdict"] == "downgrade"
    assert "Immich 3.3.1" in live.place.status("restore")["message"]
    assert not live.files()
    with live.new_database() as database:
        for name, verdict in (
            ("immich-20261121T020000Z-v3.10.0-pg15.sql.zst", "downgrade"),
            ("immich-20261121T020000Z-v3.3.1-pg99.sql.zst", "postgres-downgrade"),
        ):
            put_dump(live, name)
            choose(live)
            ran = live.restore_database(database)
            assert ran.code == 1
            assert live.place.status("restore")["verdict"] == verdict
            assert database.psql("SELECT to_regclass('asset') IS NULL") == "t"


def test_a_dump_that_is_cut_off_is_not_loaded(lost: tuple[Deployment, dict[bytes, bytes]]) -> None:
    live, _ = lost
    put_dump(live)
    (path,) = Path(live.dumps).iterdir()
    text = subprocess.run(["zstd", "-dc", str(path)], capture_output=True, check=True).stdout
    cut = text[: text.index(b"COPY public.system_metadata")]
    contents = [
        path.read_bytes()[:-30],
        subprocess.run(["zstd"], input=cut, capture_output=True, check=True).stdout,
    ]
    with live.new_database() as database:
        for content in contents:
            put_dump(live, content=content)
            choose(live)
            ran = live.restore_database(database)
            assert ran.code == 1
            assert live.place.status("restore")["verdict"] == "database-damaged"
            assert database.psql("SELECT to_regclass('asset') IS NULL") == "t"


def test_rows_that_are_there_are_left_alone_and_empty_tables_are_not_in_the_way(
    lost: tuple[Deployment, dict[bytes, bytes]],
) -> None:
    live, _ = lost
    put_dump(live)
    choose(live)
    with live.new_database() as database:
        ran = live.restore_database(database)
        assert ran.code == 0, ran.output
        database.psql("DELETE FROM asset")
        rows = live.rows(database)
        ran = live.restore_database(database)
        assert ran.code == 0
        assert live.place.status("restore")["result"] == "skipped"
        assert live.rows(database) == rows
        # Tables as a server leaves them that has started and that nobody has signed up to.
        database.psql('TRUNCATE "user" CASCADE')
        choose(live)
        ran = live.restore_database(database)
        assert ran.code == 0, ran.output
        assert live.rows(database) == live.rows()


def test_the_database_is_waited_for_and_a_wrong_password_is_not(
    lost: tuple[Deployment, dict[bytes, bytes]],
) -> None:
    live, _ = lost
    put_dump(live)
    choose(live)
    wrong = live.place.folder / "secrets" / "wrong"
    wrong.write_text("not the password\n")
    with live.new_database() as database:
        access = live.place.plan(database).database
        for changed, verdict in (
            (replace(access, password_file=str(wrong)), "wrong-password"),
            (replace(access, port=9), "database-gone"),
        ):
            plan = replace(live.plan, database=changed)
            ran = live.place.start(
                restore_database_script(plan, RestoreChoice(database_wait=1)), "bash"
            ).ended()
            assert ran.code == 1, ran.output
            assert live.place.status("restore")["verdict"] == verdict


def test_a_wrong_password_no_space_and_a_damaged_repository_have_a_verdict_each_and_write_nothing(
    lost: tuple[Deployment, dict[bytes, bytes]],
) -> None:
    live, files = lost
    place = live.place
    wrong = place.folder / "secrets" / "wrong"
    wrong.write_text("not the password\n")
    ran = live.restore_files(password_file=str(wrong))
    assert ran.code == 1
    assert place.status("restore")["verdict"] == "wrong-password"
    ran = live.restore_files(path=full_disk(place))
    assert ran.code == 1
    assert place.status("restore")["verdict"] == "too-little-space"
    assert "/stand-in" in place.status("restore")["message"]
    assert not live.files()
    assert not place.dumps()

    packs = sorted(
        (place.folder / "targets" / "local" / "data").glob("*/*"), key=lambda path: path.stat().st_size
    )
    content = packs[-1].read_bytes()
    packs[-1].chmod(0o600)
    packs[-1].write_bytes(content[: len(content) // 2 - 8] + bytes(16) + content[len(content) // 2 + 8 :])
    ran = live.restore_files()
    assert ran.code == 1
    assert place.status("restore")["verdict"] == "damaged", place.status("restore")
    # Nothing of what came is in its place.
    assert b"upload/.immich" not in live.files()
    packs[-1].write_bytes(content)
    ran = live.restore_files()
    assert ran.code == 0, ran.output
    assert live.files() == files

"""The dump of a database: real PostgreSQL, pg_dump and zstd, the script as it is rendered."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from components.backup.scripts import dump_script
from components.recovery.runbooks import pages
from tests.data.conftest import need
from tests.data.immich_library import fill, make_tables
from tests.data.place import Place, wait_for
from tests.data.postgres_process import Database, Postgres, programs
from tests.unit.capacity.stacks import AWAY, host

ROWS = "SELECT md5(string_agg(asset::text, chr(10) ORDER BY id)) FROM asset"


def load(dump: Path, server: Postgres) -> dict[str, str]:
    """Load a dump into a new database: what is in its asset table, and counts."""
    sql = subprocess.run(["zstd", "-q", "-dc", str(dump)], capture_output=True, check=True).stdout.decode()
    # As Immich's documents say it for a restore.
    sql = sql.replace(
        "SELECT pg_catalog.set_config('search_path', '', false);",
        "SELECT pg_catalog.set_config('search_path', 'public, pg_catalog', true);",
    )
    with server.database() as fresh:
        fresh.psql(f"BEGIN;\n{sql}\nCOMMIT;")
        return {
            "rows": fresh.psql(ROWS),
            "assets": fresh.psql("SELECT count(*) FROM asset"),
            "exif": fresh.psql("SELECT count(*) FROM asset_exif"),
        }


@contextmanager
def locked(database: Database, table: str) -> Generator[None]:
    """A table that nobody can read, so that pg_dump waits for it; the lock ends with the block."""
    tools = programs()
    assert tools is not None
    holder = subprocess.Popen(
        [
            *(str(tools / "psql"), "-X", "-q", "-h", str(database.server.directory)),
            *("-p", str(database.server.port), "-U", "postgres", "-d", database.name),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        holder.stdin.write(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;\n\\echo locked\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "locked\n"
        yield
    finally:
        holder.stdin.close()
        holder.stdout.close()
        holder.wait()


def waits_for_a_table(database: Database) -> bool:
    """Whether a pg_dump waits."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE%'"
    )
    return database.psql(f"{waiting} AND datname = '{database.name}'") == "1"


def names_in(folder: Path) -> list[str]:
    """Of everything in a folder."""
    return [path.name for path in folder.iterdir()]


def stand_in(place: Place, name: str, script: str) -> Path:
    """A folder with a stand-in for one command."""
    folder = place.folder / "stand-ins"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return folder


def test_a_dump_has_every_row_and_says_so(place: Place, database: Database) -> None:
    make_tables(database)
    fill(database, place.media, 120)
    ran = place.dump(place.plan(database))
    assert ran.code == 0, ran.output
    status = place.status("dump")
    (name,) = place.dumps()
    loaded = load(place.root / "database" / name, database.server)
    assert loaded["rows"] == database.psql(ROWS)
    assert (status["result"], status["verdict"]) == ("success", "ok")
    assert (status["assets"], status["tables"], status["dump"]) == (120, 9, name)
    assert status["bytes"] == (place.root / "database" / name).stat().st_size
    assert status["lastSuccess"] == status["finished"] >= status["started"]
    assert str((place.root / "database" / "immich.sql.zst").readlink()) == name
    assert place.gauges("dump") == {
        "immich_backup_success": 1,
        "immich_backup_last_success_timestamp_seconds": status["lastSuccess"],
        "immich_backup_duration_seconds": status["seconds"],
        "immich_backup_bytes": status["bytes"],
    }
    place.assert_no_secret(ran.output + json.dumps(status))


def loaded_by_hand(sql: str, into: Database) -> None:
    """As the runbooks say it: through their filter, in a transaction that psql begins and the dump's end commits."""
    page = pages(host({"targets": [AWAY]}), "some")["host-lost.md"]
    (given,) = set(re.findall(r"\| sed \"([^\"]+)\"", page))
    (options,) = set(re.findall(r"psql -U immich -d immich (--set .*) > /dev/null", page))
    tools = programs()
    assert tools is not None
    filtered = subprocess.run(["sed", given], input=sql, capture_output=True, text=True, check=True).stdout
    server = into.server
    where = ["-h", str(server.directory), "-p", str(server.port), "-U", "postgres", "-d", into.name]
    subprocess.run(
        [str(tools / "psql"), "-X", *where, *options.split()],
        input=filtered,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_dump_that_a_person_loads_is_there_whole_or_not_at_all(place: Place, database: Database) -> None:
    make_tables(database)
    fill(database, place.media, 120)
    place.dump(place.plan(database))
    dump = place.root / "database" / "immich.sql.zst"
    sql = subprocess.run(["zstdcat", str(dump)], capture_output=True, check=True).stdout.decode()
    rows = sql.index("\n", sql.index("COPY public.asset_exif ")) + 1
    with database.server.database() as fresh:
        # The first is cut where a table has none of its rows yet, which psql takes for the end of the table.
        for part in (sql[: rows + 100], sql[: sql.index("-- PostgreSQL database dump complete")]):
            loaded_by_hand(part, fresh)
            assert fresh.psql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"
        loaded_by_hand(sql, fresh)
        assert fresh.psql(ROWS) == database.psql(ROWS)


def test_a_dump_has_no_owner_and_no_privileges(place: Place, database: Database) -> None:
    make_tables(database)
    place.dump(place.plan(database))
    dump = place.root / "database" / "immich.sql.zst"
    text = subprocess.run(["zstdcat", str(dump)], capture_output=True, check=True).stdout.decode()
    assert "DROP TABLE IF EXISTS public.asset;" in text
    assert "OWNER TO" not in text
    assert "GRANT " not in text


def test_a_database_without_tables_of_immich_is_no_failure_at_first(place: Place, database: Database) -> None:
    ran = place.dump(place.plan(database))
    assert ran.code == 0, ran.output
    status = place.status("dump")
    assert (status["result"], status["verdict"], status["lastSuccess"]) == ("skipped", "nothing-yet", 0)
    assert place.dumps() == []


def test_a_database_that_lost_its_tables_is_a_failure_and_keeps_its_dumps(
    place: Place, database: Database
) -> None:
    make_tables(database)
    assert place.dump(place.plan(database)).code == 0
    before = place.dumps()
    with database.server.database() as empty:
        ran = place.dump(place.plan(empty))
    assert ran.code == 1
    assert place.status("dump")["verdict"] == "database-empty"
    assert place.status("dump")["immichHasRun"] == 1
    assert place.dumps() == before


def test_tables_before_the_first_start_has_ended_do_not_say_that_immich_has_run(
    place: Place, database: Database
) -> None:
    make_tables(database, started=False)
    place.dump(place.plan(database))
    assert place.status("dump")["immichHasRun"] == 0
    database.psql("INSERT INTO system_metadata VALUES ('system-flags', '{}')")
    place.dump(place.plan(database))
    assert place.status("dump")["immichHasRun"] == 1


def test_a_dump_of_a_database_that_is_being_written_is_of_one_moment(
    place: Place, database: Database
) -> None:
    make_tables(database)
    fill(database, place.media, 400)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            database.psql(
                'WITH new AS (SELECT id FROM asset WHERE id NOT IN (SELECT "assetId" FROM asset_exif) LIMIT 1) '
                'INSERT INTO asset_exif ("assetId") SELECT id FROM new; '
            )
            database.psql(
                "BEGIN; DELETE FROM asset_exif; DELETE FROM asset WHERE id IN (SELECT id FROM asset LIMIT 1); "
                'INSERT INTO asset_exif ("assetId") SELECT id FROM asset; COMMIT;'
            )

    writer = threading.Thread(target=write)
    database.psql('INSERT INTO asset_exif ("assetId") SELECT id FROM asset')
    writer.start()
    try:
        ran = place.dump(place.plan(database))
    finally:
        stop.set()
        writer.join()
    assert ran.code == 0, ran.output
    loaded = load(place.root / "database" / place.dumps()[0], database.server)
    assert loaded["assets"] == loaded["exif"] == str(place.status("dump")["assets"])
    assert int(database.psql("SELECT count(*) FROM asset")) < 400  # it was being written


def test_only_the_newest_dumps_are_kept_and_other_files_stay(place: Place, database: Database) -> None:
    make_tables(database)
    folder = place.root / "database"
    folder.mkdir()
    old = [f"immich-2026010{day}T020000Z-v3.2.0-pg14.sql.zst" for day in (1, 2, 3, 4)]
    for name in old:
        (folder / name).write_text("x")
    for name in ("notes.txt", "immich-20260101T020000Z-v3.2.0-pg14.sql.zst.part", "other.sql.zst"):
        (folder / name).write_text("x")
    assert place.dump(place.plan(database, keep_dumps=3)).code == 0
    names = place.dumps()
    assert names[:2] == old[2:]
    assert len(names) == 3
    assert sorted(set(names_in(folder)) - set(names)) == ["immich.sql.zst", "notes.txt", "other.sql.zst"]


def test_a_clock_that_is_set_back_does_not_change_the_order_of_dumps(
    place: Place, database: Database
) -> None:
    need(faketime="faketime")
    make_tables(database)
    plan = place.plan(database)
    made: list[str] = []
    for moment in ("2027-03-28 01:59:59", "2027-03-28 01:59:59", "2020-01-01 00:00:00"):
        ran = place.dump(plan, prefix=("faketime", moment))
        assert ran.code == 0, ran.output
        made.append(place.status("dump")["dump"])
    assert place.dumps() == made
    assert made[0].startswith("immich-20270328T0")
    assert str((place.root / "database" / "immich.sql.zst").readlink()) == made[-1]


@pytest.mark.parametrize(("what", "verdict"), [("password", "wrong-password"), ("port", "database-gone")])
def test_a_database_that_does_not_let_the_script_in_has_its_verdict(
    place: Place, database: Database, what: str, verdict: str
) -> None:
    make_tables(database)
    plan = place.plan(database)
    assert place.dump(plan).code == 0
    if what == "password":
        Path(plan.database.password_file).write_text("another one\n")
        place.secrets.append("another one")
    else:
        plan = replace(plan, database=replace(plan.database, port=9))
    before = place.status("dump")["lastSuccess"]
    ran = place.dump(plan)
    assert ran.code == 1
    status = place.status("dump")
    assert (status["result"], status["verdict"], status["lastSuccess"]) == ("failed", verdict, before)
    assert place.gauges("dump")["immich_backup_success"] == 0
    assert len(place.dumps()) == 1
    place.assert_no_secret(ran.output + json.dumps(status))


def test_space_is_judged_before_the_dump(place: Place, database: Database) -> None:
    make_tables(database)
    folder = place.root / "database"
    folder.mkdir()
    with (folder / "immich-20260101T020000Z-v3.2.0-pg14.sql.zst").open("wb") as last:
        last.truncate(1 << 43)  # no disk has that much; the file takes no space
    assert place.dump(place.plan(database)).code == 1
    status = place.status("dump")
    assert status["verdict"] == "too-little-space"
    assert str((1 << 24) + 1) in status["message"]  # MiB
    assert len(place.dumps()) == 1


def test_a_disk_that_gets_full_leaves_no_half_dump(place: Place, database: Database) -> None:
    if os.geteuid() != 0:
        pytest.skip("a small disk is mounted, which needs root")
    make_tables(database)
    database.psql(
        'INSERT INTO album ("albumName") '
        "SELECT gen_random_uuid()::text || gen_random_uuid() FROM generate_series(1, 20000)"
    )
    folder = place.root / "database"
    folder.mkdir()
    plenty = stand_in(place, "df", "echo head; echo x 1 1 999999999 1% /")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)], check=True)
    try:
        ran = place.dump(place.plan(database), path=plenty)
        left = names_in(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert ran.code == 1
    assert place.status("dump")["verdict"] == "too-little-space", ran.output
    assert left == []


@pytest.mark.parametrize(
    "damage",
    [
        '"$real" "$@" | head -n -8',
        '"$real" "$@" | sed "s/^CREATE TABLE /CREATE /"',
        '"$real" "$@"; echo "pg_dump: error: query failed: ERROR: could not read block" >&2; exit 1',
    ],
    ids=["cut short", "without tables", "with an error"],
)
def test_a_dump_that_is_not_whole_never_gets_its_name(place: Place, database: Database, damage: str) -> None:
    make_tables(database)
    tools = programs()
    folder = stand_in(place, "pg_dump", f"real={tools}/pg_dump\n{damage}")
    ran = place.dump(place.plan(database), path=folder)
    assert ran.code == 1
    assert place.status("dump")["verdict"] in {"dump-incomplete", "database-error"}, ran.output
    assert names_in(place.root / "database") == []


def test_a_run_that_is_killed_leaves_nothing_that_the_next_one_trips_over(
    place: Place, database: Database
) -> None:
    make_tables(database)
    fill(database, place.media, 30)
    plan = place.plan(database)
    with locked(database, "album"):
        started = place.start(dump_script(plan), "bash")
        wait_for("a pg_dump that waits", lambda: waits_for_a_table(database))
        wait_for("a part", lambda: list((place.root / "database").glob("*.part")))
        assert place.status("dump")["result"] == "running"
        started.kill()
        assert place.dumps() == []
    ran = place.dump(plan)
    assert ran.code == 0, ran.output
    assert place.status("dump")["assets"] == 30
    assert sorted(names_in(place.root / "database")) == sorted([*place.dumps(), "immich.sql.zst"])


def test_a_run_that_is_asked_to_end_ends_at_once_and_says_so(place: Place, database: Database) -> None:
    make_tables(database)
    with locked(database, "album"):
        started = place.start(dump_script(place.plan(database)), "bash")
        wait_for("a pg_dump that waits", lambda: waits_for_a_table(database))
        assert started.ask_to_end() == 143
        wait_for("the end of pg_dump", lambda: not waits_for_a_table(database), 5)
    status = place.status("dump")
    assert (status["result"], status["verdict"]) == ("failed", "interrupted")
    assert names_in(place.folder / "tmp") == []


def test_of_two_runs_at_once_one_waits_and_says_who_it_waited_for(place: Place, database: Database) -> None:
    make_tables(database)
    plan = place.plan(database)
    with locked(database, "album"):
        first = place.start(dump_script(plan), "bash")
        wait_for("a pg_dump that waits", lambda: waits_for_a_table(database))
        second = place.dump(plan)
        assert second.code == 1
        assert place.status("dump")["verdict"] == "locked"
        third = place.start(dump_script(replace(plan, lock_wait=60)), "bash")
        wait_for("a third that waits", lambda: "waiting up to 60 s" in third.log.read_text())
    assert first.ended().code == 0
    assert third.ended().code == 0
    assert len(place.dumps()) == 2
    assert place.status("dump")["verdict"] == "ok"


def test_no_password_stands_in_arguments_or_environments(place: Place, database: Database) -> None:
    make_tables(database)
    with locked(database, "album"):
        started = place.start(dump_script(place.plan(database)), "bash")
        wait_for("a pg_dump that waits", lambda: waits_for_a_table(database))
        seen = processes(started.process.pid)
    assert started.ended().code == 0
    assert any("pg_dump" in each for each in seen)
    place.assert_no_secret("".join(seen))


def processes(group: int) -> list[str]:
    """Arguments and environments of a process group."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(entry.name)) == group:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                found.append(text.decode(errors="replace"))
        except OSError:
            continue  # it ended meanwhile
    return found

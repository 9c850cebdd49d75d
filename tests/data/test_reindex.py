"""The renewal of VectorChord's indexes on Debian's PostgreSQL; plain indexes have the names of Immich's."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.upgrade.reindex import reindex_script
from tests.data.bundled_database import NEW, OLD, StandInVectorChord
from tests.data.place import Place, Ran, wait_for
from tests.data.postgres_process import ROLE, Database, programs

MADE = f"""
SET ROLE {ROLE};
CREATE EXTENSION vchord VERSION '{OLD}';
CREATE TABLE smart_search (asset_id int, embedding text);
CREATE INDEX clip_index ON smart_search (embedding);
CREATE TABLE face_search (face_id int, embedding text);
CREATE INDEX face_index ON face_search (embedding);
CREATE INDEX another_index ON face_search (face_id);
INSERT INTO face_search SELECT n, md5(n::text) FROM generate_series(1, 500) n;
"""  # noqa: S608 - constants
HOLD = "BEGIN; LOCK TABLE face_search IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({seconds}); COMMIT;"
PASSWORD_LINE = 'with:colon\\and "quotes"'


@pytest.fixture(scope="module")
def server() -> Iterator[StandInVectorChord]:
    if programs() is None:
        pytest.skip("initdb is not installed (Debian: apt-get install postgresql)")
    with StandInVectorChord() as found:
        yield found


@pytest.fixture
def immich(server: StandInVectorChord) -> Iterator[Database]:
    """A database whose extension is of the old version, with both indexes."""
    server.offer(NEW)
    with server.database() as found:
        found.psql(MADE)
        yield found


def renew(place: Place, database: Database, prefix: tuple[str, ...] = (), **changes: Any) -> Ran:
    script = reindex_script(place.plan(database), **{"answer": 3, "lock": 2, **changes})
    ran = place.start(script, "bash", prefix=prefix).ended()
    place.assert_no_secret(ran.output)
    return ran


def files(database: Database) -> dict[str, str]:
    """Index -> the file that it is in: another one once it was made anew."""
    rows = database.psql(
        "SELECT relname, relfilenode FROM pg_class WHERE relname IN ('face_index', 'clip_index', 'another_index') "
        "AND relnamespace = 'public'::regnamespace"
    )
    return dict(row.split("\t") for row in rows.splitlines())


def version(database: Database) -> str:
    return database.psql("SELECT extversion FROM pg_extension WHERE extname = 'vchord'")


def test_extension_is_updated_and_both_stand_in_indexes_are_made_anew(place: Place, immich: Database) -> None:
    before = files(immich)
    ran = renew(place, immich)
    assert ran.code == 0, ran.output
    after = files(immich)
    assert version(immich) == NEW
    assert immich.psql("SELECT vchord_stand_in()") == "new"
    assert {name for name in before if before[name] != after[name]} == {"face_index", "clip_index"}
    status = place.status("reindex")
    assert (status["result"], status["verdict"], status["indexes"], status["extension"]) == (
        "success",
        "ok",
        2,
        NEW,
    )
    assert status["lastSuccess"] == status["finished"] >= status["started"]
    assert place.gauges("reindex")["immich_backup_success"] == 1


def test_running_it_again_is_right(place: Place, immich: Database) -> None:
    assert renew(place, immich).code == 0
    between = files(immich)
    assert renew(place, immich).code == 0
    assert version(immich) == NEW
    assert files(immich)["face_index"] != between["face_index"]


def test_an_index_that_is_not_there_is_left_out(place: Place, immich: Database) -> None:
    immich.psql("DROP INDEX clip_index")
    assert renew(place, immich).code == 0
    assert place.status("reindex")["indexes"] == 1


def test_an_index_of_that_name_in_another_schema_with_a_name_to_quote_is_made_anew(
    place: Place, immich: Database
) -> None:
    immich.psql(
        f'SET ROLE {ROLE}; CREATE SCHEMA "my \'schema"; SET search_path = "my \'schema"; '
        "CREATE TABLE t (a int); CREATE INDEX face_index ON t (a)"
    )
    assert renew(place, immich).code == 0
    assert place.status("reindex")["indexes"] == 3


def test_a_database_without_the_extension_has_nothing_to_do(place: Place, server: StandInVectorChord) -> None:
    with server.database() as empty:
        assert renew(place, empty).code == 0
    status = place.status("reindex")
    assert (status["result"], status["verdict"]) == ("skipped", "nothing-yet")


def test_an_image_with_an_older_extension_is_refused_and_nothing_is_made_anew(
    place: Place, immich: Database, server: StandInVectorChord
) -> None:
    immich.psql("ALTER EXTENSION vchord UPDATE")
    before = files(immich)
    server.offer(OLD)
    ran = renew(place, immich)
    assert ran.code == 1
    assert place.status("reindex")["verdict"] == "newer-extension"
    assert NEW in place.status("reindex")["message"]
    assert files(immich) == before


def test_an_image_without_the_extension_is_refused(
    place: Place, immich: Database, server: StandInVectorChord
) -> None:
    server.offer(None)
    assert renew(place, immich).code == 1
    assert place.status("reindex")["verdict"] == "no-extension"


def test_versions_are_compared_as_numbers(place: Place, immich: Database, server: StandInVectorChord) -> None:
    (server.extensions / f"vchord--{OLD}--0.10.0.sql").write_text("SELECT 1;\n")
    server.offer("0.10.0")
    ran = renew(place, immich)
    assert ran.code == 0, ran.output
    assert version(immich) == "0.10.0"


def test_a_role_that_does_not_own_the_extension_is_told_what_a_superuser_must_run(
    place: Place, server: StandInVectorChord
) -> None:
    server.offer(NEW)
    with server.database() as found:
        found.psql(f"CREATE EXTENSION vchord VERSION '{OLD}'")
        assert renew(place, found).code == 1
        status = place.status("reindex")
        assert status["verdict"] == "not-owner"
        assert "ALTER EXTENSION vchord UPDATE" in status["message"]
        assert version(found) == OLD


def test_an_update_of_the_extension_that_fails_says_so(
    place: Place, immich: Database, server: StandInVectorChord
) -> None:
    server.offer("9.9.9")
    assert renew(place, immich).code == 1
    status = place.status("reindex")
    assert (status["result"], status["verdict"]) == ("failed", "extension-failed")
    assert "9.9.9" in status["message"]


@pytest.mark.deep
def test_an_index_in_use_is_waited_for_and_then_given_up(place: Place, immich: Database) -> None:
    held = threading.Thread(
        target=immich.psql,
        args=(HOLD.format(seconds=6),),
    )
    held.start()
    try:
        assert renew(place, immich).code == 1
        status = place.status("reindex")
        assert status["verdict"] == "busy"
        assert "public.face_index" in status["message"]
    finally:
        held.join()
    assert renew(place, immich).code == 0
    assert place.status("reindex")["result"] == "success"


def test_a_wrong_password_is_named_and_shown_nowhere(place: Place, immich: Database) -> None:
    plan = place.plan(immich)
    Path(plan.database.password_file).write_text(f"{PASSWORD_LINE}\n")
    place.secrets.append(PASSWORD_LINE)
    ran = place.start(reindex_script(plan, answer=3, lock=2), "bash").ended()
    assert ran.code == 1
    assert place.status("reindex")["verdict"] == "wrong-password"
    place.assert_no_secret(ran.output + str(place.status("reindex")))


def test_a_database_that_does_not_answer_is_waited_for_and_then_given_up(place: Place) -> None:
    ran = place.start(reindex_script(place.plan(), answer=2, lock=2), "bash")
    assert ran.ended().code == 1
    status = place.status("reindex")
    assert status["verdict"] == "database-gone"
    assert status["seconds"] >= 2


def test_a_failure_keeps_when_it_last_succeeded(
    place: Place, immich: Database, server: StandInVectorChord
) -> None:
    assert renew(place, immich).code == 0
    succeeded = place.status("reindex")["lastSuccess"]
    server.offer(OLD)
    assert renew(place, immich).code == 1
    assert place.status("reindex")["lastSuccess"] == succeeded > 0
    assert place.gauges("reindex")["immich_backup_success"] == 0


@pytest.mark.deep
def test_killed_in_the_middle_it_is_right_the_next_time(place: Place, immich: Database) -> None:
    immich.psql("INSERT INTO face_search SELECT n, md5(n::text) FROM generate_series(1, 300000) n")
    started = place.start(reindex_script(place.plan(immich), answer=3, lock=20), "bash")
    wait_for(
        "a REINDEX",
        lambda: (
            immich.psql(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'REINDEX%' AND state = 'active'"
            )
            != "0"
        ),
    )
    started.kill()
    assert place.status("reindex")["result"] == "running"
    assert renew(place, immich, lock=20).code == 0
    assert place.status("reindex")["result"] == "success"
    assert immich.psql("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == "0"


def test_a_request_to_end_is_a_failure_with_a_word(place: Place, immich: Database) -> None:
    held = threading.Thread(
        target=immich.psql,
        args=(HOLD.format(seconds=4),),
    )
    held.start()
    try:
        started = place.start(reindex_script(place.plan(immich), answer=3, lock=20), "bash")
        wait_for(
            "a REINDEX that waits",
            lambda: immich.psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'REINDEX%'") != "0",
        )
        assert started.ask_to_end() != 0
    finally:
        held.join()
    status = place.status("reindex")
    assert (status["result"], status["verdict"]) == ("failed", "interrupted")


@pytest.mark.skipif(os.geteuid() != 0, reason="another user takes root")
def test_it_works_under_a_user_without_a_name_and_without_rights(place: Place, immich: Database) -> None:
    plan = place.plan(immich)
    for folder, names, inside in os.walk(place.folder):
        for name in (".", *names, *inside):
            os.chown(Path(folder) / name, 54321, 54321)
    prefix = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--")
    ran = place.start(reindex_script(plan, answer=3, lock=2), "bash", prefix=prefix).ended()
    assert ran.code == 0, ran.output
    assert place.status("reindex")["indexes"] == 2

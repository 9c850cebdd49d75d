"""A database that comes back from a dump that Immich made: with real PostgreSQL, by an owner that is not here."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.backup.restore_plan import RestoreChoice
from tests.data.place import Place
from tests.data.postgres_process import Postgres
from tests.data.recovery_harness import Deployment, deployment

NAME = "immich-db-backup-20261120T020000-v3.3.1-pg14.19.sql.gz"
CHOICE = RestoreChoice(what="database", from_=NAME)


@dataclass(frozen=True, kw_only=True)
class Dumped:
    """A deployment, its rows, and its dump as text."""

    live: Deployment
    rows: dict[str, str]
    text: bytes

    @property
    def folder(self) -> Path:
        """Where Immich keeps its dumps."""
        return self.live.place.media / "backups"

    def put(self, text: bytes | None = None, name: str = NAME) -> None:
        """The dump, or another text, in its place."""
        for old in self.folder.glob("*.gz"):
            old.unlink()
        (self.folder / name).write_bytes(gzip.compress(self.text if text is None else text))


@pytest.fixture(scope="module")
def made(applets: Path, postgres: Postgres) -> Iterator[Dumped]:
    """Dumped as Immich does: by its superuser, with owners and grants of a role that other servers do not have."""
    with Place(applets) as place, postgres.database() as database:
        live = deployment(place, postgres, database, 24)
        database.psql(
            "CREATE ROLE compose SUPERUSER; CREATE TABLE line (text text); INSERT INTO line VALUES ('GRANT a TO b;');"
            "ALTER TABLE line OWNER TO immich; REASSIGN OWNED BY immich TO compose; GRANT SELECT ON asset TO PUBLIC"
        )
        try:
            # database-backup.service.ts: pg_dump --clean --if-exists
            text = subprocess.run(
                [
                    *(
                        str(postgres.programs / "pg_dump"),
                        "--clean",
                        "--if-exists",
                        "-h",
                        str(postgres.directory),
                    ),
                    *("-p", str(postgres.port), "-U", postgres.superuser, database.name),
                ],
                check=True,
                capture_output=True,
            ).stdout
            rows = live.rows()
        finally:
            database.psql("REASSIGN OWNED BY compose TO immich; DROP OWNED BY compose; DROP ROLE compose")
        assert b"OWNER TO compose;" in text
        assert b"GRANT SELECT ON TABLE public.asset TO PUBLIC;" in text
        yield Dumped(live=live, rows=rows, text=text)


@pytest.fixture
def dumped(made: Dumped) -> Dumped:
    """Its dump among the media, and an empty backup volume."""
    made.live.lose_backup_volume()
    made.put()
    return made


def test_every_row_comes_back_and_belongs_to_immichs_role(dumped: Dumped) -> None:
    live, place = dumped.live, dumped.live.place
    before = live.files()
    with live.new_database() as database:
        ran = live.restore_database(database, CHOICE)
        assert ran.code == 0, ran.output
        assert live.rows(database) == dumped.rows
        # A row that reads like a grant is a row.
        assert database.psql("SELECT text FROM line") == "GRANT a TO b;"
        assert (
            database.psql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'") == "immich"
        )
        status = place.status("restore")
        assert (status["result"], status["verdict"], status["dump"]) == ("success", "ok", NAME)
        assert (status["assets"], status["users"]) == (24, 1)

        again = live.restore_database(database, CHOICE)
        assert again.code == 0, again.output
        assert place.status("restore")["result"] == "skipped"
    assert live.files() == before
    assert (dumped.folder / NAME).exists()

    with live.new_database() as database:
        # What is lost later is not filled with what is old by then.
        assert live.restore_database(database, CHOICE).code == 1
        assert place.status("restore")["verdict"] == "already-restored"


def test_a_database_with_rows_is_left_as_it_is(dumped: Dumped) -> None:
    live = dumped.live
    before = live.rows()
    ran = live.restore_database(live.database, CHOICE)
    assert ran.code == 0, ran.output
    assert (live.place.status("restore")["result"], live.place.status("restore")["verdict"]) == (
        "skipped",
        "has-data",
    )
    assert live.rows() == before


@pytest.mark.parametrize("kept", ["half of the text", "half of the bytes"])
def test_a_dump_that_was_cut_is_refused_and_nothing_is_loaded(dumped: Dumped, kept: str) -> None:
    if kept == "half of the text":
        dumped.put(dumped.text[: len(dumped.text) // 2])
    else:
        whole = (dumped.folder / NAME).read_bytes()
        (dumped.folder / NAME).write_bytes(whole[: len(whole) // 2])
    with dumped.live.new_database() as database:
        ran = dumped.live.restore_database(database, CHOICE)
        assert ran.code == 1
        assert dumped.live.place.status("restore")["verdict"] == "database-damaged"
        assert database.psql("SELECT to_regclass('asset') IS NULL") == "t"
        # A whole one in its place is loaded then.
        dumped.put()
        ran = dumped.live.restore_database(database, CHOICE)
        assert ran.code == 0, ran.output
        assert dumped.live.rows(database) == dumped.rows


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("immich-db-backup-20261120T020000-v9.0.0-pg14.19.sql.gz", "downgrade"),
        ("immich-db-backup-20261120T020000-v3.3.1-pg99.1.sql.gz", "postgres-downgrade"),
    ],
)
def test_a_dump_of_what_is_newer_is_refused(dumped: Dumped, name: str, verdict: str) -> None:
    dumped.put(name=name)
    with dumped.live.new_database() as database:
        ran = dumped.live.restore_database(database, RestoreChoice(what="database", from_=name))
        assert ran.code == 1
        assert dumped.live.place.status("restore")["verdict"] == verdict
        assert database.psql("SELECT to_regclass('asset') IS NULL") == "t"


def test_a_dump_that_is_not_there_is_told_with_those_that_are(dumped: Dumped) -> None:
    dumped.put(name="restore-point-1-v3.3.1-pg14.1.sql.gz")
    with dumped.live.new_database() as database:
        ran = dumped.live.restore_database(database, CHOICE)
        assert ran.code == 1
        status = dumped.live.place.status("restore")
        assert status["verdict"] == "no-dump"
        assert "restore-point-1-v3.3.1-pg14.1.sql.gz" in status["message"]

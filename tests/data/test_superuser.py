"""Immich's role in a bundled database is no superuser, in a new one and in one that an older release made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components.backup.restore_plan import RestoreChoice
from components.database.component import AtStart
from components.database.settings import SUPERUSER
from components.monitoring import queries as metrics_queries
from components.monitoring.metrics_role import at_start
from tests.data.bundled_database import NAME, NEW, OLD, BundledServer
from tests.data.conftest import absent
from tests.data.place import Place, wait_for
from tests.data.postgres_process import ROLE, programs
from tests.data.recovery_harness import Deployment, deployment

ROLES = """
SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolcanlogin,
       rolpassword IS NOT NULL FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY 1
"""
WANTED = f"{ROLE}\tf\tf\tf\tf\tf\tt\tt\n{SUPERUSER}\tt\tt\tt\tt\tt\tt\tf"
DATABASE_OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
EXTENSIONS = """
SELECT extname, extversion, pg_get_userbyid(extowner) FROM pg_extension
WHERE extname IN ('vchord', 'cube', 'earthdistance') ORDER BY 1
"""
OWNERS = """
SELECT kind, name, owner::regrole FROM (
    SELECT 'relation', oid::regclass::text, oid, relowner FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'i')
    UNION ALL SELECT 'routine', oid::regprocedure::text, oid, proowner FROM pg_proc
    UNION ALL SELECT 'type', oid::regtype::text, oid, typowner FROM pg_type
        WHERE NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_type.oid AND deptype = 'i')
    UNION ALL SELECT 'schema', nspname, oid, nspowner FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT 'operator', oid::regoperator::text, oid, oprowner FROM pg_operator
    UNION ALL SELECT 'operator class', opcname, oid, opcowner FROM pg_opclass
    UNION ALL SELECT 'operator family', opfname, oid, opfowner FROM pg_opfamily
    UNION ALL SELECT 'collation', collname, oid, collowner FROM pg_collation
    UNION ALL SELECT 'search', cfgname, oid, cfgowner FROM pg_ts_config
    UNION ALL SELECT 'dictionary', dictname, oid, dictowner FROM pg_ts_dict
    UNION ALL SELECT 'statistics', stxname, oid, stxowner FROM pg_statistic_ext
    UNION ALL SELECT 'large object', oid::text, oid, lomowner FROM pg_largeobject_metadata
) AS found (kind, name, id, owner)
WHERE id >= 16384 AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = id AND deptype = 'e') ORDER BY 1, 2
"""
EVERY_KIND = """
CREATE SCHEMA "a Schema";
CREATE TYPE mood AS ENUM ('a'); CREATE TYPE pair AS (a int, b int); CREATE TYPE span AS RANGE (subtype = int);
CREATE DOMAIN "a Schema".short AS text CHECK (length(value) < 9);
CREATE TABLE "a Schema"."a Table" (id serial, again int GENERATED ALWAYS AS IDENTITY, of mood, word "a Schema".short);
CREATE TABLE parted (at int) PARTITION BY RANGE (at); CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9);
CREATE SEQUENCE lone; CREATE VIEW looked AS SELECT 1 AS one; CREATE MATERIALIZED VIEW kept AS SELECT 1 AS one;
CREATE INDEX on parted (at);
CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE sql AS 'SELECT $1 + $2';
CREATE PROCEDURE nothing() LANGUAGE sql AS ''; CREATE AGGREGATE total(int) (sfunc = plus, stype = int);
CREATE OPERATOR public.<+> (leftarg = int, rightarg = int, function = plus);
CREATE OPERATOR CLASS ints FOR TYPE int USING btree AS FUNCTION 1 btint4cmp(int, int), OPERATOR 1 <;
CREATE COLLATION mine (locale = 'C'); CREATE STATISTICS counted ON id, again FROM "a Schema"."a Table";
CREATE TEXT SEARCH CONFIGURATION search (copy = simple); CREATE TEXT SEARCH DICTIONARY words (template = simple);
SELECT lo_from_bytea(0, 'large');
"""


@pytest.fixture
def server() -> Iterator[BundledServer]:
    if programs() is None:
        absent("initdb", "postgresql")
    with BundledServer() as found:
        yield found


@pytest.fixture
def place(applets: Path) -> Iterator[Place]:
    with Place(applets) as found:
        yield found


def of_the_release_before(server: BundledServer, place: Place) -> Deployment:
    """A deployment in use, whose role is the superuser and owns every kind of thing."""
    server.offer(OLD)
    server.start_before()
    server.immich.psql(
        "CREATE EXTENSION vchord; CREATE EXTENSION earthdistance CASCADE; CREATE EXTENSION pg_trgm"
    )
    live = deployment(place, server, server.immich)
    server.immich.psql(EVERY_KIND)
    assert server.immich.psql("SELECT oid FROM pg_roles WHERE rolname = 'immich'") == "10"
    return live


def state(server: BundledServer) -> str:
    return "\n".join(server.immich.psql(sql) for sql in (ROLES, DATABASE_OWNER, EXTENSIONS, OWNERS))


def test_a_new_database_has_immichs_role_without_rights_over_others_and_the_extensions_that_it_needs(
    server: BundledServer,
) -> None:
    server.start()
    assert server.immich.psql(ROLES) == WANTED
    assert server.immich.psql(DATABASE_OWNER) == ROLE
    assert server.immich.psql(EXTENSIONS).splitlines() == [
        f"cube\t1.5\t{SUPERUSER}",
        f"earthdistance\t1.1\t{SUPERUSER}",
        f"vchord\t{NEW}\t{SUPERUSER}",
    ]
    assert server.connects(ROLE, server.password) == ""
    assert "password authentication failed" in server.connects(SUPERUSER, server.password)
    made = state(server)
    server.stop()
    server.start()
    assert state(server) == made


def test_what_immichs_role_sets_for_its_database_leads_no_superuser_astray(server: BundledServer) -> None:
    server.start()
    # Its own operator for names, which a superuser's `current_user = 'immich'` would call.
    server.immich.psql(
        "CREATE SCHEMA evil;"
        "CREATE FUNCTION evil.same(name, name) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN"
        " IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)"
        " THEN EXECUTE 'CREATE ROLE evil_root SUPERUSER'; END IF;"
        " RETURN $1::text OPERATOR(pg_catalog.=) $2::text; END $$;"
        "CREATE OPERATOR evil.= (leftarg = name, rightarg = name, function = evil.same);"
        "ALTER DATABASE immich SET search_path = evil, pg_catalog, public;"
        "ALTER DATABASE immich SET default_transaction_read_only = on;"
        "ALTER DATABASE immich SET role = immich"
    )
    server.stop()
    server.start()
    assert "evil_root" not in server.immich.psql("SELECT rolname FROM pg_catalog.pg_roles")


def test_another_role_of_the_settings_gets_what_the_one_before_owned(server: BundledServer) -> None:
    server.start()
    server.immich.psql(EVERY_KIND)
    server.stop()
    server.start()
    owned = server.immich.psql(OWNERS)
    assert f"\t{ROLE}\n" in owned
    server.stop()
    server.settings = server.settings.model_copy(update={"user": "photos"})
    server.start()
    assert server.immich.psql(OWNERS) == re.sub(rf"\t{ROLE}$", "\tphotos", owned, flags=re.MULTILINE)
    assert server.immich.psql(DATABASE_OWNER) == "photos"


def test_a_database_of_an_older_release_comes_over_with_all_that_immich_owns(
    server: BundledServer, place: Place
) -> None:
    live = of_the_release_before(server, place)
    rows = live.rows()
    server.stop()
    server.start()
    assert server.immich.psql(ROLES) == WANTED
    assert server.immich.psql(DATABASE_OWNER) == ROLE
    owners = [line.split("\t") for line in server.immich.psql(OWNERS).splitlines()]
    assert {kind for kind, *_ in owners} >= {
        "relation",
        "routine",
        "type",
        "schema",
        "operator",
        "large object",
    }
    assert {tuple(line) for line in owners if line[2] != ROLE} == {
        ("schema", "public", "pg_database_owner")
    } & {tuple(line) for line in owners}
    assert f"vchord\t{OLD}\t{SUPERUSER}" in server.immich.psql(EXTENSIONS).splitlines()
    assert live.rows() == rows
    assert server.connects(ROLE, server.password) == ""
    moved = state(server)
    server.stop()
    server.start()
    assert state(server) == moved


def test_what_came_over_is_dumped_drilled_restored_and_altered_by_immichs_role(
    server: BundledServer, place: Place
) -> None:
    live = of_the_release_before(server, place)
    # The drill's PostgreSQL has no stand-in; a superuser alone loads operator classes, of which Immich has none.
    server.immich.psql("DROP EXTENSION vchord; DROP OPERATOR FAMILY ints USING btree CASCADE")
    server.offer(None)
    rows = live.rows()
    server.stop()
    server.start()
    live.back_up()
    drill = live.drill()
    assert drill.code == 0, drill.output
    assert (
        server.immich.psql(f"SET ROLE {ROLE}; ALTER TABLE asset ADD COLUMN more int; DROP TYPE mood CASCADE")
        == ""
    )
    server.psql("ALTER DATABASE immich RENAME TO lost; CREATE DATABASE immich".replace("; ", ";\n"))
    server.stop()
    server.start()  # makes the extensions of a database that is new
    chosen = RestoreChoice(what="database")
    assert live.restore_files(chosen).code == 0
    restored = live.restore_database(server.immich, chosen)
    assert restored.code == 0, restored.output
    assert live.rows() == rows


def test_nobody_comes_in_before_all_is_done_and_a_start_that_was_killed_in_the_middle_is_done_again(
    server: BundledServer, place: Place
) -> None:
    live = of_the_release_before(server, place)
    rows = live.rows()
    # A lock that outlives the server stops the start amid the tables that it hands over.
    server.immich.psql("BEGIN; LOCK TABLE asset IN ACCESS SHARE MODE; PREPARE TRANSACTION 'held'")
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER%asset%'"
    )
    server.stop()
    for _ in range(2):
        server.begin()
        server.superuser = ROLE  # nobody has seen another yet
        wait_for("the start to wait", lambda: server.answers_psql() and server.psql(waits) == "1")
        assert not server.is_ready()
        assert "no pg_hba.conf entry" in server.connects(ROLE, server.password)
        server.kill()
    server.begin()
    server.superuser = ROLE
    wait_for("the start to wait", lambda: server.answers_psql() and server.psql(waits) == "1")
    server.immich.psql("ROLLBACK PREPARED 'held'")
    wait_for("the database", server.is_ready)
    server.superuser = SUPERUSER
    assert server.immich.psql(ROLES) == WANTED
    assert server.immich.psql(OWNERS).count(SUPERUSER) == 0
    assert live.rows() == rows


def test_what_a_person_makes_as_superuser_is_immichs_after_the_next_start(server: BundledServer) -> None:
    server.start()
    server.immich.psql(
        "CREATE TABLE loaded (a int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    )
    server.psql(f"ALTER ROLE {ROLE} SUPERUSER; ALTER ROLE {SUPERUSER} PASSWORD 'x'".replace("; ", ";\n"))
    server.stop()
    server.start()
    assert server.immich.psql(ROLES) == WANTED
    assert server.immich.psql(OWNERS).count(SUPERUSER) == 0


def test_extensions_follow_a_newer_image_and_an_older_one_starts_as_well(server: BundledServer) -> None:
    server.offer(OLD)
    server.start()
    version = "SELECT extversion FROM pg_extension WHERE extname = 'vchord'"
    assert server.immich.psql(version) == OLD
    for offered, found in ((NEW, NEW), (OLD, NEW), (None, NEW)):
        server.stop()
        server.offer(offered)
        server.start()
        assert server.immich.psql(version) == found


def test_passwords_count_from_the_next_start_on_and_are_never_shown(server: BundledServer) -> None:
    metrics = at_start(NAME)
    server.at_start = replace(
        metrics, sql=metrics.sql.replace(metrics.folder(metrics.name), str(server.directory))
    )
    refused = "password authentication failed"
    before = server.password
    odd = "quote' backslash\\ $$ and space"
    for server.password in (before, odd):  # the exporter's role has the same one here
        server.start()
        for role in (ROLE, metrics_queries.ROLE):
            assert server.connects(role, server.password) == ""
        assert refused in server.connects(SUPERUSER, server.password)
        server.stop()
    server.start()
    assert refused in server.connects(ROLE, before)
    assert refused in server.connects(metrics_queries.ROLE, before)
    assert server.immich.psql("SELECT pg_has_role('immich_metrics', 'pg_monitor', 'member')") == "t"
    assert odd not in server.log()


def test_a_start_that_cannot_prepare_says_where_and_quotes_nothing(server: BundledServer) -> None:
    server.at_start = AtStart(name="more", sql="SELECT 'the-secret' FROM nowhere;", passwords={})
    server.begin()
    said = f"the database is not prepared yet: psql:{server.directory}/more.sql:1: ERROR:  42P01"
    wait_for("the complaint", lambda: said in server.log(), 60)
    assert "the-secret" not in server.log()
    assert not server.is_ready()

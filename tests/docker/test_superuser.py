"""A database of the release in which Immich's role was the superuser, taken over by containers of this one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.client import DockerClient
from docker.models.containers import Container

from tests.docker.engine_process import Engine
from tests.docker.host import execute, until
from tests.docker.images.library import Images
from tests.docker.one_host import OneHost

pytestmark = [pytest.mark.docker, pytest.mark.engine, pytest.mark.deep]

VOLUME = "immich-taken-database"
OLD = {
    "POSTGRES_USER": "immich",
    "POSTGRES_DB": "immich",
    "POSTGRES_PASSWORD": "of the release before",
    "POSTGRES_INITDB_ARGS": "--data-checksums",
    "PGDATA": "/var/lib/postgresql/data/pgdata",
}
"""What that release gave the container (its password was in a file)."""


@pytest.fixture(name="before")
def _before(client: DockerClient, images: Images) -> None:
    """A volume that the older release has written, with a table in it."""
    client.volumes.create(VOLUME)
    made = client.containers.run(
        images["postgres"], environment=OLD, volumes=[f"{VOLUME}:/var/lib/postgresql/data"], detach=True
    )
    try:
        # The entrypoint's own first server has no TCP.
        ready = ("pg_isready", "-h", "127.0.0.1", "-U", "immich", "-q")
        until(lambda: made.exec_run(list(ready)).exit_code == 0, "the old database answers")
        execute(
            made, "psql", "-U", "immich", "-d", "immich", "-qc", "CREATE TABLE kept AS SELECT 42 AS answer"
        )
        assert answer(made, "SELECT rolsuper FROM pg_roles WHERE rolname = 'immich'") == "t"
        made.stop()
    finally:
        made.remove(force=True)


@pytest.fixture
def host(
    tmp_path: Path, before: None, engine: Engine, client: DockerClient, images: Images
) -> Iterator[OneHost]:
    """The stack of this release on that volume."""
    made = OneHost.create(tmp_path, "taken", engine, client, images, port=2292)
    yield made
    made.remove()


def answer(container: Container, query: str) -> str:
    """What one query gives."""
    return execute(container, "psql", "-U", "immich", "-d", "immich", "-tAc", query).strip()


def test_an_existing_database_comes_over_with_its_data_at_the_first_up(host: OneHost) -> None:
    host.up()
    host.wait_healthy()
    database = host.container("database")
    assert answer(database, "SELECT answer FROM kept") == "42"
    assert answer(database, "SELECT rolsuper FROM pg_roles WHERE rolname = 'immich'") == "f"
    assert answer(database, "SELECT tableowner FROM pg_tables WHERE tablename = 'kept'") == "immich"
    assert answer(database, "SELECT rolsuper FROM pg_roles WHERE rolname = 'immich_superuser'") == "t"
    door = host.door(2292)
    host.wait_answers(door)
    host.must_upload(door=door)
    host.check_uploads(door)
    assert {step.op for step in host.steps()} <= {"same", "refresh"}

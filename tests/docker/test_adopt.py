"""An Immich of a docker-compose.yml moves here by the commands that `make adopt` prints, and back by those at its end.

Docker Compose is a stand-in: a script that finds the containers of services by their names. All other commands run as
they are printed; `make up` is the stack of the test, and looks at it (`make status` and the like) are left out.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.client import DockerClient

from components.recovery.runbooks import from_compose
from tests.docker.engine_process import Engine
from tests.docker.host import wait_healthy
from tests.docker.images.library import Images
from tests.docker.one_host import OneHost
from toolchain.adopt.__main__ import names_of
from toolchain.adopt.choices import adopt
from toolchain.adopt.compose import read
from toolchain.stack_settings import settings_without_secrets, stack_texts

pytestmark = [pytest.mark.docker, pytest.mark.engine, pytest.mark.deep]

PORT = 2291
COMPOSE = f"""
services:
  immich-server:
    image: ghcr.io/immich-app/immich-server:v3.3.1
    volumes: ["${{UPLOAD_LOCATION}}:/data"]
    ports: ["{PORT}:2283"]
    env_file: [.env]
  redis: {{image: "docker.io/valkey/valkey:9"}}
  database: {{image: "ghcr.io/immich-app/postgres:14-vectorchord0.4.3-pgvectors0.2.0"}}
"""
ENVIRONMENT = {"DB_PASSWORD": "old", "DB_USERNAME": "postgres", "DB_DATABASE_NAME": "immich"}
DOCKER_COMPOSE = """#!/bin/sh
# Of the stand-in for Docker Compose: `docker compose -f FILE stop|ps|exec|up`; everything else is Docker's own.
[ "$1" = compose ] || exec /usr/bin/env -u STANDIN PATH="$REAL_PATH" docker "$@"
shift 3
what=$1
shift
docker() { /usr/bin/env PATH="$REAL_PATH" docker "$@"; }
case $what in
    stop) for one; do docker stop "old-$one" || exit; done ;;
    exec) [ "$1" = -T ] || exit 2; shift; name=$1; shift; docker exec -i "old-$name" "$@" ;;
    ps) shift; for one; do echo "old-$one"; done ;;
    up) docker start old-database old-redis old-immich-server ;;
    *) exit 2 ;;
esac
"""


@pytest.fixture
def shims(tmp_path: Path, engine: Engine) -> dict[str, str]:
    """The environment of a person on the host."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("docker", DOCKER_COMPOSE), ("sudo", '#!/bin/sh\nexec "$@"\n')):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    path = os.environ["PATH"]
    return {**os.environ, "DOCKER_HOST": engine.url, "REAL_PATH": path, "PATH": f"{folder}:{path}"}


@pytest.fixture
def compose(tmp_path: Path, client: DockerClient, images: Images) -> Iterator[Path]:
    """What runs before: containers as that file would have them, with photos in a folder of the host."""
    folder = tmp_path / "host"
    photos = folder / "photos"
    photos.mkdir(parents=True)
    (folder / "docker-compose.yml").write_text(COMPOSE)
    variables = "".join(f"{name}={value}\n" for name, value in ENVIRONMENT.items())
    (folder / ".env").write_text(f"{variables}UPLOAD_LOCATION={photos}\n")
    network = client.networks.create("old")
    postgres = {
        "POSTGRES_PASSWORD": "old",
        "POSTGRES_USER": "postgres",
        "POSTGRES_DB": "immich",
        "POSTGRES_INITDB_ARGS": "--data-checksums",
    }
    made = [
        client.containers.create(
            images["postgres"], name="old-database", hostname="database", network="old", environment=postgres
        ),
        client.containers.create(
            images["valkey"], ["valkey-server", "--protected-mode", "no"], name="old-redis", network="old"
        ),
        client.containers.create(
            images["server"],
            name="old-immich-server",
            network="old",
            environment={**ENVIRONMENT, "DB_HOSTNAME": "old-database", "REDIS_HOSTNAME": "old-redis"},
            volumes=[f"{photos}:/data"],
            ports={"2283/tcp": PORT},
            restart_policy={"Name": "always"},
        ),
    ]
    for one in made:
        one.start()
    yield folder / "docker-compose.yml"
    for one in made:
        one.remove(force=True, v=True)
    network.remove()


def commands(page: str) -> list[str]:
    """The lines of a page that are commands, those that go on put together."""
    lines = [line.strip() for line in page.splitlines() if line.startswith("    ")]
    return re.sub(r"\\\n", " ", "\n".join(lines)).splitlines()


@pytest.fixture
def moved(
    tmp_path: Path, compose: Path, engine: Engine, client: DockerClient, images: Images
) -> Iterator[OneHost]:
    """The stack that was read off the file, not up yet."""
    storage = adopt(read(compose)).sections["storage"]
    host = OneHost.create(tmp_path / "stack", "moved", engine, client, images, port=PORT, storage=storage)
    host.folder = compose.parent / "photos"
    yield host
    host.remove()


def carry_out(line: str, host: OneHost, env: dict[str, str], folder: Path) -> None:
    """A line of the page."""
    if line.startswith("make up"):
        host.up()
    elif not line.startswith(("make ", "eval ")) and " down" not in line and "FROM asset" not in line:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            env=env,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)


def test_an_immich_of_compose_moves_here_and_back(
    compose: Path, moved: OneHost, shims: dict[str, str], tmp_path: Path
) -> None:
    old, door = moved.client.containers.get("old-immich-server"), moved.door(PORT)
    wait_healthy(old)
    moved.must_upload(door=door)
    moved.must_upload(door=door)
    moved.check_uploads(door)
    settings, _ = settings_without_secrets("moved", *stack_texts(moved.stack.settings_file))
    page = from_compose(settings, "moved", names_of(adopt(read(compose)), compose))
    way, _, back = page.partition("## Back")
    for line in commands(way):
        carry_out(line, moved, shims, tmp_path)
    moved.wait_healthy()
    moved.wait_answers(door)
    moved.check_uploads(door)
    assert (tmp_path / "immich-before-the-move.sql.gz").stat().st_size > 1000
    old.reload()
    assert old.status == "exited"
    known = set(moved.accepted)
    moved.must_upload(door=door)
    for line in commands(back):
        carry_out(line, moved, shims, tmp_path)
    wait_healthy(old)
    # It is as it was: what came since is not known to it.
    assert {one["id"] for one in door.get("/api/standin/assets").json()} == known

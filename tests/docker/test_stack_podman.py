"""`home` on Podman's Docker-compatible socket, with `engine: podman`.

Podman runs as root here, and without systemd: health checks are run by a thread of the test in place of its timers.
The port is published at one address: netavark 1.4 (Debian 12) as root leads to nothing what is published at 0.0.0.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.client import DockerClient

from tests.docker.engine_process import Engine
from tests.docker.images.library import Images
from tests.docker.podman_process import HealthTimers, Podman, missing_parts
from tests.docker.stacks import HostStack, Place
from tests.harness.stacks import changes

pytestmark = [pytest.mark.docker, pytest.mark.engine, pytest.mark.deep]

IMAGES = ("busybox", "server", "machine-learning", "postgres", "valkey", "nginx")
MIB = 1 << 20


@pytest.fixture
def podman(engine: Engine, client: DockerClient, images: Images) -> Iterator[Podman]:
    """Podman with the images that the engine has."""
    missing = missing_parts()
    if missing:
        pytest.skip(
            f"no Podman on this machine: not installed: {', '.join(missing)} (Debian: podman netavark aardvark-dns)"
        )
    started = Podman(engine)
    started.start()
    try:
        place = Place(engine, client, images)
        for name in IMAGES:
            reference = place.image(name)
            archive = started.directory / f"{name}.tar"
            with archive.open("wb") as opened:
                for piece in client.images.get(images[name]).save(named=True):
                    opened.write(piece)
            loaded = started.run("load", "--quiet", "--input", str(archive)).split()[-1]
            started.run("tag", loaded, reference)
            archive.unlink()
        yield started
    finally:
        started.stop()


def test_home_comes_up_on_podman_and_the_second_up_changes_nothing(
    podman: Podman, engine: Engine, client: DockerClient, images: Images, tmp_path: Path
) -> None:
    place = Place(engine, client, images)
    stack = HostStack.create(place, tmp_path, "home", name="home-podman")
    stack.deployment.change("docker", host=podman.url, engine="podman")
    (way,) = stack.settings()["proxy"]["expose"]
    stack.deployment.change("proxy", expose=[{**way, "address": engine.network.address}])
    with HealthTimers(podman):
        first = stack.up()
        assert set(changes(first)) == {"create"}
        again = stack.up("--expect-no-changes")
        assert changes(again) == {}

        # Published, through nginx, to the media volume and back.
        source = engine.network.clients[1]
        door = stack.door(source)
        answer, sent = door.upload(8 * MIB)
        assert answer.status == 201, answer.body
        assert door.download(f"/api/assets/{answer.json()['id']}/original") == (200, 8 * MIB, sent)
        assert door.get("/api/standin/client").json()["address"] == source

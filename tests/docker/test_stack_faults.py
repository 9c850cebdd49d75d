"""Faults of a stack that is up: processes that die, full disks, an engine that restarts or is gone, ups that fail.

After each of them every upload that the server had accepted is in the database and in its file.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.client import DockerClient

from tests.docker.engine_process import Engine
from tests.docker.host import (
    kill_process,
    state,
    until,
    wait_longer_than_without_an_upload,
    wait_restarted,
)
from tests.docker.images.library import Images
from tests.docker.one_host import WORKLOADS, OneHost, full
from tests.harness.stacks import steps

pytestmark = [pytest.mark.docker, pytest.mark.engine]

MIB = 2**20
ROOM = 64 * MIB
"""Size of the volume with the media."""


class MediaDisk:
    """A small file system of its own in the engine's view of the host."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine, self.path = engine, path
        path.mkdir()
        self._run("mount", "-t", "tmpfs", "-o", f"size={ROOM}", "media", str(path))

    @property
    def seen(self) -> Path:
        """The same folder for this process. dockerd's pid changes with each of its starts."""
        return Path(f"/proc/{self._engine.pid}/root{self.path}")

    def fill(self, left: int) -> None:
        """Take all room but `left` bytes."""
        free = int(self._run("stat", "-f", "-c", "%a", str(self.path))) * 4096
        self._run("fallocate", "-l", str(free - left), str(self.path / "somebody-elses"))

    def free(self) -> None:
        """Give it back."""
        self._run("rm", "-f", str(self.path / "somebody-elses"))

    def remove(self) -> None:
        """Unmount it."""
        self._run("umount", str(self.path))

    def _run(self, *command: str) -> str:
        entered = ["nsenter", f"--mount=/proc/{self._engine.pid}/ns/mnt", *command]
        return subprocess.run(entered, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def disk(engine: Engine) -> Iterator[MediaDisk]:
    made = MediaDisk(engine, engine.directory / "media")
    yield made
    made.remove()


@pytest.fixture(scope="module")
def deployed(
    tmp_path_factory: pytest.TempPathFactory,
    engine: Engine,
    client: DockerClient,
    images: Images,
    disk: MediaDisk,
) -> Iterator[OneHost]:
    made = OneHost.create(
        tmp_path_factory.mktemp("faults"), "faults", engine, client, images,
        storage={"media": {"kind": "hostPath", "path": str(disk.path)}},
    )  # fmt: skip
    try:
        made.up()
        yield made
    finally:
        made.remove()


@pytest.fixture
def host(deployed: OneHost, disk: MediaDisk) -> Iterator[OneHost]:
    """The stack, well and with an upload before the fault; well and complete after it."""
    deployed.folder = disk.seen
    deployed.wait_healthy()
    deployed.wait_answers()
    deployed.must_upload()
    yield deployed
    deployed.folder = disk.seen
    deployed.wait_healthy()
    deployed.wait_answers()
    deployed.must_upload()
    deployed.check_uploads()


def test_containers_whose_processes_are_all_killed_come_back(host: OneHost) -> None:
    killed = {one: kill_process(one) for one in host.containers().values() if one.name}
    for container, pid in killed.items():
        wait_restarted(container, pid)
    host.wait_healthy()
    assert {str(one.id) for one in killed} == set(host.ids().values())
    assert all(one.attrs["RestartCount"] > 0 for one in host.containers().values())


@pytest.mark.deep
@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_container_whose_process_is_killed_comes_back(host: OneHost, workload: str) -> None:
    container = host.container(workload)
    wait_restarted(container, kill_process(container))
    host.wait_healthy()
    assert host.container(workload).id == container.id
    assert host.container(workload).attrs["RestartCount"] > 0


def test_an_upload_amid_which_the_server_is_killed_is_not_accepted_and_leaves_its_file(host: OneHost) -> None:
    server = host.container("server")
    pid: list[int] = []

    def kill() -> None:
        pid.append(kill_process(server))

    try:
        answer = host.upload_amid(kill)
        assert answer.status >= 500, answer
    except OSError:
        pass  # nginx may as well end the connection while the client still sends
    wait_restarted(server, pid[0])
    host.wait_healthy()
    host.wait_answers()
    recorded = {one["id"] for one in host.door().get("/api/standin/assets").json()}
    left = host.files() - recorded - host.cut_off
    assert len(left) == 1
    host.cut_off |= left


def test_an_upload_amid_which_the_server_is_told_to_end_is_accepted_and_then_the_server_ends(
    host: OneHost,
) -> None:
    server = host.container("server")
    stopping = threading.Thread(target=server.stop)

    def stop() -> None:
        stopping.start()
        wait_longer_than_without_an_upload(server)

    assert host.upload_amid(stop).status == 201
    stopping.join(30)
    assert (state(server).status, state(server).exit_code) == ("exited", 143)
    server.start()


@pytest.mark.deep
def test_containers_that_were_stopped_or_removed_by_hand_come_back_with_their_data(host: OneHost) -> None:
    gone = {"server", "cache"}
    before = host.ids()
    host.container("database").stop()
    assert host.door().get("/api/standin/assets").status == 500
    for workload in gone:
        host.container(workload).remove(force=True, v=True)
    done = host.steps()
    assert {one.name for one in done} == {f"immich-faults-{workload}" for workload in {*gone, "database"}}
    assert {one.kind for one in done} == {"Container"}
    after = host.ids()
    assert after.keys() == before.keys()
    assert gone <= {name for name in after if after[name] != before[name]} <= {*gone, "database"}
    assert host.steps() == []


@pytest.mark.deep
def test_while_the_database_is_stopped_uploads_are_refused_and_none_that_was_accepted_is_lost(
    host: OneHost,
) -> None:
    found: list[tuple[int, bytes]] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            answer = host.upload(2 * MIB // 5)
            found.append((answer.status, answer.body))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        until(lambda: len(found) >= 2, "two uploads have been sent")
        database = host.container("database")
        database.stop()
        until(lambda: found[-1][0] != 201, "an upload is refused")
        seen = len(found)
        until(lambda: len(found) >= seen + 3, "three more are refused")
        database.start()
        host.wait_healthy()
        again = len(found)
        until(lambda: len(found) >= again + 3, "three more are sent")
    finally:
        stop.set()
        sender.join(60)
    assert not sender.is_alive()
    statuses = [status for status, _ in found]
    assert set(statuses) == {201, 500}
    assert statuses[-1] == 201
    for status, body in found:
        if status == 500:
            assert json.loads(body)["statusCode"] == 500
    assert statuses.count(201) < len(host.accepted) + 1


@pytest.mark.deep
def test_after_a_restart_of_the_engine_all_is_well_again(host: OneHost, disk: MediaDisk) -> None:
    before = host.ids()
    host.engine.restart()
    host.folder = disk.seen
    host.wait_healthy()
    assert host.ids() == before
    host.wait_answers()
    assert host.steps() == []


@pytest.mark.deep
def test_after_a_crash_of_the_engine_the_next_up_brings_all_back(host: OneHost, disk: MediaDisk) -> None:
    # Docker 20.10 takes containers that outlived it for stopped by hand, so `unless-stopped` starts none of them.
    before = host.ids()
    host.engine.restart(crash=True)
    host.folder = disk.seen
    done = host.steps()
    assert {one.kind for one in done} <= {"Container"}
    assert host.ids().keys() == before.keys()


@pytest.mark.deep
def test_a_full_media_volume_is_a_clear_error_and_no_harm(host: OneHost, disk: MediaDisk) -> None:
    disk.fill(left=2 * MIB)
    try:
        refused = host.upload(6 * MIB)
        assert refused.status == 500
        assert "no space left on the media volume" in refused.json()["message"]
        host.check_uploads()
        host.must_upload(MIB // 4)
    finally:
        disk.free()
    host.must_upload(6 * MIB)


@pytest.mark.parametrize("command", [pytest.param("preview", marks=pytest.mark.deep), "up"])
def test_an_engine_that_does_not_answer_is_one_sentence_and_nothing_is_planned(
    host: OneHost, command: str
) -> None:
    before = host.stack.contents()
    nowhere = {"DOCKER_HOST": f"unix://{host.engine.directory}/nobody.sock"}
    failed = host.stack.do(command, check=False, env=nowhere)
    assert failed.returncode != 0
    assert steps(failed) == []
    # The CLI says it when it happens and once more at its end.
    told = {line.partition("error: ")[2] for line in failed.text.splitlines() if "nobody.sock" in line}
    assert len(told) == 1, failed.text
    (sentence,) = told
    assert "cannot be reached" in sentence
    assert "Nothing was planned or changed" in sentence
    assert "Traceback" not in failed.text
    assert host.stack.contents() == before


@pytest.mark.deep
def test_an_image_that_cannot_be_pulled_leaves_the_running_containers_alone(host: OneHost) -> None:
    before, sections = host.ids(), host.stack.settings()
    host.stack.change("server", image="docker.io/immich-standin/nowhere:v3.3.1")
    try:
        failed = host.up(check=False)
        assert failed.returncode != 0
        assert "immich-standin/nowhere:v3.3.1" in failed.text
        assert "Traceback" not in failed.text
        assert host.ids() == before
        assert [one for one in steps(failed) if one.kind == "Container"] == []
    finally:
        host.stack.write_settings(sections)
    assert host.steps() == []


IMPATIENT = """
import dataclasses
from components.platform.docker.platform import DockerPlatform
_workload = DockerPlatform.workload
DockerPlatform.workload = lambda self, one, **more: _workload(
    self, dataclasses.replace(one, start_timeout=8) if one.name == "server" else one, **more
)
"""
"""Before the program: a server that is not healthy is given up after 8 seconds instead of minutes."""


@pytest.mark.deep
def test_a_server_that_never_gets_healthy_fails_the_up_and_harms_no_data(
    host: OneHost, images: Images
) -> None:
    before, sections = host.ids(), host.stack.settings()
    program = host.stack.engine.directory / "__main__.py"
    text = program.read_text()
    head, mark, rest = text.partition("from __future__ import annotations\n")
    assert mark
    program.write_text(head + mark + IMPATIENT + rest)
    host.stack.change("server", image=full(images["machine-learning"]))
    try:
        failed = host.up(check=False)
        assert failed.returncode != 0
        assert "container failed to be in healthy state" in failed.text
        assert "immich-faults-server" in failed.text
        assert "Traceback" not in failed.text
        assert [one for one in steps(failed) if one.destroys and one.kind == "Volume"] == []
        after = host.ids()
        assert {name for name in before if after.get(name) != before[name]} == {"server"}
    finally:
        program.write_text(text)
        host.stack.write_settings(sections)
    assert {one.name for one in host.steps()} == {"immich-faults-server"}

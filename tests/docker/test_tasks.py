"""Tasks on a real Docker Engine, by the real CLI: runs by request, failures, kills, and steps that run once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient
from docker.errors import NotFound

from components.settings.docker import Docker
from tests.docker.engine_process import Engine
from tests.docker.host import execute, host_pid, kill_process, until, wait_restarted
from tests.docker.images.library import Images
from tests.docker.task_programs import USER, TaskStack
from tests.harness.stacks import steps
from toolchain import tasks_docker
from toolchain.failure import ToolchainError

pytestmark = [pytest.mark.docker, pytest.mark.engine]

NOTE = 'echo "$0 $RUN_ID $(id -u)"; echo "{}:$RUN_ID" >>/backup/notes\n'
FIRST, SECOND = NOTE.format(1), NOTE.format(2)


@pytest.fixture
def make(
    tmp_path: Path, engine: Engine, client: DockerClient, images: Images, worker_id: str
) -> Iterator[Callable[[str], TaskStack]]:
    """`make("name")`: a stack of one task, removed afterwards."""
    made: list[TaskStack] = []

    def create(name: str) -> TaskStack:
        made.append(TaskStack.create(tmp_path / name, f"tasks-{name}", engine, client, images))
        return made[-1]

    yield create
    for one in made:
        one.remove()


def notes(stack: TaskStack) -> list[str]:
    path = stack.folder / "notes"
    return path.read_text().split() if path.exists() else []


def settings(stack: TaskStack) -> Docker:
    return Docker.model_validate({"host": stack.engine.url})


def test_steps_wait_hardened_run_by_request_in_order_and_a_second_up_changes_nothing(
    make: Callable[[str], TaskStack],
) -> None:
    stack = make("plain")
    stack.give(FIRST, SECOND, out=[2])
    stack.up()
    first, second = stack.container("backup-1"), stack.container("backup-2")
    for container in (first, second):
        config, host = container.attrs["Config"], container.attrs["HostConfig"]
        assert config["User"] == f"{USER}:{USER}"
        assert (host["ReadonlyRootfs"], host["CapDrop"], host["RestartPolicy"]["Name"]) == (
            True,
            ["ALL"],
            "always",
        )
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert list(first.attrs["NetworkSettings"]["Networks"]) == ["none"]
    assert list(second.attrs["NetworkSettings"]["Networks"]) == ["immich-tasks-plain-tasks-outside"]
    assert notes(stack) == []
    said: list[str] = []
    code = tasks_docker.run(stack.name, settings(stack), "backup", {}, said.append)
    run = stack.result()["run"]
    assert code == 0, said
    assert notes(stack) == [f"1:{run}", f"2:{run}"]
    assert f"immich-tasks-plain-backup-1: /scripts/run.sh {run} {USER}" in said
    assert said[-1] == f"backup: success (run {run})"
    before = host_pid(first), host_pid(second)
    assert steps(stack.up()) == []
    assert (host_pid(first), host_pid(second)) == before


@pytest.mark.deep
def test_a_first_step_that_fails_ends_the_run_and_is_named(make: Callable[[str], TaskStack]) -> None:
    stack = make("fails")
    status = '{"name": "dump", "run": "%s", "result": "failed", "verdict": "database-gone", "message": "it is gone"}'
    script = f"mkdir -p /backup/status; printf '{status}' \"$RUN_ID\" >/backup/status/dump.json; exit 5\n"
    stack.give(script, SECOND)
    stack.up()
    said: list[str] = []
    assert tasks_docker.run(stack.name, settings(stack), "backup", {}, said.append) == 1
    run = stack.result()["run"]
    assert said[-2:] == [
        "dump: failed, database-gone: it is gone",
        f"backup: failed (run {run}): backup-1 ended with exit code 5",
    ]
    assert notes(stack) == []
    found = tasks_docker.read_status(stack.name, settings(stack), {})
    assert found["dump"]["verdict"] == "database-gone"
    assert (found["run-backup"]["result"], found["run-backup"]["step"]) == ("failed", "backup-1")


@pytest.mark.deep
def test_asking_for_what_is_not_there_says_what_is(make: Callable[[str], TaskStack]) -> None:
    stack = make("asking")
    stack.give(FIRST)
    stack.up()
    with pytest.raises(ToolchainError, match=r"has no task 'drill'.*Tasks there: backup"):
        tasks_docker.run(stack.name, settings(stack), "drill", {}, print)
    stack.container("backup-1").stop(timeout=5)
    with pytest.raises(ToolchainError, match="immich-tasks-asking-backup-1 is exited"):
        tasks_docker.run(stack.name, settings(stack), "backup", {}, print)


@pytest.mark.deep
@pytest.mark.parametrize("number", [1, 2])
def test_a_kill_in_the_middle_is_that_runs_failure_and_the_next_is_whole(
    make: Callable[[str], TaskStack], number: int
) -> None:
    stack = make(f"killed-{number}")
    hang = "if [ -e /backup/hang ]; then touch /backup/hangs; sleep 3600; fi\n"
    stack.give(*(hang + note if at == number else note for at, note in enumerate((FIRST, SECOND), start=1)))
    stack.up()
    (stack.folder / "hang").touch()
    stack.request("killed")
    until((stack.folder / "hangs").exists, "the step works")
    container = stack.container(f"backup-{number}")
    pid = kill_process(container)
    (stack.folder / "hang").unlink()
    wait_restarted(container, pid)
    result = stack.over("killed")
    assert (result["result"], result["step"], result["reason"]) == (
        "failed",
        f"backup-{number}",
        "interrupted",
    )
    stack.request("again")
    again = stack.over("again")
    assert again["result"] == "success"
    assert [note for note in notes(stack) if note.endswith(again["run"])] == [
        f"1:{again['run']}", f"2:{again['run']}",
    ]  # fmt: skip


@pytest.mark.deep
def test_stopping_a_container_ends_its_step_with_everything_it_started(
    make: Callable[[str], TaskStack], engine: Engine
) -> None:
    stack = make("stopped")
    marker = f"4000.{os.getpid()}"
    stack.give(f"sh -c 'sleep {marker} & sleep {marker}' & touch /backup/hangs; sleep {marker}\n")
    stack.up()
    stack.request("stopped")
    until((stack.folder / "hangs").exists, "the step works")
    container = stack.container("backup-1")
    began = time.monotonic()
    container.stop(timeout=30)
    assert time.monotonic() - began < 6, "it was not waited for until the kill"
    result = stack.over("stopped")
    assert (result["result"], result["reason"], result["exitCode"]) == ("failed", "stopped", 143)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0


@pytest.mark.deep
def test_a_stuck_schedule_is_unhealthy(make: Callable[[str], TaskStack]) -> None:
    stack = make("stuck")
    stack.give(FIRST)
    stack.up()
    container = stack.container("backup-1")
    test = container.attrs["Config"]["Healthcheck"]["Test"]
    assert test[0] == "CMD"
    execute(container, *test[1:])
    os.kill(host_pid(container), signal.SIGSTOP)
    try:
        # As if more than two minutes had passed.
        execute(container, "sh", "-c", "echo 1 >/run/immich-task/beat")
        assert container.exec_run(test[1:]).exit_code == 1
    finally:
        os.kill(host_pid(container), signal.SIGCONT)
    until(lambda: container.exec_run(test[1:]).exit_code == 0, "it is well again")


# Once


@pytest.mark.deep
def test_what_waits_for_a_step_that_fails_is_not_made_until_it_succeeded(
    make: Callable[[str], TaskStack],
) -> None:
    stack = make("once")
    fails = (
        "if [ -e /backup/good ]; then "
        + NOTE.format(2).strip()
        + "; else echo the disk is gone; exit 6; fi\n"
    )
    stack.give(FIRST, fails, task="restore", schedule=None, waiting=True)
    failed = stack.up(check=False)
    assert failed.returncode != 0
    assert (
        "the task restore failed: its step immich-tasks-once-restore-2 ended with exit code 6" in failed.text
    )
    assert "Traceback" not in failed.text
    assert stack.names() == {"restore-1", "restore-2"}
    explained = tasks_docker.explain_failed(stack.name, settings(stack), {})
    assert any("the disk is gone" in line for line in explained), explained

    # Nobody removed the failed attempt: the same is said again, and nothing is made.
    repeated = stack.up(check=False)
    assert repeated.returncode != 0
    assert "ended with exit code 6" in repeated.text
    assert stack.names() == {"restore-1", "restore-2"}
    first = stack.container("restore-1").id

    (stack.folder / "good").touch()
    forgotten = tasks_docker.forget_failed(stack.name, settings(stack), {})
    assert forgotten == ["immich-tasks-once-restore-2"]
    stack.up("--run-program")
    assert stack.names() == {"restore-1", "restore-2", "server"}
    assert stack.container("restore-1").id == first, "what ended well is not run again"
    assert [note[0] for note in notes(stack)] == ["1", "2"]
    assert tasks_docker.forget_failed(stack.name, settings(stack), {}) == []
    assert steps(stack.up()) == []
    assert [note[0] for note in notes(stack)] == ["1", "2"]


@pytest.mark.deep
def test_a_first_step_that_fails_is_not_followed_by_the_second(make: Callable[[str], TaskStack]) -> None:
    stack = make("once-first")
    stack.give("exit 4\n", SECOND, task="restore", schedule=None, waiting=True)
    failed = stack.up(check=False)
    assert failed.returncode != 0
    assert "immich-tasks-once-first-restore-1 ended with exit code 4" in failed.text
    assert stack.names() == {"restore-1"}
    with pytest.raises(NotFound):
        stack.container("server")


@pytest.mark.deep
def test_a_first_step_that_is_run_again_has_the_second_run_again(make: Callable[[str], TaskStack]) -> None:
    stack = make("once-again")
    stack.give(FIRST, SECOND, task="restore", schedule=None)
    stack.up()
    before = stack.container("restore-2").id
    stack.give(f"echo changed\n{FIRST}", SECOND, task="restore", schedule=None)
    stack.up()
    assert stack.container("restore-2").id != before
    assert [note[0] for note in notes(stack)] == ["1", "2", "1", "2"]


@pytest.mark.deep
def test_the_images_for_copies_are_the_real_programs(client: DockerClient, images: Images) -> None:
    def said(name: str, *command: str) -> Any:
        return client.containers.run(images[name], list(command), remove=True, network_mode="none").decode()

    assert "restic 0." in said("restic", "version")
    assert "rclone v1." in said("rclone", "version")

"""Faults without a cluster: a killed engine, a wrong passphrase, a directory that cannot be written."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.conftest import Deployed
from tests.harness.clones import Clone
from tests.harness.killing import left_after, run_and_kill
from tests.harness.stacks import Deployment, changes

pytestmark = [pytest.mark.deep(unless_changed=("tests/harness",)), pytest.mark.engine]

WRONG = {"PULUMI_CONFIG_PASSPHRASE": "not the passphrase"}


@pytest.fixture
def clone(cli: Path, tmp_path: Path) -> Clone:
    return Clone.create(tmp_path, cli)


@pytest.mark.parametrize("seed", [1, 2])
def test_make_up_after_a_killed_one_releases_its_lock_and_converges(clone: Clone, seed: int) -> None:
    chosen = random.Random(seed).randrange(3, 22)
    created = 0

    def when(line: str) -> bool:
        nonlocal created
        created += " creating (0s)" in line and "kubernetes:" in line
        return created >= chosen

    run_and_kill([sys.executable, "-m", "toolchain.stack", "up", "dev"], clone.directory, clone.env, when)
    assert left_after(clone.directory) == []
    after = clone.make("up", "dev")
    assert after.returncode == 0, after.text
    assert "was killed" in after.text
    final = clone.make("up", "dev")
    assert "was killed" not in final.text
    assert "created" not in final.text
    assert "pending" not in final.text
    state = json.loads(clone.pulumi("stack", "export", "--stack", "dev").text)["deployment"]
    objects = [one["urn"] for one in state["resources"] if one["type"].startswith("kubernetes:")]
    assert len(clone.rendered("dev")) == len(objects) == len(set(objects)) > 20
    assert not state.get("pending_operations")


def test_a_run_that_lives_is_not_disturbed(clone: Clone) -> None:
    # Any living process whose name begins as the CLI's does.
    stand_in = clone.directory / "pulumi-stand-in"
    stand_in.symlink_to("/bin/sleep")
    with subprocess.Popen([str(stand_in), "60"]) as process:
        try:
            lock = clone.directory / ".toolchain/state/.pulumi/locks/organization/immich/dev/0.json"
            lock.parent.mkdir(parents=True, exist_ok=True)
            content = {
                "pid": process.pid,
                "username": "u",
                "hostname": os.uname().nodename,
                "timestamp": "now",
            }
            lock.write_text(json.dumps(content))
            for what in ("up", "preview", "destroy", "render"):
                refused = clone.make(what, "dev")
                assert refused.returncode == 1, what
                assert f"process {process.pid}" in refused.text
                assert "pulumi cancel" in refused.text
                assert len([line for line in refused.text.splitlines() if line.strip()]) == 1
            assert lock.exists()
        finally:
            process.kill()
    assert clone.make("up", "dev").returncode == 0
    assert not lock.exists()


def test_a_state_whose_note_was_torn_by_a_kill_is_still_read(clone: Clone) -> None:
    assert clone.make("up", "dev").returncode == 0
    backend = clone.directory / ".toolchain" / "state" / ".pulumi"
    # The CLI writes the state at once, but not the note beside it.
    note = backend / "stacks" / "immich" / "dev.json.attrs"
    assert note.exists()
    note.write_text("")
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    lock = backend / "locks" / "organization" / "immich" / "dev" / "0.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text(json.dumps({"pid": ended.pid, "hostname": os.uname().nodename, "timestamp": "now"}))
    assert "EOF" in clone.pulumi("preview", "--non-interactive", "--stack", "dev").text
    again = clone.make("up", "dev")
    assert again.returncode == 0, again.text
    assert " unchanged" in again.text
    assert "created" not in again.text


@pytest.mark.parametrize("command", ["up", "preview", "refresh", "destroy"])
def test_a_wrong_passphrase_is_told_in_one_line_and_changes_nothing(deployed: Deployed, command: str) -> None:
    stack = deployed("dev")
    files, contents = stack.files(), stack.contents()
    result = stack.do(command, check=False, env=WRONG)
    assert result.returncode != 0
    assert "incorrect passphrase" in result.text
    assert len([line for line in result.text.splitlines() if line.strip()]) == 1
    assert WRONG["PULUMI_CONFIG_PASSPHRASE"] not in result.text
    assert stack.files() == files
    assert stack.contents() == contents, "the state changed"
    assert changes(stack.up("--expect-no-changes")) == {}


def test_make_with_a_wrong_passphrase_says_nothing_of_what_stays(clone: Clone) -> None:
    assert clone.make("up", "dev").returncode == 0
    files = clone.rendered("dev")
    for what in ("up", "render", "destroy"):
        refused = clone.make(what, "dev", env=WRONG)
        assert refused.returncode != 0
        assert "incorrect passphrase" in refused.text
        assert "What holds data stays" not in refused.text
        assert "Traceback" not in refused.text
    assert clone.rendered("dev") == files
    assert "created" not in clone.make("up", "dev").text


def test_a_directory_that_cannot_be_written_is_named_and_the_next_up_writes_it(
    cli: Path, tmp_path: Path
) -> None:
    stack = Deployment.create(tmp_path, cli, "dev")
    stack.rendered.parent.mkdir()
    # A file where the directory should be: even root cannot write below it.
    stack.rendered.write_text("in the way")
    refused = stack.up(check=False)
    assert refused.returncode != 0
    assert f"cannot write {stack.rendered}" in refused.text
    assert "Traceback" not in refused.text
    assert stack.rendered.read_text() == "in the way"
    assert not [one for one in stack.state() if one.type.startswith("kubernetes:")]
    stack.rendered.unlink()
    stack.up()
    assert len(stack.files()) > 20


def test_a_whole_life_leaves_no_process_behind(cli: Path, tmp_path: Path) -> None:
    stack = Deployment.create(tmp_path, cli, "dev")
    for command in (("up",), ("preview",), ("refresh",), ("destroy", "--exclude-protected")):
        stack.do(*command)
    assert left_after(tmp_path) == []


def test_the_search_for_processes_finds_one(tmp_path: Path) -> None:
    # A process has no environment to be found by until its exec is over, which what it says proves.
    with subprocess.Popen(
        ["/bin/sh", "-c", "echo here; read line"],
        env={"SOMEWHERE": str(tmp_path / "x")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        try:
            assert left_after(tmp_path, seconds=0.1) == ["/bin/sh -c echo here; read line "]
        finally:
            process.kill()

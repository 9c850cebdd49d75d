"""The script that runs Immich in its container: when it is told to end, uploads end before it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.server.component import start_script

SERVER = """#!/bin/bash
echo begun >>{folder}/told
read -r code <{folder}/ends
exit "$code"
"""
HANDLING = """#!/bin/bash
trap 'exit 9' TERM
echo begun >>{folder}/told
while :; do /bin/sleep 0.02; done
"""
UPLOADING = """#!/bin/bash
exec 3{how}{folder}/upload/photo
echo begun >>{folder}/told
read -r _ <{folder}/ends
exec 3>&-
echo received
exec tail -f /dev/null
"""
LOOKED = """#!/bin/bash
/bin/sleep 0.02
echo looked >>{folder}/told
"""
"""In the place of `sleep`."""

Start = Callable[..., "Started"]


class Started:
    """The script with a server that does as it is told."""

    def __init__(self, folder: Path, server: str, grace: int = 305) -> None:
        self._folder = folder
        (folder / "upload").mkdir()
        (folder / "upload" / "photo").touch()
        (folder / "told").touch()
        os.mkfifo(folder / "ends")
        for name, text in (("start.sh", server), ("sleep", LOOKED)):
            (folder / name).write_text(text.replace("{folder}", str(folder)))
            (folder / name).chmod(0o755)
        self.process = subprocess.Popen(
            ["bash", "-c", start_script(grace, str(folder / "upload"))],
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.wait_told("begun")

    def wait_told(self, word: str, times: int = 1) -> None:
        """Until it was said so often."""
        deadline = time.monotonic() + 30
        while (self._folder / "told").read_text().split().count(word) < times:
            assert time.monotonic() < deadline, f"{word} was not said {times} times"
            time.sleep(0.01)

    def say(self, word: str) -> None:
        """To the server."""
        (self._folder / "ends").write_text(f"{word}\n")

    def end(self) -> tuple[int, str, str]:
        """Exit code and output, once it has ended."""
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Started] = []

    def begin(server: str, **more: int) -> Started:
        made.append(Started(tmp_path, server, **more))
        return made[-1]

    yield begin
    for one in made:
        if one.process.poll() is None:
            os.killpg(one.process.pid, 9)


def test_a_server_that_is_told_to_end_ends_once_its_upload_has(start: Start) -> None:
    run = start(UPLOADING.replace("{how}", ">>"))
    run.process.terminate()
    run.wait_told("looked", 6)
    run.say("on")
    assert run.end() == (143, "Told to end: within 300 s, once nothing is uploaded\nreceived\n", "")


def test_a_file_that_is_read_holds_up_nothing(start: Start) -> None:
    run = start(UPLOADING.replace("{how}", "<"))
    run.process.terminate()
    assert run.end()[0] == 143


def test_an_upload_that_takes_longer_than_the_grace_is_cut_off_and_named(
    start: Start, tmp_path: Path
) -> None:
    run = start(UPLOADING.replace("{how}", ">>"), grace=5)
    run.process.terminate()
    code, _, complaints = run.end()
    assert (code, complaints) == (143, f"cut off after 0 s: {tmp_path}/upload/photo\n")


def test_a_server_that_ends_by_itself_ends_the_container_with_its_code(start: Start) -> None:
    run = start(SERVER)
    run.say("7")
    assert run.end() == (7, "", "")


def test_a_server_that_takes_its_time_to_end_is_waited_for(start: Start) -> None:
    run = start(HANDLING)
    run.process.terminate()
    assert run.end()[0] == 9

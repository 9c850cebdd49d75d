"""Start a run of the CLI, and end it the hard way at a chosen line of what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.harness.engine import writes_as_users


def run_and_kill(
    command: Sequence[str], cwd: Path, env: dict[str, str], when: Callable[[str], bool], seconds: float = 120
) -> list[str]:
    """Run a command as a process group of its own and SIGKILL the group at the first line for which `when` is true.

    Gives the lines until then. AssertionError when the command ended first.
    """
    lines: list[str] = []
    process = subprocess.Popen(
        list(command),
        cwd=cwd,
        env=writes_as_users(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    try:
        for line in process.stdout:
            lines.append(line)
            if when(line):
                return lines
            assert time.monotonic() < deadline, "".join(lines[-20:])
    finally:
        # The group outlives its leader for as long as one of its processes does.
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()
    raise AssertionError(f"the command ended before it was to be killed:\n{''.join(lines[-20:])}")


def processes_of(directory: Path) -> list[str]:
    """Command lines of living processes that have a directory in their command line or environment (Linux).

    A test's directory is nobody else's, so what it finds was started by what runs in that directory.
    """
    found: list[str] = []
    mark = os.fsencode(str(directory))
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            state = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        except OSError:
            continue  # it ended meanwhile, or is not ours
        if state not in "ZX" and (mark in command or mark in environment):
            found.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return found


def left_after(directory: Path, seconds: float = 10) -> list[str]:
    """What :func:`processes_of` still finds after processes had some time to notice that their parent is gone."""
    deadline = time.monotonic() + seconds
    while (found := processes_of(directory)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found

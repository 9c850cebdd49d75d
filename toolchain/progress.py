"""Run a long command with a sign of life: what is happening, and for how long."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain.failure import ToolchainError

_TAIL = 40  # lines of a failed command's output that are shown


def say(message: str) -> None:
    """One line of progress on stderr, so that stdout stays what a command's answer is."""
    print(f"[setup] {message}", file=sys.stderr, flush=True)


def run_visibly(
    what: str,
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 3600.0,
    heartbeat: float = 15.0,
) -> None:
    """Run a command, saying every `heartbeat` seconds how long it has been at it; its output is shown when it fails.

    Raises ToolchainError when it fails or takes longer than `timeout` seconds.
    """
    say(f"{what} ...")
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process:
            try:
                code = _wait(process, what, started, timeout, heartbeat)
            except BaseException:
                process.kill()
                raise
        if code is None or code != 0:
            output.seek(0)
            tail = output.read().decode(errors="replace").splitlines()[-_TAIL:]
            reason = f"took longer than {timeout:.0f} s" if code is None else f"failed with exit code {code}"
            raise ToolchainError("\n".join([f"{what}: {' '.join(command[:3])} {reason}", *tail]))
    say(f"{what}: done in {time.monotonic() - started:.0f} s")


def _wait(
    process: subprocess.Popen[bytes], what: str, started: float, timeout: float, heartbeat: float
) -> int | None:
    while True:
        left = timeout - (time.monotonic() - started)
        if left <= 0:
            process.kill()
            return None
        try:
            return process.wait(timeout=min(heartbeat, left))
        except subprocess.TimeoutExpired:
            say(f"{what}: {time.monotonic() - started:.0f} s so far")


def warn(message: str) -> None:
    """One line that a person should read, on stderr."""
    print(f"note: {message}", file=sys.stderr, flush=True)

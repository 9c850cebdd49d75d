"""Run a long command with a sign of life: what is happening, and for how long."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
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
    told: Callable[[str], str] | None = None,
) -> str:
    """Run a command, saying every `heartbeat` seconds how long it has been at it; returns its output, both streams.

    `told` makes of the output so far what is said of how far it has come. Raises ToolchainError, with the end of the
    output, when it fails or takes longer than `timeout` seconds.
    """
    say(f"{what} ...")
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:

        def alive() -> None:
            # Not by seek and read: the command writes where the shared position of the file is.
            content = os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0)
            far = f"{told(content.decode(errors='replace'))}, " if told else ""
            say(f"{what}: {far}{time.monotonic() - started:.0f} s so far")

        with subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process:
            try:
                code = _wait(process, started + timeout, heartbeat, alive)
            except BaseException:
                process.kill()
                raise
        output.seek(0)
        content = output.read().decode(errors="replace")
        if code is None or code != 0:
            tail = content.splitlines()[-_TAIL:]
            reason = f"took longer than {timeout:.0f} s" if code is None else f"failed with exit code {code}"
            raise ToolchainError("\n".join([f"{what}: {' '.join(command[:3])} {reason}", *tail]))
    say(f"{what}: done in {time.monotonic() - started:.0f} s")
    return content


def _wait(
    process: subprocess.Popen[bytes], end: float, heartbeat: float, alive: Callable[[], None]
) -> int | None:
    while True:
        left = end - time.monotonic()
        if left <= 0:
            process.kill()
            return None
        try:
            return process.wait(timeout=min(heartbeat, left))
        except subprocess.TimeoutExpired:
            alive()


def warn(message: str) -> None:
    """One line that a person should read, on stderr."""
    print(f"note: {message}", file=sys.stderr, flush=True)

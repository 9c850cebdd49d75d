"""Start processes that outlive the command, and stop exactly those.

A process is known by its pid *and* by when it started, because a pid is used again after its process ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.offline.cluster.layout import ClusterError


@dataclass(frozen=True, slots=True)
class Owned:
    """A process that this project started."""

    name: str
    pid: int
    identity: str
    """When the process started, in the words of the operating system; see :func:`identity_of`."""

    @property
    def running(self) -> bool:
        """Whether this very process still runs (another one with the same pid does not count)."""
        return identity_of(self.pid) == self.identity


# A parent has to collect its ended children, else they stay as zombies; the start of a cluster and its stop are
# often in one process (tests), so the handles are kept here.
_children: dict[int, subprocess.Popen[bytes]] = {}


def identity_of(pid: int) -> str | None:
    """What tells this process from an earlier or later one with the same pid; None when no such process runs."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]
        return None
    if sys.platform == "linux":
        return _linux_identity(pid)
    said = subprocess.run(
        ["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout.split(maxsplit=1)
    return None if len(said) < 2 or said[0].startswith("Z") else said[1].strip()


def _linux_identity(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may hold spaces. proc(5): field 3 is the state,
    # field 22 the start time in clock ticks since boot.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def spawn(
    name: str, command: Sequence[str], log: Path, cwd: Path, extra_env: dict[str, str] | None = None
) -> Owned:
    """Start a program in a session of its own, so that a Ctrl-C in the terminal does not reach it.

    Output goes to `log`, which starts empty. Raises ClusterError when the program cannot be executed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(extra_env or {})},
                start_new_session=True,
            )
        except OSError as error:
            raise ClusterError(f"{command[0]} cannot be started: {error.strerror}.") from error
    _children[child.pid] = child
    identity = identity_of(child.pid)
    if identity is None:
        raise ClusterError(f"{name} ended at once. {last_lines(log)}")
    return Owned(name, child.pid, identity)


def stop(processes: Sequence[Owned], grace: float = 10.0) -> None:
    """End the processes one after another in the given order: SIGTERM, and SIGKILL after `grace` seconds each.

    Processes that already ended, and strangers that now have their pid, are left alone.
    """
    for process in processes:
        if not process.running:
            continue
        _signal(process, signal.SIGTERM)
        if not _ended(process, grace):
            _signal(process, signal.SIGKILL)
            if not _ended(process, 5.0):
                raise ClusterError(f"{process.name} (pid {process.pid}) does not end, not even by SIGKILL.")


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a log, to be quoted in an error."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        lines = []
    return f"The end of {log}:\n" + "\n".join(lines[-count:]) if lines else f"{log} is empty."


def _signal(process: Owned, number: signal.Signals) -> None:
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise ClusterError(
            f"{process.name} (pid {process.pid}) belongs to another user and cannot be stopped."
        ) from error


def _ended(process: Owned, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while process.running:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True

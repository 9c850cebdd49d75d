"""Steps of a task as processes of a shell, in a folder that stands for the backup volume, with the test's clock."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from components.model.task import Task
from components.platform.docker import tasks
from tests.unit.docker.parts import workload

SHELLS = {"dash": ["dash"], "bash": ["bash"], "busybox": ["busybox", "sh"]}
VIENNA = "Europe/Vienna"
_DATE = """#!/bin/sh
case "$*" in *-d*) exec /bin/date "$@" ;; esac
exec /bin/date -d "@$(cat "$CLOCK")" "$@"
"""


def at(text: str, zone: str = VIENNA, fold: int = 0) -> int:
    """Seconds since 1970 of a time of the clock there."""
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp())


def until(ask: Callable[[], Any], what: str, seconds: float = 15) -> Any:
    """Until there is an answer."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.01)
    return found


@dataclass
class Host:
    """A folder that stands for the backup volume, a clock, and the processes of steps."""

    root: Path
    shell: Sequence[str]
    commands: Sequence[str] = ("true",)
    """What each step runs, by a shell; `$ROOT` is the folder."""
    schedule: str | None = "30 2 * * *"
    timezone: str = VIENNA
    deadline: int = 3600
    grace: int = 6
    running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict[int, "subprocess.Popen[bytes]"])

    def __post_init__(self) -> None:
        (self.root / "bin").mkdir(parents=True)
        date = self.root / "bin" / "date"
        date.write_text(_DATE)
        date.chmod(0o755)
        self.now = at("2026-11-21 12:00")

    @property
    def now(self) -> int:
        """The time, in seconds since 1970: stands still unless it is set."""
        return int((self.root / "clock").read_text())

    @now.setter
    def now(self, value: int) -> None:
        (self.root / "clock.new").write_text(str(value))
        (self.root / "clock.new").rename(self.root / "clock")

    @property
    def task(self) -> Task:
        steps = [
            workload(name=f"step-{number}", command=("sh",), termination_grace=self.grace)
            for number in range(1, len(self.commands) + 1)
        ]
        return Task(
            name="backup",
            steps=tuple(steps),
            schedule=self.schedule,
            timezone=self.timezone,
            deadline=self.deadline,
        )

    @property
    def runs(self) -> Path:
        return self.root / "runs" / "backup"

    def arguments(self, number: int, mode: str) -> list[str]:
        scratch = self.root / f"scratch-{number}"
        scratch.mkdir(exist_ok=True)
        text = tasks.script(self.task, number, root=str(self.root), scratch=str(scratch), pause=0.05)
        script = self.root / f"step-{number}.sh"
        script.write_text(text)
        tail = ["dash", "-c", self.commands[number - 1]] if mode != "healthy" else []
        return [*self.shell, str(script), mode, *tail]

    def environment(self) -> dict[str, str]:
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        return {"PATH": path, "CLOCK": str(self.root / "clock"), "ROOT": str(self.root), "KEPT": "as it was"}

    def start(self, number: int = 1) -> subprocess.Popen[bytes]:
        """A step's container, until it looks at the clock."""
        log = (self.root / f"log-{number}").open("ab")
        with log:
            self.running[number] = subprocess.Popen(
                self.arguments(number, "run"), env=self.environment(), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        until((self.root / f"scratch-{number}" / "beat").exists, "the first look")
        return self.running[number]

    def start_all(self) -> None:
        for number in range(1, len(self.commands) + 1):
            self.start(number)

    def looked(self, number: int = 1) -> None:
        """Until the step has looked at the clock, whole, after this call."""
        beat = self.root / f"scratch-{number}" / "beat"
        for _ in range(3):
            before = beat.stat().st_mtime_ns
            until(lambda b=before: beat.stat().st_mtime_ns != b, f"step {number} looks at the clock")

    def kill(self, number: int = 1) -> None:
        """As a machine that loses its power: nothing of the container is told."""
        os.killpg(self.running[number].pid, signal.SIGKILL)
        self.running.pop(number).wait()
        (self.root / f"scratch-{number}" / "beat").unlink()

    def end(self, number: int = 1) -> int:
        """As `docker stop`; its exit code."""
        process = self.running[number]
        process.terminate()
        code = process.wait(20)
        del self.running[number]
        (self.root / f"scratch-{number}" / "beat").unlink()
        return code

    def ended(self) -> list[tuple[int, str]]:
        """Step and run of each command that came to its `echo`."""
        path = self.root / "ended"
        lines = path.read_text().split() if path.exists() else []
        return [(int(line.partition(":")[0]), line.partition(":")[2]) for line in lines]

    def result(self) -> dict[str, Any]:
        path = self.runs / "result.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def over(self, run: str | None = None) -> dict[str, Any]:
        """The result of a run that has ended, another than `run`."""

        def found() -> dict[str, Any] | None:
            result = self.result()
            done = bool(result) and result["result"] != "running" and result["run"] != run
            return result if done and (self.runs / "ended").exists() else None

        result = until(found, "a run has ended")
        until(lambda: (self.runs / "ended").read_text().strip() == result["run"], "its end is noted")
        self.looked()
        return result

    def request(self, token: str) -> None:
        (self.runs / "request").write_text(f"{token}\n")

    def log(self, number: int = 1) -> str:
        return (self.root / f"log-{number}").read_text()


NOTE = 'echo "{}:$RUN_ID" >>"$ROOT/ended"'
"""What a command does that succeeds."""
FIRST, SECOND = NOTE.format(1), NOTE.format(2)

"""Tasks of one host: a step is a container that waits for its turn, or, without a schedule, runs once. Pure.

An engine knows no schedules and no order of containers, so a script has both (templates/schedule.sh.j2). Steps tell
each other by files in the backup volume, which is the one thing that they all have.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pulumi

from components.model import cron
from components.model.task import BACKUP_FOLDER, Task
from components.model.values import Quantity
from components.model.workload import CommandCheck, ConfigFiles, Probe, Scratch, Workload
from components.platform.docker.objects import Inputs
from components.templates import render

RUNS = "runs"
"""Folder of the backup volume with a folder for each task."""
FOLDER = "/etc/immich-task"
_SCRIPT = f"{FOLDER}/schedule.sh"
_SCRATCH = "/run/immich-task"
_STALE = 120
"""Seconds without a look at the clock after which a step's container is unhealthy."""
_WAY_OUT = "tasks-outside"
_TIME_TO_END = 5
"""Seconds of a container's grace that are left to write down how the run ended."""

_TOLD_LINES = 3

TASK_LABEL = "immich.task"
STEP_LABEL = "immich.step"
ONCE_LABEL = "immich.once"
PREVIOUS_LABEL = "immich.previous"
"""Of a step that runs once: the container of the step before, so that a step runs again when that one did."""


def step(task: Task, number: int, *, pause: int = 5) -> Workload:
    """The workload of a step by its number, from 1: its command runs when it is its turn.

    `pause` is how many seconds lie between two looks at the clock. Raises `ValueError` for a step without a command, or
    one that has what a step cannot have.
    """
    one = task.steps[number - 1]
    if not one.command:
        raise ValueError(
            f"{task.name}: {one.name} has no command, and what its image would run is not known here"
        )
    if one.replicas != 1 or one.sidecars or one.ports or one.ways:
        raise ValueError(f"{task.name}: {one.name} is a step: one copy, no sidecars, no ports")
    mode = "once" if task.schedule is None else "run"
    check = CommandCheck(command=("/bin/sh", _SCRIPT, "healthy"))
    return replace(
        one,
        command=("/bin/sh", _SCRIPT, mode),
        args=(*one.command, *one.args),
        mounts=(
            *one.mounts,
            ConfigFiles(
                name="schedule", path=FOLDER, files={"schedule.sh": script(task, number, pause=pause)}
            ),
            Scratch(path=_SCRATCH, size=Quantity("64Ki"), memory=True),
        ),
        # What it asks is true for two minutes, so asking more often would only cost.
        liveness=Probe(check=check, period=60, timeout=20, failures=1, restarts=False)
        if task.schedule is not None
        else None,
        readiness=None,
    )


def script(
    task: Task, number: int, *, root: str = BACKUP_FOLDER, scratch: str = _SCRATCH, pause: float = 5
) -> str:
    """`schedule.sh` of a step. Raises `ValueError` for a schedule that is none or a time zone that nobody knows."""
    one = task.steps[number - 1]
    values: dict[str, object] = {
        "quote": shlex.quote,
        "task": task.name,
        "number": number,
        "names": [each.name for each in task.steps],
        "runs": f"{root}/{RUNS}/{task.name}",
        "scratch": scratch,
        "pause": pause,
        "stale": _STALE,
        "deadline": task.deadline,
        "grace": max(1, one.termination_grace - _TIME_TO_END),
        "scheduled": task.schedule is not None,
    }
    if task.schedule is not None:
        values |= _clock(task.schedule, task.timezone)
    return render("schedule.sh.j2", values)


def _clock(schedule: str, timezone: str) -> dict[str, object]:
    found = cron.parse(schedule)
    cron.zone(timezone)
    return {
        "minutes": found.minutes,
        "hours": found.hours,
        "days": found.days,
        "months": found.months,
        "weekdays": found.weekdays,
        "either": found.either,
        "hourly": found.hourly,
        "gap": int(found.longest_gap().total_seconds()),
        # An image needs no time zone database for it.
        "zone": "UTC0" if timezone in {"UTC", "Etc/UTC"} else timezone,
    }


def way_out() -> str:
    """Short name of the network by which steps talk to the outside. They listen on nothing, so they share one."""
    return _WAY_OUT


def labels(task: Task, number: int) -> dict[str, str]:
    """Labels of a step's container beside those of every workload."""
    found = {TASK_LABEL: task.name, STEP_LABEL: str(number)}
    return found if task.schedule is not None else {**found, ONCE_LABEL: "true"}


def inputs(task: Task, made: Inputs) -> Inputs:
    """The container's inputs as a step has them."""
    changed = dict(made)
    # The first look at its health comes after a minute: nobody is to wait for that.
    for name in ("wait", "waitTimeout"):
        changed.pop(name, None)
    if task.schedule is None:
        changed |= {"restart": "no", "mustRun": False, "attach": True}
        if task.tells:
            changed["logs"] = True
    return changed


def judge(task: Task, container: str) -> Callable[[Sequence[Any]], str]:
    """Gives a function of the id, the exit code and the log of a step's container that ran once.

    That gives the id, or raises `pulumi.RunError` for another code than 0: then nothing that is given the id is made.
    """

    def judged(known: Sequence[Any]) -> str:
        identifier, code, log = known
        if code != 0:
            told = str(log or "") if task.tells else ""
            raise pulumi.RunError(failure(task, container, None if code is None else int(code), told))
        return str(identifier)

    return judged


def failure(task: Task, container: str, code: int | None, log: str = "") -> str:
    """What to say of a step that runs once and has not succeeded; `log` is what it said, where that is known."""
    if code is None:
        return (
            f"the task {task.name} goes on: its step {container} has not ended. Wait for it "
            f"(`docker wait {container}`), then `make up` again"
        )
    why = _last_lines(log) or f"`docker logs {container}` says why."
    return (
        f"the task {task.name} failed: its step {container} ended with exit code {code}. "
        f"{why} What waits for the task was not touched. Put right what the log says, "
        f"then `make up` again: that runs this step anew (without make: `docker rm {container}` before "
        "`pulumi up --refresh`)"
    )


def _last_lines(log: str) -> str:
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return f"It said: {' / '.join(lines[-_TOLD_LINES:])}." if lines else ""

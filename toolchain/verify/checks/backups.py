"""Backups are fresh and the drill has proven them, by what their last runs left in their status files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from components.recovery.schedules import duration, longest_gap
from components.settings.backup_rules import takes_dumps
from toolchain.verify.model import Check, failed, passed, unchecked
from toolchain.verify.running import RunningError
from toolchain.verify.target import Target

if TYPE_CHECKING:
    from components.settings.model import Settings

_ABOUT: Final = "backup"
_LATE: Final = 24 * 3600
"""Seconds after its time that a run may take, or wait for its target."""


def wanted(settings: Settings) -> Iterator[tuple[str, str]]:
    """Name of each status that there must be -> its schedule."""
    backup = settings.backup
    if backup is None:
        return
    dumps = takes_dumps(backup, settings.database)
    if dumps:
        yield "dump", str(backup.schedule)
    for target in backup.targets:
        yield f"copy-{target.name}", str(backup.schedule)
    if backup.drill is not None and dumps and backup.targets:
        yield "drill", str(backup.drill.schedule)


def backups(target: Target) -> list[Check]:
    """Age and result of each kind of run."""
    if target.settings.backup is None:
        why = "immich:backup is not set: nothing is backed up by this program"
        return [unchecked("fresh", _ABOUT, why, "Lost disks lose photos: give immich:backup a target")]
    names = dict(wanted(target.settings))
    if not names:
        return [
            unchecked("fresh", _ABOUT, "the database's operator archives it by itself", "Look at its Cluster")
        ]
    try:
        statuses = target.running.statuses()
    except RunningError as error:
        return [unchecked("fresh", f"{_ABOUT} {name}", str(error)) for name in names]
    now = target.now()
    return [
        judge(target.stack, name, schedule, statuses.get(name), now) for name, schedule in names.items()
    ] + [
        # A check of a repository is part of a copy's run; it is told only where it went wrong.
        judge(target.stack, name, str(target.settings.backup.schedule), status, now)
        for name, status in sorted(statuses.items())
        if name.startswith("check-") and status.get("result") == "failed"
    ]


def judge(stack: str, name: str, schedule: str, status: Mapping[str, object] | None, now: float) -> Check:
    """One kind of run."""
    drill = name == "drill"
    about, check = f"{_ABOUT} {name}", "proven" if drill else "fresh"
    task = "drill" if drill else "backup"
    most = longest_gap(schedule) + _LATE
    expected = f"a success at most {duration(most)} ago (schedule {schedule})"
    run = f"`make {task} STACK={stack}` runs it now and says what is wrong"
    if status is None:
        return failed(check, about, "it has never run", expected, run)
    verdict, message = str(status.get("verdict", "")), str(status.get("message", ""))
    last = status.get("lastSuccess")
    age = now - last if isinstance(last, int | float) and last > 0 else math.inf
    ago = "never succeeded" if age == math.inf else f"last success {duration(max(0, int(age)))} ago"
    if status.get("result") == "failed":
        return failed(check, about, f"{verdict}: {message} ({ago})", expected, run)
    if age > most:
        return failed(check, about, ago, expected, f"{run}; does its container wait for its turn?")
    return passed(check, about, f"{ago}{_numbers(status)}")


def _numbers(status: Mapping[str, object]) -> str:
    """What says most about a run, where it tells it."""
    assets, files, size = (status.get(key) for key in ("assets", "files", "bytes"))
    told = [f"{assets} assets"] if isinstance(assets, int) else []
    told += [f"{files} files"] if isinstance(files, int) and not told else []
    told += [f"{size / 1e6:.1f} MB"] if isinstance(size, int | float) and not isinstance(size, bool) else []
    return f", {', '.join(told)}" if told else ""

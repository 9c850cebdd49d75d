"""Work that has an end: steps one after the other, by the clock or once. Plain data, no platform in it."""

from __future__ import annotations

from dataclasses import dataclass

from components.model.workload import Workload

BACKUP_VOLUME = "backup"
"""Volume with dumps, status files and what the steps of a task tell each other on one host."""
BACKUP_FOLDER = "/backup"
"""Where every step has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Steps that run one after the other; one that fails ends the run.

    Every step is a Workload of one copy with a command of its own, no ports and no probes; all have the same user and
    group, and the volume `backup` at `/backup`.
    """

    name: str
    """Short and constant: `backup`, `drill`. Object names derive from it."""
    steps: tuple[Workload, ...]
    schedule: str | None = None
    """Five cron fields (minute hour day month weekday); None runs it once, when it is made."""
    repeats: bool = True
    """Of one without a schedule: whether it runs again when it changes. One that was about a moment does not."""
    timezone: str = "Etc/UTC"
    """Of the schedule: a name of the time zone database."""
    deadline: int = 6 * 3600
    """Seconds after which a run has failed."""
    follows_secrets: bool = False
    """Of a task that runs once: whether it runs again when a secret changed that it was registered with."""

    tells: bool = False
    """Of a task that runs once: whether what it says belongs to the failure of an update. That is short, no secret is
    in it, and the state keeps it."""

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError(f"{self.name}: give a step")
        if len({(step.user, step.group) for step in self.steps}) > 1:
            raise ValueError(f"{self.name}: all steps have one user and group: they share files")

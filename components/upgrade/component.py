"""The order of an upgrade, made of resources: backup, mark, database, reindex, server.

The steps of the last upgrade stay declared, so that nothing is deleted or made again by an update that changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import pulumi

from components.model.connection import Connection
from components.model.task import Task
from components.model.workload import ConfigFiles, Mount, Workload
from components.settings.model import Settings
from components.upgrade.assessment import Judged, moves_vectorchord
from components.upgrade.deployed import MARK

_DEADLINE = 24 * 3600


class RunsTasks(Protocol):
    """The part of a platform that is needed here."""

    def task(
        self, task: Task, *, parent: pulumi.Resource, after: Sequence[pulumi.Resource] = ()
    ) -> pulumi.Resource:
        """Run a task; what is given is there once the task has ended well."""
        ...


def backup_name(judged: Judged) -> str | None:
    """Name of the backup of the upgrade at hand, or of the last one: it says what it leaves and what it reaches.

    None where there is none: a first deployment, one without an upgrade so far, one that was restored or does without.
    """
    leaves, after = judged.leaves, judged.after
    if leaves is None or not judged.backs_up:
        return None
    if leaves.immich != after.immich:
        return f"backup-{_name(leaves.immich)}-to-{_name(after.immich)}"
    if moves_vectorchord(judged):
        return f"backup-vectorchord-{_name(leaves.vectorchord)}-to-{_name(after.vectorchord)}"
    return None


def reindex_name(judged: Judged) -> str | None:
    """Name of what renews VectorChord's extension and indexes; None where VectorChord stays."""
    if judged.leaves is None or not moves_vectorchord(judged):
        return None
    return f"reindex-{_name(judged.leaves.vectorchord)}-to-{_name(judged.after.vectorchord)}"


def backup_task(judged: Judged, steps: Sequence[Workload]) -> Task | None:
    """The backup before an upgrade, of what it leaves; None where there is none or where no steps are given."""
    name = backup_name(judged)
    if name is None:
        return None
    made = tuple(_renamed(step, name) for step in steps)
    return Task(name=name, steps=made, deadline=_DEADLINE, repeats=False) if made else None


def reindex_task(judged: Judged, step: Workload) -> Task | None:
    """The renewal of VectorChord's indexes; None where VectorChord stays."""
    name = reindex_name(judged)
    return (
        None
        if name is None
        else Task(name=name, steps=(_renamed(step, name),), deadline=_DEADLINE, repeats=False)
    )


def _renamed(step: Workload, task: str) -> Workload:
    """The step and its scripts under names that no other step has: none by the clock, none of an earlier upgrade."""
    name = task if step.name in task else f"{task}-{step.name.removeprefix('backup-')}"

    def own(mount: Mount) -> Mount:
        scripts = isinstance(mount, ConfigFiles) and mount.name == step.name
        return replace(mount, name=name) if scripts else mount

    return replace(step, name=name, mounts=tuple(own(mount) for mount in step.mounts))


def mark(judged: Judged) -> dict[str, object]:
    """What is written before anything newer starts."""
    return replace(judged.after, before=None, libraries={}).plain()


def deployed_output(judged: Judged) -> dict[str, object]:
    """The output `deployed` of an update that ended well. No secret is in it."""
    leaves = judged.leaves
    before = None if leaves is None else replace(leaves, database_at=None, backed_up=False, libraries={})
    return replace(judged.after, backed_up=judged.backs_up, before=before).plain()


@dataclass(frozen=True, kw_only=True, slots=True)
class UpgradeArgs:
    """What `Upgrade` is made of."""

    platform: RunsTasks
    """Where its tasks run."""
    update: Judged
    """From which versions to which this update goes."""
    backup_steps: tuple[Workload, ...] = ()
    """The steps of a backup of what the update leaves; none makes no backup first."""


class Upgrade(pulumi.ComponentResource):
    """What comes before and between database and server when their versions change; only the mark when they do not.

    On a cluster: a job that runs once for the backup before, one for new indexes after.
    On a host: containers that run once.
    """

    before: tuple[pulumi.Resource, ...]
    """What database, machine learning and server wait for: the backup, and the mark of what the update reaches."""

    def __init__(self, name: str, args: UpgradeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Upgrade", name, {}, opts)
        self._platform, self._judged = args.platform, args.update
        backup = backup_task(args.update, args.backup_steps)
        made = [] if backup is None else [args.platform.task(backup, parent=self)]
        # In the state before anything newer starts: an update that fails later leaves its own outputs unwritten.
        reached = pulumi.Stash(
            MARK, input=mark(args.update), opts=pulumi.ResourceOptions(parent=self, depends_on=made or None)
        )
        self.before = (reached,)
        self.register_outputs({})

    def reindexed(
        self, settings: Settings, database: Connection, ready: Sequence[pulumi.Resource]
    ) -> tuple[pulumi.Resource, ...]:
        """As `reindex`, with the step of a stack."""
        if reindex_name(self._judged) is None:
            return tuple(ready)
        from components.upgrade.reindex import reindex_of

        return self.reindex(reindex_of(settings, database, pulumi.get_stack()), ready)

    def reindex(self, step: Workload, database: Sequence[pulumi.Resource]) -> tuple[pulumi.Resource, ...]:
        """What the server waits for once `database` is there: it, and the renewed indexes where VectorChord moved."""
        task = reindex_task(self._judged, step)
        if task is None:
            return tuple(database)
        return (*database, self._platform.task(task, parent=self, after=[*self.before, *database]))

    def output(self, server: pulumi.Resource) -> pulumi.Output[dict[str, object]]:
        """The output `deployed`, known when the server is ready.

        Not before: the engine keeps the outputs that a program registered also where the update then fails.
        """
        told = deployed_output(self._judged)
        return server.urn.apply(lambda _: told)


def _name(version: str | None) -> str:
    return "unknown" if version is None else version.replace(".", "-")

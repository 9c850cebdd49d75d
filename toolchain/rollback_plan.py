"""`make rollback-plan STACK=...`: what going back from the last upgrade needs, with this stack's names, in order.

Reads the stack's state and its settings, and changes nothing. The commands are those of the stack's own page
`upgrade-went-wrong`, with the releases and the time filled in.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from components import versions
from components.machine_learning.settings import BundledMachineLearning
from components.recovery.runbooks import pages
from components.upgrade.assessment import Judged
from components.upgrade.component import backup_name
from components.upgrade.deployed import MARK, MARK_TYPE, Deployed, Last, last_of
from toolchain import environment
from toolchain.deployment import Resource, export, mapping, resources
from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import settings_file
from toolchain.stack_settings import settings_without_secrets, stack_texts

if TYPE_CHECKING:
    from components.model.values import ImageRef
    from components.settings.model import Settings

_USAGE: Final = "usage: python -m toolchain.rollback_plan STACK [--json]"
_PAGE: Final = "upgrade-went-wrong.md"
_BACK: Final = "## Back"
_NEWEST_DUMP: Final = "cat /backup/database/immich.sql.zst"


@dataclass(frozen=True, kw_only=True)
class RollbackPlan:
    """The way back from the last upgrade."""

    stack: str
    leaves: str
    """Release that is there, or that an update which failed may have started."""
    reaches: str
    """Release to go back to: the last one before it with which an update ended well."""
    failed: bool
    """Whether the upgrade itself failed."""
    changes: tuple[str, ...]
    """Settings that go back: `immich:server.version: 3.3.1 -> 3.2.4`."""
    images: dict[str, str]
    """What runs then: part -> image with its digest, where one is known."""
    backup: str
    """Which backup brings the database back."""
    before: str | None
    """The time that names it: the newest backup at or before it. None where the state does not tell."""
    commands: tuple[str, ...]
    """In order; a line that begins with a space belongs to the one before."""
    notes: tuple[str, ...]


def make_plan(stack: str, settings: Settings, found: Sequence[Resource]) -> RollbackPlan:
    """The plan from a stack's settings and state. ToolchainError where there is nothing to go back from."""
    last = last_of(_outputs(found), {one.urn: one.state for one in found})
    leaves, target, reaches = _way(stack, last)
    backup, before = _backup(found, target, leaves)
    return RollbackPlan(
        stack=stack,
        leaves=leaves.immich,
        reaches=reaches.immich,
        failed=last.finished is not None and last.finished.differs(leaves),
        changes=tuple(_changes(leaves, reaches)),
        images={name: str(image) for name, image in _images(settings, reaches).items()},
        backup=backup,
        before=before,
        commands=tuple(_commands(stack, settings, leaves, reaches, before)),
        notes=tuple(_notes(settings, leaves, reaches, before)),
    )


def _outputs(found: Sequence[Resource]) -> Mapping[str, object]:
    for one in found:
        if one.type == "pulumi:pulumi:Stack":
            return mapping(one.state.get("outputs"))
    return {}


def _way(stack: str, last: Last) -> tuple[Deployed, Deployed, Deployed]:
    """What is there, what the upgrade left, and what to go back to: that, or the last before it that ended well."""
    finished, now = last.finished, last.now
    if now is None:
        raise ToolchainError(f"Nothing of the stack {stack} is deployed: there is nothing to go back from.")
    if finished is not None and now.differs(finished):
        if versions.parse(now.immich) < versions.parse(finished.immich):
            raise ToolchainError(
                f"A way back from {finished.immich} to {now.immich} has begun: `make up STACK={stack}` goes on with it."
            )
        return now, finished, finished
    if finished is None or finished.before is None:
        raise ToolchainError(
            f"The stack {stack} runs {now.immich}, and no upgrade of it is known: there is nothing to go back from."
        )
    return now, finished.before, finished.before.before or finished.before


def _changes(leaves: Deployed, reaches: Deployed) -> Iterator[str]:
    pairs = (
        ("server.version", leaves.immich, reaches.immich),
        ("database.vectorchord", leaves.vectorchord, reaches.vectorchord),
        ("database.postgres", leaves.postgres, reaches.postgres),
        ("database.kind", leaves.database, reaches.database),
    )
    for key, now, then in pairs:
        if None not in {now, then} and now != then:
            yield f"immich:{key}: {now} -> {then}"


def _images(settings: Settings, reaches: Deployed) -> dict[str, ImageRef]:
    found = {"server": versions.server_image(reaches.immich)}
    if isinstance(settings.machine_learning, BundledMachineLearning):
        backend = settings.machine_learning.backend
        found["machine learning"] = versions.machine_learning_image(reaches.immich, backend)
    if reaches.database in {"bundled", "cloudnative-pg"}:
        table = versions.database_images(reaches.database)
        same = [
            image
            for (postgres, vectorchord), image in table.items()
            if postgres.partition(".")[0] == str(reaches.postgres) and vectorchord == reaches.vectorchord
        ]
        if same:
            found["database"] = same[-1]
    return found


def _backup(found: Sequence[Resource], target: Deployed, leaves: Deployed) -> tuple[str, str | None]:
    """Which backup, and until when one of those from before the upgrade was made."""
    wanted = backup_name(Judged(before=target, after=leaves, leaves=target, changes=True, backs_up=True))
    ended = [one.text("created") for one in found if wanted is not None and wanted in one.name]
    if times := [time for time in ended if time]:
        return f"the one that the upgrade itself made first ({wanted})", _second_after(max(times))
    marked = [one.text("modified") for one in found if one.urn.endswith(f"{MARK_TYPE}::{MARK}")]
    unknown = (
        f"the newest from before the upgrade; this program made none for it, so look whether `make status` or \
`restic snapshots --tag v{target.immich}` knows one"
    )
    return unknown, _second_after(marked[0]) if marked and marked[0] else None


def _second_after(text: str) -> str:
    """A time of the state, which has nanoseconds, rounded up to a second: what ended at it is not after it."""
    moment = datetime.fromisoformat(f"{text[:19]}+00:00") + timedelta(seconds=1)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _commands(
    stack: str, settings: Settings, leaves: Deployed, reaches: Deployed, before: str | None
) -> Iterator[str]:
    """The commands of the stack's own page on upgrades that went wrong."""
    _, found, section = pages(settings, stack)[_PAGE].partition(_BACK)
    if not found:
        raise ToolchainError(f"The page {_PAGE} has no part {_BACK!r}.")
    dump = "sh -c 'cat \"$(ls /backup/database/immich-*-v" + reaches.immich + "-pg*.sql.zst | tail -n 1)\"'"
    yield 'eval "$(make -s env)"'
    for line in section.splitlines():
        if not line.startswith("    ") or "make rollback-plan" in line or 'eval "$(make' in line:
            continue
        command = line.removeprefix("    ").replace(_NEWEST_DUMP, dump)
        command = command.replace(" OLD ", f" {reaches.immich} ").replace(" BEFORE ", f" {before or 'TIME'} ")
        if "lineage.generation" in command:
            command = command.replace("generation 2 ", f"generation {(leaves.lineage or 1) + 1} ")
        yield command
        if "immich:server.version" in command:
            yield from _other_settings(stack, leaves, reaches)


def _other_settings(stack: str, leaves: Deployed, reaches: Deployed) -> Iterator[str]:
    if None not in {leaves.vectorchord, reaches.vectorchord} and leaves.vectorchord != reaches.vectorchord:
        yield (
            f"pulumi config set --path immich:database.vectorchord {reaches.vectorchord} --type string -s {stack}"
        )


def _notes(settings: Settings, leaves: Deployed, reaches: Deployed, before: str | None) -> Iterator[str]:
    if leaves.immich != reaches.immich:
        yield (
            f"Immich {reaches.immich} does not start on a database that {leaves.immich} has changed: image and "
            "database go back together"
        )
    yield "photos that came since the backup are files without a row: send them again from the phones"
    if versions.parse(leaves.immich)[0] != versions.parse(reaches.immich)[0]:
        yield "phones with an app of the newer major cannot talk to the older server"
    if (leaves.database, leaves.postgres) != (reaches.database, reaches.postgres):
        yield "the database itself moved to another kind or major version: this plan goes back within the one there is"
    if not isinstance(settings.machine_learning, BundledMachineLearning):
        yield f"machine learning is not of this deployment: where there is one, it must be {reaches.immich} too"
    if settings.backup is None:
        yield "this stack makes no backups: only one of your own brings the database back"
    if before is None:
        yield "TIME is a moment just before the upgrade: the state does not tell it"
    if settings.backup is not None and settings.backup.archive is not None and before is not None:
        yield f"the archive is recovered to a moment before the upgrade: {before}"


def text(plan: RollbackPlan) -> str:
    """The plan for people."""
    began = " (its update failed)" if plan.failed else ""
    lines = [f"Back from Immich {plan.leaves}{began} to {plan.reaches}, stack {plan.stack}", ""]
    lines += [f"  {one}" for one in plan.changes]
    width = max(len(name) for name in plan.images)
    lines += ["", "Images:", *(f"  {name:<{width}}  {image}" for name, image in plan.images.items())]
    lines += ["", f"Database: {plan.backup}"]
    if plan.before is not None:
        lines.append(
            f"  taken at or before {plan.before}; `make status STACK={plan.stack}` tells what there is"
        )
    lines += ["", "In this order:", *(f"  {command}" for command in plan.commands)]
    lines += ["", *(f"- {note}" for note in plan.notes)]
    return "\n".join(lines)


def main() -> int:
    """`python -m toolchain.rollback_plan STACK [--json]`."""
    arguments = [one for one in sys.argv[1:] if one != "--json"]
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise ToolchainError(_USAGE)
    (stack,) = arguments
    settings, _ = settings_without_secrets(stack, *stack_texts(settings_file(stack)))
    state = export(stack, environment.full(os.environ))
    if state is None:
        raise ToolchainError(f"The stack {stack} does not exist: there is nothing to go back from.")
    plan = make_plan(stack, settings, resources(state))
    print(json.dumps(asdict(plan), indent=2) if "--json" in sys.argv else text(plan))
    return 0


if __name__ == "__main__":
    exit_with(main)

"""The scripts that bring data back, and those that prove on a schedule that it would come back."""

from __future__ import annotations

import re

from components.backup.plan import Plan
from components.backup.restore_plan import DrillPlan, RestoreChoice
from components.backup.scripts import values
from components.templates import render

_STRANGE = re.compile(r"[\x00-\x1f\x7f\"\\<>&]")
"""What restic's JSON writes differently from how it is, and what would be a line of its own."""


def restore_files_script(plan: Plan, choice: RestoreChoice) -> str:
    """POSIX sh for restic's image, before the server's first start, `plan.media` and `plan.root` writable.

    Restores what `choice` wants of the media folders, their markers, and the dump that belongs to the snapshot. Does
    nothing, with exit code 0, where the media root has originals or this choice was restored already. Started again
    after a kill it goes on. Raises ValueError for a plan or target that no script can be made of.
    """
    return render("backup-restore-files.sh.j2", _values(plan, choice.target, choice=choice))


def restore_database_script(plan: Plan, choice: RestoreChoice) -> str:
    """Bash for the database's image, after the files: loads their dump into a database without rows of Immich.

    A dump of Immich's own needs no step before. All in one transaction; exit code 0 also where the database has rows,
    which are left alone. A dump of a newer Immich or of a newer major version of PostgreSQL is refused. Raises
    ValueError as `restore_files_script`.
    """
    return render("backup-restore-database.sh.j2", _values(plan, choice.target, choice=choice))


def restore_one_script(plan: Plan) -> str:
    """POSIX sh for restic's image: one file or folder back to its place, or beside what is there, never over it.

    Arguments: the path, the end of a path or a name; optionally a snapshot's id, `latest` (the newest that has it) or
    a time in UTC; optionally the target. Exit code 2 where the arguments are wrong, 3 where several paths match, 1
    where none does or restic fails. Raises ValueError as `restore_files_script`.
    """
    return render("backup-file.sh.j2", _values(plan, None))


def drill_fetch_script(plan: Plan, drill: DrillPlan) -> str:
    """POSIX sh for restic's image, first step of a drill: the age of the newest snapshot, and its dump.

    Raises ValueError as `restore_files_script`.
    """
    return render("backup-drill-fetch.sh.j2", _values(plan, drill.target, drill=drill))


def drill_database_script(plan: Plan, drill: DrillPlan) -> str:
    """Bash for the database's image, second step: the dump in a throw-away database, compared with the live one.

    Reads the live database in read-only transactions, and leaves a list of originals with their SHA-1 to the third
    step. Runs as any user but root. Raises ValueError as `restore_files_script`.
    """
    return render("backup-drill-database.sh.j2", _values(plan, drill.target, drill=drill))


def drill_files_script(plan: Plan, drill: DrillPlan) -> str:
    """POSIX sh for restic's image, last step: the originals of the list against their SHA-1, and the verdict.

    Raises ValueError as `restore_files_script`.
    """
    return render("backup-drill-files.sh.j2", _values(plan, drill.target, drill=drill))


def _values(plan: Plan, target: str | None, **more: object) -> dict[str, object]:
    names = [repository.name for repository in plan.repositories]
    choice = more.get("choice")
    if isinstance(choice, RestoreChoice) and choice.file is not None:
        names = ["immich"]
    if not names:
        raise ValueError("there is no target that a backup could be restored from: give one")
    if target is not None and target not in names:
        raise ValueError(f"target {target!r}: give one of {', '.join(names)}")
    drill = more.get("drill")
    own = (drill.scratch, drill.sockets) if isinstance(drill, DrillPlan) else ()
    for path in own:
        kept = (plan.root, plan.media, *plan.folders)
        if path.count("/") < 2 or any(f"{each}/".startswith(f"{path}/") for each in kept):
            raise ValueError(f"folder {path!r} is emptied by drills: give one with nothing else in it")
    for path in (plan.media, plan.root, *plan.folders, *plan.markers, *own):
        if _STRANGE.search(path) or not path.startswith("/") or path.endswith("/"):
            raise ValueError(
                f"folder {path!r}: give an absolute path without quotes, backslashes, <, >, & and line ends"
            )
    return {
        **values(plan),
        **more,
        "target": target or names[0],
        "targets": names,
        "media_markers": tuple(
            f"{folder}/.immich" for folder in plan.folders if folder.startswith(f"{plan.media}/")
        ),
        "pattern": _pattern,
        "literal": _literal,
    }


def _pattern(path: str) -> str:
    """The path as a pattern of restic that matches nothing else."""
    return re.sub(r"[\[\]*?\\]", r"\\\g<0>", path)


def _literal(text: str) -> str:
    """The text as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"

"""After VectorChord moved: its extension is updated and its indexes are made anew, before the server starts."""

from __future__ import annotations

from typing import Final

from components.backup.plan import Plan
from components.backup.scripts import values
from components.database.client import DatabaseClient, database_client
from components.fields.resources import Resources
from components.model.connection import Connection
from components.model.naming import slug
from components.model.task import BACKUP_FOLDER, BACKUP_VOLUME
from components.model.values import Quantity
from components.model.workload import ConfigFiles, Scratch, Storage, Workload
from components.settings.backup_rules import takes_dumps
from components.settings.model import Settings
from components.sizing import resources
from components.templates import render

NAME: Final = "reindex"
EXTENSION: Final = "vchord"
INDEXES: Final = ("face_index", "clip_index")
"""Indexes of Immich that VectorChord keeps (docs/docs/administration/postgres-standalone.md)."""
_FOLDER: Final = "/etc/immich-reindex"
_ANSWER: Final = 120
_LOCK: Final = 900


def reindex_script(plan: Plan, *, answer: int = _ANSWER, lock: int = _LOCK) -> str:
    """Bash for an image with psql. Running it again at any time is right; status/reindex.json says how it ended.

    `answer` is how many seconds the database may take until it answers, `lock` how many whoever uses an index may keep
    it. Raises ValueError for a plan that no script can be made of.
    """
    return render(
        "database-reindex.sh.j2",
        {**values(plan), "extension": EXTENSION, "indexes": INDEXES, "answer": answer, "lock": lock},
    )


def reindex_of(settings: Settings, database: Connection, stack: str) -> Workload:
    """The step of a stack."""
    backup = settings.backup
    return reindex_step(
        database_client(settings.database, database),
        stack=slug(stack),
        version=settings.server.version,
        user=settings.server.user,
        group=settings.server.group,
        has_backup_volume=backup is not None
        and (bool(backup.targets) or takes_dumps(backup, settings.database)),
    )


def reindex_step(
    client: DatabaseClient, *, stack: str, version: str, user: int, group: int, has_backup_volume: bool
) -> Workload:
    """The step. `stack` and `version` as in `Plan`; user and group are the server's, as those of all steps.

    Without a backup volume its status ends with it, and only its log and its exit code tell.
    """
    plan = Plan(
        stack=stack,
        immich_version=version,
        database=client.access,
        postgres=client.postgres,
        root=BACKUP_FOLDER,
        password_file=client.access.password_file,
    )
    folder = (
        Storage(volume=BACKUP_VOLUME, path=BACKUP_FOLDER)
        if has_backup_volume
        else Scratch(path=BACKUP_FOLDER, size=Quantity("64Mi"))
    )
    return Workload(
        name=NAME,
        image=client.image,
        # The work is the database's own; this only waits for it.
        resources=resources("backup", Resources()),
        user=user,
        group=group,
        command=("bash", f"{_FOLDER}/run.sh"),
        mounts=(
            *client.mounts,
            folder,
            ConfigFiles(name=NAME, path=_FOLDER, files={"run.sh": reindex_script(plan)}),
            Scratch(path="/tmp", size=Quantity("64Mi")),
        ),
        links=client.links,
        egress=client.egress,
        exclusive=True,
        termination_grace=60,
    )

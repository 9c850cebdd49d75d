"""What comes before the database in an update: the backup volume and targets, and the steps of an upgrade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from components.model.connection import Connection
from components.model.workload import Workload
from components.platform.base import Platform
from components.secrets.component import Secrets, given_secret
from components.settings.backup_rules import takes_dumps
from components.settings.model import Settings
from components.settings.secret_source import ExternalSecrets
from components.sizing import placement
from components.upgrade.assessment import Judged
from components.upgrade.order import UpgradeOrder, reindex_name

if TYPE_CHECKING:
    from components.backup.component import Backup
    from components.upgrade.deployed import Deployed

OLD_PASSWORD = "backupPasswordOld"


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """What was prepared."""

    backup: Backup | None
    order: UpgradeOrder
    judged: Judged
    settings: Settings
    connection: Connection
    stack: str

    def server_waits_for(self, database: Sequence[pulumi.Resource]) -> tuple[pulumi.Resource, ...]:
        """The database, its renewed indexes where VectorChord moved, and what a new deployment is restored from."""
        ready = tuple(database)
        if reindex_name(self.judged) is not None:
            from components.database.client import database_client
            from components.upgrade.reindex import reindex_step

            settings = self.settings
            step = reindex_step(
                database_client(settings.database, self.connection),
                stack=slug(self.stack),
                version=settings.server.version,
                user=settings.server.user,
                group=settings.server.group,
                has_backup_volume=self.backup is not None,
            )
            ready = self.order.between(step, ready)
        return ready if self.backup is None else (*ready, *self.backup.restore(ready))

    def outputs(self, server: pulumi.Resource, secrets: Secrets) -> dict[str, pulumi.Output[object]]:
        """What the next update reads, and the password of the copies for the person who has to keep it elsewhere."""
        found: dict[str, pulumi.Output[object]] = {
            "deployed": pulumi.Output.from_input(self.order.output(server))
        }
        backup = self.settings.backup
        if backup is None or not backup.targets or isinstance(self.settings.secrets, ExternalSecrets):
            return found
        password = secrets.values(("backupPassword",)).apply(lambda values: values["backupPassword"])
        return {**found, "backupPassword": pulumi.Output.secret(password)}


def prepare(
    platform: Platform,
    settings: Settings,
    secrets: Secrets,
    connection: Connection,
    judged: Judged,
    *,
    stack: str,
    stack_file: str,
    opts: pulumi.ResourceOptions,
) -> Before:
    """Make them. What a stack does not want is not imported."""
    backup = _backup(platform, settings, secrets, connection, stack, stack_file, opts)

    def steps(leaves: Deployed) -> Sequence[Workload]:
        return () if backup is None else backup.steps_of(leaves)

    return Before(
        backup=backup,
        order=UpgradeOrder(platform, judged, steps, opts),
        judged=judged,
        settings=settings,
        connection=connection,
        stack=stack,
    )


def backed_up(settings: Settings) -> bool:
    """Whether an upgrade can be undone: by a dump before it, or by an archive that has every second."""
    backup = settings.backup
    return takes_dumps(backup, settings.database) or (backup is not None and backup.archive is not None)


def slug(stack: str) -> str:
    """The stack's name as repositories and files have it: small letters, digits and hyphens."""
    import re

    return re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-") or "stack"


def _backup(  # noqa: PLR0917 - what `prepare` has
    platform: Platform,
    settings: Settings,
    secrets: Secrets,
    connection: Connection,
    stack: str,
    stack_file: str,
    opts: pulumi.ResourceOptions,
) -> Backup | None:
    given = settings.backup
    dumps = takes_dumps(given, settings.database)
    if given is None or not (given.targets or dumps):
        return None
    from components.backup.component import Backup, BackupArgs
    from components.database.client import database_client

    old = given_secret(OLD_PASSWORD) if given.targets else None
    if old is not None:
        secrets.add(OLD_PASSWORD, pulumi.Output.secret(old))
    return Backup(
        BackupArgs(
            platform=platform,
            settings=given,
            restore=settings.restore,
            storage=settings.storage,
            database=database_client(settings.database, connection),
            dumps=dumps,
            stack=slug(stack),
            version=settings.server.version,
            timezone=settings.server.timezone,
            user=settings.server.user,
            group=settings.server.group,
            placement=placement(settings.server.placement),
            stack_file=stack_file,
            app=settings.app is not None,
            old_password=old is not None,
            secrets=secrets,
        ),
        opts,
    )

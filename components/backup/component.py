"""Backups, their drill, and what a new deployment is restored from: each a task of steps, on every platform alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pulumi

from components import versions
from components.backup import repositories as backup_repositories
from components.backup.key import key_script
from components.backup.plan import Keep, Plan
from components.backup.repositories import Reach
from components.backup.restore_plan import DrillPlan, RestoreChoice
from components.backup.restore_scripts import (
    drill_database_script,
    drill_fetch_script,
    drill_files_script,
    restore_database_script,
    restore_files_script,
    restore_one_script,
)
from components.backup.scripts import copy_script, dump_script
from components.backup.settings import Backup as BackupSettings
from components.backup.settings import Restore
from components.database.client import DatabaseClient, database_client
from components.model.connection import Connection
from components.model.cron import parse
from components.model.naming import slug
from components.model.task import BACKUP_FOLDER, BACKUP_VOLUME, Task
from components.model.values import ImageRef, Quantity
from components.model.workload import ConfigFiles, Mount, Placement, Scratch, SecretFiles, Workload
from components.model.workload import Storage as Mounted
from components.platform.base import Platform
from components.secrets.component import Secrets, given_secret
from components.settings.backup_rules import takes_dumps
from components.settings.model import Settings
from components.sizing import placement, resources
from components.storage.component import MEDIA, server_mounts, volume_request
from components.storage.settings import Storage

if TYPE_CHECKING:
    from components.upgrade.deployed import Deployed

BACKUP = "backup"
DRILL = "drill"
RESTORE = "restore"
OLD_PASSWORD = "backupPasswordOld"
_SCRIPTS = "/etc/immich-scripts"
_STACK = "/stack"
_APP = "/immich-config"
_LATE_HOURS = 24
"""How long after its time a backup may be missing until a drill calls it stale."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackupArgs:
    """What `Backup` is made of; `backup_of` makes it from a whole stack's settings."""

    platform: Platform
    """Where it runs: a `KubernetesPlatform` or a `DockerPlatform`."""
    settings: BackupSettings
    """Volume, targets, schedule, retention, drill, as the section `immich:backup` has them."""
    restore: Restore | None
    """Which copy a new deployment starts from, as the section `immich:restore` has it; None starts empty."""
    storage: Storage
    """Media and libraries, as the section `immich:storage` has them."""
    database: DatabaseClient
    """How scripts reach the database."""
    dumps: bool
    """Whether the database is dumped; a database with an archive alone is not."""
    stack: str
    """Name of the stack: lower-case letters, digits and hyphens."""
    version: str
    """Release of Immich, such as 3.3.1."""
    timezone: str
    """IANA name of the time zone of the schedule, such as `Europe/Berlin`."""
    user: int
    """Number of the user that owns the photos."""
    group: int
    """Number of that user's group."""
    placement: Placement
    """The server's node selector, tolerations and affinity: volumes may be on its node alone."""
    stack_file: str
    """The stack's settings, without secrets, kept with each copy for a restore on another machine."""
    app: bool
    """Whether there is a file with Immich's configuration, published as `app`."""
    old_password: bool
    """Whether the previous encryption password is given as well, so that repositories change over."""
    secrets: Secrets
    """Secrets of the deployment: `backupPassword` and the credentials of targets are among them."""


class Backup(pulumi.ComponentResource):
    """The backup volume, the targets, and the tasks: `restore` before the server's first start, `schedule` after it.

    On a cluster: CronJob, PersistentVolumeClaim and Secret; a pod of rclone where a target needs it.
    On a host: containers with a clock of their own, and volumes.
    """

    tasks: Mapping[str, Task]
    """By name: `backup`, `drill`, `restore`; those that this stack has."""

    def __init__(self, name: str, args: BackupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Backup", name, {}, opts)
        self._args = args
        settings, platform = args.settings, args.platform
        self._ready: list[pulumi.Resource] = []
        if args.dumps or settings.targets:
            platform.volume(volume_request(BACKUP_VOLUME, settings.volume, read_only=False), parent=self)
        for request in backup_repositories.volumes(settings):
            platform.volume(request, parent=self)
        if settings.targets:
            platform.publish(
                backup_repositories.secret(settings, old_password=args.old_password),
                args.secrets.values,
                parent=self,
            )
        if settings.needs_rclone:
            self._ready.append(self._rclone())
        self.tasks = tasks(args)
        self.register_outputs({})

    @property
    def password(self) -> pulumi.Output[str] | None:
        """What every copy is encrypted with, secret; None without copies, or where an external store has it."""
        return self._args.secrets.value("backupPassword") if self._args.settings.targets else None

    def steps_of(self, leaves: Deployed | None) -> tuple[Workload, ...]:
        """The steps of a backup of a deployment with these versions, before an upgrade leaves them."""
        if leaves is None:
            return ()
        args = replace(self._args, version=leaves.immich)
        if leaves.postgres is not None and leaves.postgres != args.database.postgres:
            image = versions.client_image(leaves.postgres, leaves.vectorchord)
            args = replace(args, database=replace(args.database, image=image, postgres=leaves.postgres))
        return _Steps(args).backup()

    def restore(self, after: Sequence[pulumi.Resource]) -> tuple[pulumi.Resource, ...]:
        """Run the restore, once; gives what the server waits for."""
        return self._register(RESTORE, after)

    def schedule(self, after: Sequence[pulumi.Resource]) -> None:
        """Have backup and drill run by the clock."""
        for name in (BACKUP, DRILL):
            self._register(name, after)

    def _register(self, name: str, after: Sequence[pulumi.Resource]) -> tuple[pulumi.Resource, ...]:
        if name not in self.tasks:
            return ()
        args = self._args
        keys = (*args.database.secrets, *args.settings.secret_keys, OLD_PASSWORD)
        made = args.platform.task(
            self.tasks[name],
            parent=self,
            after=[*self._ready, *after],
            fingerprints=args.secrets.fingerprints(keys),
        )
        return (made,)

    def _rclone(self) -> pulumi.Resource:
        args = self._args
        published = backup_repositories.rclone_secret(args.settings)
        args.platform.publish(published, args.secrets.values, parent=self)
        keys = tuple(dict.fromkeys(key for text in published.items.values() for key in text.keys))
        return args.platform.workload(
            backup_repositories.rclone_workload(args.settings, user=args.user, group=args.group),
            parent=self,
            fingerprints=args.secrets.fingerprints(keys),
        )


def plan(args: BackupArgs, reach: Reach) -> Plan:
    """What the scripts know."""
    settings = args.settings
    copied = ["upload", "library", "profile"]
    copied += ["thumbs"] if settings.files.thumbs else []
    copied += ["encoded-video"] if settings.files.encoded_video else []
    others = [folder for folder in ("thumbs", "encoded-video", "backups") if folder not in copied]
    libraries = {str(name) for name in settings.files.external_libraries}
    return Plan(
        stack=args.stack,
        immich_version=args.version,
        database=args.database.access,
        postgres=args.database.postgres,
        root=BACKUP_FOLDER,
        media=MEDIA,
        folders=(
            *(f"{MEDIA}/{folder}" for folder in copied),
            *(str(one.mount_path) for one in args.storage.external_libraries if str(one.name) in libraries),
        ),
        markers=tuple(f"{MEDIA}/{folder}/.immich" for folder in others),
        extra=(_STACK, *((_APP,) if args.app else ())),
        repositories=reach.repositories,
        keep_dumps=settings.dumps.keep,
        compression_level=settings.dumps.compression_level,
        keep=Keep(
            daily=settings.keep.daily,
            weekly=settings.keep.weekly,
            monthly=settings.keep.monthly,
            yearly=settings.keep.yearly,
        ),
        check_subset="all" if settings.check_subset == "100%" else settings.check_subset,
        upload_limit=settings.limits.upload,
        download_limit=settings.limits.download,
        niceness=settings.limits.niceness,
    )


def tasks(args: BackupArgs) -> dict[str, Task]:
    """The tasks of a stack, by name."""
    found: dict[str, Task] = {}
    steps = _Steps(args)
    if backup := steps.backup():
        found[BACKUP] = Task(
            name=BACKUP,
            steps=backup,
            schedule=str(args.settings.schedule),
            timezone=args.timezone,
            deadline=24 * 3600,
        )
    if args.settings.drill is not None and args.dumps and args.settings.targets:
        found[DRILL] = Task(
            name=DRILL,
            steps=steps.drill(args.settings.drill.sample),
            schedule=str(args.settings.drill.schedule),
            timezone=args.timezone,
            deadline=24 * 3600,
        )
    if args.restore is not None:
        found[RESTORE] = Task(
            name=RESTORE, steps=steps.restore(args.restore), deadline=72 * 3600, repeats=False
        )
    return found


class _Steps:
    """Makes each step: an image, a script, and just the mounts and links that it needs."""

    def __init__(self, args: BackupArgs) -> None:
        self._args = args
        self._reach = backup_repositories.reach(
            args.settings, args.platform.address(backup_repositories.RCLONE)
        )
        self._plan = plan(args, self._reach)
        self._media = tuple(
            replace(mount, read_only=True)
            for mount in server_mounts(args.storage)
            if f"{mount.path}/".startswith(f"{MEDIA}/") or mount.path in self._plan.folders
        )

    def backup(self) -> tuple[Workload, ...]:
        found: list[Workload] = []
        if self._args.dumps:
            found.append(self._of_database("backup-dump", {"run.sh": dump_script(self._plan)}))
        if self._args.settings.targets:
            # The second script is for whoever asks for a single photo.
            scripts = {"run.sh": copy_script(self._plan), "restore-one.sh": restore_one_script(self._plan)}
            if self._args.old_password:
                found.append(self._of_restic("backup-key", {"run.sh": key_script(self._plan)}))
            found.append(self._of_restic("backup-copy", scripts, self._media, self._extra()))
        return tuple(found)

    def drill(self, sample: int | str) -> tuple[Workload, ...]:
        chosen = DrillPlan(
            sample=None if sample == "all" else int(sample),
            max_age_hours=math.ceil(
                parse(str(self._args.settings.schedule)).longest_gap().total_seconds() / 3600
            )
            + _LATE_HOURS,
        )
        fetch = self._of_restic("drill-fetch", {"run.sh": drill_fetch_script(self._plan, chosen)})
        database = self._of_database("drill-database", {"run.sh": drill_database_script(self._plan, chosen)})
        files = self._of_restic("drill-originals", {"run.sh": drill_files_script(self._plan, chosen)})
        return fetch, database, files

    def restore(self, restore: Restore) -> tuple[Workload, ...]:
        choice = RestoreChoice(
            what=restore.what, from_=restore.from_, target=str(restore.target) if restore.target else None
        )
        if restore.is_of_immich:
            step = self._of_database(
                "restore-database", {"run.sh": restore_database_script(self._plan, choice)}
            )
            media = tuple(one for one in self._media if one.path in {MEDIA, f"{MEDIA}/backups"})
            return (replace(step, mounts=(*media, *step.mounts)),)
        # Copied libraries as well: the script leaves one alone that has files, or that cannot be written.
        writable = tuple(replace(mount, read_only=False) for mount in self._media)
        script = {"run.sh": restore_files_script(self._plan, choice)}
        found = [self._of_restic("restore-media", script, writable)]
        if restore.what != "files":
            found.append(
                self._of_database("restore-database", {"run.sh": restore_database_script(self._plan, choice)})
            )
        return tuple(found)

    def _extra(self) -> tuple[Mount, ...]:
        stack = ConfigFiles(
            name="backup-stack", path=_STACK, files={f"Pulumi.{self._args.stack}.yaml": self._args.stack_file}
        )
        if not self._args.app:
            return (stack,)
        return (stack, SecretFiles(secret="app", path=_APP, items={"immich.json": "immich.json"}))

    def _of_database(self, name: str, scripts: Mapping[str, str]) -> Workload:
        client = self._args.database
        step = self._step(name, client.image, scripts, client.mounts)
        return replace(
            step,
            command=("bash", f"{_SCRIPTS}/run.sh"),
            links=client.links,
            egress=client.egress,
            # A throw-away PostgreSQL wants shared memory.
            mounts=(*step.mounts, Scratch(path="/dev/shm", size=Quantity("256Mi"), memory=True)),
        )

    def _of_restic(
        self,
        name: str,
        scripts: Mapping[str, str],
        media: tuple[Mounted, ...] = (),
        extra: tuple[Mount, ...] = (),
    ) -> Workload:
        published = backup_repositories.secret(self._args.settings, old_password=self._args.old_password)
        items = {key: key for key in published.items}
        secret = SecretFiles(secret=backup_repositories.SECRET, path=backup_repositories.FOLDER, items=items)
        image = self._args.settings.restic_image or versions.current("restic")
        step = self._step(name, image, scripts, (*media, *self._reach.mounts, secret, *extra))
        return replace(step, links=self._reach.links, egress=self._reach.egress)

    def _step(
        self,
        name: str,
        image: ImageRef | pulumi.Output[str],
        scripts: Mapping[str, str],
        mounts: Sequence[Mount],
    ) -> Workload:
        args = self._args
        return Workload(
            name=name,
            image=image,
            resources=resources("backup", args.settings.resources),
            user=args.user,
            group=args.group,
            command=("/bin/sh", f"{_SCRIPTS}/run.sh"),
            env={"TZ": args.timezone},
            mounts=(
                *mounts,
                Mounted(volume=BACKUP_VOLUME, path=BACKUP_FOLDER),
                ConfigFiles(name=name, path=_SCRIPTS, files=scripts),
                Scratch(path="/tmp", size=Quantity("1Gi")),
            ),
            exclusive=True,
            placement=args.placement,
            termination_grace=60,
        )


def backup_of(
    settings: Settings,
    *,
    platform: Platform,
    secrets: Secrets,
    database: Connection,
    stack: str,
    stack_file: str,
    opts: pulumi.ResourceOptions,
) -> Backup | None:
    """The backup that the settings of a stack ask for; None where they ask for no dump and no copy.

    The password before this one is taken from the stack's secret config, `immich:backupPasswordOld`.
    """
    given, dumps = settings.backup, takes_dumps(settings.backup, settings.database)
    if given is None or not (given.targets or dumps):
        return None
    old = given_secret(OLD_PASSWORD) if given.targets else None
    if old is not None:
        secrets.add(OLD_PASSWORD, pulumi.Output.secret(old))
    args = BackupArgs(
        platform=platform,
        settings=given,
        restore=settings.restore,
        storage=settings.storage,
        database=database_client(settings.database, database),
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
    )
    return Backup(BACKUP, args, opts)

"""Backups of the database and of the files, their drill, and what is restored into a new deployment."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from components.backup.restore_plan import DUMP_FILE
from components.backup.target_settings import RcloneTarget, RestTarget, S3Target, SftpTarget, Target
from components.database.archive_settings import Archive
from components.fields.base import Section, TextValue, WholeNumber
from components.fields.resources import Resources
from components.fields.schedule import CronExpression
from components.model.values import ImageRef, ObjectName, ValueRefused, VolumeSize, time_in_quotes
from components.storage.settings import Volume, VolumeSource


class Dumps(Section):
    """Dumps of the database, each read back before it counts."""

    keep: WholeNumber = Field(default=14, ge=1, le=1000)
    """Number of dumps that are kept in the backup volume."""
    compression_level: WholeNumber = Field(default=3, ge=1, le=19)
    """Of zstd."""


class Files(Section):
    """What is copied beside originals and profile pictures, which always are."""

    thumbs: bool = False
    """Thumbnails and previews too; Immich can make them again, in hours or days."""
    encoded_video: bool = False
    """Transcoded videos too; Immich can make them again."""
    external_libraries: tuple[ObjectName, ...] = ()
    """Names of external libraries that are copied as well; they are not part of Immich's data."""


class Keep(Section):
    """Snapshots that are kept: the last one of each of so many days, weeks, months and years."""

    daily: WholeNumber = Field(default=7, ge=1, le=3650)
    """Days."""
    weekly: WholeNumber = Field(default=5, ge=0, le=520)
    """Weeks."""
    monthly: WholeNumber = Field(default=12, ge=0, le=240)
    """Months."""
    yearly: WholeNumber = Field(default=3, ge=0, le=100)
    """Years."""


class Limits(Section):
    """How much of the machine and its connection a run may take."""

    upload: WholeNumber = Field(default=0, ge=0, le=10_000_000)
    """KiB/s to the targets; 0 is no limit."""
    download: WholeNumber = Field(default=0, ge=0, le=10_000_000)
    """KiB/s from the targets; 0 is no limit."""
    niceness: WholeNumber = Field(default=10, ge=0, le=19)
    """As of `nice`: 19 is the last to get the CPU."""


class Drill(Section):
    """A restore into a throw-away place, on a schedule, that proves the backups."""

    schedule: CronExpression = CronExpression("30 4 * * 0")
    """When; the default is Sunday 04:30."""
    sample: WholeNumber | Literal["all"] = 200
    """Files whose checksum is compared with the database's, chosen at random; `all` reads every one back."""

    @field_validator("sample")
    @classmethod
    def _some(cls, value: int | str) -> int | str:
        if isinstance(value, int) and not 1 <= value <= 10_000_000:
            raise ValueError("expected 1 to 10000000, or all")
        return value


class Backup(Section):
    """Backups are made where this section is present; Immich's own dump is then switched off where this program writes
    Immich's configuration, unless `immich:app.backup.database.enabled` is set.
    """

    schedule: CronExpression = CronExpression("0 2 * * *")
    """When a run starts: the dump of the database first, then the files. Five cron fields, in `server.timezone`."""
    volume: VolumeSource = Volume(size=VolumeSize("20Gi"))
    """Where dumps and the status of the last runs are; a drill makes its throw-away database there too."""
    dumps: Dumps = Dumps()
    """Dumps of the database."""
    files: Files = Files()
    """Files that are copied."""
    targets: tuple[Target, ...] = Field(default=(), max_length=4)
    """Where encrypted copies go; none leaves the dumps on this machine as the only backup."""
    keep: Keep = Keep()
    """Retention of snapshots."""
    check_subset: TextValue = Field(
        default="5%", pattern=r"^([1-9][0-9]?%|100%|[1-9][0-9]*[KMGT])$", examples=["5%", "500M"]
    )
    """How much of each repository every run reads back."""
    limits: Limits = Limits()
    """CPU and bandwidth."""
    drill: Drill | None = Drill()
    """Scheduled restore test; null: none."""
    archive: Archive | None = None
    """Continuous archive of a CloudNativePG database."""
    resources: Resources = Resources()
    """CPU and memory of each step."""
    rclone_resources: Resources = Resources()
    """CPU and memory of rclone, which targets of the kinds sftp and rclone go through."""
    restic_image: ImageRef | None = None
    """Another image of restic; it must have a shell."""
    rclone_image: ImageRef | None = None
    """Another image of rclone; it must have a shell."""

    @model_validator(mode="after")
    def _targets_have_names_of_their_own(self) -> Self:
        names = [str(target.name) for target in self.targets]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"targets: name used twice: {', '.join(repeated)}")
        return self

    @model_validator(mode="after")
    def _drill_has_its_own_time(self) -> Self:
        if self.drill is not None and str(self.drill.schedule) == str(self.schedule):
            raise ValueError(
                f"drill.schedule {self.drill.schedule} is the time of the backup itself; give another"
            )
        return self

    @property
    def needs_rclone(self) -> bool:
        """Whether a target is reached by rclone: SSH refuses a user id without a name, which containers here have."""
        return any(isinstance(target, SftpTarget | RcloneTarget) for target in self.targets)

    @property
    def secret_keys(self) -> dict[str, bool]:
        """Config key of each secret that is needed -> whether it may be made at random."""
        found: dict[str, bool] = {}
        if self.targets:
            found["backupPassword"] = True
        if self.archive is not None or any(isinstance(target, S3Target) for target in self.targets):
            found |= {"backupAccessKeyId": False, "backupSecretAccessKey": False}
        if any(isinstance(target, SftpTarget) for target in self.targets):
            found["backupSshKey"] = False
        if any(isinstance(target, RestTarget) and target.user is not None for target in self.targets):
            found["backupRestPassword"] = False
        if any(isinstance(target, RcloneTarget) for target in self.targets):
            found["backupRcloneConfig"] = False
        return found


_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?\Z"
)
_FROM = (
    "latest, the id of a snapshot (8 to 64 of 0-9a-f), a time such as 2026-11-20T18:00:00Z, or the name of a dump that "
    "Immich made, such as immich-db-backup-20261120T020000-v3.3.1-pg18.1.sql.gz"
)
_SNAPSHOT = re.compile(r"[0-9a-f]{8,64}\Z")


class Restore(Section):
    """What a new deployment starts from. It does nothing where there is data already."""

    what: Literal["both", "database", "files"] = "both"
    """The database, the files, or both."""
    from_: Annotated[TextValue, Field(alias="from")] = "latest"
    """`latest`, the id of a snapshot, or a time such as 2026-11-20T18:00:00Z: the newest at or before it. With
    `what: database` also the name of a dump that Immich made, from the folder `backups` of its media:
    `immich-db-backup-20261120T020000-v3.3.1-pg18.1.sql.gz`."""
    target: ObjectName | None = None
    """Which target of immich:backup.targets; none is the first."""

    @field_validator("from_")
    @classmethod
    def _known(cls, value: str) -> str:
        if value == "latest" or _SNAPSHOT.match(value) or DUMP_FILE.fullmatch(value):
            return value
        if (quoted := time_in_quotes(value)) is not None:
            raise ValueRefused(f"expected {_FROM}; YAML read a time without quotes", quoted)
        if not _TIME.match(value):
            raise ValueError(f"expected {_FROM}")
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"is a time that does not exist; expected {_FROM}") from None
        # A time without a zone is one of the server's; a day is more than any zone differs.
        if moment.replace(tzinfo=moment.tzinfo or UTC) > datetime.now(UTC) + timedelta(days=1):
            raise ValueError(f"is a time to come, and no copy can be from then; expected {_FROM}")
        return value

    @property
    def is_of_immich(self) -> bool:
        """Whether it is a dump that Immich made, among its media, so that no target is read."""
        return DUMP_FILE.fullmatch(self.from_) is not None

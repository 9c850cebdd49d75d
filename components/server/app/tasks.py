"""Immich's own configuration: what runs in the background, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, cast

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from components.fields.base import Section
from components.fields.schedule import CronExpression
from components.server.app.values import AtLeastOne, AtLeastZero, Flag, Milliseconds, TimeOfDay


class DatabaseDump(Section):
    """Immich's own dump of the database into its `backups` folder."""

    enabled: Flag = True
    """Whether the server dumps the database."""
    cron_expression: CronExpression = CronExpression("0 02 * * *")
    """When: a cron expression of five fields, in the server's time zone."""
    keep_last_amount: AtLeastOne = 14
    """How many dumps are kept, 1 or more."""


class AppBackup(Section):
    """Backups that Immich makes itself, on its own volume: no replacement for a copy elsewhere."""

    database: DatabaseDump = Field(default_factory=DatabaseDump)
    """The dump of the database."""


class IntegrityCheck(Section):
    """A check of the files against the database. Heavy on network storage."""

    enabled: Flag = True
    """Whether the check runs."""
    cron_expression: CronExpression = CronExpression("0 03 * * *")
    """When: a cron expression of five fields, in the server's time zone."""


class ChecksumCheck(IntegrityCheck):
    """The check that reads every file and compares its checksum, a part of the library a night."""

    time_limit: Milliseconds = 3_600_000
    """Longest run, in milliseconds."""
    percentage_limit: Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)] = 1
    """Largest share of the library that one run reads, 0 to 1."""


class AppIntegrityChecks(Section):
    """Checks of the files against the database. Newer than Immich 2.5, which ignores them with a warning."""

    missing_files: IntegrityCheck = Field(default_factory=IntegrityCheck)
    """Finds files that the database knows and that are gone."""
    untracked_files: IntegrityCheck = Field(default_factory=IntegrityCheck)
    """Finds files that the database does not know."""
    checksum_files: ChecksumCheck = Field(default_factory=ChecksumCheck)
    """Finds files whose content changed."""


class Queue(Section):
    """A queue of background jobs."""

    concurrency: AtLeastOne
    """Jobs of this queue that run at once in each microservices process, 1 or more."""


def _queue(concurrency: int) -> Queue:
    return Queue(concurrency=concurrency)


FIXED_QUEUES: frozenset[str] = frozenset({
    "facialRecognition", "duplicateDetection", "storageTemplateMigration", "backupDatabase",
})  # fmt: skip
"""Queues that Immich has and whose concurrency it does not let anyone set."""


class AppJob(Section):
    """How many background jobs of each kind run at once, in each microservices process."""

    background_task: Queue = Field(default_factory=lambda: _queue(5))
    """Deletions, clean-up, mail and other small tasks; {"concurrency": 1 or more}."""
    smart_search: Queue = Field(default_factory=lambda: _queue(2))
    """Search by content: each job is one request to machine learning."""
    metadata_extraction: Queue = Field(default_factory=lambda: _queue(5))
    """Reading of EXIF data."""
    face_detection: Queue = Field(default_factory=lambda: _queue(2))
    """Finding of faces: each job is one request to machine learning."""
    search: Queue = Field(default_factory=lambda: _queue(5))
    """Keeping of search data."""
    sidecar: Queue = Field(default_factory=lambda: _queue(5))
    """Reading and writing of XMP files beside the photos."""
    library: Queue = Field(default_factory=lambda: _queue(5))
    """Scans of external libraries."""
    migration: Queue = Field(default_factory=lambda: _queue(5))
    """Moving of generated files after an upgrade."""
    thumbnail_generation: Queue = Field(default_factory=lambda: _queue(3))
    """Thumbnails and previews; the largest use of memory after transcoding."""
    video_conversion: Queue = Field(default_factory=lambda: _queue(1))
    """Transcoding of videos; more than 1 rarely helps, one job uses all cores."""
    notifications: Queue = Field(default_factory=lambda: _queue(5))
    """Mail."""
    ocr: Queue = Field(default_factory=lambda: _queue(1))
    """Reading of text in photos: each job is one request to machine learning."""
    workflow: Queue = Field(default_factory=lambda: _queue(5))
    """Users' workflows. Newer than Immich 2.5, which ignores it with a warning."""
    integrity_check: Queue = Field(default_factory=lambda: _queue(1))
    """Checks of the files against the database. Newer than Immich 2.5, which ignores it with a warning."""
    editor: Queue = Field(default_factory=lambda: _queue(2))
    """Edits of photos. Newer than Immich 2.5, which ignores it with a warning."""

    @model_validator(mode="before")
    @classmethod
    def _known_queues(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        jobs = cast("Mapping[object, object]", data)
        queues = sorted(to_camel(name) for name in cls.model_fields)
        for key in jobs:
            if key in FIXED_QUEUES:
                raise ValueError(f"job.{key} cannot be set: Immich fixes the concurrency of this queue")
            if key not in queues and key not in cls.model_fields:
                raise ValueError(f"job.{key}: Immich has no such queue; the queues are {', '.join(queues)}")
        return jobs


class LibraryScan(Section):
    """The regular scan of external libraries."""

    enabled: Flag = True
    """Whether external libraries are scanned."""
    cron_expression: CronExpression = CronExpression("0 0 * * *")
    """When: a cron expression of five fields, in the server's time zone."""


class LibraryWatch(Section):
    """The watch over external libraries."""

    enabled: Flag = False
    """Whether changes are noticed at once. Works by inotify: never on NFS or SMB."""


class AppLibrary(Section):
    """External libraries."""

    scan: LibraryScan = Field(default_factory=LibraryScan)
    """The regular scan."""
    watch: LibraryWatch = Field(default_factory=LibraryWatch)
    """The watch over changes."""


class AppNightlyTasks(Section):
    """Tasks that run once a night."""

    start_time: TimeOfDay = TimeOfDay("00:00")
    """When they start: "HH:MM", 24 hours, in the server's time zone."""
    database_cleanup: Flag = True
    """Removes rows that nothing refers to."""
    missing_thumbnails: Flag = True
    """Makes thumbnails that are missing."""
    cluster_new_faces: Flag = True
    """Assigns new faces to people."""
    generate_memories: Flag = True
    """Makes the memories of the day."""
    sync_quota_usage: Flag = True
    """Counts each user's storage anew."""


class AppNewVersionCheck(Section):
    """The check for new versions; needs egress to version.immich.cloud."""

    enabled: Flag = True
    """Whether Immich asks for new versions."""
    channel: Literal["stable", "releaseCandidate"] = "stable"
    """Which versions it tells of: stable or releaseCandidate."""


class AppTrash(Section):
    """The trash."""

    enabled: Flag = True
    """Whether deleted photos go to the trash first; false deletes them at once."""
    days: AtLeastZero = 30
    """Days until the trash is emptied, 0 or more."""


class AppUser(Section):
    """User accounts."""

    delete_delay: AtLeastOne = 7
    """Days between the deletion of an account and that of its photos, 1 or more."""


class AppLogging(Section):
    """Logging. The environment variable IMMICH_LOG_LEVEL, where it is set, wins over this."""

    enabled: Flag = True
    """Whether the server logs at all."""
    level: Literal["verbose", "debug", "log", "warn", "error", "fatal"] = "log"
    """The least important kind that is logged: verbose, debug, log, warn, error or fatal."""

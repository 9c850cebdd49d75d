"""What a restore and a drill need to know beside the plan of the backups, as plain data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

What = Literal["database", "files", "both"]

_SNAPSHOT = re.compile(r"[0-9a-f]{8,64}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DUMP_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*-v[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.-]*-pg[0-9.]+\.sql\.gz")
"""Name of a dump that Immich made since 1.131: `immich-db-backup-20261120T020000-v3.3.1-pg18.1.sql.gz`
(database-backup.service.ts)."""
_TARGET = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreChoice:
    """Which backup a new deployment starts from. Raises ValueError for a choice that means nothing."""

    what: What = "both"
    from_: str = "latest"
    """`latest`; a snapshot's id, 8 to 64 hexadecimal digits; or a time, `2026-11-21T10:00:00Z` or `2026-11-21` (the end
    of that day), UTC where it has no offset: the newest snapshot at or before it; or the name of a dump of Immich's own
    in the folder `backups` of the media."""
    target: str | None = None
    """Name of the repository; None is the first of the plan."""
    database_wait: int = 600
    """Seconds until the database has to answer."""

    def __post_init__(self) -> None:
        if self.file is not None and self.what != "database":
            raise ValueError(f"from {self.from_!r} is a dump, which has the database alone: what is database")
        if self.from_ != "latest" and self.snapshot is None and self.file is None:
            try:
                _ = self.before
            except ValueError:
                raise ValueError(
                    f"from {self.from_!r}: give latest, a snapshot (8 to 64 of 0-9a-f), a time such as "
                    "2026-11-21T10:00:00Z, or the name of a dump that Immich made"
                ) from None
        _judge_target(self.target)

    @property
    def snapshot(self) -> str | None:
        """The id that was given, or None."""
        return self.from_ if _SNAPSHOT.fullmatch(self.from_) else None

    @property
    def file(self) -> str | None:
        """The name of Immich's dump that was given, or None."""
        return self.from_ if DUMP_FILE.fullmatch(self.from_) else None

    @property
    def before(self) -> str | None:
        """The time that was given, in UTC as `2026-11-21T10:00:00Z`, or None. Raises ValueError where it is none."""
        if self.from_ == "latest" or self.snapshot is not None or self.file is not None:
            return None
        given = datetime.fromisoformat(self.from_)
        if _DAY.fullmatch(self.from_):
            given += timedelta(days=1, seconds=-1)
        if given.tzinfo is None:
            given = given.replace(tzinfo=UTC)
        return given.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, kw_only=True, slots=True)
class DrillPlan:
    """How much a drill proves, and where. Raises ValueError for numbers out of range."""

    target: str | None = None
    """Name of the repository; None is the first of the plan."""
    sample: int | None = 200
    """Originals that are restored and compared with their checksums; None is all of them."""
    scratch: str = "/backup/drill"
    """Folder that is the drill's alone, shared by its steps: it is emptied at the start and at the end."""
    sockets: str = "/tmp/immich-drill"
    """Folder of the throw-away database's socket, at most 80 characters as PostgreSQL's limit is 107."""
    max_age_hours: int = 36
    """The newest snapshot, and the dump in it, must not be older."""
    tolerance: int = 0
    """Assets of the live system that may be absent from the dump although they are older than it."""
    grace: int = 300
    """Seconds by which clocks may differ: assets that were added so shortly before the dump need not be in it."""
    batch_bytes: int = 1 << 30
    """The most that lies in the scratch folder at once; a larger file comes alone."""
    batch_files: int = 300
    """The most files that are restored at once: each is an argument of restic."""

    def __post_init__(self) -> None:
        _judge_target(self.target)
        if self.sample is not None and self.sample < 1:
            raise ValueError(f"sample {self.sample}: give 1 or more, or None for all")
        if self.max_age_hours < 1 or self.tolerance < 0 or self.grace < 0:
            raise ValueError("max_age_hours is 1 or more, tolerance and grace are 0 or more")
        if self.batch_bytes < 1 or not 1 <= self.batch_files <= 1000:
            raise ValueError("batch_bytes is 1 or more, batch_files 1 to 1000")
        if len(self.sockets.encode()) > 80:
            raise ValueError(f"sockets {self.sockets!r}: give a path of at most 80 characters")


def _judge_target(target: str | None) -> None:
    if target is not None and not _TARGET.fullmatch(target):
        raise ValueError(f"target {target!r}: give the name of one of the targets of the backups")

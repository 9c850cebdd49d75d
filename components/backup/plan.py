"""What scripts for backups, restores and drills need to know, as plain data with every path in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.database.client import DatabaseAccess


def target_folder(name: str) -> str:
    """Where the step that copies has a target that is a disk or folder."""
    return f"/targets/{name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """A restic repository: one target."""

    name: str
    """Name of the target, `[a-z0-9-]`."""
    url: str
    """As restic takes it with `-r`."""
    credentials: Mapping[str, str] = field(default_factory=dict[str, str])
    """Environment variable of restic -> file with its value, such as AWS_ACCESS_KEY_ID."""
    offsite: bool = False
    """On another machine in another place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keep:
    """How many snapshots `forget` keeps."""

    daily: int = 7
    weekly: int = 5
    monthly: int = 12
    yearly: int = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """One deployment's backups."""

    stack: str
    immich_version: str
    """Of the running release, such as 3.3.1."""
    database: DatabaseAccess
    postgres: int
    """Major version of the server; the dump's name says it."""
    root: str = "/backup"
    """Folder of dumps and status files."""
    media: str = "/data"
    """Immich's media root."""
    folders: tuple[str, ...] = ("/data/upload", "/data/library", "/data/profile")
    """Copied whole; one that does not exist yet is left out."""
    markers: tuple[str, ...] = (
        "/data/thumbs/.immich",
        "/data/encoded-video/.immich",
        "/data/backups/.immich",
    )
    """Markers of folders that are not copied: Immich refuses to start without them (system-integrity.md)."""
    extra: tuple[str, ...] = ("/stack", "/immich-config")
    """Configuration that is copied along, where it is there."""
    repositories: tuple[Repository, ...] = ()
    password_file: str = "/run/secrets/backup/password"
    """Of every repository."""
    keep_dumps: int = 14
    compression_level: int = 3
    """Of zstd, 1 to 19."""
    keep: Keep = Keep()
    check_subset: str = "5%"
    """How much of the data each run reads back: `5%`, `500M`, or `all`."""
    upload_limit: int = 0
    """KiB/s, 0 is none."""
    download_limit: int = 0
    """KiB/s, 0 is none."""
    niceness: int = 10
    lock_wait: int = 3600
    """Seconds that a run waits for another one to end."""

    @property
    def host(self) -> str:
        """The name of this deployment in repositories (`--host`)."""
        return f"immich-{self.stack}"

"""Where settings put data, and which two of these are one place. Pure.

A place is a folder, an export, a bucket or a volume, whatever section names it. Two places meet where they are equal or
one is inside the other: what happens to one then happens to the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from components.backup.target_settings import LocalTarget, RcloneTarget, RestTarget, S3Target, SftpTarget
from components.database.settings import BundledDatabase
from components.fields.finding import Finding, Rule
from components.storage.settings import HostPath, Nfs, Smb

if TYPE_CHECKING:
    from components.backup.settings import Backup
    from components.backup.target_settings import Target
    from components.database.settings import Database
    from components.storage.settings import Storage, VolumeSource

HERE = "this host"
"""The machine of folders and of addresses that lead back to it; on a cluster, the node."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_OWN_FOLDERS = ("upload", "library", "thumbs", "encoded-video", "profile", "backups")
"""What Immich makes in its media root."""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """A place: who keeps it, and the way there."""

    machine: str
    """A host, a store, or a kind of names; places of two machines never meet."""
    parts: tuple[str, ...]
    """The path; empty is all of it."""

    def holds(self, other: Whereabouts) -> bool:
        """Whether `other` is this place or inside it."""
        return self.machine == other.machine and self.parts == other.parts[: len(self.parts)]

    def meets(self, other: Whereabouts) -> bool:
        """Whether the two are one place, or one is inside the other."""
        return self.holds(other) or other.holds(self)


Role = Literal["media", "folder", "library", "database", "copy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """What a stack has at a place."""

    key: str
    """The setting that says where, without `immich:`."""
    role: Role
    at: Whereabouts
    given: str
    """The place for people."""


def machine_of(host: str) -> str:
    """One name for a machine that settings may name in several ways."""
    name = host.lower().rstrip(".").strip("[]")
    return HERE if name in _LOOPBACK else name


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part not in {"", "."})


def of_source(source: VolumeSource) -> tuple[str, Whereabouts, str] | None:
    """The setting below a source that says where it is, the place, and its text; None for volumes, which have names."""
    match source:
        case HostPath():
            return "path", Whereabouts(HERE, _parts(source.path)), str(source.path)
        case Nfs():
            at = Whereabouts(machine_of(source.server), _parts(source.path))
            return "path", at, f"{source.server}:{source.path}"
        case Smb():
            host, _, share = source.source.removeprefix("//").partition("/")
            # Shares have names of their own: that of an export of the same machine says nothing about them.
            return "source", Whereabouts(f"smb {machine_of(host)}", _parts(share.lower())), source.source
        case _:
            return None


def of_target(target: Target) -> tuple[str, Whereabouts, str] | None:
    """The same for a target of backups."""
    match target:
        case LocalTarget():
            found = of_source(target.source)
            return found and (f"source.{found[0]}", *found[1:])
        case SftpTarget():
            host = machine_of(target.host)
            home = "" if target.path.startswith("/") else f"home of {target.user} on "
            return "path", Whereabouts(f"{home}{host}", _parts(target.path)), f"{target.host}:{target.path}"
        case S3Target():
            at = _bucket(target.endpoint_url, f"{target.bucket}/{target.folder}")
            return "folder", at, f"s3://{target.bucket}/{target.folder}"
        case RestTarget():
            url = urlsplit(target.url)
            return "url", Whereabouts(f"rest {machine_of(url.netloc)}", _parts(url.path)), target.url
        case RcloneTarget():
            remote, _, path = target.remote.partition(":")
            return "remote", Whereabouts(f"rclone {remote}", _parts(path)), target.remote


def _bucket(endpoint: str | None, path: str) -> Whereabouts:
    """Amazon's buckets have one name in all of its regions."""
    host = machine_of(urlsplit(endpoint or "https://s3.amazonaws.com").netloc)
    return Whereabouts(f"s3 {'amazonaws.com' if host.endswith('.amazonaws.com') else host}", _parts(path))


def uses(storage: Storage, database: Database, backup: Backup | None) -> Iterator[Use]:
    """Everything that a stack keeps at a place that its settings name."""
    found: list[tuple[str, Role, tuple[str, Whereabouts, str] | None]] = [
        ("storage.media", "media", of_source(storage.media))
    ]
    for name, source in storage.folders().items():
        key = "encodedVideo" if name == "encoded-video" else name
        found.append((f"storage.{key}", "folder", of_source(source)))
    for index, library in enumerate(storage.external_libraries):
        found.append((f"storage.externalLibraries[{index}].source", "library", of_source(library.source)))
    if isinstance(database, BundledDatabase) and database.host_path is not None:
        at = Whereabouts(HERE, _parts(database.host_path))
        found.append(("database", "database", ("hostPath", at, str(database.host_path))))
    if backup is not None:
        found.append(("backup.volume", "copy", of_source(backup.volume)))
        for index, target in enumerate(backup.targets):
            found.append((f"backup.targets[{index}]", "copy", of_target(target)))
        if backup.archive is not None:
            store = backup.archive.object_store
            at = _bucket(store.endpoint_url, store.destination_path.removeprefix("s3://"))
            key = "backup.archive.objectStore"
            found.append((key, "copy", ("destinationPath", at, store.destination_path)))
    for key, role, place in found:
        if place is not None:
            yield Use(key=f"{key}.{place[0]}", role=role, at=place[1], given=place[2])


_HINTS: dict[Role, str] = {
    "copy": "give a place that is lost with neither: another disk, another machine, or at least another folder",
    "database": "give PostgreSQL a folder of its own",
    "folder": "give a folder of its own, or leave it out: it is then below storage.media",
    "library": "give the folder of the library alone",
    "media": "give a folder of its own",
}


def places_are_apart(storage: Storage, database: Database, backup: Backup | None) -> Iterator[Finding]:
    """No two places are one, or one inside the other: a copy is lost with its original, two programs mix their files.

    A library, or a folder of the media root, may be inside the media root.
    """
    for one, other in combinations(uses(storage, database, backup), 2):
        if not one.at.meets(other.at) or _may_be_inside(other, one):
            continue
        relation = (
            "is the same place as"
            if one.at == other.at
            else "is inside"
            if one.at.holds(other.at)
            else "holds"
        )
        yield Finding(
            key=other.key,
            given=other.given,
            reason=f"{relation} {one.key} {one.given}"
            + (": what is lost there is lost in both" if other.role == "copy" else ""),
            hint=_HINTS[other.role],
        )


def _may_be_inside(inner: Use, outer: Use) -> bool:
    """Immich reads a library in its media root as any other, as long as it is in no folder that it writes itself."""
    if outer.role != "media" or inner.at == outer.at or not outer.at.holds(inner.at):
        return False
    below = inner.at.parts[len(outer.at.parts)]
    return inner.role == "folder" or (inner.role == "library" and below not in _OWN_FOLDERS)


WHEREABOUTS_RULES = (Rule(("storage", "database", "backup"), places_are_apart),)
"""All of them."""

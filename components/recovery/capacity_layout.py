"""From the settings of a stack to its capacity: what it keeps where, what they give, and what is missing. Pure."""

from __future__ import annotations

import math
import re
from typing import Final

from components.backup.settings import Backup, Keep
from components.backup.target_settings import LocalTarget, RcloneTarget, RestTarget, S3Target, SftpTarget
from components.cache.settings import BundledCache
from components.database.settings import CloudNativePg
from components.machine_learning.settings import BundledMachineLearning
from components.recovery.capacity import Archive, Given, Layout, Need, Row, Target, needs, readable, rows
from components.recovery.capacity_settings import Capacity
from components.recovery.locations import Place, places
from components.recovery.schedules import runs_a_day
from components.settings.backup_rules import takes_dumps
from components.settings.model import Settings
from components.storage.settings import Nfs, Smb, Volume

_DAYS: Final = {"d": 1, "w": 7, "m": 31}


def layout(settings: Settings) -> Layout:
    """Which volumes and targets the stack has."""
    database, backup, cache = settings.database, settings.backup, settings.cache
    dumped = takes_dumps(backup, database)
    return Layout(
        folders=frozenset(settings.storage.folders()),
        database=database.kind,
        own_log=isinstance(database, CloudNativePg) and database.wal_size is not None,
        models=isinstance(settings.machine_learning, BundledMachineLearning),
        cache_memory=int(cache.max_memory.amount) if isinstance(cache, BundledCache) else None,
        dumps=backup.dumps.keep if backup is not None and dumped else None,
        targets=tuple(
            Target(
                name=str(target.name),
                dumps=kept_dumps(backup.keep, backup.dumps.keep, runs_a_day(backup.schedule))
                if dumped
                else 0,
                thumbs=backup.files.thumbs,
                encoded_video=backup.files.encoded_video,
                libraries=_libraries(settings, backup),
            )
            for target in backup.targets
        )
        if backup is not None
        else (),
        archive=_archive(backup),
    )


def kept_dumps(keep: Keep, dumps: int, a_day: float) -> int:
    """Different dumps in the snapshots of a target: each snapshot has all that were on the volume when it was made."""
    ages = {*range(keep.daily)}
    ages |= {7 * number for number in range(keep.weekly)}
    ages |= {30 * number for number in range(keep.monthly)}
    ages |= {365 * number for number in range(keep.yearly)}
    reach = math.ceil(dumps / a_day)
    days = {age + before for age in ages for before in range(reach)}
    return min(math.ceil(len(days) * a_day), len(ages) * dumps)


def retention_days(retention: str) -> int:
    """`30d`, `4w` or `6m` as days."""
    return int(retention[:-1]) * _DAYS[retention[-1]]


def _libraries(settings: Settings, backup: Backup) -> int:
    """Size of the libraries that are copied, as far as their volumes say one."""
    copied = {str(name) for name in backup.files.external_libraries}
    return sum(
        int(library.source.size.amount)
        for library in settings.storage.external_libraries
        if str(library.name) in copied and isinstance(library.source, Volume | Nfs | Smb)
    )


def _archive(backup: Backup | None) -> Archive | None:
    if backup is None or backup.archive is None:
        return None
    days = retention_days(backup.archive.retention)
    a_day = runs_a_day(backup.archive.schedule)
    # The oldest needed one stays until the one after it is old enough as well.
    return Archive(base_backups=math.ceil(days * a_day) + 1, days=days + 1)


def capacity(settings: Settings, stack: str, expected: Capacity) -> list[Row]:
    """The table of a stack: every volume, on one host their disk in all, every target."""
    found = needs(expected, layout(settings))
    given = _given(settings, stack)
    if settings.docker is not None:
        found = (*found, *_engine_disk(settings, stack, found))
    return rows(found, given)


def _given(settings: Settings, stack: str) -> dict[str, Given]:
    host = settings.docker is not None
    found = {name: _of_place(place, host=host) for name, place in places(settings, stack).items()}
    if host:
        found["engine-disk"] = Given(
            where="volumes of the engine",
            key="",
            look=f"{_on(settings)}df -h \"$({_engine(settings)} info -f '{_root(settings)}')\"",
        )
    backup = settings.backup
    for target in backup.targets if backup is not None else ():
        if not isinstance(target, LocalTarget):
            found[f"target-{target.name}"] = Given(where=repository(target), key="", look=_look(target))
    if backup is not None and backup.archive is not None:
        store = backup.archive.object_store
        found["archive"] = Given(where=store.destination_path, key="", look="ask who keeps the bucket")
    return found


def _of_place(place: Place, *, host: bool) -> Given:
    look = {
        "folder": f"df -h {place.where}",
        "nfs": f"df -h {place.where.partition(':')[2]} on {place.machine}",
        "smb": f"its size is {place.machine}'s to tell",
        "existing": "its size is its owner's to tell",
        "volume": "its room is the engine's: see engine-disk" if host else "",
    }[place.kind]
    size = int(place.size.amount) if place.size is not None else None
    return Given(where=place.where, key=place.key, size=size, look=look)


def _engine_disk(settings: Settings, stack: str, found: tuple[Need, ...]) -> list[Need]:
    """What the named volumes of one host need together: they share the room of the engine's folder."""
    there = places(settings, stack)
    inside = [need for need in found if need.name in there and there[need.name].kind == "volume"]
    if not inside:
        return []
    return [
        Need(
            name="engine-disk",
            holds=", ".join(need.name for need in inside),
            stored=sum(need.stored for need in inside),
            later=sum(need.later for need in inside),
        )
    ]


def _engine(settings: Settings) -> str:
    return "podman" if settings.docker is not None and settings.docker.engine == "podman" else "docker"


def _root(settings: Settings) -> str:
    return "{{.Store.GraphRoot}}" if _engine(settings) == "podman" else "{{.DockerRootDir}}"


def _on(settings: Settings) -> str:
    remote = settings.docker is not None and settings.docker.host is not None
    return "on the host: " if remote else ""


def repository(target: SftpTarget | S3Target | RestTarget | RcloneTarget) -> str:
    """The repository as restic takes it with `-r` on any machine."""
    match target:
        case SftpTarget():
            port = f":{target.port}" if target.port != 22 else ""
            absolute = "/" if target.path.startswith("/") else ""
            host = f"[{target.host}]" if ":" in str(target.host) else str(target.host)
            return f"sftp://{target.user}@{host}{port}/{absolute}{target.path.lstrip('/')}"
        case S3Target():
            return f"s3:{target.endpoint_url}/{target.bucket}/{target.folder}"
        case RestTarget():
            return f"rest:{target.url}"
        case RcloneTarget():
            return f"rclone:{target.remote}"


def _look(target: SftpTarget | S3Target | RestTarget | RcloneTarget) -> str:
    match target:
        case SftpTarget():
            return f"df -h {target.path} on {target.host}"
        case RcloneTarget():
            return f"rclone about {re.sub(':.*', ':', target.remote)}"
        case S3Target() | RestTarget():
            return "ask who keeps it"


def summary(expected: Capacity) -> dict[str, str]:
    """What the table is computed for."""
    return {
        "originals": readable(expected.original_bytes),
        "photosAndVideos": str(expected.assets),
        "growth": f"{expected.growth} % a year",
        "years": str(expected.years),
    }

"""The 3-2-1 rule: which copies of photos and of the database exist, where, on what, and how old they are. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from components.backup.target_settings import LocalTarget, RcloneTarget, RestTarget, S3Target, SftpTarget
from components.database.archive_settings import is_clear_outside
from components.database.settings import ExternalDatabase
from components.model.task import BACKUP_VOLUME
from components.recovery.capacity_layout import repository
from components.recovery.locations import HERE, Place, places
from components.recovery.schedules import duration
from components.recovery.status import Statuses, run
from components.settings.backup_rules import takes_dumps
from components.settings.locations import machine_of
from components.settings.model import Settings

DATA: Final = ("photos", "database")
"""What every stack has. Each external library that `immich:backup` copies comes beside them: see `library`."""
_WANTED_COPIES: Final = 3
_WANTED_MEDIA: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """One copy: the live one, dumps, a target, an archive."""

    name: str
    """`live`, `dumps`, the target's name, `archive`."""
    holds: tuple[str, ...]
    """Of `DATA` and of the copied libraries."""
    where: str
    medium: str
    """What it is on; copies with the same text are lost together."""
    machine: str
    """Which machine that is in."""
    offsite: bool
    status: str = ""
    """Name of the status file of what makes it; empty for the live one and for what an operator makes."""
    age: int | None = None
    """Seconds since it was made anew; None where that is not known from here."""

    def told(self) -> dict[str, str]:
        """The copy for people."""
        if self.name == "live":
            age = "now"
        elif self.age is not None:
            age = duration(self.age)
        else:
            age = "see make status" if self.status else "see the operator's Backup objects"
        return {
            "copy": self.name,
            "of": " and ".join(self.holds),
            "where": self.where,
            "medium": self.medium,
            "offsite": "yes" if self.offsite else "no",
            "age": age,
        }


def library(name: str) -> str:
    """What an external library is called among the data."""
    return f"library {name}"


def copies(settings: Settings, stack: str, statuses: Statuses | None = None, now: int = 0) -> list[Copy]:
    """Every copy that the settings make, the live one first. `now` is the time that ages are counted from."""
    there = places(settings, stack)
    found = _live(settings, there)
    backup = settings.backup
    if backup is None:
        return found
    libraries = copied_libraries(settings)
    found += [_live_copy(library(name), there[f"library-{name}"]) for name in libraries]
    dumped = takes_dumps(backup, settings.database)
    if dumped:
        volume = there[BACKUP_VOLUME]
        found.append(
        Copy(
            name="dumps", holds=("database",), where=volume.where, medium=volume.medium, status="dump",
            machine=volume.machine, offsite=False, age=_age(statuses, "dump", now),
        )
    )  # fmt: skip
    for target in backup.targets:
        status = f"copy-{target.name}"
        age = _age(statuses, status, now)
        if isinstance(target, LocalTarget):
            place = there[f"target-{target.name}"]
            where, medium, machine = place.where, place.medium, place.machine
        else:
            where, machine = repository(target), _machine(target)
            medium = f"disks of {machine}"
        found.append(
            Copy(
                name=str(target.name), holds=(*(DATA if dumped else ("photos",)), *map(library, libraries)),
                where=where, medium=medium, machine=machine, offsite=target.offsite, status=status, age=age,
            )
        )  # fmt: skip
    if backup.archive is not None:
        store = backup.archive.object_store
        machine = urlsplit(store.endpoint_url or "https://s3.amazonaws.com").hostname or ""
        beside = [one for one in found if one.machine == machine and one.name != "live"]
        found.append(
            Copy(
                name="archive", holds=("database",), where=store.destination_path,
                medium=f"disks of {machine}", machine=machine,
                # An archive has no setting of its own for this: it is where a target on the same machine is.
                offsite=beside[0].offsite if beside else not _is_near(there, machine),
            )
        )  # fmt: skip
    return found


def _live(settings: Settings, there: dict[str, Place]) -> list[Copy]:
    database = settings.database
    if not isinstance(database, ExternalDatabase):
        return [_live_copy("photos", there["media"]), _live_copy("database", there["database"])]
    host = str(database.host)
    external = Copy(
        name="live", holds=("database",), where=host, medium=f"disks of {host}", machine=host, offsite=False
    )
    return [_live_copy("photos", there["media"]), external]


def _live_copy(data: str, place: Place) -> Copy:
    return Copy(
        name="live",
        holds=(data,),
        where=place.where,
        medium=place.medium,
        machine=place.machine,
        offsite=False,
    )


def copied_libraries(settings: Settings) -> list[str]:
    """Names of the external libraries that `immich:backup` copies."""
    wanted = (
        {str(name) for name in settings.backup.files.external_libraries} if settings.backup else set[str]()
    )
    return [str(one.name) for one in settings.storage.external_libraries if str(one.name) in wanted]


def _is_near(there: dict[str, Place], machine: str) -> bool:
    """Whether a machine is one that the photos are on, or inside the cluster or its network by its name or address."""
    if any(place.machine == machine for place in there.values()):
        return True
    # The settings refuse plain http to anything outside: what passes with it is near.
    return not is_clear_outside(f"http://{machine}")


def _machine(target: SftpTarget | S3Target | RestTarget | RcloneTarget) -> str:
    match target:
        case SftpTarget():
            return machine_of(target.host)
        case S3Target():
            return urlsplit(target.endpoint_url).hostname or ""
        case RestTarget():
            return urlsplit(target.url).hostname or ""
        case RcloneTarget():
            return str(target.hosts[0])


def _age(statuses: Statuses | None, name: str, now: int) -> int | None:
    found = run(statuses or {}, name)
    if found is None or found.last_success is None:
        return None
    return max(0, now - found.last_success)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """Whether one kind of data is kept by the rule."""

    data: str
    copies: int
    media: int
    offsite: int

    @property
    def missing(self) -> tuple[str, ...]:
        """What is missing, in words; empty when the rule is met."""
        found: list[str] = []
        if self.copies < _WANTED_COPIES:
            found.append(f"{_WANTED_COPIES - self.copies} more of 3 copies")
        if self.media < _WANTED_MEDIA:
            found.append("a second medium")
        if not self.offsite:
            found.append("one in another place")
        return tuple(found)

    def told(self) -> str:
        """One sentence."""
        if not self.missing:
            return f"{self.data}: 3-2-1 is met: {self.copies} copies, {self.media} media, {self.offsite} off-site"
        return f"{self.data}: 3-2-1 is not met: {', '.join(self.missing)} missing; give it in immich:backup.targets"


def verdicts(found: list[Copy]) -> list[Verdict]:
    """The rule for each kind of data. What is on the disk of the live data is no copy that survives it."""
    told: list[Verdict] = []
    for data in dict.fromkeys(data for copy in found for data in copy.holds):
        holding = [copy for copy in found if data in copy.holds]
        live = {copy.medium for copy in holding if copy.name == "live"}
        counted = [copy for copy in holding if copy.name == "live" or copy.medium not in live]
        told.append(
            Verdict(
                data=data,
                copies=len(counted),
                media=len({copy.medium for copy in counted}),
                offsite=sum(copy.offsite for copy in counted),
            )
        )
    return told


def notes(settings: Settings, found: list[Copy]) -> list[str]:
    """What the verdicts leave out, and what the settings cannot know and the verdicts rest on."""
    left_out = [
        f"library {one.name} is not copied: whoever keeps it has its copies, or name it in "
        "immich:backup.files.externalLibraries"
        for one in settings.storage.external_libraries
        if str(one.name) not in copied_libraries(settings)
    ]
    live = {copy.medium for copy in found if copy.name == "live" and copy.machine == HERE}
    copied = {copy.medium for copy in found if copy.name != "live" and copy.machine == HERE}
    beside = {
        # Dumps are beside the database by default, and every target has them too.
        copy: [
            data for one in found if one.name == "live" and one.medium == copy.medium for data in one.holds
        ]
        for copy in found
        if copy.name not in {"live", "dumps"}
    }
    uncounted = [
        f"{copy.name} ({copy.where}) does not count for {' and '.join(data)}: it is on {copy.medium}, as they are"
        for copy, data in beside.items()
        if data
    ]
    apart = [
        f"{medium} must be another one than {' and '.join(sorted(live))}: findmnt -T FOLDER tells"
        for medium in sorted(copied - live)
    ]
    return left_out + uncounted + apart

"""What a loss costs: how much work is gone at most (RPO) and how long until it is back (RTO), from the settings. Pure.

Times begin when a person begins, with a disk or machine in place of the lost one. What no run has measured is
estimated, and said to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from components.recovery.capacity import amounts, needs
from components.recovery.capacity_layout import layout
from components.recovery.capacity_settings import Capacity
from components.recovery.copies import Copy, copies
from components.recovery.locations import CLUSTER, HERE
from components.recovery.schedules import duration, longest_gap
from components.recovery.status import Statuses, succeeded
from components.settings.model import Settings

Loss = Literal["photo", "database", "disk", "host"]
LOSSES: Final[tuple[Loss, ...]] = ("photo", "database", "disk", "host")

_ARCHIVE_GAP: Final = 300
"""CloudNativePG archives at the latest every five minutes (its `archive_timeout`)."""
_SPEED_SAME_MACHINE: Final = 80 * 10**6
_SPEED_NEAR: Final = 50 * 10**6
_SPEED_AWAY: Final = 12 * 10**6
"""Bytes a second: a connection of 100 Mbit/s."""
_LOAD: Final = 5 * 10**6
"""Bytes of a compressed dump that PostgreSQL loads in a second, indexes over vectors included."""
_ONE_FILE: Final = 60
"""Seconds to open a repository and find one file."""
_START: Final = 180
"""Seconds until database, cache and server are well."""
_NEW_HOST: Final = 1800
"""Seconds for an engine, this program and its images on a new machine; on a cluster for its operators."""
_RUN: Final = 3600
"""Seconds that a run of copies takes as long as none was measured; what comes while it runs may be left out of it."""
_PHOTO: Final = 10**8


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovery:
    """What one loss costs."""

    loss: Loss
    source: str
    """Names of the copies that it is had back from; empty where nothing is lost or nothing is left."""
    rpo: int | None
    """Seconds of work that are gone at most; None is everything."""
    rto: int | None
    """Seconds until it is back; None where that cannot be said."""
    measured: bool
    """Whether both rest on measured runs alone."""
    note: str = ""

    def told(self) -> dict[str, str]:
        """The loss for people."""
        told = {
            "loss": self.loss,
            "from": self.source or "nothing",
            "lostAtMost": "everything"
            if self.rpo is None
            else (duration(self.rpo) if self.rpo else "nothing"),
            "backIn": "never"
            if self.rpo is None
            else ("unknown" if self.rto is None else duration(self.rto)),
            "basis": "measured" if self.measured else "estimate",
        }
        return {**told, "note": self.note} if self.note else told


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """Getting one kind of data back from one copy."""

    copy: Copy
    rpo: int
    rto: int | None
    measured: bool


def trash_days(settings: Settings) -> int:
    """Days that a deleted photo stays in Immich's trash; 0 where there is none. 30 where the web page decides."""
    app = settings.app
    if app is None:
        return 30
    return app.trash.days if app.trash.enabled else 0


def recoveries(
    settings: Settings, stack: str, *, expected: Capacity | None = None, statuses: Statuses | None = None
) -> list[Recovery]:
    """What each loss costs."""
    numbers = _Numbers(settings, expected, statuses or {})
    found = copies(settings, stack)
    return [_recovery(loss, found, numbers) for loss in LOSSES]


def _recovery(loss: Loss, found: list[Copy], numbers: _Numbers) -> Recovery:
    gone = _gone(loss, found)
    left = _left(loss, found)
    parts: list[_Part] = []
    for data in gone:
        ways = [
            numbers.part(data, copy, one_file=loss == "photo")
            for copy in left
            if data in copy.holds and copy.name != "live"
        ]
        if not ways:
            trash = numbers.note(loss, None, photos=True) if loss == "photo" else ""
            note = "; ".join(one for one in (_nothing_left(data, loss), trash) if one)
            return Recovery(loss=loss, source="", rpo=None, rto=None, measured=False, note=note)
        # The least that is lost; of equals the fastest.
        parts.append(min(ways, key=lambda way: (way.rpo, way.rto is None, way.rto or 0)))
    if not parts:
        return Recovery(
            loss=loss, source="", rpo=0, rto=_NEW_HOST if loss == "host" else 0, measured=False,
            note="the data is not on it",
        )  # fmt: skip
    # Photos and libraries come back from a copy in one go.
    times = {
        (part.copy.name, data == "database"): part.rto for data, part in zip(gone, parts, strict=True)
    }.values()
    known = [time for time in times if time is not None]
    rto = sum(known) if len(known) == len(times) else None
    if rto is not None and loss != "photo":
        rto += _START + (_NEW_HOST if loss == "host" else 0)
    return Recovery(
        loss=loss,
        source=", ".join(dict.fromkeys(part.copy.name for part in parts)),
        rpo=max(part.rpo for part in parts),
        rto=rto,
        measured=all(part.measured for part in parts) and loss != "host",
        note=numbers.note(loss, rto, photos="photos" in gone),
    )


def _gone(loss: Loss, found: list[Copy]) -> tuple[str, ...]:
    live = [copy for copy in found if copy.name == "live"]
    photos = next(copy for copy in live if "photos" in copy.holds)
    match loss:
        case "photo":
            return ("photos",)
        case "database":
            return ("database",)
        case "disk":
            lost = [copy for copy in live if copy.medium == photos.medium]
        case "host":
            lost = [copy for copy in live if copy.machine in _HOSTS]
    return tuple(data for copy in lost for data in copy.holds)


_HOSTS: Final = frozenset({HERE, CLUSTER})


def _left(loss: Loss, found: list[Copy]) -> list[Copy]:
    photos = next(copy for copy in found if copy.name == "live" and "photos" in copy.holds)
    match loss:
        case "photo" | "database":
            return found
        case "disk":
            return [copy for copy in found if copy.medium != photos.medium]
        case "host":
            return [copy for copy in found if copy.machine not in _HOSTS]


def _nothing_left(data: str, loss: Loss) -> str:
    where = {"photo": "", "database": "", "disk": " on another disk", "host": " on another machine"}[loss]
    return f"no copy of the {data}{where}: give one in immich:backup.targets"


class _Numbers:
    """Sizes and speeds, measured where a run has told them."""

    def __init__(self, settings: Settings, expected: Capacity | None, statuses: Statuses) -> None:
        self._settings = settings
        self._expected = expected
        self._statuses = statuses
        backup = settings.backup
        self._gap = longest_gap(backup.schedule) if backup is not None else 0
        self._download = backup.limits.download * 1024 if backup is not None else 0

    def part(self, data: str, copy: Copy, *, one_file: bool) -> _Part:
        """Getting `data` back from `copy`."""
        if copy.name == "archive":
            size = self._estimated("database")
            return _Part(
                copy=copy, rpo=_ARCHIVE_GAP, rto=self._time(size, self._assumed(copy)), measured=False
            )
        made = succeeded(self._statuses, copy.status)
        dump = succeeded(self._statuses, "dump")
        runs = [dump] if data == "database" else [dump, made]
        spent = [one.seconds for one in runs if one is not None and one.seconds is not None]
        # The dump is taken first, so what comes while files are copied has no row in it.
        known = len(spent) == len(runs)
        rpo = self._gap + (sum(spent) if known else _RUN)
        fast = succeeded(self._statuses, "restore") or succeeded(self._statuses, "drill")
        speed, speed_known = self._assumed(copy), False
        if fast is not None and fast.speed is not None:
            speed, speed_known = fast.speed, True
        if one_file:
            return _Part(
                copy=copy, rpo=rpo, rto=_ONE_FILE + -(-_PHOTO // speed), measured=known and speed_known
            )
        if data != "database":
            # A run of copies takes photos and libraries together, and so do its numbers.
            size = made.bytes if made is not None and made.bytes is not None else self._estimated("photos")
            rto, size_known = self._time(size, speed), made is not None and made.bytes is not None
        else:
            size = dump.bytes if dump is not None and dump.bytes is not None else self._estimated("dump")
            fetched = self._time(size, speed)
            rto = None if fetched is None or size is None else fetched + -(-size // _LOAD)
            size_known = dump is not None and dump.bytes is not None
        return _Part(copy=copy, rpo=rpo, rto=rto, measured=known and speed_known and size_known)

    def note(self, loss: Loss, rto: int | None, *, photos: bool) -> str:
        """What a person should know beside the numbers."""
        backup = self._settings.backup
        if loss == "photo":
            days = trash_days(self._settings)
            return f"for {days} days it is in Immich's trash, with nothing lost" if days else ""
        if rto is None:
            return "give immich:capacity for an estimate before the first run has measured one"
        if photos and backup is not None and not backup.files.thumbs:
            return "thumbnails and transcoded videos are made again afterwards, in hours or days"
        return ""

    def _assumed(self, copy: Copy) -> int:
        away = _SPEED_AWAY if copy.offsite else _SPEED_NEAR
        speed = _SPEED_SAME_MACHINE if copy.machine in _HOSTS else away
        return min(speed, self._download) if self._download and copy.name != "archive" else speed

    def _estimated(self, what: Literal["photos", "database", "dump"]) -> int | None:
        if self._expected is None:
            return None
        there = amounts(self._expected)
        if what == "database":
            return there.database
        if what == "dump":
            return there.dump
        copied = [
            need for need in needs(self._expected, layout(self._settings)) if need.name.startswith("target-")
        ]
        return max((need.stored for need in copied), default=there.originals)

    @staticmethod
    def _time(size: int | None, speed: int) -> int | None:
        return None if size is None else -(-size // speed)

"""From a number of photos and videos, or their size, to the size of every volume and every backup target. Pure.

All amounts are bytes. Every number here grows with every input, and none is smaller than what is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final, Literal

from components.recovery.capacity_settings import Capacity

GIB: Final = 2**30
HEADROOM: Final = 2
"""Room asked for, in what is stored: a copy under way, a re-index, an unplanned import (system heartbeat)."""

_DATABASE_BASE: Final = 10**9
"""A new database with Immich's places of the world (Immich's requirements page: 1 to 3 GB in use)."""
_DATABASE_PER_ASSET: Final = 15_000
"""Rows and EXIF data, one vector of 512 numbers for search, two for faces, and the indexes over them."""
_LOG_OF_THE_IMAGE: Final = 5 * GIB
"""`max_wal_size` of Immich's PostgreSQL image: what its log grows to during an import."""
_LOG_LEAST: Final = GIB
_DUMP_PERCENT: Final = 30
"""A dump has no indexes, but vectors as text; of that zstd leaves about so much of the database's size."""
_BASE_BACKUP_PERCENT: Final = 60
"""Compressed base backup, of the database."""
_LOG_A_DAY_LEAST: Final = 500 * 10**6
_LOG_A_DAY_PERCENT: Final = 10
"""Archived log of a day, of the database."""
_MODELS: Final = 2 * 10**9
"""Immich's default models (system homelab)."""
_PROFILES: Final = 100 * 10**6
_COPY_CACHE_PERMILLE: Final = 2
"""What restic keeps beside, of what it copies: lists of files and where they are."""
_OWN_DUMPS: Final = 14
"""Dumps that Immich keeps itself where nothing else is set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Amounts:
    """What there is at one moment."""

    originals: int
    thumbs: int
    encoded_video: int
    assets: int

    @property
    def database(self) -> int:
        """Data of PostgreSQL, without its log."""
        return _DATABASE_BASE + self.assets * _DATABASE_PER_ASSET

    @property
    def dump(self) -> int:
        """One compressed dump."""
        return _percent(self.database, _DUMP_PERCENT)


def amounts(capacity: Capacity, years: int = 0) -> Amounts:
    """What there is after `years`, each growing by `capacity.growth` percent."""
    return Amounts(
        originals=_grown(capacity.original_bytes, capacity.growth, years),
        thumbs=_grown(_percent(capacity.original_bytes, capacity.thumbs), capacity.growth, years),
        encoded_video=_grown(_percent(capacity.video_bytes, capacity.encoded_video), capacity.growth, years),
        assets=_grown(capacity.assets, capacity.growth, years),
    )


def _percent(amount: int, percent: int) -> int:
    return -(-amount * percent // 100)


def _grown(amount: int, percent: int, years: int) -> int:
    return -(-amount * (100 + percent) ** years // 100**years)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One place that copies go to."""

    name: str
    dumps: int = 1
    """How many different dumps its snapshots have in all."""
    thumbs: bool = False
    encoded_video: bool = False
    libraries: int = 0
    """Size of external libraries that are copied along."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """Base backups and the log of a CloudNativePG cluster in an object store."""

    base_backups: int
    """How many are kept at a time."""
    days: int
    """For how long the log is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Which volumes there are, and what is copied where."""

    folders: frozenset[str] = frozenset()
    """Folders of the media root with a volume of their own, by Immich's name for them."""
    database: Literal["bundled", "cloudnative-pg", "external"] = "bundled"
    own_log: bool = False
    """Whether PostgreSQL's log has a volume of its own."""
    models: bool = True
    """Whether there is a volume of models."""
    cache_memory: int | None = None
    """`maxmemory` of the bundled cache; None where there is none."""
    dumps: int | None = None
    """Dumps that are kept on the volume `backup`; None where nothing dumps."""
    targets: tuple[Target, ...] = ()
    archive: Archive | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What one volume or target holds, and must be able to hold."""

    name: str
    """`media`, `thumbs`, `database`, `wal`, `machine-learning-cache`, `cache`, `backup`, `target-<name>`, `archive`."""
    holds: str
    """In words."""
    stored: int
    """Now."""
    later: int
    """After the years of the plan."""

    @property
    def needed(self) -> int:
        """The larger of twice what is stored now and what is stored then."""
        return max(HEADROOM * self.stored, self.later)


def needs(capacity: Capacity, layout: Layout) -> tuple[Need, ...]:
    """What every volume and target needs, the media first."""
    now, then = (_contents(amounts(capacity, years), layout) for years in (0, capacity.years))
    return tuple(
        Need(name=name, holds=holds, stored=stored, later=then[name][1])
        for name, (holds, stored) in now.items()
    )


def _contents(there: Amounts, layout: Layout) -> dict[str, tuple[str, int]]:
    """Volume or target -> what it holds in words, and how much."""
    own_dumps = _OWN_DUMPS * there.dump if layout.dumps is None and layout.archive is None else 0
    folders = {
        "thumbs": ("thumbnails and previews", there.thumbs),
        "encoded-video": ("transcoded videos", there.encoded_video),
        "profile": ("profile pictures", _PROFILES),
        "backups": ("dumps that Immich makes itself", own_dumps),
    }
    inside = [(holds, size) for name, (holds, size) in folders.items() if name not in layout.folders]
    words = ["photos and videos", *(holds for holds, size in inside if size)]
    found = {"media": (", ".join(words), there.originals + sum(size for _, size in inside))}
    found |= {name: (holds, size) for name, (holds, size) in folders.items() if name in layout.folders}
    found |= _database(there, layout)
    if layout.models:
        found["machine-learning-cache"] = ("models", _MODELS)
    if layout.cache_memory is not None:
        found["cache"] = ("job queues", layout.cache_memory)
    copied = max((_copied(there, target) for target in layout.targets), default=0)
    if layout.dumps is not None:
        # One more is written before the oldest goes; a drill loads the newest into a database of its own.
        size = (layout.dumps + 1) * there.dump + there.database + -(-copied * _COPY_CACHE_PERMILLE // 1000)
        found["backup"] = ("dumps, the drill's database, lists of copied files", size)
    for target in layout.targets:
        size = _copied(there, target) + target.dumps * there.dump
        found[f"target-{target.name}"] = (_words(target), size)
    if layout.archive is not None:
        found["archive"] = ("base backups and log of the database", _archived(there, layout.archive))
    return found


def _database(there: Amounts, layout: Layout) -> dict[str, tuple[str, int]]:
    if layout.database == "external":
        return {}
    if layout.database == "bundled":
        return {"database": ("database and its log", there.database + _LOG_OF_THE_IMAGE)}
    log = min(_LOG_OF_THE_IMAGE, max(_LOG_LEAST, there.database // 4))
    if layout.own_log:
        return {"database": ("database", there.database), "wal": ("log of the database", log)}
    return {"database": ("database and its log", there.database + log)}


def _copied(there: Amounts, target: Target) -> int:
    return (
        there.originals
        + _PROFILES
        + (there.thumbs if target.thumbs else 0)
        + (there.encoded_video if target.encoded_video else 0)
        + target.libraries
    )


def _words(target: Target) -> str:
    more = {
        "thumbnails": target.thumbs,
        "transcoded videos": target.encoded_video,
        "external libraries": target.libraries > 0,
    }
    return ", ".join(
        [
            "photos and videos",
            *(name for name, there in more.items() if there),
            f"{target.dumps} dumps",
        ]
    )


def _archived(there: Amounts, archive: Archive) -> int:
    log = max(_LOG_A_DAY_LEAST, _percent(there.database, _LOG_A_DAY_PERCENT))
    return archive.base_backups * _percent(there.database, _BASE_BACKUP_PERCENT) + archive.days * log


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What the settings give to one volume or target."""

    where: str
    """Its real name: of the volume, the folder, the share, the bucket."""
    key: str
    """The setting to change, such as `immich:storage.media.size`; empty where none says a size."""
    size: int | None = None
    """None where the settings know none."""
    look: str = ""
    """How to see how much room there is, where the settings do not know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table."""

    need: Need
    given: Given

    @property
    def is_enough(self) -> bool | None:
        """Whether there is room; None where that cannot be seen from here."""
        return None if self.given.size is None else self.given.size >= self.need.needed

    @property
    def verdict(self) -> str:
        """`ok`, or what to do."""
        if self.is_enough is None:
            return (
                f"cannot be seen from here: {self.given.look}"
                if self.given.look
                else "cannot be seen from here"
            )
        if self.is_enough:
            return "ok"
        return f"too small: set {self.given.key} to {whole_gibibytes(self.need.needed)} or more"

    def told(self) -> dict[str, str]:
        """The line for people."""
        return {
            "volume": self.need.name,
            "where": self.given.where,
            "holds": self.need.holds,
            "stored": readable(self.need.stored),
            "later": readable(self.need.later),
            "needed": readable(self.need.needed),
            "given": "no size" if self.given.size is None else readable(self.given.size),
            "verdict": self.verdict,
        }


def rows(found: tuple[Need, ...], given: Mapping[str, Given]) -> list[Row]:
    """The table: what is needed beside what the settings give. Raises `KeyError` for a need without its `Given`."""
    return [Row(need=need, given=given[need.name]) for need in found]


def warnings(table: list[Row]) -> list[str]:
    """One sentence for each volume that is too small."""
    return [
        f"{row.need.name} ({row.given.where}) has {readable(row.given.size or 0)} and needs "
        f"{readable(row.need.needed)}: set {row.given.key} to {whole_gibibytes(row.need.needed)} or more"
        for row in table
        if row.is_enough is False
    ]


def readable(size: int) -> str:
    """Bytes for people, with one digit behind the point, never rounded down: `1.3 TiB`."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            tenths = (Decimal(size) / factor).quantize(Decimal("0.1"), rounding=ROUND_CEILING)
            return f"{tenths.normalize():f} {unit}"
    return f"{size} B"


def whole_gibibytes(size: int) -> str:
    """A quantity that is no smaller: `1340Gi`."""
    return f"{max(1, -(-size // GIB))}Gi"

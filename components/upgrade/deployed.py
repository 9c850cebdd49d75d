"""What earlier updates left, as the stack's own outputs and state tell it; read before anything is registered."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, cast

import pulumi

from components.database.settings import CloudNativePg
from components.machine_learning.settings import BundledMachineLearning
from components.model.naming import TOKEN_ENDS
from components.storage.settings import Nfs, Smb

if TYPE_CHECKING:
    from components.settings.model import Settings
    from components.upgrade.settings import Upgrade

OUTPUT = "deployed"
"""Name of the stack's output: what the last update that ended well left."""
SETUP = "setup"
"""Name of the output with what Immich was given by `immich:setup`."""
MARK = "reached"
"""Name of the resource that is written before a newer release touches anything."""
MARK_TYPE = "pulumi:index:Stash"
_PAUSES = (0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds before each attempt to read the backend."""
_OLDER_OUTPUT = "version"
"""Output of this program before it had `deployed`."""

_TEXTS = ("database", "vectorchord", "machine_learning", "database_at")
_NUMBERS = ("postgres", "lineage")


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """The versions of one deployment. None is what is not known, or not there."""

    immich: str
    """Release of the server."""
    database: str | None = None
    """Kind: `bundled`, `cloudnative-pg` or `external`."""
    postgres: int | None = None
    """Major version of PostgreSQL."""
    vectorchord: str | None = None
    """Version of VectorChord."""
    machine_learning: str | None = None
    """Release of machine learning where it is ours."""
    lineage: int | None = None
    """Generation of the database's archive, counted up at each recovery."""
    database_at: str | None = None
    """`immich:upgrade.databaseAt` of that update: it counts once."""
    libraries: Mapping[str, str] = field(default_factory=dict[str, str])
    """Name -> source of the read-only external libraries that have a volume of their own."""
    backed_up: bool = False
    """Whether a backup was made before the last upgrade."""
    before: Deployed | None = None
    """What the last upgrade left; in there, where it was left unfinished, the last one that ended well."""

    def differs(self, other: Deployed) -> bool:
        """Whether Immich or anything of the database is another version. What is not known is no difference."""
        pairs = (
            (self.immich, other.immich),
            (self.database, other.database),
            (self.postgres, other.postgres),
            (self.vectorchord, other.vectorchord),
        )
        return any(None not in {mine, theirs} and mine != theirs for mine, theirs in pairs)

    def plain(self) -> dict[str, object]:
        """As plain data, without what is None: the engine would show each as a difference."""
        found: dict[str, object] = {"immich": self.immich}
        for name in (*_TEXTS, *_NUMBERS):
            value = getattr(self, name)
            if value is not None:
                found[name] = value
        if self.libraries:
            found["libraries"] = dict(self.libraries)
        if self.backed_up:
            found["backed_up"] = True
        if self.before is not None:
            found["before"] = self.before.plain()
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Last:
    """What is known of earlier updates; nothing before the first one."""

    finished: Deployed | None = None
    """What the last update that ended well left."""
    reached: Deployed | None = None
    """What the last update had begun to start, whether or not it ended well."""
    token_ends: int | None = None
    """When the service token of Cloudflare Access ends, in seconds since 1970; None without one that ends."""
    setup: Mapping[str, object] | None = None
    """Who and what was in Immich by the section `immich:setup` (components/setup/plan.py, `told`); None without it."""

    @property
    def now(self) -> Deployed | None:
        """What may have touched the data: the newest of both."""
        return self.reached or self.finished


def from_plain(value: object) -> Deployed | None:
    """The other way round of `Deployed.plain`; None for what is no such data."""
    data = _mapping(value)
    immich = data.get("immich")
    if not isinstance(immich, str):
        return None
    texts = {name: text for name in _TEXTS if isinstance(text := data.get(name), str)}
    # The wire has one kind of number, and gives 18 back as 18.0.
    numbers = {name: int(number) for name in _NUMBERS if isinstance(number := data.get(name), int | float)}
    return Deployed(
        immich=immich,
        database=texts.get("database"),
        vectorchord=texts.get("vectorchord"),
        machine_learning=texts.get("machine_learning"),
        database_at=texts.get("database_at"),
        postgres=numbers.get("postgres"),
        lineage=numbers.get("lineage"),
        libraries={str(name): str(source) for name, source in _mapping(data.get("libraries")).items()},
        backed_up=data.get("backed_up") is True,
        before=from_plain(data.get("before")),
    )


def wanted(settings: Settings, upgrade: Upgrade, lineage: int | None = None) -> Deployed:
    """What the settings ask for; `lineage` is the generation of a CloudNativePG archive."""
    database = settings.database
    postgres = None if database.postgres is None else int(str(database.postgres).partition(".")[0])
    bundled = isinstance(settings.machine_learning, BundledMachineLearning)
    return Deployed(
        immich=settings.server.version,
        database=database.kind,
        postgres=postgres,
        vectorchord=database.vectorchord,
        machine_learning=settings.server.version if bundled else None,
        lineage=lineage if isinstance(database, CloudNativePg) else None,
        database_at=upgrade.database_at,
        libraries=dict(_libraries(settings)),
    )


def _libraries(settings: Settings) -> Iterator[tuple[str, str]]:
    # What a volume of that name can become while pods or containers hold it.
    changeable = {"size"} if settings.docker is not None else {"size", "mount_options"}
    for library in settings.storage.external_libraries:
        if library.read_only and isinstance(library.source, Nfs | Smb):
            given = library.source.model_dump(
                mode="json", by_alias=True, exclude=changeable, exclude_defaults=True
            )
            yield library.name, ", ".join(f"{key} {value}" for key, value in given.items())


def read_last() -> Last:
    """What this stack's backend has of earlier updates, asked of the engine and waited for.

    The engine reads the state as it was stored when the update began. Raises `pulumi.RunError`, which the engine shows
    without a traceback, where it cannot: an upgrade that cannot be judged must not start.
    """
    # Fully qualified: a plain name would be looked up in the person's own organisation.
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    outputs = _ask("pulumi:pulumi:readStackOutputs", {"name": name})
    state = _ask("pulumi:pulumi:readStackResourceOutputs", {"stackName": name})
    return last_of(outputs, state)


def last_of(outputs: Mapping[str, object], state: Mapping[str, object]) -> Last:
    """From a stack's outputs, and its resources (URN -> type and outputs)."""
    finished = from_plain(outputs.get(OUTPUT))
    older = outputs.get(_OLDER_OUTPUT)
    if finished is None and isinstance(older, str):
        finished = Deployed(immich=older)
    setup = outputs.get(SETUP)
    return Last(
        finished=finished,
        reached=_mark(state),
        token_ends=_seconds(outputs.get(TOKEN_ENDS)),
        setup=_mapping(setup) if setup is not None else None,
    )


def _seconds(moment: object) -> int | None:
    if not isinstance(moment, str):
        return None
    try:
        return int(datetime.fromisoformat(moment).timestamp())
    except ValueError:
        return None


def _mark(state: Mapping[str, object]) -> Deployed | None:
    for urn, resource in state.items():
        if urn.endswith(f"{MARK_TYPE}::{MARK}"):
            # Not `output`, which keeps the first value for ever.
            return from_plain(_mapping(_mapping(resource).get("outputs")).get("input"))
    return None


def _mapping(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _ask(function: str, arguments: Mapping[str, str]) -> Mapping[str, object]:
    from pulumi.runtime import invoke

    reason = ""
    for pause in _PAUSES:
        time.sleep(pause)
        try:
            answer: object = invoke(function, dict(arguments)).value
        except Exception as error:  # noqa: BLE001 - the SDK raises nothing more exact for a call that failed
            # A backend of files may be read while the engine writes down that the update has begun.
            reason = str(error).removeprefix(f"invoke of {function} failed: ")
            continue
        return _mapping(_mapping(answer).get("outputs"))
    raise pulumi.RunError(
        f"what the last update left could not be read from the backend: {reason}. "
        "Without it no upgrade can be judged; nothing was changed"
    )

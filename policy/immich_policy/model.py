"""What rules see and say: registered resources as plain data, findings, and rules themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

if TYPE_CHECKING:
    from immich_policy.config import Config

T = TypeVar("T")
Plain = Any
"""JSON-like data: dict, list, str, int, float, bool, None, and `UNKNOWN` anywhere in it."""


class Unknown:
    """The type of `UNKNOWN`. It is none of dict, list, str and number, so that checks by type leave it out."""

    def __repr__(self) -> str:
        return "<known after the update>"


PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "policies.md"
"""The page about the rules, which lies beside the pack."""
UNKNOWN: Final = Unknown()
"""Stands for a value that a preview does not know yet."""


class Level(Enum):
    """What a finding does to a preview or an update."""

    ADVISORY = "advisory"
    """It is shown."""
    MANDATORY = "mandatory"
    """It stops the run."""


class Severity(Enum):
    """How bad it is where a rule is broken."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Registered:
    """One registered resource. Two are equal only where they are the same object."""

    type: str
    """Pulumi's type token, such as `kubernetes:apps/v1:Deployment`."""
    name: str
    """Pulumi's logical name."""
    props: Mapping[str, Plain]
    """Properties under their names on the wire (camelCase); numbers are whole where they can be."""
    urn: str = ""
    parent: str = ""
    """URN of the parent; empty where there is none."""
    dependencies: tuple[str, ...] = ()
    """URNs of what must exist before."""
    protect: bool = False
    unknown: frozenset[str] = frozenset()
    """Paths of values that are not known, such as `spec.template.spec.containers[0].image`."""

    @property
    def kind(self) -> str:
        """Last part of the type token: `Deployment`, `Container`."""
        return self.type.rsplit(":", 1)[-1].rsplit("/", 1)[-1]

    @property
    def module(self) -> str:
        """Middle part of the type token: `apps/v1`, `index/container`."""
        parts = self.type.split(":")
        return parts[1] if len(parts) == 3 else ""

    @property
    def group(self) -> str:
        """API group of a Kubernetes resource (`apps`, `core`, `traefik.io`); empty for everything else."""
        return self.module.split("/")[0] if self.type.startswith("kubernetes:") else ""


def registered(
    type_: str,
    name: str,
    props: object,
    *,
    urn: str = "",
    parent: str = "",
    dependencies: Iterable[str] = (),
    protect: bool = False,
) -> Registered:
    """A resource from any mapping: its properties become plain data and its unknown paths are noted."""
    data = plain(props)
    return Registered(
        type=type_,
        name=name,
        props=cast("dict[str, Plain]", data) if isinstance(data, dict) else {},
        urn=urn or f"urn:pulumi:stack::project::{type_}::{name}",
        parent=parent,
        dependencies=tuple(dependencies),
        protect=protect,
        unknown=frozenset(_unknown_paths(data)),
    )


def plain(value: object) -> Plain:
    """Mappings and sequences of any class as dicts and lists; whole floats as int; what is not JSON as `UNKNOWN`."""
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value.is_integer() else value
    if isinstance(value, Mapping):
        mapping_ = cast("Mapping[object, object]", value)
        return {str(key): plain(mapping_[key]) for key in mapping_}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(inner) for inner in cast("Sequence[object]", value)]
    return UNKNOWN


def _unknown_paths(value: Plain, path: str = "") -> Iterator[str]:
    if value is UNKNOWN:
        yield path
    elif isinstance(value, dict):
        for key, inner in cast("dict[str, Plain]", value).items():
            yield from _unknown_paths(inner, join(path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(cast("list[Plain]", value)):
            yield from _unknown_paths(inner, join(path, index))


def join(path: str, *parts: str | int) -> str:
    """A path with parts added: `join("spec", "containers", 0)` is `spec.containers[0]`."""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif "." in part or "/" in part:
            path += f'["{part}"]'
        else:
            path += f".{part}" if path else part
    return path


def dig(value: Plain, *keys: str | int) -> Plain:
    """The value below `keys`; None where it or a part of the way is absent, `UNKNOWN` where the way is not known."""
    for key in keys:
        if value is UNKNOWN:
            return UNKNOWN
        if isinstance(key, str) and isinstance(value, Mapping):
            value = cast("Mapping[str, Plain]", value).get(key)
        elif isinstance(key, int) and isinstance(value, list):
            listed = cast("list[Plain]", value)
            value = listed[key] if -len(listed) <= key < len(listed) else None
        else:
            return None
    return value


def mapping(value: Plain, *keys: str | int) -> dict[str, Plain]:
    """The mapping below `keys`; an empty one where there is none."""
    found = dig(value, *keys)
    return cast("dict[str, Plain]", found) if isinstance(found, dict) else {}


def sequence(value: Plain, *keys: str | int) -> list[Plain]:
    """The list below `keys`; an empty one where there is none."""
    found = dig(value, *keys)
    return cast("list[Plain]", found) if isinstance(found, list) else []


def mappings(value: Plain, *keys: str | int) -> list[tuple[int, dict[str, Plain]]]:
    """Mappings in the list below `keys`, each with its index."""
    found = enumerate(sequence(value, *keys))
    return [(index, cast("dict[str, Plain]", one)) for index, one in found if isinstance(one, dict)]


def text(value: Plain, *keys: str | int) -> str:
    """The string below `keys`; empty where there is none."""
    found = dig(value, *keys)
    return found if isinstance(found, str) else ""


def strings(value: Plain, *keys: str | int) -> list[str]:
    """Strings in the list below `keys`."""
    return [one for one in sequence(value, *keys) if isinstance(one, str)]


def number(value: Plain, *keys: str | int) -> float | None:
    """The number below `keys`, also one that is written as a string; None where there is none."""
    found = dig(value, *keys)
    if isinstance(found, bool):
        return None
    if isinstance(found, int | float):
        return found if math.isfinite(found) else None
    if isinstance(found, str):
        try:
            parsed = float(found)
        except ValueError:
            return None
        return parsed if math.isfinite(parsed) else None
    return None


def flag(value: Plain, *keys: str | int) -> bool:
    """Whether the value below `keys` is true, also where that is written as a string."""
    found = dig(value, *keys)
    return found is True or (isinstance(found, str) and found.strip().lower() == "true")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule is broken."""

    resource: Registered
    path: str
    """Where in the resource; `configMap file nginx.conf line 12` is a path as well. Empty means the whole resource."""
    message: str
    """What is registered there. It never holds the value of a secret: see `text.shown`."""
    setting: str
    """What to change there, in words of the resource; the setting of this project is told beside it (`own`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unjudged:
    """A check that could not be made, mostly because a preview does not know the value."""

    resource: Registered
    path: str
    what: str = "is known only after the update"


Judgement = Finding | Unjudged
Judge = Callable[["Stack", "Config"], Iterable[Judgement]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Metadata and a pure function that never raises."""

    name: str
    """`<family>-<what>`, unique, in lower case with hyphens."""
    family: str
    severity: Severity
    title: str
    """One sentence that says what must be so."""
    why: str
    """What is lost where it is not."""
    remediation: str
    """What to do, in general words."""
    judge: Judge
    level: Level = Level.MANDATORY

    @property
    def link(self) -> str:
        """Where the rule is described, from wherever the pack is used."""
        return f"{PAGE}#{self.name}"


def family_rule(  # noqa: PLR0917 - the first is fixed by each family
    family: str,
    name: str,
    severity: Severity,
    title: str,
    why: str,
    remediation: str,
    *,
    judge: Judge,
    level: Level = Level.MANDATORY,
) -> Rule:
    """A rule whose name begins with that of its family."""
    return Rule(
        name=f"{family}-{name}",
        family=family,
        severity=severity,
        title=title,
        why=why,
        remediation=remediation,
        judge=judge,
        level=level,
    )


class Stack(Sequence[Registered]):
    """Everything that a program registers; views of it are made once (`once`)."""

    def __init__(self, resources: Iterable[Registered]) -> None:
        self._resources = tuple(resources)
        self._made: dict[object, object] = {}

    @overload
    def __getitem__(self, index: int) -> Registered: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Registered]: ...
    def __getitem__(self, index: int | slice) -> Registered | Sequence[Registered]:
        return self._resources[index]

    def __len__(self) -> int:
        return len(self._resources)

    def once(self, make: Callable[[Stack], T]) -> T:
        """What `make` says of this stack; asked once."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast("T", self._made[make])

    def of_kind(self, *kinds: str, group: str | None = None) -> list[Registered]:
        """Kubernetes resources of these kinds, of every API version, patches included; of one API group if given."""
        known = self.once(_by_kind)
        found = [pair for kind in kinds for pair in known.get(kind, ())]
        if len(kinds) > 1:
            found.sort(key=lambda pair: pair[0])
        return [one for _, one in found if group is None or one.group == group]

    def of_type(self, *tokens: str) -> list[Registered]:
        """Resources of these type tokens."""
        return [one for one in self._resources if one.type in tokens]


def _by_kind(stack: Stack) -> dict[str, list[tuple[int, Registered]]]:
    """Kind, patches under what they patch -> Kubernetes resources, each with its place in the stack."""
    found: dict[str, list[tuple[int, Registered]]] = {}
    for index, one in enumerate(stack):
        if one.group:
            found.setdefault(one.kind.removesuffix("Patch"), []).append((index, one))
    return found

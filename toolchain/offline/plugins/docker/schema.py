"""What a resource type accepts, and when two values of a property are the same to the engine.

The meaning is that of the Terraform SDK behind the official plugin: an absent value is the type's zero, a set has
no order, and a `computed` property that the program leaves out is whatever the engine made it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from toolchain.offline.plugins.changes import Change
from toolchain.offline.plugins.provider import Failure
from toolchain.offline.plugins.values import (
    DEFAULTED,
    Object,
    Unknown,
    Value,
    as_object,
    contains_unknown,
    reveal,
)

Kind = Literal["text", "integer", "boolean", "list", "set", "map", "object", "objects"]

_WORDS: Final[dict[Kind, str]] = {
    "text": "a string",
    "integer": "a whole number",
    "boolean": "true or false",
    "list": "a list of strings",
    "set": "a list of strings",
    "map": "an object of strings",
    "object": "an object",
    "objects": "a list of objects",
}
_ZEROS: Final[dict[Kind, Value]] = {"text": "", "integer": 0, "boolean": False}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One property.

    `computed`: left out, it is the engine's to choose, so no difference. `replaces`: a change of it makes the
    object anew. `fields` are those of an `object` or of each of `objects`. `pattern` (text) and `minimum`
    (integer) limit what is accepted. `unsupported` is why the offline plugin refuses it.
    """

    kind: Kind
    default: Value = None
    computed: bool = False
    replaces: bool = True
    required: bool = False
    pattern: str = ""
    minimum: int | None = None
    fields: Mapping[str, Field] = field(default_factory=dict[str, "Field"])
    unsupported: str = ""
    settled: bool | None = None
    """Whether the state after a create or update has what the program gave, whatever the engine says: so for the
    Terraform SDK's sets. None: a `set` and `objects` are, anything else is not."""


Fields = Mapping[str, Field]


def failures(inputs: Object, fields: Fields) -> list[Failure]:
    """Every input that cannot be accepted."""
    found: list[Failure] = []
    _judge_object({key: value for key, value in inputs.items() if key != DEFAULTED}, fields, "", found)
    return found


def _judge_object(given: Object, fields: Fields, path: str, found: list[Failure]) -> None:
    for key, value in given.items():
        where = f"{path}.{key}" if path else key
        known = fields.get(key)
        if known is None:
            found.append(
                Failure(
                    property=where,
                    reason=f"{where} is not a property here: accepted are {', '.join(sorted(fields))}",
                )
            )
        elif known.unsupported and value is not None:
            found.append(
                Failure(
                    property=where,
                    reason=f"{where} is not in the offline plugin 'docker': {known.unsupported}",
                )
            )
        elif value is not None:
            _judge(reveal(value), known, where, found)
    for key, known in fields.items():
        if known.required and given.get(key) is None:
            where = f"{path}.{key}" if path else key
            found.append(Failure(property=where, reason=f"{where} is required"))


def _judge(value: Value, known: Field, where: str, found: list[Failure]) -> None:
    if isinstance(value, Unknown):
        return
    if not _has_kind(value, known.kind):
        # The value itself may be secret, so that it is not shown.
        found.append(
            Failure(property=where, reason=f"{where} must be {_WORDS[known.kind]}, not {_word(value)}")
        )
    elif isinstance(value, str) and known.pattern and not re.fullmatch(known.pattern, value):
        found.append(Failure(property=where, reason=f"{where} must match {known.pattern}, not {value!r}"))
    elif isinstance(value, int) and known.minimum is not None and value < known.minimum:
        found.append(Failure(property=where, reason=f"{where} must be at least {known.minimum}, not {value}"))
    elif known.kind == "object":
        _judge_object(as_object(value), known.fields, where, found)
    elif known.kind == "objects" and isinstance(value, list):
        for index, element in enumerate(value):
            at = f"{where}[{index}]"
            if isinstance(element, dict):
                _judge_object(element, known.fields, at, found)
            elif not isinstance(element, Unknown):
                found.append(Failure(property=at, reason=f"{at} must be an object, not {_word(element)}"))


def _has_kind(value: Value, kind: Kind) -> bool:
    if kind == "text":
        return isinstance(value, str)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("list", "set"):
        return isinstance(value, list) and all(isinstance(element, (str, Unknown)) for element in value)
    if kind == "map":
        return isinstance(value, dict) and all(
            isinstance(element, (str, Unknown)) for element in value.values()
        )
    return isinstance(value, dict if kind == "object" else list)


def _word(value: Value) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"


def with_defaults(inputs: Object, fields: Fields) -> Object:
    """The inputs as the state has them: the properties' defaults filled in, also inside objects."""
    full: Object = {key: value for key, value in inputs.items() if key != DEFAULTED}
    for key, known in fields.items():
        value = full.get(key)
        if value is None and known.default is not None:
            full[key] = known.default
        elif known.fields and isinstance(value, dict):
            full[key] = with_defaults(value, known.fields)
        elif known.fields and isinstance(value, list):
            full[key] = [
                with_defaults(item, known.fields) if isinstance(item, dict) else item for item in value
            ]
    return full


def canonical(value: Value, known: Field) -> Value:
    """The value in the one form in which equal values are equal."""
    value = reveal(value)
    if value is None:
        value = known.default
    kind = known.kind
    if kind in _ZEROS:
        return _ZEROS[kind] if value is None else value
    if kind == "object":
        return {} if not isinstance(value, dict) else _canonical_object(value, known.fields)
    if kind == "map":
        return as_object(value)
    elements = value if isinstance(value, list) else []
    if kind == "list":
        return elements
    if kind == "set":
        return _sorted(list({str(element): element for element in elements}.values()))
    return _sorted([_canonical_object(as_object(element), known.fields) for element in elements])


def _canonical_object(value: Object, fields: Fields) -> Object:
    return {
        key: canonical(value.get(key), known)
        for key, known in fields.items()
        if not _left_out(value, key, known)
    }


def _left_out(value: Object, key: str, known: Field) -> bool:
    return known.computed and value.get(key) is None


def _sorted(values: list[Value]) -> list[Value]:
    return sorted(values, key=lambda value: json.dumps(value, sort_keys=True, default=str))


def same(old: Value, new: Value, known: Field) -> bool:
    """Whether two known values of a property mean the same."""
    if known.kind != "objects" or not any(part.computed for part in known.fields.values()):
        return canonical(old, known) == canonical(new, known)
    before, after = reveal(old), reveal(new)
    olds = [as_object(item) for item in before] if isinstance(before, list) else []
    news = [as_object(item) for item in after] if isinstance(after, list) else []
    # What the program leaves to the engine (a published port's number) matches whatever the engine chose.
    for wanted in news:
        match = next((item for item in olds if _matches(item, wanted, known.fields)), None)
        if match is None:
            return False
        olds.remove(match)
    return not olds


def _matches(old: Object, new: Object, fields: Fields) -> bool:
    return all(
        _left_out(new, key, known) or canonical(old.get(key), known) == canonical(new.get(key), known)
        for key, known in fields.items()
    )


def changes(olds: Object, news: Object, fields: Fields, ignore: list[str]) -> dict[str, Change]:
    """Which properties of the program differ from the state, by name. A value not known yet counts as changed."""
    found: dict[str, Change] = {}
    for key, known in fields.items():
        old, new = olds.get(key), news.get(key)
        # An empty text is the engine's choice too (user, workingDir).
        if key in ignore or (known.computed and new in (None, "")):
            continue
        if not contains_unknown(new) and same(old, new, known):
            continue
        kind = "add" if old is None else "delete" if new is None and known.default is None else "update"
        found[key] = Change(kind=kind, replace=known.replaces)
    return found


def settled(outputs: Object, given: Object, fields: Fields) -> Object:
    """The outputs after a create or update: sets as they were given, so that only a refresh sees what the engine
    made of them.
    """
    kept: Object = dict(outputs)
    for key, known in fields.items():
        is_set = known.kind in ("set", "objects") if known.settled is None else known.settled
        if is_set and given.get(key) is not None:
            kept[key] = given[key]
    return kept


def refreshed_inputs(inputs: Object, outputs: Object, fields: Fields) -> Object:
    """The program's inputs with what the engine has instead where that differs."""
    fresh = dict(inputs)
    for key, value in inputs.items():
        known = fields.get(key)
        if known is not None and key in outputs and not same(outputs[key], value, known):
            fresh[key] = outputs[key]
    return fresh


def inputs_of(outputs: Object, fields: Fields) -> Object:
    """The inputs that would make an object with these outputs, for an import."""
    return {
        key: outputs[key]
        for key, known in fields.items()
        if outputs.get(key) is not None and canonical(outputs[key], known) != canonical(None, known)
    }

"""Comparison of two input objects, property by property."""

from __future__ import annotations

import re
from collections.abc import Callable

from toolchain.offline.plugins.changes import Change
from toolchain.offline.plugins.values import Object, Secret, Unknown, Value

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Replaces = Callable[[str], bool]


def child(path: str, key: str) -> str:
    """The path of an object's field, in Pulumi's property path syntax (`a.b`, `a["x/y"]`)."""
    if not _PLAIN_KEY.fullmatch(key):
        escaped = key.replace("\\", "\\\\").replace('"', '\\"')
        return f'{path}["{escaped}"]'
    return f"{path}.{key}" if path else key


def never(_path: str) -> bool:
    """A rule under which no property needs a replacement."""
    return False


def compare(old: Object, new: Object, replaces: Replaces = never) -> dict[str, Change]:
    """The changed properties by path. `replaces` says for a path whether a change of it needs a new object.

    Numbers are equal by value (2 and 2.0), a null field equals an absent one, secrets are compared by
    content, and a value that is not known yet counts as changed.
    """
    changes: dict[str, Change] = {}
    _objects(old, new, "", changes, replaces)
    return changes


def _objects(old: Object, new: Object, path: str, changes: dict[str, Change], replaces: Replaces) -> None:
    for key in {**old, **new}:
        _values(old.get(key), new.get(key), child(path, key), changes, replaces)


def _values(old: Value, new: Value, path: str, changes: dict[str, Change], replaces: Replaces) -> None:
    if isinstance(old, Secret):
        old = old.value
    if isinstance(new, Secret):
        new = new.value
    if isinstance(old, dict) and isinstance(new, dict):
        _objects(old, new, path, changes, replaces)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else None
            after = new[index] if index < len(new) else None
            _values(before, after, f"{path}[{index}]", changes, replaces)
    elif isinstance(new, Unknown) or isinstance(old, bool) != isinstance(new, bool) or old != new:
        kind = "add" if old is None else "delete" if new is None else "update"
        changes[path] = Change(kind=kind, replace=replaces(path))

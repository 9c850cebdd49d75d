"""The SDK turns every resource into Python values anew for each policy: with sixty of them, most of their time."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

from pulumi_policy import policy as sdk

_MOST = 20_000
"""Values that are kept at the most: those of one request of a large stack, several times over."""


class Once:
    """A function of one object whose answer is kept for as long as the object is."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        self._known: dict[int, tuple[object, object]] = {}

    def __call__(self, given: object, *more: object) -> object:
        if more:
            return self._function(given, *more)
        found = self._known.get(id(given))
        if found is None or found[0] is not given:
            if len(self._known) >= _MOST:
                self._known.clear()
            found = (given, self._function(given))
            self._known[id(given)] = found
        return found[1]


def convert_once(module: ModuleType = sdk) -> None:
    """Have the SDK keep what it converted. Its policies must not change values; ours only read them (pack.py)."""
    names: dict[str, Any] = vars(module)
    names["json_format"] = SimpleNamespace(MessageToDict=Once(names["json_format"].MessageToDict))
    names["deserialize_properties"] = Once(names["deserialize_properties"])

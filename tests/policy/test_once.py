"""What the SDK converted is converted once."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

from immich_policy.once import Once, convert_once


class Given:
    """Something that can be told from an equal one."""


def test_an_object_is_converted_once_and_another_one_for_itself() -> None:
    asked: list[object] = []
    once = Once(lambda given: asked.append(given) or object())
    first, second = Given(), Given()
    assert once(first) is once(first)
    assert once(first) is not once(second)
    assert asked == [first, second]


def test_an_object_that_is_gone_is_not_taken_for_one_at_its_place() -> None:
    once = Once(lambda given: given)
    for _ in range(100):
        given = Given()
        assert once(given) is given


def test_further_arguments_are_handed_on_and_nothing_is_kept() -> None:
    asked: list[tuple[object, ...]] = []
    once = Once(lambda *given: asked.append(given))
    for _ in range(2):
        once("properties", True)
    assert asked == [("properties", True)] * 2


def test_the_sdk_is_given_functions_that_keep_their_answers() -> None:
    calls: list[str] = []
    module: Any = ModuleType("sdk")
    module.json_format = SimpleNamespace(MessageToDict=lambda _: calls.append("json") or {"a": 1})
    module.deserialize_properties = lambda given, *_: calls.append("values") or dict(given)
    convert_once(module)
    message = Given()
    for _ in range(3):
        assert module.deserialize_properties(module.json_format.MessageToDict(message)) == {"a": 1}
    assert calls == ["json", "values"]

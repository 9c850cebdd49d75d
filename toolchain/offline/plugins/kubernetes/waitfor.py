"""The annotation `pulumi.com/waitFor`: `condition=Ready`, `jsonpath={.status.phase}=Running`, or a JSON array
of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from toolchain.offline.plugins.kubernetes.objects import annotation
from toolchain.offline.plugins.kubernetes.readiness import State, condition
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, Value, as_text, plain

Wanted = Callable[[Object], State]

_STEP = re.compile(
    r"""\.(?P<key>[A-Za-z0-9_-]+(?:\\\.[A-Za-z0-9_-]+)*)
      | \[(?P<index>-?\d+)\]
      | \[(?P<all>\*)\]
      | \[['"](?P<quoted>[^'"]+)['"]\]
      | \[\?\(@\.(?P<field>[A-Za-z0-9_.-]+)\s*==\s*['"](?P<value>[^'"]*)['"]\)\]""",
    re.VERBOSE,
)
_JSONPATH = re.compile(r"jsonpath='?\{(?P<path>[^{}]*)\}'?(?:=(?P<value>.*))?", re.DOTALL)


def wait_conditions(item: Object) -> list[Wanted]:
    """What the object's annotation asks to wait for, [] when it has none.

    Raises ProviderError that quotes an expression that is neither a condition nor a JSONPath.
    """
    text = annotation(item, "waitFor")
    if not text:
        return []
    try:
        listed = plain(json.loads(text))
    except ValueError:
        listed = text
    expressions = [as_text(each) for each in listed] if isinstance(listed, list) else [text]
    if not expressions:
        raise ProviderError("the annotation pulumi.com/waitFor is an empty list: name at least one condition")
    return [_parse(expression) for expression in expressions]


def _parse(expression: str) -> Wanted:
    if expression.startswith("condition="):
        kind, _, status = expression.removeprefix("condition=").partition("=")
        return _condition(kind, status or "True")
    matched = _JSONPATH.fullmatch(expression)
    if matched is None:
        raise ProviderError(
            f"the annotation pulumi.com/waitFor has {expression!r}: accepted are condition=Type, "
            f"condition=Type=Status, "
            "jsonpath={.path} and jsonpath={.path}=value"
        )
    path = matched["path"] if matched["path"].startswith((".", "[")) else "." + matched["path"]
    _steps(path)  # an unreadable path must fail before anything is waited for
    return _json_path(path, matched["value"])


def _condition(kind: str, status: str) -> Wanted:
    def check(item: Object) -> State:
        found = condition(item, kind)
        said = as_text(found.get("message"))
        return State(
            ready=as_text(found.get("status")).lower() == status.lower(),
            message=f"waiting for the condition {kind}={status}" + (f": {said}" if said else ""),
        )

    return check


def _json_path(path: str, expected: str | None) -> Wanted:
    def check(item: Object) -> State:
        found = evaluate(path, item)
        ready = bool(found) if expected is None else any(_shown(value) == expected for value in found)
        wanted = "to exist" if expected is None else f"to be {expected}"
        return State(ready=ready, message=f"waiting for {{{path}}} {wanted}")

    return check


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _steps(path: str) -> list[re.Match[str]]:
    steps: list[re.Match[str]] = []
    position = 0
    while position < len(path):
        matched = _STEP.match(path, position)
        if matched is None:
            raise ProviderError(
                f"the annotation pulumi.com/waitFor has a JSONPath that is not understood: {{{path}}}"
            )
        steps.append(matched)
        position = matched.end()
    return steps


def evaluate(path: str, item: Object) -> list[Value]:
    """The values at a JSONPath: keys, indexes, `[*]` and filters such as `[?(@.type=="Ready")]`."""
    found: list[Value] = [item]
    for step in _steps(path):
        found = [value for one in found for value in _take(one, step)]
    return found


def _take(value: Value, step: re.Match[str]) -> list[Value]:
    key = step["key"] or step["quoted"]
    if key is not None:
        key = key.replace("\\.", ".")
        return [value[key]] if isinstance(value, dict) and key in value else []
    if not isinstance(value, list):
        return []
    if step["all"]:
        return value
    if step["index"] is not None:
        index = int(step["index"])
        return [value[index]] if -len(value) <= index < len(value) else []
    return [
        element
        for element in value
        if isinstance(element, dict)
        and any(_shown(v) == step["value"] for v in evaluate("." + step["field"], element))
    ]

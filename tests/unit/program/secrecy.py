"""What tests of secrecy look for in recorded data."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, cast

from tests.harness.mocks import UNKNOWN, Recorded, Secret
from tests.harness.program import RANDOM_PASSWORD, random_text, texts
from tests.unit.program.stacks import RUNS, STACKS


def secret_values(stack: str) -> set[str]:
    """Every secret of a stack, in each form in which it could stand in a text."""
    values = {*STACKS[stack].secrets.values()}
    values |= {random_text(one.name) for one in RUNS[stack].of_type(RANDOM_PASSWORD)}
    forms = {json.dumps(value)[1:-1] for value in values} | {
        json.dumps(value, ensure_ascii=False)[1:-1] for value in values
    }
    coded = {base64.b64encode(value.encode()).decode().rstrip("=") for value in values}
    return values | forms | coded


def envelopes(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every secret envelope of recorded data with its path."""
    if isinstance(value, Secret):
        yield path, value.value
    elif isinstance(value, dict):
        for key, inner in cast("dict[str, Any]", value).items():
            yield from envelopes(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from envelopes(inner, f"{path}[]")


def unknowns(value: Any, path: str = "") -> Iterator[str]:
    """Paths of what is known only after the update."""
    if value is UNKNOWN:
        yield path
    elif isinstance(value, Secret):
        yield from unknowns(value.value, path)
    elif isinstance(value, dict):
        for key, inner in cast("dict[str, Any]", value).items():
            yield from unknowns(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from unknowns(inner, f"{path}[]")


def holds(one: Recorded, values: set[str]) -> bool:
    return any(value in text for text in texts(one.props) for value in values)

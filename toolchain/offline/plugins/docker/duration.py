"""Durations as Go writes and reads them: `1m30s`, `500ms`; the engine counts nanoseconds."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_NANOSECONDS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
PATTERN: Final = r"0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+"
"""What is accepted: `0`, or numbers each with a unit."""

_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|ms|s|m|h)")


def nanoseconds(text: str) -> int:
    """The duration in nanoseconds. ValueError when it is not one."""
    if not re.fullmatch(PATTERN, text):
        raise ValueError(f"{text!r} is not a duration such as 30s or 1m30s")
    return int(sum(Decimal(number) * _NANOSECONDS[unit] for number, unit in _PART.findall(text)))


def text(value: int) -> str:
    """As Go's Duration.String does: `1m0s` and not `1m`, `1.5s`, `250ms`, `0s`."""
    if value < 10**9:
        for unit in ("ms", "µs", "ns"):
            if value >= _NANOSECONDS[unit]:
                return f"{_decimal(value, _NANOSECONDS[unit])}{unit}"
        return "0s"
    minutes, rest = divmod(value, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, 10**9)}s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    fraction = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)

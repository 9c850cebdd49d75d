"""How often a cron line runs and how long it rests at most, also one of CloudNativePG's; times for people. Pure."""

from __future__ import annotations

import datetime
import functools
from typing import Final

from components.model.cron import parse

_FIRST: Final = datetime.date(2000, 1, 1).toordinal()
_SPAN: Final = 28 * 365 + 7
"""Days after which weekdays and leap years begin anew, but for a century without one."""


def _five(schedule: str) -> str:
    """Without seconds, which CloudNativePG has in front."""
    fields = schedule.split()
    return " ".join(fields[1:] if len(fields) == 6 else fields)


def longest_gap(schedule: str) -> int:
    """Seconds between two runs at most; summer time is left out. Raises `ValueError` for a line that is none."""
    return int(parse(_five(schedule)).longest_gap().total_seconds())


@functools.lru_cache(maxsize=64)
def runs_a_day(schedule: str) -> float:
    """Runs a day on average. Raises `ValueError` for a line that is none."""
    found = parse(_five(schedule))
    days = sum(found.on(datetime.date.fromordinal(_FIRST + number)) for number in range(_SPAN))
    return days * len(found.hours) * len(found.minutes) / _SPAN


def duration(seconds: int) -> str:
    """Seconds for people, in the two largest units that say something, never rounded down: `1 d 2 h`, `45 s`."""
    if seconds < 60:
        return f"{seconds} s"
    minutes = -(-seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours + (1 if minutes else 0), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"

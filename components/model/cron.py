"""Cron lines of five fields: which minutes they mean and how far these are apart. Pure."""

from __future__ import annotations

import datetime
import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@dataclass(frozen=True)
class CronField:
    """One field of a cron expression: its name, its range, and names that stand for numbers."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        """The number that `text` is or names; raises `ValueError` outside the range."""
        lowered = text.lower()
        if lowered in self.names:
            return self.names.index(lowered) + self.low
        if not re.fullmatch(r"[0-9]{1,4}", text) or not self.low <= int(text) <= self.high:
            named = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
            raise ValueError(f"{text!r} is not a {self.name}: expected {self.low}-{self.high}{named}")
        return int(text)

    def values(self, text: str) -> frozenset[int]:
        """All numbers that this field's text stands for."""
        return frozenset(value for item in text.split(",") for value in self._item(item))

    def _item(self, item: str) -> range:
        span, slash, step_text = item.partition("/")
        if slash and (not re.fullmatch(r"[0-9]{1,4}", step_text) or not 1 <= int(step_text) <= self.high):
            raise ValueError(f"{item!r}: the step of a {self.name} is a number between 1 and {self.high}")
        step = int(step_text) if slash else 1
        if span == "*":
            return range(self.low, self.high + 1, step)
        first_text, dash, last_text = span.partition("-")
        first = self.number(first_text)
        alone = self.high if slash else first
        last = self.number(last_text) if dash else alone
        if last < first:
            raise ValueError(f"{item!r}: the range of a {self.name} runs upwards")
        return range(first, last + 1, step)


MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS: Final = (
    CronField("minute", 0, 59),
    CronField("hour", 0, 23),
    CronField("day of the month", 1, 31),
    CronField("month", 1, 12, MONTHS),
    CronField("day of the week", 0, 7, WEEKDAYS),
)

_CENTURIES: Final = 400 * 365 + 97
"""Days after which the calendar begins anew."""
_DAY: Final = 24 * 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """What a cron line means, each field as the numbers that it stands for, ascending."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    """Of the month."""
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    """0 is Sunday, 6 Saturday."""
    either: bool
    """Whether one of day and weekday is enough: both are restricted (crontab(5), and Kubernetes)."""

    @property
    def hourly(self) -> bool:
        """Whether every hour is meant. Such a line follows the time that passes; another one the time of the day.

        So the hour that a clock shows twice has its runs twice with the former and once with the latter, and a time of
        the day that a clock leaves out comes as soon as it is past.
        """
        return len(self.hours) == 24

    def on(self, day: datetime.date) -> bool:
        """Whether it runs on a day."""
        if day.month not in self.months:
            return False
        by_date, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (by_date or by_week) if self.either else (by_date and by_week)

    def longest_gap(self) -> datetime.timedelta:
        """The longest time between two runs, by a calendar without summer time."""
        return _longest_gap(self)


def parse(text: str) -> Schedule:
    """What a line means: minute, hour, day of the month, month, day of the week.

    Raises `ValueError` with the field for a line that is none, and for one that never runs.
    """
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise ValueError(
            f"{text!r} has {len(fields)} field(s): expected minute, hour, day, month and weekday, such as 0 2 * * *"
        )
    minutes, hours, days, months, weekdays = (
        field.values(part) for field, part in zip(FIELDS, fields, strict=True)
    )
    found = Schedule(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=tuple(sorted(days)),
        months=tuple(sorted(months)),
        weekdays=tuple(sorted({day % 7 for day in weekdays})),
        either=fields[2] != "*" and fields[4] != "*",
    )
    if not any(True for _ in _days(found)):
        raise ValueError(f"{text!r}: no chosen month has such a day: it would never run")
    return found


def zone(name: str) -> ZoneInfo:
    """A time zone by its name. Raises `ValueError` for one that nobody knows."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone, such as Europe/Vienna") from None


def _days(schedule: Schedule) -> Iterator[int]:
    """Days on which it runs, of 400 years, numbered from the first."""
    first = datetime.date(2000, 1, 1).toordinal()
    return (number for number in range(_CENTURIES) if schedule.on(datetime.date.fromordinal(first + number)))


@functools.lru_cache(maxsize=64)
def _longest_gap(schedule: Schedule) -> datetime.timedelta:
    times = [hour * 60 + minute for hour in schedule.hours for minute in schedule.minutes]
    rest = 1
    if not all((len(schedule.months) == 12, len(schedule.days) == 31, len(schedule.weekdays) == 7)):
        days = list(_days(schedule))
        days.append(days[0] + _CENTURIES)
        rest = max(later - earlier for earlier, later in itertools.pairwise(days))
    within = [later - earlier for earlier, later in itertools.pairwise(times)]
    return datetime.timedelta(minutes=max(*within, rest * _DAY - times[-1] + times[0], 0))

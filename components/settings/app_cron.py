"""Schedules of Immich's own configuration: cron expressions of five fields."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from components.values import ParsedStr


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


MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS = (
    CronField("minute", 0, 59),
    CronField("hour", 0, 23),
    CronField("day of the month", 1, 31),
    CronField("month", 1, 12, MONTHS),
    CronField("day of the week", 0, 7, WEEKDAYS),
)
_LONGEST_TEXT = 200
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class CronExpression(ParsedStr):
    """A schedule: minute, hour, day of the month, month, day of the week (0 and 7 are Sunday).

    Each is `*`, numbers, ranges `a-b`, lists `a,b`, steps `*/n` or `a-b/n`, and for the last two
    English names.
    Times are in the server's time zone.
    """

    __slots__ = ()
    accepted: ClassVar[str] = (
        "a cron expression of five fields (minute hour day month weekday) such as 0 2 * * *"
    )

    @classmethod
    def check(cls, text: str) -> str:
        fields = text.split()
        if len(fields) != len(_FIELDS):
            raise ValueError(
                f"expected {cls.accepted}; this has {len(fields)} field(s), and seconds are not taken"
            )
        if len(text) > _LONGEST_TEXT:
            raise ValueError(f"expected {cls.accepted}, at most {_LONGEST_TEXT} characters")
        _, _, days, months, _ = (field.values(part) for field, part in zip(_FIELDS, fields, strict=True))
        if fields[4] == "*" and not any(min(days) <= _DAYS[month - 1] for month in months):
            raise ValueError(f"no month chosen by {fields[3]!r} has a day {fields[2]}: it would never run")
        return " ".join(fields)

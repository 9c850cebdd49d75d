"""Schedules of Immich's own configuration: cron expressions of five fields."""

from __future__ import annotations

from typing import ClassVar

from components.model.cron import FIELDS, MONTHS, WEEKDAYS, CronField
from components.model.values import ParsedStr

__all__ = ["MONTHS", "WEEKDAYS", "CronExpression", "CronField"]

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
    shape: ClassVar[str] = r"^\s*\S+(\s+\S+){4}\s*$"

    @classmethod
    def check(cls, text: str) -> str:
        fields = text.split()
        if len(fields) != len(FIELDS):
            raise ValueError(
                f"expected {cls.accepted}; this has {len(fields)} field(s), and seconds are not taken"
            )
        if len(text) > _LONGEST_TEXT:
            raise ValueError(f"expected {cls.accepted}, at most {_LONGEST_TEXT} characters")
        _, _, days, months, _ = (field.values(part) for field, part in zip(FIELDS, fields, strict=True))
        if fields[4] == "*" and not any(min(days) <= _DAYS[month - 1] for month in months):
            raise ValueError(f"no month chosen by {fields[3]!r} has a day {fields[2]}: it would never run")
        return " ".join(fields)

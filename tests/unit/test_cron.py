"""Cron lines: what they mean, how far apart their runs are, and the next one, also around summer time."""

from __future__ import annotations

import datetime
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.fields.schedule import CronExpression
from components.model import cron
from tests.harness.examples import examples

DAY = datetime.timedelta(days=1)
VIENNA = ZoneInfo("Europe/Vienna")


@st.composite
def lines(draw: st.DrawFn) -> str:
    """Lines that run some day."""

    def field(low: int, high: int) -> str:
        kind = draw(st.sampled_from(["*", "*", "number", "range", "list", "step"]))
        first, second = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        return {
            "*": "*",
            "number": str(first),
            "range": f"{first}-{second}",
            "list": f"{second},{first}",
            "step": f"*/{max(1, first)}",
        }[kind]

    return " ".join([field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7)])


def brute(schedule: cron.Schedule, begin: datetime.datetime, minutes: int) -> list[datetime.datetime]:
    """Times of the clock that are meant, one by one."""
    every = (begin + datetime.timedelta(minutes=number) for number in range(minutes))
    return [
        one
        for one in every
        if one.minute in schedule.minutes and one.hour in schedule.hours and schedule.on(one.date())
    ]


def test_each_field_becomes_the_numbers_that_it_means() -> None:
    assert cron.parse("*/20 2,4-5 1-3 jan,DEC mon-fri/2") == cron.Schedule(
        minutes=(0, 20, 40), hours=(2, 4, 5), days=(1, 2, 3), months=(1, 12), weekdays=(1, 3, 5), either=True
    )
    assert cron.parse("0 2 * * *").weekdays == (0, 1, 2, 3, 4, 5, 6)


def test_seven_is_sunday() -> None:
    assert cron.parse("0 0 * * 7").weekdays == (0,)
    assert cron.parse("0 0 * * 5-7").weekdays == (0, 5, 6)


@pytest.mark.parametrize(
    ("line", "days"),
    [
        ("0 0 13 * *", {13}),
        ("0 0 * * 5", {6, 13, 20, 27}),
        ("0 0 13 * 5", {6, 13, 20, 27}),
        ("0 0 1 * 5", {1, 6, 13, 20, 27}),
        ("0 0 */10 * 5", {1, 6, 11, 13, 20, 21, 27}),
    ],
)
def test_of_two_restricted_days_either_is_enough(line: str, days: set[int]) -> None:
    schedule = cron.parse(line)
    assert {day for day in range(1, 31) if schedule.on(datetime.date(2026, 11, day))} == days


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 2 * *", "has 4 field"),
        ("0 0 2 * * *", "has 6 field"),
        ("60 2 * * *", "'60' is not a minute: expected 0-59"),
        ("0 2 30 2 *", "it would never run"),
        ("0 2 31 4,6,9,11 *", "it would never run"),
        ("5-1 2 * * *", "runs upwards"),
        ("*/0 2 * * *", "the step of a minute"),
        ("@daily", "has 1 field"),
    ],
)
def test_what_is_no_line_is_refused_with_its_reason(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        cron.parse(line)


@given(lines())
@settings(max_examples=examples(100), deadline=None)
def test_what_settings_accept_is_understood_here(line: str) -> None:
    schedule = cron.parse(CronExpression.check(line))
    assert all((schedule.minutes, schedule.hours, schedule.days, schedule.months, schedule.weekdays))


@pytest.mark.parametrize(
    ("line", "gap"),
    [
        ("0 2 * * *", DAY),
        ("* * * * *", datetime.timedelta(minutes=1)),
        ("*/7 * * * *", datetime.timedelta(minutes=7)),
        ("0 3 * * 0", 7 * DAY),
        ("0 8,20 * * *", datetime.timedelta(hours=12)),
        ("0 9-17 * * 1-5", 2 * DAY + datetime.timedelta(hours=16)),
        ("0 0 1 * *", 31 * DAY),
        ("0 0 31 * *", 61 * DAY),
        ("0 0 29 2 *", 2921 * DAY),  # 2096 to 2104, without a leap year between them
        ("30 4 1 1 *", 366 * DAY),
    ],
)
def test_the_longest_gap_is_known(line: str, gap: datetime.timedelta) -> None:
    assert cron.parse(line).longest_gap() == gap


@given(lines())
@settings(max_examples=examples(30), deadline=None)
def test_no_two_runs_of_a_year_are_further_apart_than_the_longest_gap(line: str) -> None:
    schedule = cron.parse(line)
    days = [day for number in range(3 * 366) if schedule.on(day := datetime.date(2026, 1, 1) + number * DAY)]
    times = [datetime.time(hour, minute) for hour in schedule.hours for minute in schedule.minutes]
    runs = [datetime.datetime.combine(day, time) for day in days for time in times]
    gaps = [later - earlier for earlier, later in itertools.pairwise(runs)]
    assert max(gaps, default=datetime.timedelta(0)) <= schedule.longest_gap()


def test_a_time_zone_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="'Europe/Atlantis' is no time zone"):
        cron.zone("Europe/Atlantis")

"""Gaps and frequencies of cron lines, and times for people."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.recovery.schedules import duration, longest_gap, runs_a_day
from tests.harness.examples import examples

DAY = 86_400
FAST = settings(max_examples=examples(150), deadline=None, derandomize=True)


@pytest.mark.parametrize(
    ("line", "gap"),
    [
        ("0 2 * * *", DAY),
        ("0 0 2 * * *", DAY),
        ("0 2,14 * * *", DAY // 2),
        ("0 * * * *", 3600),
        ("30 4 * * 0", 7 * DAY),
        ("0 3 1 * *", 31 * DAY),
        ("0 8-18 * * *", 14 * 3600),
    ],
)
def test_the_longest_rest_of_a_line(line: str, gap: int) -> None:
    assert longest_gap(line) == gap


def test_runs_a_day_are_counted_over_years() -> None:
    assert runs_a_day("0 2 * * *") == 1
    assert runs_a_day("0 0 */6 * * *") == 4
    assert runs_a_day("0 2 * * 1") == pytest.approx(1 / 7, abs=1e-3)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "expected minute"),
        ("0 2 * *", "expected minute"),
        ("0 25 * * *", "hour"),
        ("0 2 30 2 *", "never run"),
    ],
)
def test_a_line_that_is_none_is_refused(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        longest_gap(line)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (59, "59 s"), (60, "1 min"), (61, "2 min"), (3600, "1 h"), (3601, "1 h 1 min"),
        (5400, "1 h 30 min"),
        (DAY, "1 d"), (DAY + 1, "1 d 1 h"), (DAY - 1, "1 d"), (2 * DAY + 7200, "2 d 2 h"),
    ],
)  # fmt: skip
def test_times_for_people(seconds: int, text: str) -> None:
    assert duration(seconds) == text


@given(st.integers(0, 10**9))
@FAST
def test_no_time_is_told_shorter_than_it_is(seconds: int) -> None:
    factors = {"s": 1, "min": 60, "h": 3600, "d": DAY}
    words = duration(seconds).split()
    told = sum(int(number) * factors[unit] for number, unit in zip(words[::2], words[1::2], strict=True))
    assert seconds <= told < seconds + 3600 + 60

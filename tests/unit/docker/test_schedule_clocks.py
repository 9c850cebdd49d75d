"""When the script that has steps wait for their turn runs them: summer time, clocks that are set, missed runs."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.model import cron
from tests.harness.examples import examples
from tests.unit.docker.schedule_host import FIRST, SHELLS, VIENNA, Host, at, until


def test_a_time_that_the_clock_leaves_out_in_spring_comes_as_soon_as_it_is_past(
    make_host: Callable[..., Host],
) -> None:
    host = make_host(commands=[FIRST])
    host.now = at("2027-03-28 01:59:50")
    host.start()
    host.looked()
    assert host.ended() == []
    host.now += 10
    assert host.over()["run"] == "20270328T010000Z"


def test_a_time_that_the_clock_shows_twice_in_autumn_is_run_once(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[FIRST])
    host.now = at("2026-10-25 02:30", fold=0)
    host.start()
    host.over()
    for text in ("2026-10-25 02:00", "2026-10-25 02:30", "2026-10-25 02:31", "2026-10-25 03:00"):
        host.now = at(text, fold=1)
        host.looked()
    host.end()
    host.now = at("2026-10-25 02:30", fold=1)
    host.start()
    host.looked()
    assert len(host.ended()) == 1
    host.now = at("2026-10-26 02:30")
    until(lambda: len(host.ended()) == 2, "the next day's run")


def test_a_line_for_every_hour_runs_in_both_of_them(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[FIRST], schedule="30 * * * *")
    host.now = at("2026-10-25 02:30", fold=0)
    host.start()
    first = host.over()["run"]
    host.now = at("2026-10-25 02:30", fold=1)
    assert host.over(first)["run"] == "20261025T013000Z"


def test_a_clock_that_is_set_back_repeats_nothing_and_leaves_nothing_out(
    make_host: Callable[..., Host],
) -> None:
    host = make_host(commands=[FIRST])
    host.now = at("2026-11-22 02:30")
    host.start()
    host.over()
    for text in ("2026-11-22 01:40", "2026-11-22 02:30", "2026-11-22 02:31"):
        host.now = at(text)
        host.looked()
    assert len(host.ended()) == 1
    host.now = at("2026-11-23 02:29")
    host.looked()
    host.now = at("2026-11-22 23:50")
    host.looked()
    host.now = at("2026-11-23 02:30")
    until(lambda: len(host.ended()) == 2, "the next day's run")


def test_a_clock_that_was_years_ahead_does_not_silence_the_schedule(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[FIRST])
    host.now = at("2036-01-01 02:30")
    host.start()
    wrong = host.over()["run"]
    host.now = at("2026-11-22 02:29")
    host.looked()
    host.now = at("2026-11-22 02:30")
    assert host.over(wrong)["run"] == "20261122T013000Z"
    host.looked()
    assert len(host.ended()) == 2


def test_a_run_that_was_missed_is_made_once_up_for_however_many_there_were(
    make_host: Callable[..., Host],
) -> None:
    host = make_host(commands=[FIRST])
    host.now = at("2026-11-22 02:30")
    host.start()
    host.over()
    host.end()
    host.now = at("2026-11-23 03:20")
    host.start()
    host.looked()
    assert len(host.ended()) == 1, "a run is not missed before an hour is over"
    host.end()
    host.now = at("2026-11-26 12:00")
    host.start()
    until(lambda: len(host.ended()) == 2, "the missed run")
    assert host.over("20261122T013000Z")["trigger"] == "catch-up"
    host.looked()
    assert len(host.ended()) == 2
    host.now += 3 * 86400
    until(lambda: len(host.ended()) == 3, "the run that a clock jumped over")


def test_a_new_deployment_waits_for_its_time(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[FIRST])
    host.start()
    host.looked()
    host.now += 12 * 3600
    host.looked()
    assert host.ended() == []


LINES = st.sampled_from(
    [
        "30 2 * * *",
        "*/20 * * * *",
        "5 4 1 * 0",
        "0 0 * 2 *",
        "0 6 * * 7",
        "59 23 31 12 *",
        "15 8,20 */2 * 1-5",
    ]
)


@given(
    line=LINES, zone=st.sampled_from([VIENNA, "Etc/UTC", "Asia/Kolkata", "America/St_Johns"]), data=st.data()
)
@settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_script_runs_in_exactly_the_minutes_that_the_line_means(
    tmp_path_factory: pytest.TempPathFactory, line: str, zone: str, data: st.DataObject
) -> None:
    moment = data.draw(st.datetimes(datetime.datetime(2026, 1, 1), datetime.datetime(2030, 1, 1)))  # noqa: DTZ001
    schedule = cron.parse(line)
    aware = moment.replace(tzinfo=datetime.UTC)
    if data.draw(st.booleans(), label="a minute that is meant"):
        days = (moment.date() + datetime.timedelta(days=number) for number in range(9 * 366))
        day = next(day for day in days if schedule.on(day))
        time = datetime.time(schedule.hours[0], schedule.minutes[0])
        aware = datetime.datetime.combine(day, time, ZoneInfo(zone))
    local = aware.astimezone(ZoneInfo(zone))
    meant = schedule.on(local.date()) and local.hour in schedule.hours and local.minute in schedule.minutes
    shell = data.draw(st.sampled_from(sorted(SHELLS)))
    host = Host(
        tmp_path_factory.mktemp("line") / "host",
        SHELLS[shell],
        commands=[FIRST],
        schedule=line,
        timezone=zone,
    )
    host.now = int(aware.timestamp())
    host.start()
    try:
        host.looked()
        assert bool(host.ended()) == meant
    finally:
        host.end()

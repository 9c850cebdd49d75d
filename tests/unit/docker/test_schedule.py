"""The script that has steps wait for their turn: order, failures, requests, kills, ends and health."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.docker.schedule_host import FIRST, NOTE, SECOND, Host, at, until


def running(marker: str) -> list[int]:
    """Processes with a text in their command line, this one and its like left out."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"\0{marker}\0" in (path / "cmdline").read_text(errors="replace"):
                found.append(int(path.name))
    return found


def seconds_of(marker: int) -> str:
    """A length of sleep that no other test has."""
    return f"{3000 + marker}.{os.getpid()}"


# Turns


def test_a_step_runs_when_its_minute_comes_and_once(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[f'[ "$KEPT" = "as it was" ] && {FIRST}'])
    host.now = at("2026-11-22 02:29:59")
    host.start()
    host.looked()
    assert host.ended() == []
    host.now += 1
    result = host.over()
    assert result == {
        "version": 1, "task": "backup", "run": "20261122T013000Z", "trigger": "schedule", "request": "-",
        "started": host.now, "finished": host.now, "result": "success", "step": "step-1", "exitCode": 0,
        "reason": "",
    }  # fmt: skip
    host.now += 59
    host.looked()
    assert host.ended() == [(1, "20261122T013000Z")]
    host.end()
    host.start()
    host.looked()
    assert len(host.ended()) == 1, "a container that is made anew in the same minute does not run it again"
    host.now = at("2026-11-23 02:30:30")
    until(lambda: len(host.ended()) == 2, "the next day's run")


def test_steps_run_in_order_with_one_id_each_once(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[f"sleep 0.5; {FIRST}", SECOND, NOTE.format(3)])
    host.start_all()
    host.now = at("2026-11-22 02:30:07")
    assert host.over()["result"] == "success"
    host.looked(3)
    assert [step for step, _ in host.ended()] == [1, 2, 3]
    assert {run for _, run in host.ended()} == {"20261122T013007Z"}


def test_a_step_that_fails_ends_the_run_and_the_next_run_is_whole(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[f'[ ! -e "$ROOT/bad" ] || exit 7; {FIRST}', SECOND])
    (host.root / "bad").touch()
    host.start_all()
    host.now = at("2026-11-22 02:30")
    failed = host.over()
    assert (failed["result"], failed["step"], failed["exitCode"], failed["reason"]) == (
        "failed", "step-1", 7, "step",
    )  # fmt: skip
    host.looked(2)
    assert host.ended() == []
    (host.root / "bad").unlink()
    host.now = at("2026-11-23 02:30")
    assert host.over(failed["run"])["result"] == "success"
    assert [step for step, _ in host.ended()] == [1, 2]


def test_the_last_step_failing_is_the_runs_failure(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[FIRST, "exit 3"])
    host.start_all()
    host.now = at("2026-11-22 02:30")
    result = host.over()
    assert (result["result"], result["step"], result["exitCode"]) == ("failed", "step-2", 3)


def test_a_step_does_not_begin_between_the_failure_before_it_and_the_end_of_the_run(
    make_host: Callable[..., Host],
) -> None:
    host = make_host(commands=[FIRST, SECOND])
    host.runs.mkdir(parents=True)
    (host.runs / "run").write_text(f"20261121T110000Z {host.now} 0 - request -\n")
    (host.runs / "step-1").write_text("20261121T110000Z 7 step\n")
    host.start(2)
    host.looked(2)
    assert host.ended() == []
    (host.runs / "step-1").write_text("20261121T110000Z 0 step\n")
    until(lambda: host.ended() == [(2, "20261121T110000Z")], "the second step after a success")


def test_a_request_is_a_run_of_its_own_and_its_text_comes_back(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[FIRST, SECOND])
    host.start_all()
    host.request("abc-1")
    result = host.over()
    assert (result["result"], result["trigger"], result["request"]) == ("success", "request", "abc-1")
    assert not (host.runs / "request").exists()
    host.looked()
    assert len(host.ended()) == 2
    host.now += 1
    host.request('a"b')
    assert host.over(result["run"])["request"] == "-", "what would spoil the file is left out"


def test_a_request_amid_a_run_comes_after_it(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[FIRST, f'until [ -e "$ROOT/go" ]; do sleep 0.05; done; {SECOND}'])
    host.start_all()
    host.request("one")
    until((host.runs / "begun-2").exists, "the second step runs")
    host.request("two")
    host.now = at("2026-11-22 02:30")
    until(lambda: "this one is left out" in host.log(), "the minute that came meanwhile is left out")
    assert host.result()["request"] == "one"
    (host.root / "go").touch()
    until(lambda: host.result()["request"] == "two" and host.result()["result"] == "success", "the second")
    assert [step for step, _ in host.ended()] == [1, 2, 1, 2]


# Ends


def test_a_run_that_takes_too_long_is_ended_with_all_that_it_started(make_host: Callable[..., Host]) -> None:
    deaf, asleep = seconds_of(1), seconds_of(2)
    command = f"trap '' TERM; dash -c 'sleep {deaf}; sleep {deaf}' & sleep {asleep}; {FIRST}"
    host = make_host(commands=[command, SECOND], deadline=1)
    host.start_all()
    host.request("long")
    until(lambda: running(deaf), "the step runs")
    result = host.over()
    assert (result["result"], result["step"], result["exitCode"], result["reason"]) == (
        "failed", "step-1", 124, "deadline",
    )  # fmt: skip
    assert running(deaf) == running(asleep) == []
    host.looked()
    assert host.ended() == []


def test_a_request_to_end_ends_the_step_first_and_is_the_runs_failure(make_host: Callable[..., Host]) -> None:
    asleep = seconds_of(3)
    host = make_host(commands=[f'trap "echo 1:gone >>$ROOT/ended; exit 1" TERM; sleep {asleep} & wait'])
    host.start()
    host.request("stopped")
    until(lambda: running(asleep), "the step runs")
    began = time.monotonic()
    assert host.end() == 0
    assert time.monotonic() - began < 5
    assert host.ended() == [(1, "gone")], "the step was asked, and could tidy up"
    assert running(asleep) == []
    result = host.result()
    assert (result["result"], result["exitCode"], result["reason"]) == ("failed", 143, "stopped")


def test_waiting_ends_at_once_when_asked(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[FIRST, SECOND])
    host.start_all()
    began = time.monotonic()
    assert (host.end(1), host.end(2)) == (0, 0)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("number", [1, 2])
def test_a_step_that_was_killed_failed_its_run_and_the_next_run_is_whole(
    make_host: Callable[..., Host], number: int
) -> None:
    hang = 'if [ -e "$ROOT/hang" ]; then sleep 3000; fi; '
    host = make_host(
        commands=[hang + FIRST if number == 1 else FIRST, hang + SECOND if number == 2 else SECOND]
    )
    (host.root / "hang").touch()
    host.start_all()
    host.request("killed")
    until((host.runs / f"begun-{number}").exists, "the step runs")
    time.sleep(0.2)
    host.kill(number)
    (host.root / "hang").unlink()
    host.now += 60
    before = len(host.ended())
    host.start(number)
    result = host.over()
    assert (result["result"], result["step"], result["reason"]) == ("failed", f"step-{number}", "interrupted")
    host.looked(1)
    host.looked(2)
    assert len(host.ended()) == before, "nothing of that run is done any more"
    host.request("again")
    again = host.over(result["run"])
    assert (again["result"], again["request"]) == ("success", "again")
    assert [one for one in host.ended() if one[1] == again["run"]] == [(1, again["run"]), (2, again["run"])]


def test_a_run_goes_on_when_a_step_that_waited_was_killed(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[f'until [ -e "$ROOT/go" ]; do sleep 0.05; done; {FIRST}', SECOND])
    host.start_all()
    host.request("go-on")
    until((host.runs / "begun-1").exists, "the first step runs")
    host.kill(2)
    (host.root / "go").touch()
    until(lambda: len(host.ended()) == 1, "the first step has ended")
    host.start(2)
    assert host.over()["result"] == "success"


def test_a_run_whose_next_step_is_gone_for_good_fails_by_its_name(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[FIRST, SECOND], deadline=-66)
    host.start(1)
    host.request("alone")
    result = host.over()
    assert (result["result"], result["step"], result["reason"]) == ("failed", "step-2", "deadline")


# Health


def test_health_is_that_the_clock_was_looked_at(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=[FIRST])
    host.start()

    def healthy() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            host.arguments(1, "healthy"), env=host.environment(), capture_output=True, text=True, check=False
        )

    assert healthy().returncode == 0
    host.end()
    assert healthy().returncode == 1
    (host.root / "scratch-1" / "beat").write_text("1\n")
    found = healthy()
    assert found.returncode == 1
    assert "was not looked at for 120 s" in found.stdout


def test_a_step_that_works_long_is_healthy_meanwhile(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=["sleep 3000"])
    host.start()
    host.request("long")
    until((host.runs / "begun-1").exists, "the step runs")
    host.looked()


def test_an_image_without_the_time_zone_says_so_and_does_not_run_at_another_time(
    make_host: Callable[..., Host],
) -> None:
    host = make_host(commands=[FIRST])
    found = subprocess.run(
        host.arguments(1, "run"),
        env={**host.environment(), "TZDIR": str(host.root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert found.returncode == 1
    assert "does not know the time zone Europe/Vienna" in found.stderr


# Once


def once(host: Host, number: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        host.arguments(number, "once"), env=host.environment(), capture_output=True, text=True, check=False,
        timeout=30,
    )  # fmt: skip


def test_steps_without_a_schedule_are_one_run_and_have_their_commands_exit_codes(
    make_host: Callable[..., Host],
) -> None:
    host = make_host(commands=[FIRST, f'[ ! -e "$ROOT/bad" ] || exit 9; {SECOND}'], schedule=None)
    (host.root / "bad").touch()
    assert once(host, 1).returncode == 0
    assert host.result()["result"] == "running"
    host.now += 5
    assert once(host, 2).returncode == 9
    failed = host.result()
    assert (failed["result"], failed["step"], failed["exitCode"], failed["trigger"]) == (
        "failed", "step-2", 9, "once",
    )  # fmt: skip
    (host.root / "bad").unlink()
    host.now += 5
    assert once(host, 2).returncode == 0
    again = host.result()
    assert again["result"] == "success"
    assert again["run"] != failed["run"], "a step that is run again is a run of its own"
    assert [step for step, _ in host.ended()] == [1, 2]


def test_a_step_without_a_schedule_is_ended_when_it_takes_too_long(make_host: Callable[..., Host]) -> None:
    host = make_host(commands=["sleep 3000"], schedule=None, deadline=1)
    assert once(host, 1).returncode == 124
    assert host.result()["reason"] == "deadline"

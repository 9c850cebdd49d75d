"""The script that has steps wait for their turn, as processes of each shell that images have, with a test's clock."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components import cron
from components.platform.docker import tasks
from components.task import Task
from tests.unit.docker.parts import workload

SHELLS = {"dash": ["dash"], "bash": ["bash"], "busybox": ["busybox", "sh"]}
VIENNA = "Europe/Vienna"
_DATE = """#!/bin/sh
case "$*" in *-d*) exec /bin/date "$@" ;; esac
exec /bin/date -d "@$(cat "$CLOCK")" "$@"
"""


def at(text: str, zone: str = VIENNA, fold: int = 0) -> int:
    """Seconds since 1970 of a time of the clock there."""
    return int(datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp())


def until(ask: Callable[[], Any], what: str, seconds: float = 15) -> Any:
    """Until there is an answer."""
    deadline = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < deadline, f"still not: {what}"
        time.sleep(0.01)
    return found


@dataclass
class Host:
    """A folder that stands for the backup volume, a clock, and the processes of steps."""

    root: Path
    shell: Sequence[str]
    commands: Sequence[str] = ("true",)
    """What each step runs, by a shell; `$ROOT` is the folder."""
    schedule: str | None = "30 2 * * *"
    timezone: str = VIENNA
    deadline: int = 3600
    grace: int = 6
    running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict[int, "subprocess.Popen[bytes]"])

    def __post_init__(self) -> None:
        (self.root / "bin").mkdir(parents=True)
        date = self.root / "bin" / "date"
        date.write_text(_DATE)
        date.chmod(0o755)
        self.now = at("2026-11-21 12:00")

    @property
    def now(self) -> int:
        """The time, in seconds since 1970: stands still unless it is set."""
        return int((self.root / "clock").read_text())

    @now.setter
    def now(self, value: int) -> None:
        (self.root / "clock.new").write_text(str(value))
        (self.root / "clock.new").rename(self.root / "clock")

    @property
    def task(self) -> Task:
        steps = [
            workload(name=f"step-{number}", command=("sh",), termination_grace=self.grace)
            for number in range(1, len(self.commands) + 1)
        ]
        return Task(
            name="backup",
            steps=tuple(steps),
            schedule=self.schedule,
            timezone=self.timezone,
            deadline=self.deadline,
        )

    @property
    def runs(self) -> Path:
        return self.root / "runs" / "backup"

    def arguments(self, number: int, mode: str) -> list[str]:
        scratch = self.root / f"scratch-{number}"
        scratch.mkdir(exist_ok=True)
        text = tasks.script(self.task, number, root=str(self.root), scratch=str(scratch), pause=0.05)
        script = self.root / f"step-{number}.sh"
        script.write_text(text)
        tail = ["dash", "-c", self.commands[number - 1]] if mode != "healthy" else []
        return [*self.shell, str(script), mode, *tail]

    def environment(self) -> dict[str, str]:
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        return {"PATH": path, "CLOCK": str(self.root / "clock"), "ROOT": str(self.root), "KEPT": "as it was"}

    def start(self, number: int = 1) -> subprocess.Popen[bytes]:
        """A step's container, until it looks at the clock."""
        log = (self.root / f"log-{number}").open("ab")
        with log:
            self.running[number] = subprocess.Popen(
                self.arguments(number, "run"), env=self.environment(), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        until((self.root / f"scratch-{number}" / "beat").exists, "the first look")
        return self.running[number]

    def start_all(self) -> None:
        for number in range(1, len(self.commands) + 1):
            self.start(number)

    def looked(self, number: int = 1) -> None:
        """Until the step has looked at the clock, whole, after this call."""
        beat = self.root / f"scratch-{number}" / "beat"
        for _ in range(3):
            before = beat.stat().st_mtime_ns
            until(lambda b=before: beat.stat().st_mtime_ns != b, f"step {number} looks at the clock")

    def kill(self, number: int = 1) -> None:
        """As a machine that loses its power: nothing of the container is told."""
        os.killpg(self.running[number].pid, signal.SIGKILL)
        self.running.pop(number).wait()
        (self.root / f"scratch-{number}" / "beat").unlink()

    def end(self, number: int = 1) -> int:
        """As `docker stop`; its exit code."""
        process = self.running.pop(number)
        process.terminate()
        code = process.wait(20)
        (self.root / f"scratch-{number}" / "beat").unlink()
        return code

    def ended(self) -> list[tuple[int, str]]:
        """Step and run of each command that came to its `echo`."""
        path = self.root / "ended"
        lines = path.read_text().split() if path.exists() else []
        return [(int(line.partition(":")[0]), line.partition(":")[2]) for line in lines]

    def result(self) -> dict[str, Any]:
        path = self.runs / "result.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def over(self, run: str | None = None) -> dict[str, Any]:
        """The result of a run that has ended, another than `run`."""

        def found() -> dict[str, Any] | None:
            result = self.result()
            done = bool(result) and result["result"] != "running" and result["run"] != run
            return result if done and (self.runs / "ended").exists() else None

        result = until(found, "a run has ended")
        until(lambda: (self.runs / "ended").read_text().strip() == result["run"], "its end is noted")
        self.looked()
        return result

    def request(self, token: str) -> None:
        (self.runs / "request").write_text(f"{token}\n")

    def log(self, number: int = 1) -> str:
        return (self.root / f"log-{number}").read_text()


NOTE = 'echo "{}:$RUN_ID" >>"$ROOT/ended"'
"""What a command does that succeeds."""
FIRST, SECOND = NOTE.format(1), NOTE.format(2)


@pytest.fixture(params=SHELLS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """`make(commands=..., schedule=...)`."""
    shell = SHELLS[request.param]
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    made: list[Host] = []

    def create(**more: Any) -> Host:
        made.append(Host(tmp_path / str(len(made)), shell, **more))
        return made[-1]

    yield create
    for host in made:
        for process in host.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


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


def test_a_step_runs_when_its_minute_comes_and_once(make: Callable[..., Host]) -> None:
    host = make(commands=[f'[ "$KEPT" = "as it was" ] && {FIRST}'])
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


def test_steps_run_in_order_with_one_id_each_once(make: Callable[..., Host]) -> None:
    host = make(commands=[f"sleep 0.5; {FIRST}", SECOND, NOTE.format(3)])
    host.start_all()
    host.now = at("2026-11-22 02:30:07")
    assert host.over()["result"] == "success"
    host.looked(3)
    assert [step for step, _ in host.ended()] == [1, 2, 3]
    assert {run for _, run in host.ended()} == {"20261122T013007Z"}


def test_a_step_that_fails_ends_the_run_and_the_next_run_is_whole(make: Callable[..., Host]) -> None:
    host = make(commands=[f'[ ! -e "$ROOT/bad" ] || exit 7; {FIRST}', SECOND])
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


def test_the_last_step_failing_is_the_runs_failure(make: Callable[..., Host]) -> None:
    host = make(commands=[FIRST, "exit 3"])
    host.start_all()
    host.now = at("2026-11-22 02:30")
    result = host.over()
    assert (result["result"], result["step"], result["exitCode"]) == ("failed", "step-2", 3)


def test_a_step_does_not_begin_between_the_failure_before_it_and_the_end_of_the_run(
    make: Callable[..., Host],
) -> None:
    host = make(commands=[FIRST, SECOND])
    host.runs.mkdir(parents=True)
    (host.runs / "run").write_text(f"20261121T110000Z {host.now} 0 - request -\n")
    (host.runs / "step-1").write_text("20261121T110000Z 7 step\n")
    host.start(2)
    host.looked(2)
    assert host.ended() == []
    (host.runs / "step-1").write_text("20261121T110000Z 0 step\n")
    until(lambda: host.ended() == [(2, "20261121T110000Z")], "the second step after a success")


def test_a_request_is_a_run_of_its_own_and_its_text_comes_back(make: Callable[..., Host]) -> None:
    host = make(commands=[FIRST, SECOND])
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


def test_a_request_amid_a_run_comes_after_it(make: Callable[..., Host]) -> None:
    host = make(commands=[FIRST, f'until [ -e "$ROOT/go" ]; do sleep 0.05; done; {SECOND}'])
    host.start_all()
    host.request("one")
    until((host.runs / "begun-2").exists, "the second step runs")
    host.request("two")
    host.now = at("2026-11-22 02:30")
    host.looked()
    assert host.result()["request"] == "one"
    assert "this one is left out" in host.log(), "the minute that came meanwhile"
    (host.root / "go").touch()
    until(lambda: host.result()["request"] == "two" and host.result()["result"] == "success", "the second")
    assert [step for step, _ in host.ended()] == [1, 2, 1, 2]


# Clocks


def test_a_time_that_the_clock_leaves_out_in_spring_comes_as_soon_as_it_is_past(
    make: Callable[..., Host],
) -> None:
    host = make(commands=[FIRST])
    host.now = at("2027-03-28 01:59:50")
    host.start()
    host.looked()
    assert host.ended() == []
    host.now += 10
    assert host.over()["run"] == "20270328T010000Z"


def test_a_time_that_the_clock_shows_twice_in_autumn_is_run_once(make: Callable[..., Host]) -> None:
    host = make(commands=[FIRST])
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


def test_a_line_for_every_hour_runs_in_both_of_them(make: Callable[..., Host]) -> None:
    host = make(commands=[FIRST], schedule="30 * * * *")
    host.now = at("2026-10-25 02:30", fold=0)
    host.start()
    first = host.over()["run"]
    host.now = at("2026-10-25 02:30", fold=1)
    assert host.over(first)["run"] == "20261025T013000Z"


def test_a_clock_that_is_set_back_repeats_nothing_and_leaves_nothing_out(make: Callable[..., Host]) -> None:
    host = make(commands=[FIRST])
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


def test_a_clock_that_was_years_ahead_does_not_silence_the_schedule(make: Callable[..., Host]) -> None:
    host = make(commands=[FIRST])
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
    make: Callable[..., Host],
) -> None:
    host = make(commands=[FIRST])
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


def test_a_new_deployment_waits_for_its_time(make: Callable[..., Host]) -> None:
    host = make(commands=[FIRST])
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
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_script_runs_in_exactly_the_minutes_that_the_line_means(
    tmp_path_factory: pytest.TempPathFactory, line: str, zone: str, data: st.DataObject
) -> None:
    moment = data.draw(st.datetimes(datetime.datetime(2026, 1, 1), datetime.datetime(2030, 1, 1)))  # noqa: DTZ001
    schedule = cron.parse(line)
    aware = moment.replace(tzinfo=datetime.UTC)
    if data.draw(st.booleans(), label="a minute that is meant"):
        aware = schedule.next_after(aware, zone)
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


# Ends


def test_a_run_that_takes_too_long_is_ended_with_all_that_it_started(make: Callable[..., Host]) -> None:
    deaf, asleep = seconds_of(1), seconds_of(2)
    command = f"trap '' TERM; dash -c 'sleep {deaf}; sleep {deaf}' & sleep {asleep}; {FIRST}"
    host = make(commands=[command, SECOND], deadline=1)
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


def test_a_request_to_end_ends_the_step_first_and_is_the_runs_failure(make: Callable[..., Host]) -> None:
    asleep = seconds_of(3)
    host = make(commands=[f'trap "echo 1:gone >>$ROOT/ended; exit 1" TERM; sleep {asleep} & wait'])
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


def test_waiting_ends_at_once_when_asked(make: Callable[..., Host]) -> None:
    host = make(commands=[FIRST, SECOND])
    host.start_all()
    began = time.monotonic()
    assert (host.end(1), host.end(2)) == (0, 0)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("number", [1, 2])
def test_a_step_that_was_killed_failed_its_run_and_the_next_run_is_whole(
    make: Callable[..., Host], number: int
) -> None:
    hang = 'if [ -e "$ROOT/hang" ]; then sleep 3000; fi; '
    host = make(commands=[hang + FIRST if number == 1 else FIRST, hang + SECOND if number == 2 else SECOND])
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


def test_a_run_goes_on_when_a_step_that_waited_was_killed(make: Callable[..., Host]) -> None:
    host = make(commands=[f'until [ -e "$ROOT/go" ]; do sleep 0.05; done; {FIRST}', SECOND])
    host.start_all()
    host.request("go-on")
    until((host.runs / "begun-1").exists, "the first step runs")
    host.kill(2)
    (host.root / "go").touch()
    until(lambda: len(host.ended()) == 1, "the first step has ended")
    host.start(2)
    assert host.over()["result"] == "success"


def test_a_run_whose_next_step_is_gone_for_good_fails_by_its_name(make: Callable[..., Host]) -> None:
    host = make(commands=[FIRST, SECOND], deadline=-66)
    host.start(1)
    host.request("alone")
    result = host.over()
    assert (result["result"], result["step"], result["reason"]) == ("failed", "step-2", "deadline")


# Health


def test_health_is_that_the_clock_was_looked_at(make: Callable[..., Host]) -> None:
    host = make(commands=[FIRST])
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


def test_a_step_that_works_long_is_healthy_meanwhile(make: Callable[..., Host]) -> None:
    host = make(commands=["sleep 3000"])
    host.start()
    host.request("long")
    until((host.runs / "begun-1").exists, "the step runs")
    host.looked()


def test_an_image_without_the_time_zone_says_so_and_does_not_run_at_another_time(
    make: Callable[..., Host],
) -> None:
    host = make(commands=[FIRST])
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
    make: Callable[..., Host],
) -> None:
    host = make(commands=[FIRST, f'[ ! -e "$ROOT/bad" ] || exit 9; {SECOND}'], schedule=None)
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


def test_a_step_without_a_schedule_is_ended_when_it_takes_too_long(make: Callable[..., Host]) -> None:
    host = make(commands=["sleep 3000"], schedule=None, deadline=1)
    assert once(host, 1).returncode == 124
    assert host.result()["reason"] == "deadline"

"""`make status`: what it reads and how it tells it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from tests.unit.verify.parts import NOW, WORKLOADS, Recorded, target, unit
from toolchain.status import __main__ as command
from toolchain.status.queues import LISTS, QUEUES, SETS, backlog, parse, waiting
from toolchain.status.report import gather
from toolchain.status.text import text
from toolchain.status.volumes import parse as parse_df
from toolchain.status.volumes import paths
from toolchain.verify.running import RunningError

STATES = (*LISTS, *SETS)
DF = """Filesystem     1024-blocks      Used Available Capacity Mounted on
/dev/sda1        102400000  92160000  10240000      90% /data
"""


def answers(**busy: dict[str, int]) -> str:
    return "".join(f"{busy.get(queue, {}).get(state, 0)}\n" for queue in QUEUES for state in STATES)


def commands(workload: str, command: Sequence[str]) -> tuple[int, str]:
    if command[0] == "df":
        return 0, DF
    if command[0] == "bash":
        assert workload == "server"
        return 0, "1500000 /data/upload/a/half one.mp4\n500000 /data/upload/b/c.jpg\n"
    assert workload == "cache"
    return 0, answers(smartSearch={"wait": 120, "active": 2, "prioritized": 3}, library={"delayed": 4})


def test_lists_and_sorted_sets_are_counted_each_in_its_way() -> None:
    running = Recorded(commands=commands)
    found = backlog(running, unit("cache"))
    assert (waiting(found["smartSearch"]), found["smartSearch"]["active"], found["library"]["delayed"]) == (
        123,
        2,
        4,
    )
    ((_, command),) = running.ran
    script = command[2]
    assert script.index("LLEN") < script.index("$1") or "LLEN" in script
    assert (command[4], command[6]) == ("wait active paused", "prioritized delayed")


def test_the_password_is_on_no_command_line() -> None:
    running = Recorded(commands=commands)
    backlog(running, unit("cache"))
    ((_, command),) = running.ran
    assert not any(word in {"-a", "--pass"} for word in command)
    assert 'REDISCLI_AUTH="$(cat /run/secrets/cache/password)"' in command[2]


@pytest.mark.parametrize("output", ["", "NOAUTH Authentication required.\n" * 114, "0\n" * 7])
def test_an_answer_that_is_none_is_told(output: str) -> None:
    with pytest.raises(RunningError, match="valkey-cli answered"):
        parse(output)


def test_fill_is_read_folder_by_folder_and_a_folder_that_is_gone_does_not_shift_it() -> None:
    row = "/dev/sdb1 1000 500 500 50% /mnt/b\n"
    output = (
        "df: /mnt/a: No such file or directory\nFilesystem 1024-blocks Used Available Capacity Mounted on\n"
        + row
    )
    (found,) = parse_df("server", ["/mnt/a", "/mnt/b"], output)
    assert (found.path, found.size, found.percent, found.full) == ("/mnt/b", 1_024_000, 50, False)


def test_everything_is_gathered_and_told() -> None:
    running = Recorded(
        [unit(name, **({"health": "unhealthy"} if name == "proxy" else {})) for name in WORKLOADS],
        commands=commands,
        states={"dump": {"result": "failed", "message": "the target is full", "lastSuccess": NOW - 7200}},
    )
    report = gather(target(running, backup={}))
    told = json.loads(json.dumps(report.data()))
    assert told["queues"]["smartSearch"]["wait"] == 120
    assert {(one["workload"], one["percent"], one["full"]) for one in told["volumes"]} >= {
        ("server", 90, True)
    }
    assert told["fragments"] == {"files": 2, "bytes": 2_000_000, "first": "/data/upload/a/half one.mp4"}
    assert told["backups"]["dump"]["result"] == "failed"
    assert told["components"][0]["version"] == "v3.3.1"
    shown = text(report)
    lines = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert "unhealthy  !" in lines["immich-unit-proxy"]
    assert lines["smartSearch"].split()[1:] == ["123", "2"]
    assert "2 h ago" in lines["dump"]
    assert "the target is full" in lines["dump"]
    assert "90 %  !" in shown
    assert (
        "cut off: 2 files, 2.0 MB, unknown to the database, such as /data/upload/a/half one.mp4  !" in shown
    )


def test_a_second_look_searches_no_files() -> None:
    first = gather(target(Recorded(commands=commands)))
    running = Recorded(commands=commands)
    assert gather(target(running), first).fragments == first.fragments
    assert "server" not in {workload for workload, command in running.ran if command[0] == "bash"}


def test_disks_of_backups_are_volumes_too() -> None:
    disk = {"name": "disk", "kind": "local", "source": {"kind": "volume"}}
    assert paths(target(Recorded(), backup={"targets": [disk]}).settings)["backup-copy"] == ["/targets/disk"]
    assert "backup-copy" not in paths(target(Recorded(), backup={"targets": []}).settings)


def test_what_cannot_be_asked_is_said_and_the_rest_is_told() -> None:
    report = gather(target(Recorded()))
    assert report.queues is None
    assert "no command can be run here" in report.problems
    shown = text(report)
    assert "immich-unit-server" in shown
    assert "could not be asked" in shown


def test_a_stack_that_is_not_up_is_one_sentence() -> None:
    assert "make up STACK=unit" in text(gather(target(Recorded([]))))


def test_copies_and_losses_are_told_with_the_ages_of_the_last_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    states = {"dump": {"verdict": "ok", "result": "success", "lastSuccess": NOW - 7200}}
    found = target(Recorded(states=states), backup={})
    monkeypatch.setattr(command, "open_target", lambda *_: found)
    monkeypatch.setattr("sys.argv", ["status", "unit", "--copies"])
    assert command.main() == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["dumps", "database", "immich-unit-backup", "2", "h", "no"] in rows
    assert any(row[:3] == ["host", "everything", "never"] for row in rows)
    monkeypatch.setattr("sys.argv", ["status", "unit", "--copies", "--json"])
    assert command.main() == 0
    assert {"copies", "recovery", "rule321"} <= json.loads(capsys.readouterr().out).keys()

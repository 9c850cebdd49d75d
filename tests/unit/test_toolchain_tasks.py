"""The command for tasks: what it says of the last runs, and what it says to those who call it wrongly."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pytest

from toolchain import tasks
from toolchain.failure import ToolchainError

NOW = 1_795_226_400.0
FOUND: Mapping[str, Mapping[str, Any]] = {
    "dump": {"result": "success", "lastSuccess": NOW - 600, "verdict": "ok", "message": "410 MiB in 40 s"},
    "copy-nas": {"result": "failed", "lastSuccess": NOW - 3 * 86400, "message": "the disk of nas is full"},
    "drill": {"result": "failed", "lastSuccess": 0, "verdict": "stale-backup"},
    "run-backup": {"result": "success", "finished": NOW - 5 * 3600, "reason": ""},
}


def test_each_part_is_a_line_with_its_age_and_what_it_says() -> None:
    lines = [line.split(maxsplit=1) for line in tasks.table(FOUND, NOW).splitlines()]
    assert [name for name, _ in lines] == ["part", "copy-nas", "drill", "dump", "run-backup"]
    told = {name: " ".join(rest.split()) for name, rest in lines}
    assert told["dump"] == "success 10 min ago 410 MiB in 40 s"
    assert told["copy-nas"] == "failed 3 d ago the disk of nas is full"
    assert told["drill"] == "failed never stale-backup"
    assert told["run-backup"] == "success 5 h ago"


@pytest.mark.parametrize(("failing", "code"), [(True, 1), (False, 0)])
def test_the_exit_code_says_whether_a_last_run_failed(
    monkeypatch: pytest.MonkeyPatch, failing: bool, code: int
) -> None:
    found = {name: status for name, status in FOUND.items() if failing or status["result"] == "success"}
    monkeypatch.setattr(tasks, "read_status", lambda _: found)
    monkeypatch.setattr(sys, "argv", ["tasks", "status", "home"])
    assert tasks.main() == code


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "usage"),
        (["run", "home"], "usage"),
        (["run", "nowhere", "backup"], "There is no stack 'nowhere'"),
    ],
)
def test_a_wrong_call_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["tasks", *arguments])
    with pytest.raises(ToolchainError, match=reason):
        tasks.main()


def test_a_stack_without_a_run_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: dict[str, dict[str, object]] = {}
    monkeypatch.setattr(tasks, "read_status", lambda _: nothing)
    monkeypatch.setattr(sys, "argv", ["tasks", "status", "home"])
    with pytest.raises(ToolchainError, match="no task of home has run yet"):
        tasks.main()

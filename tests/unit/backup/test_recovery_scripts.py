"""Scripts of restores and drills: what they are made of, and what is refused before there is a script."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from components.backup.plan import Plan, Repository
from components.backup.restore_plan import DrillPlan, RestoreChoice
from components.backup.restore_scripts import (
    drill_database_script,
    drill_fetch_script,
    drill_files_script,
    restore_database_script,
    restore_files_script,
    restore_one_script,
)
from components.database.client import DatabaseAccess

PLAN = Plan(
    stack="prod",
    immich_version="3.3.1",
    database=DatabaseAccess(host="immich-database", port=5432, name="immich", user="immich"),
    postgres=18,
    repositories=(
        Repository(name="disk", url="/targets/disk"),
        Repository(
            name="cloud",
            url="s3:https://user:word@s3.example/b",
            credentials={"AWS_ACCESS_KEY_ID": "/run/key"},
        ),
    ),
)
SCRIPTS: dict[str, tuple[str, Callable[[Plan], str]]] = {
    "restore-files": ("sh", lambda plan: restore_files_script(plan, RestoreChoice())),
    "restore-files-alone": ("sh", lambda plan: restore_files_script(plan, RestoreChoice(what="files"))),
    "restore-database-alone": ("sh", lambda plan: restore_files_script(plan, RestoreChoice(what="database"))),
    "restore-time": ("sh", lambda plan: restore_files_script(plan, RestoreChoice(from_="2026-11-21"))),
    "restore-snapshot": ("sh", lambda plan: restore_files_script(plan, RestoreChoice(from_="0123abcd"))),
    "restore-database": ("bash", lambda plan: restore_database_script(plan, RestoreChoice())),
    "restore-no-database": ("bash", lambda plan: restore_database_script(plan, RestoreChoice(what="files"))),
    "restore-one": ("sh", restore_one_script),
    "drill-fetch": ("sh", lambda plan: drill_fetch_script(plan, DrillPlan())),
    "drill-database": ("bash", lambda plan: drill_database_script(plan, DrillPlan(sample=None))),
    "drill-files": ("sh", lambda plan: drill_files_script(plan, DrillPlan())),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_is_one_that_its_shell_can_read(name: str) -> None:
    shell, script = SCRIPTS[name]
    shells = (
        ["bash"] if shell == "bash" else [each for each in ("dash", "bash", "busybox") if shutil.which(each)]
    )
    assert shells
    for each in shells:
        command = ["busybox", "sh", "-n"] if each == "busybox" else [each, "-n"]
        done = subprocess.run(command, input=script(PLAN), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert not done.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_has_a_secret_or_leaves_a_template_behind(name: str) -> None:
    text = SCRIPTS[name][1](PLAN)
    assert text.startswith(f"#!/bin/{SCRIPTS[name][0]}\n")
    assert "user:word" not in re.sub(r"export RESTIC_REPOSITORY=.*", "", text)
    assert not re.search(r"\{[%{#]|[%}]\}", text.replace("{#", "").replace("${", "$").replace("}}", ""))


@pytest.mark.parametrize("name", SCRIPTS)
def test_words_of_a_plan_are_words_of_the_script_whatever_they_are(name: str) -> None:
    # Would make the file where it ran.
    odd = "/mnt/it's $(touch /tmp/never) `x`; * [a]"
    text = SCRIPTS[name][1](replace(PLAN, folders=(*PLAN.folders, odd), media="/data"))
    shell = "bash" if SCRIPTS[name][0] == "bash" else "sh"
    done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert " $(touch" not in text.replace("it'\"'\"'s $(touch", "").replace("it'\"'\"''\"'\"'s $(touch", "")


@pytest.mark.parametrize("from_", ["latest", "0123abcd", "a" * 64, "2026-11-21", "2026-11-21T10:00:00Z"])
def test_a_choice_is_latest_a_snapshot_or_a_time(from_: str) -> None:
    choice = RestoreChoice(from_=from_)
    assert [choice.snapshot is not None, choice.before is not None] == [
        re.fullmatch("[0-9a-f]{8,}", from_) is not None,
        "-" in from_,
    ]


@pytest.mark.parametrize(
    ("given", "utc"),
    [
        ("2026-11-21", "2026-11-21T23:59:59Z"),
        ("2026-11-21T10:00:00", "2026-11-21T10:00:00Z"),
        ("2026-11-21T10:00:00+02:00", "2026-11-21T08:00:00Z"),
        ("2026-11-21 00:30:00+01:00", "2026-11-20T23:30:00Z"),
        ("2026-11-21T10:00:00.5Z", "2026-11-21T10:00:00Z"),
    ],
)
def test_a_time_is_compared_in_utc(given: str, utc: str) -> None:
    assert RestoreChoice(from_=given).before == utc


@pytest.mark.parametrize("from_", ["", "newest", "0123", "xyz12345", "2026-13-01", "yesterday", "$(id)"])
def test_any_other_choice_is_refused(from_: str) -> None:
    with pytest.raises(ValueError, match="give latest, a snapshot"):
        RestoreChoice(from_=from_)


@pytest.mark.parametrize(
    "values",
    [
        {"sample": 0},
        {"max_age_hours": 0},
        {"tolerance": -1},
        {"grace": -1},
        {"batch_bytes": 0},
        {"batch_files": 0},
        {"batch_files": 1001},
        {"sockets": "/" + "a" * 80},
        {"target": "A B"},
    ],
)
def test_a_drill_out_of_range_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"or more|at most 80|give the name"):
        DrillPlan(**values)


@pytest.mark.parametrize(
    ("drill", "said"),
    [
        ({"scratch": "/backup"}, "emptied by drills"),
        ({"scratch": "/data"}, "emptied by drills"),
        ({"scratch": "/"}, "emptied by drills"),
        ({"sockets": "/tmp"}, "emptied by drills"),
        ({"scratch": "/backup/drill/"}, "absolute path"),
        ({"target": "nas"}, "give one of disk, cloud"),
    ],
)
def test_a_drill_never_empties_a_folder_that_is_not_its_own(drill: dict[str, Any], said: str) -> None:
    for script in (drill_fetch_script, drill_database_script, drill_files_script):
        with pytest.raises(ValueError, match=said):
            script(PLAN, DrillPlan(**drill))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"repositories": ()}, "no target"),
        ({"folders": ("/data/up\nload",)}, "absolute path"),
        ({"folders": ("upload",)}, "absolute path"),
        ({"media": "/da\\ta"}, "absolute path"),
        ({"root": '/back"up'}, "absolute path"),
    ],
)
def test_a_plan_that_no_script_can_be_made_of_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        restore_files_script(replace(PLAN, **changes), RestoreChoice())


def test_the_first_target_is_taken_where_none_is_named_and_another_is_another_restore() -> None:
    first = restore_files_script(PLAN, RestoreChoice())
    assert "key='both latest disk'" in first
    assert "open_target disk" in first
    cloud = restore_files_script(PLAN, RestoreChoice(target="cloud"))
    assert "key='both latest cloud'" in cloud
    with pytest.raises(ValueError, match="give one of disk, cloud"):
        restore_files_script(PLAN, RestoreChoice(target="nas"))


def test_the_live_database_is_only_read_by_a_drill() -> None:
    text = drill_database_script(PLAN, DrillPlan())
    assert "default_transaction_read_only=on" in text
    live = text[text.index("compare() {") :]
    statements = re.findall(r"(?<!throw_away drill )(?<!throw_away postgres )\bquery ['\"](\w+)", live)
    assert statements
    assert set(statements) <= {"SELECT", "COPY"}

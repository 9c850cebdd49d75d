"""The text of the scripts: what a plan becomes in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.backup.plan import Keep, Plan, Repository
from components.backup.scripts import copy_script, dump_script, shown_url
from components.database.client import DatabaseAccess
from tests.harness.examples import examples

PLAN = Plan(
    stack="prod",
    immich_version="3.3.1",
    database=DatabaseAccess(host="immich-database", port=5432, name="immich", user="immich"),
    postgres=18,
    repositories=(
        Repository(name="disk", url="/targets/disk"),
        Repository(
            name="far",
            url="s3:https://s3.example.com/bucket/files",
            credentials={
                "AWS_ACCESS_KEY_ID": "/run/secrets/backup/access-key-id",
                "AWS_SECRET_ACCESS_KEY": "/run/secrets/backup/secret-access-key",
            },
        ),
    ),
)
SCRIPTS = pytest.mark.parametrize("script", [dump_script, copy_script])


def shell_accepts(text: str, *shell: str) -> bool:
    """Whether a shell reads the script to its end."""
    return subprocess.run([*shell, "-n"], input=text, text=True, check=False).returncode == 0


@SCRIPTS
def test_scripts_are_for_the_shells_of_their_images(script: Callable[[Plan], str]) -> None:
    text = script(PLAN)
    assert text.startswith("#!/bin/bash\n" if script is dump_script else "#!/bin/sh\n")
    assert shell_accepts(text, "bash")
    if script is copy_script and shutil.which("busybox"):
        assert shell_accepts(text, "busybox", "sh")


@settings(max_examples=examples(25), deadline=None)
@given(
    word=st.text(
        st.characters(blacklist_characters="\0\r\n", blacklist_categories=["Cs"]), min_size=1, max_size=30
    )
)
def test_any_name_in_a_plan_stays_one_word(word: str) -> None:
    path = f"/data/{word}"
    plan = replace(
        PLAN,
        folders=(path,),
        database=replace(PLAN.database, user=word, name=word),
        repositories=(Repository(name="disk", url=path, credentials={"A_KEY": path}),),
    )
    assert shell_accepts(dump_script(plan), "bash")
    assert shell_accepts(copy_script(plan), "sh")
    assert value_of(copy_script(plan), "RESTIC_REPOSITORY") == path
    assert value_of(dump_script(plan), "PGUSER") == word


def value_of(text: str, variable: str) -> str:
    """What the shell takes a variable for in the one line that exports it."""
    (line,) = (line for line in text.split("\n") if re.match(rf"\s*export (\w+=\S+ )*{variable}=", line))
    command = f'{line}\nprintf %s "${variable}"'
    return subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout.decode()


@SCRIPTS
@pytest.mark.parametrize(
    "changes",
    [
        {"stack": "prod; rm -rf /"},
        {"stack": "a,b"},
        {"immich_version": "3.3.1/../../x"},
        {"immich_version": ""},
        {"check_subset": "5% --no-lock"},
        {"repositories": (Repository(name="a b", url="/x"),)},
        {"repositories": (Repository(name="a", url="/x"), Repository(name="a", url="/y"))},
        {"repositories": (Repository(name="a", url="/x", credentials={"PATH=/x;": "/y"}),)},
    ],
    ids=str,
)
def test_names_that_would_be_more_than_words_are_refused(
    script: Callable[[Plan], str], changes: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"give|is no environment variable"):
        script(replace(PLAN, **changes))


def test_every_repository_has_its_copy_and_its_check() -> None:
    text = copy_script(PLAN)
    assert re.findall(r"^copy (\S+) \|\|", text, re.MULTILINE) == ["disk", "far"]
    assert re.findall(r"check (\S+) \|\| failed", text) == ["disk", "far"]
    # Keys of one store are not told to another.
    assert "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY RESTIC_PASSWORD" in text


def test_retention_limits_and_check_are_the_plans() -> None:
    plan = replace(
        PLAN,
        keep=Keep(daily=3, weekly=2, monthly=4, yearly=9),
        upload_limit=500,
        download_limit=900,
        niceness=7,
    )
    text = copy_script(plan)
    assert re.search(r"--keep-daily 3 --keep-weekly 2 \\\n *--keep-monthly 4 --keep-yearly 9", text)
    assert "nice -n 7 restic --cleanup-cache --limit-upload 500 --limit-download 900 " in text
    assert "--limit-" not in copy_script(PLAN)
    assert "check --read-data-subset 5% ||" in text
    assert "check --read-data ||" in copy_script(replace(PLAN, check_subset="all"))


def test_a_marker_inside_a_folder_that_is_copied_is_named_once() -> None:
    plan = replace(PLAN, folders=(*PLAN.folders, "/data/thumbs"))
    (line,) = {
        each for each in copy_script(plan).splitlines() if "in /data/upload" in each and "database" in each
    }
    assert "/data/thumbs " in line
    assert "/data/thumbs/.immich" not in line
    assert "/data/backups/.immich" in line
    judged = next(each for each in copy_script(plan).splitlines() if "in /data/upload/.immich" in each)
    assert "/data/thumbs/.immich" in judged


def test_a_folder_outside_of_the_media_has_no_marker() -> None:
    text = copy_script(replace(PLAN, folders=(*PLAN.folders, "/libraries/nas")))
    assert "/libraries/nas" in text
    assert "/libraries/nas/.immich" not in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("/targets/disk", "/targets/disk"),
        ("/targets/a@b", "/targets/a@b"),
        ("rest:https://user:secret@host:8000/a/", "rest:https://host:8000/a/"),
        ("s3:https://s3.example.com/bucket/a", "s3:https://s3.example.com/bucket/a"),
        ("rest:http://immich-backup-rclone:8080/nas/", "rest:http://immich-backup-rclone:8080/nas/"),
        ("sftp://user:secret@host//srv", "sftp://host//srv"),
    ],
)
def test_addresses_are_shown_without_who_asks(url: str, shown: str) -> None:
    assert shown_url(url) == shown

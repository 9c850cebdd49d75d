"""The environment of the CLI: what is set, what a person's own settings keep, and what never appears."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolchain import env, environment
from toolchain.paths import BIN, PASSPHRASE, STATE, VENV_BIN


def _home(tmp_path: Path, current: str | None) -> dict[str, str]:
    home = tmp_path / "home"
    (home / ".pulumi").mkdir(parents=True)
    if current is not None:
        (home / ".pulumi" / "credentials.json").write_text(json.dumps({"current": current}), encoding="utf-8")
    return {"HOME": str(home), "PATH": "/usr/bin"}


def test_the_backend_is_the_projects_own_by_default(tmp_path: Path) -> None:
    assert environment.additions(_home(tmp_path, None))["PULUMI_BACKEND_URL"] == f"file://{STATE}"


def test_with_an_access_token_the_backend_is_pulumi_cloud_or_what_is_named(tmp_path: Path) -> None:
    given = {**_home(tmp_path, None), "PULUMI_ACCESS_TOKEN": "pul-token", "PULUMI_BACKEND_URL": ""}
    assert environment.additions(given)["PULUMI_BACKEND_URL"] == "https://api.pulumi.com"
    own = {**given, "PULUMI_API": "https://pulumi.example.com"}
    assert environment.additions(own)["PULUMI_BACKEND_URL"] == "https://pulumi.example.com"
    named = {**given, "PULUMI_BACKEND_URL": "s3://states"}
    assert environment.full(named)["PULUMI_BACKEND_URL"] == "s3://states"


def test_a_login_elsewhere_is_respected(tmp_path: Path) -> None:
    assert "PULUMI_BACKEND_URL" not in environment.additions(_home(tmp_path, "https://api.pulumi.com"))


def test_a_login_in_pulumi_home_is_respected(tmp_path: Path) -> None:
    given = _home(tmp_path, None)
    (tmp_path / "credentials.json").write_text('{"current": "s3://states"}', encoding="utf-8")

    assert "PULUMI_BACKEND_URL" not in environment.additions({**given, "PULUMI_HOME": str(tmp_path)})


@pytest.mark.parametrize("content", ["", "[]", '{"current": ""}', '{"accounts": {}}'])
def test_credentials_without_a_current_backend_are_no_login(tmp_path: Path, content: str) -> None:
    (tmp_path / "credentials.json").write_text(content, encoding="utf-8")

    assert environment.logged_in_elsewhere({"PULUMI_HOME": str(tmp_path)}) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PULUMI_BACKEND_URL", "s3://states"),
        ("PULUMI_SKIP_UPDATE_CHECK", "0"),
        ("PULUMI_CONFIG_PASSPHRASE_FILE", "/x"),
    ],
)
def test_what_the_person_has_set_stays(tmp_path: Path, name: str, value: str) -> None:
    given = {**_home(tmp_path, None), name: value}

    assert name not in environment.additions(given)
    assert environment.full(given)[name] == value


def test_a_passphrase_in_the_environment_replaces_the_generated_file(tmp_path: Path) -> None:
    given = {**_home(tmp_path, None), "PULUMI_CONFIG_PASSPHRASE": "theirs"}

    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in environment.additions(given)
    assert not environment.uses_own_passphrase(environment.full(given))


def test_the_generated_passphrase_is_used_otherwise(tmp_path: Path) -> None:
    given = environment.full(_home(tmp_path, None))

    assert given["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(PASSPHRASE)
    assert environment.uses_own_passphrase(given)


def test_the_tools_come_first_on_path_and_once(tmp_path: Path) -> None:
    once = environment.full(_home(tmp_path, None))
    twice = environment.full(once)

    assert once["PATH"].split(os.pathsep) == [str(BIN), str(VENV_BIN), "/usr/bin"]
    assert twice["PATH"] == once["PATH"]


def test_the_printed_lines_survive_a_shell(tmp_path: Path) -> None:
    awkward = '/a b/$(touch nothing)/it\'s "here":/usr/bin'
    printed = "\n".join(env.lines({**_home(tmp_path, None), "PATH": awkward}))

    shown = subprocess.run(
        ["/bin/sh", "-c", f'{printed}\n"{sys.executable}" -c "import os; print(os.environ[\'PATH\'])"'],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert shown.stdout == f"{BIN}:{VENV_BIN}:{awkward}\n"
    assert not (tmp_path / "nothing").exists()


def test_the_passphrase_itself_is_never_printed(tmp_path: Path) -> None:
    printed = "\n".join(env.lines({**_home(tmp_path, None), "PULUMI_CONFIG_PASSPHRASE": "do-not-show"}))

    assert "do-not-show" not in printed
    assert "PULUMI_CONFIG_PASSPHRASE" not in printed


def test_the_passphrase_file_is_made_once_and_closed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "passphrase"
    monkeypatch.setattr(environment, "PASSPHRASE", path)
    monkeypatch.setattr(environment, "STATE", tmp_path / "state")

    environment.prepare()
    made = path.read_text(encoding="ascii")
    environment.prepare()

    assert path.read_text(encoding="ascii") == made
    assert len(made.strip()) >= 32
    assert path.stat().st_mode & 0o777 == 0o600

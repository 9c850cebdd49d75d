"""Scripts of the workflows, run as a runner would run them, with a stand-in for GitHub's command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from toolchain.paths import ROOT

STAND_IN_FOR_GH = """#!/bin/sh
# Notes what it is asked and answers a search with $KNOWN.
printf '%s\\n' "$*" | tr '\\n' ' ' >>"$LOG"
echo >>"$LOG"
case "$*" in *--paginate*) [ -z "$KNOWN" ] || printf '%b\\n' "$KNOWN";; esac
"""


def script(workflow: str, job: str, name: str) -> str:
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text(encoding="utf-8"))["jobs"][
        job
    ]["steps"]
    (found,) = [step["run"] for step in steps if step.get("name") == name]
    return found


def run(text: str, directory: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", text]
    found = {"PATH": os.environ["PATH"], **env}
    return subprocess.run(command, cwd=directory, env=found, capture_output=True, text=True, check=False)


def comment(
    directory: Path, known: str, report: str = "<!-- immich-preview dev -->\nText.\n"
) -> tuple[int, list[str]]:
    tools, log = directory / "bin", directory / "log"
    file = directory / "reports" / "report-dev" / "dev.md"
    for folder in (tools, file.parent):
        folder.mkdir(parents=True)
    (tools / "gh").write_text(STAND_IN_FOR_GH, encoding="utf-8")
    (tools / "gh").chmod(0o755)
    file.write_text(report, encoding="utf-8")
    log.touch()
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    text = script("preview.yml", "comment", "Write or edit the comments")
    done = run(
        text, directory, PATH=path, LOG=str(log), KNOWN=known, COMMENTS="issues/7/comments", EDIT="comments"
    )
    return done.returncode, log.read_text(encoding="utf-8").splitlines()


def test_the_first_report_is_a_new_comment(tmp_path: Path) -> None:
    code, asked = comment(tmp_path, "")
    assert code == 0
    assert asked[-1].split() == [
        *("api", "--silent", "--method", "POST", "issues/7/comments"),
        *("--field", "body=@reports/report-dev/dev.md"),
    ]


def test_a_later_report_edits_the_first_comment_that_has_its_marker(tmp_path: Path) -> None:
    code, asked = comment(tmp_path, "42\\n43")
    assert code == 0
    assert "env.MARKER" in asked[0]
    assert asked[-1].split()[:5] == ["api", "--silent", "--method", "PATCH", "comments/42"]


def test_what_is_no_report_is_not_published(tmp_path: Path) -> None:
    code, asked = comment(tmp_path, "", report="@everyone look\n")
    assert (code, asked) == (1, [])


def test_without_a_report_there_is_nothing_to_write(tmp_path: Path) -> None:
    assert run(script("preview.yml", "comment", "Write or edit the comments"), tmp_path).returncode == 0


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_live_stacks_are_a_list_whatever_stands_between_their_names(tmp_path: Path) -> None:
    output = tmp_path / "output"
    done = run(
        script("drift.yml", "stacks", "List"), tmp_path, LIVE="prod, skylab\nhome ", GITHUB_OUTPUT=str(output)
    )
    assert done.returncode == 0, done.stderr
    name, _, value = output.read_text(encoding="utf-8").strip().partition("=")
    assert (name, json.loads(value)) == ("live", ["prod", "skylab", "home"])


def test_credentials_become_files_that_nobody_else_reads_and_are_not_printed(tmp_path: Path) -> None:
    env = {"RUNNER_TEMP": str(tmp_path), "GITHUB_ENV": str(tmp_path / "env"), "HOME": str(tmp_path / "home")}
    command = str(ROOT / ".ci" / "credentials")
    done = run(command, tmp_path, **env, KUBECONFIG_DATA="a-secret: kubeconfig")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    file = tmp_path / "kubeconfig"
    assert file.read_text(encoding="utf-8") == "a-secret: kubeconfig\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "env").read_text(encoding="utf-8") == f"KUBECONFIG={file}\n"
    refused = run(command, tmp_path, **env, DOCKER_SSH_KEY="a-secret-key")
    assert refused.returncode == 1
    assert "DOCKER_SSH_KNOWN_HOSTS is not" in refused.stderr
    assert "a-secret-key" not in refused.stderr


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ("success success skipped", 0),
        ("success skipped skipped", 0),
        ("success failure skipped", 1),
        ("success success cancelled", 1),
        ("failure skipped skipped", 1),
    ],
)
def test_the_check_that_is_required_ends_well_when_no_preview_failed(
    tmp_path: Path, results: str, code: int
) -> None:
    text = script("preview.yml", "result", "Did all of them end well?")
    assert run(text, tmp_path, RESULTS=results).returncode == code


@pytest.mark.parametrize(
    ("backend", "token", "code"), [("", "", 1), ("s3://states", "", 0), ("", "pul-token", 0)]
)
def test_nothing_is_deployed_from_a_state_that_ends_with_the_runner(
    tmp_path: Path, backend: str, token: str, code: int
) -> None:
    text = script("deploy.yml", "up", "The state lasts")
    done = run(text, tmp_path, BACKEND=backend, ACCESS_TOKEN=token)
    assert done.returncode == code
    assert ("PULUMI_BACKEND_URL" in done.stdout) == bool(code)
    assert token not in done.stdout or not token


@pytest.mark.parametrize(("last", "base"), [("abc123", "abc123"), ("", "0" * 40)])
def test_a_deployment_is_compared_with_the_last_one_that_ended_well(
    tmp_path: Path, last: str, base: str
) -> None:
    tools, asked = tmp_path / "bin", tmp_path / "asked"
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    tools.mkdir()
    programs = {
        tools / "gh": f'printf "%s" "{last}"',
        tools / "make": ":",
        tools / "jq": "cat >/dev/null; echo []",
        tmp_path / ".venv" / "bin" / "python": f'echo "$*" >"{asked}"; echo []',
    }
    for path, text in programs.items():
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)
    done = run(
        script("deploy.yml", "stacks", "Choose"), tmp_path,
        PATH=f"{tools}{os.pathsep}{os.environ['PATH']}", LIVE="prod", GITHUB_OUTPUT=str(tmp_path / "output"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert asked.read_text(encoding="utf-8").split() == [
        "-m", "toolchain.pr_report.stacks", "deploy", "--base", base, "--live", "prod",
    ]  # fmt: skip

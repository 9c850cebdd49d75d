"""The checks of the workflows: where their tools come from, and that they find what they are there for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from toolchain import lint
from toolchain.failure import ToolchainError
from toolchain.paths import BIN, ROOT, VENV_BIN

FILES = sorted((ROOT / lint.WORKFLOWS).glob("*.yml"))
PINNED = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40}$")

every_workflow = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def test_without_go_the_check_is_skipped_with_a_sentence_and_fails_in_ci(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lint.actionlint({"PATH": str(tmp_path)}, tmp_path) is None
    assert "the workflows are not checked by actionlint" in capsys.readouterr().err
    with pytest.raises(ToolchainError, match="no `go` is on PATH"):
        lint.actionlint({"PATH": str(tmp_path), "CI": "true"}, tmp_path)


def test_every_workflow_is_checked() -> None:
    first, second = lint.commands(Path("actionlint"))
    assert [Path(name).name for name in first if name.endswith(".yml")] == [path.name for path in FILES]
    assert second[-1] == lint.WORKFLOWS
    assert [Path(one[0]).name for one in lint.commands(None)] == ["zizmor"]


@every_workflow
def test_actions_are_pinned_by_commit_with_the_version_in_words(path: Path) -> None:
    used = re.findall(r"uses: (\S+)( # v\d+\.\d+\.\d+)?$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(used) == path.read_text(encoding="utf-8").count("uses:")
    assert [name for name, version in used if not PINNED.fullmatch(name) or not version] == []


@every_workflow
def test_rights_time_and_concurrency_are_limited(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    writes = {"preview.yml": {"comment": {"pull-requests": "write"}}}.get(path.name, {})
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"] <= 120
        assert job["permissions"] == writes.get(name, job["permissions"])
        if name not in writes:
            assert "write" not in job["permissions"].values()


@every_workflow
def test_pull_requests_of_forks_reach_no_secret(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    triggers = workflow[True]  # YAML 1.1 reads the key `on` so
    assert "pull_request_target" not in triggers
    if "pull_request" not in triggers:
        return
    own = "github.event.pull_request.head.repo.full_name == github.repository"
    for job in workflow["jobs"].values():
        if "secrets." in str(job) or "write" in job["permissions"].values():
            assert own in job["if"]


def test_merges_are_brought_up_one_at_a_time_behind_environments() -> None:
    workflow = yaml.safe_load((ROOT / lint.WORKFLOWS / "deploy.yml").read_text(encoding="utf-8"))
    up = workflow["jobs"]["up"]
    assert up["strategy"]["max-parallel"] == 1
    assert up["environment"] == "${{ matrix.stack }}"
    assert workflow["concurrency"]["cancel-in-progress"] is False


@pytest.mark.skipif(not (BIN / "actionlint").exists(), reason="actionlint is not built yet: run `make lint`")
def test_actionlint_finds_a_workflow_that_would_not_run(tmp_path: Path) -> None:
    broken = tmp_path / ".github" / "workflows" / "test.yml"
    broken.parent.mkdir(parents=True)
    text = FILES[-1].read_text(encoding="utf-8")
    (command,) = lint.commands(BIN / "actionlint", tmp_path)[:1]
    broken.write_text(text, encoding="utf-8")
    found = [*command, ".github/workflows/test.yml"]
    assert subprocess.run(found, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    broken.write_text(text.replace("timeout-minutes", "timeout-hours", 1), encoding="utf-8")
    done = subprocess.run(found, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "timeout-hours" in done.stdout


@pytest.mark.skipif(
    not (VENV_BIN / "zizmor").exists(), reason="zizmor is not installed: run `make setup-dev`"
)
@pytest.mark.parametrize(
    ("before", "after", "audit"),
    [
        (r"@[0-9a-f]{40} # v[\d.]+", "@v7", "unpinned-uses"),
        (r"\npermissions: \{\}\n", "\npermissions: write-all\n", "excessive-permissions"),
        (r"on:\n  pull_request:", "on:\n  pull_request_target:", "dangerous-triggers"),
        (r"\n +persist-credentials: false", "", "artipacked"),
    ],
)
def test_zizmor_finds_what_would_be_unsafe(tmp_path: Path, before: str, after: str, audit: str) -> None:
    folder = tmp_path / ".github" / "workflows"
    shutil.copytree(ROOT / lint.WORKFLOWS, folder)
    path = folder / "preview.yml"
    changed = re.sub(before, after, path.read_text(encoding="utf-8"), count=1)
    assert changed != path.read_text(encoding="utf-8")
    path.write_text(changed, encoding="utf-8")
    (command,) = lint.commands(None, tmp_path)
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.returncode != 0
    assert audit in done.stdout

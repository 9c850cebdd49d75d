"""`make runbook`: writes the pages of a stack from its settings alone; docs/runbooks has those of one stack."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.program import ROOT
from toolchain.failure import ToolchainError
from toolchain.runbook import DOCS, EXAMPLE, main, stack_pages, write


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "toolchain.runbook", *arguments]
    # No engine, no CLI: an empty PATH.
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env={"PATH": ""}
    )


def test_the_pages_in_docs_are_those_of_the_example() -> None:
    texts = stack_pages(EXAMPLE)
    there = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")}
    assert there == texts, f"run python -m toolchain.runbook {EXAMPLE} docs/runbooks"


def test_it_writes_every_page_and_says_where_to_begin(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "folder"
    answer = run("prod", str(folder))
    assert answer.returncode == 0, answer.stderr
    assert str(folder / "README.md") in answer.stdout
    assert {path.name: path.read_text() for path in folder.iterdir()} == stack_pages("prod")


def test_other_files_of_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("mine")
    write(tmp_path, {"README.md": "text\n"})
    write(tmp_path, {"README.md": "newer\n"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "mine.md": "mine",
        "README.md": "newer\n",
    }


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolchainError, match="OUTPUT="):
        write(tmp_path / "file" / "below", {"README.md": ""})


@pytest.mark.parametrize("arguments", [(), ("a", "b", "c"), ("--all",)])
def test_wrong_arguments_show_the_right_ones(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["runbook", *arguments])
    with pytest.raises(ToolchainError, match=r"make runbook STACK=\.\.\. OUTPUT=folder"):
        main()


def test_an_unknown_stack_is_told_which_there_are() -> None:
    answer = run("nowhere")
    assert answer.returncode == 1
    assert "no stack 'nowhere'" in answer.stderr
    assert "Traceback" not in answer.stderr

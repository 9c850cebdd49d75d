"""`make restore` gives on names of photos as they are, whatever characters they have."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.harness.program import ROOT


@pytest.mark.skipif(shutil.which("make") is None, reason="not installed: make")
@pytest.mark.parametrize(
    "name", ["IMG_1.jpg", 'a "b" $c `id` $(shell id) $(date)\'x.jpg', "$HOME/*.jpg", "a;b&c|d", "Ñandú 🏞.png"]
)
def test_neither_make_nor_the_shell_looks_into_a_name(name: str) -> None:
    done = subprocess.run(
        ["make", "-s", "-o", "setup", "restore", "STACK=home", "RUN=printf '<%s>'", f"FILE={name}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == f"<toolchain.restore><home><--file><{name}>", done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="not installed: make")
def test_without_a_name_there_is_no_option() -> None:
    done = subprocess.run(
        ["make", "-s", "-o", "setup", "restore", "STACK=home", "RUN=printf '<%s>'", "FROM=latest"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "<toolchain.restore><home><--from><latest>", done.stderr

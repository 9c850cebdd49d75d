"""The virtual environment, filled from the hash-locked requirements and left alone while they do not change."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal

from toolchain.paths import REQUIREMENTS, VENV, VENV_BIN, VENV_PYTHON
from toolchain.progress import run_visibly

Group = Literal["runtime", "dev"]


def lock_file(group: Group) -> Path:
    """The lock file of a group; `dev` holds everything of `runtime` at the same versions."""
    return REQUIREMENTS / f"{group}.lock"


def fingerprint(group: Group) -> str:
    """Changes when the lock file changes."""
    return hashlib.sha256(lock_file(group).read_bytes()).hexdigest()


def _mark(group: Group) -> Path:
    return VENV / f".installed-{group}"


def up_to_date(group: Group) -> bool:
    """Whether the group's locked requirements are installed already."""
    try:
        return VENV_PYTHON.exists() and _mark(group).read_text(encoding="ascii") == fingerprint(group)
    except FileNotFoundError:
        return False


def ensure(group: Group) -> None:
    """Make the environment if need be and install the group; ToolchainError with the installer's output when that
    fails.

    uv does it in a third of pip's time: the one on PATH, or for `dev`, which has uv among its requirements, that one.
    """
    if up_to_date(group) or (group == "runtime" and up_to_date("dev")):
        return
    if not VENV_PYTHON.exists():
        run_visibly(
            "making the virtual environment .venv", [sys.executable, "-m", "venv", str(VENV)], timeout=300
        )
    pip = [str(VENV_PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    uv = shutil.which("uv")
    if uv is None and group == "dev":
        with tempfile.TemporaryDirectory() as folder:
            alone = Path(folder) / "uv.lock"
            alone.write_text(_locked(lock_file(group).read_text(encoding="utf-8"), "uv"), encoding="utf-8")
            run_visibly(
                "installing uv into .venv",
                [*pip, "--no-deps", "--require-hashes", "--requirement", str(alone)],
                timeout=600,
            )
        uv = str(VENV_BIN / "uv")
    install = (
        [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(VENV_PYTHON)] if uv else pip
    )
    run_visibly(
        f"installing {lock_file(group).name} into .venv",
        [*install, "--require-hashes", "--requirement", str(lock_file(group))],
        timeout=1800,
    )
    _mark(group).write_text(fingerprint(group), encoding="ascii")


def _locked(text: str, name: str) -> str:
    """The lines of one package in a lock file: its version and hashes."""
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"{name}=="))
    last = next(number for number in range(first, len(lines)) if not lines[number].endswith("\\"))
    return "\n".join(lines[first : last + 1]) + "\n"

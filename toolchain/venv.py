"""The virtual environment, filled from the hash-locked requirements and left alone while they do not change."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Literal

from toolchain.paths import REQUIREMENTS, VENV, VENV_PYTHON
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
    """Make the environment if need be and install the group; ToolchainError with pip's output when that fails."""
    if up_to_date(group) or (group == "runtime" and up_to_date("dev")):
        return
    if not VENV_PYTHON.exists():
        run_visibly(
            "making the virtual environment .venv", [sys.executable, "-m", "venv", str(VENV)], timeout=300
        )
    run_visibly(
        f"installing {lock_file(group).name} into .venv",
        [
            str(VENV_PYTHON),
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--quiet",
            "--require-hashes",
            "--requirement",
            str(lock_file(group)),
        ],
        timeout=1800,
    )
    _mark(group).write_text(fingerprint(group), encoding="ascii")

"""Where the toolchain keeps what it makes. Everything below `.toolchain/` and `.venv/` is git-ignored."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Final

from toolchain.failure import ToolchainError

ROOT: Final = Path(__file__).resolve().parent.parent
"""The project: the directory of Pulumi.yaml."""

TOOLCHAIN: Final = ROOT / ".toolchain"
BIN: Final = TOOLCHAIN / "bin"
"""Executables of this project: the CLI when PATH has none, the language host, the offline plugins."""
STATE: Final = TOOLCHAIN / "state"
"""File backend of the project."""
RENDER_STATE: Final = TOOLCHAIN / "render-state"
"""File backend of the copies that `make render` works on when a stack's own state belongs to a cluster."""
PASSPHRASE: Final = TOOLCHAIN / "passphrase"
"""Generated passphrase, mode 0600."""
VENV: Final = ROOT / ".venv"
VENV_BIN: Final = VENV / ("Scripts" if sys.platform == "win32" else "bin")
VENV_PYTHON: Final = VENV_BIN / "python"
RENDERED: Final = ROOT / "rendered"
REQUIREMENTS: Final = ROOT / "requirements"
_STACK: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def settings_file(stack: str, root: Path = ROOT) -> Path:
    """`Pulumi.<stack>.yaml`; ToolchainError with the stacks that exist when there is none."""
    path = root / f"Pulumi.{stack}.yaml"
    if not _STACK.fullmatch(stack) or not path.is_file():
        known = sorted(found.name.split(".")[1] for found in root.glob("Pulumi.*.yaml"))
        raise ToolchainError(
            f"There is no stack {stack!r}: it would have its settings in Pulumi.{stack}.yaml. "
            f"Stacks here: {', '.join(known) or 'none'}. Choose one with STACK=..., or copy one of their files."
        )
    return path


def is_installed(program: str) -> bool:
    """Whether a program is on PATH, or, from `/` on, a file that the pattern names is there."""
    if program.startswith("/"):
        return any(Path("/").glob(program.removeprefix("/")))
    return shutil.which(program) is not None

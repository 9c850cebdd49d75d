"""Where the toolchain keeps what it makes. Everything below `.toolchain/` and `.venv/` is git-ignored."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

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

"""Failed downloads, remembered for a while so that the next `make setup` does not wait for them again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from toolchain.paths import TOOLCHAIN

REMEMBERED_FOR: Final = 24 * 3600.0
"""Seconds. `rm -r .toolchain/failed` makes the next `make setup` try again at once."""


def _mark(name: str, directory: Path | None) -> Path:
    return (directory or TOOLCHAIN / "failed") / name


def remember_failure(name: str, reason: str, directory: Path | None = None) -> None:
    """Note that `name` could not be had just now."""
    mark = _mark(name, directory)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(reason + "\n", encoding="utf-8")


def failed_recently(name: str, directory: Path | None = None, now: float | None = None) -> str | None:
    """The reason why `name` failed within REMEMBERED_FOR seconds, else None."""
    mark = _mark(name, directory)
    try:
        age = (time.time() if now is None else now) - mark.stat().st_mtime
        reason = mark.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    return reason if 0 <= age < REMEMBERED_FOR else None


def forget_failure(name: str, directory: Path | None = None) -> None:
    """Drop the note about `name`."""
    _mark(name, directory).unlink(missing_ok=True)

"""The directory of rendered manifests: empty it before a rendering, and close its Secrets to other users after one."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from toolchain.deployment import mapping

DIRECTORY_VARIABLE: Final = "IMMICH_RENDER_DIRECTORY"
"""Has the program of a stack that talks to a cluster write its manifests there instead."""
_FOLDERS: Final = ("0-crd", "1-manifest")  # what the kubernetes plugin writes into
_SECRET: Final = re.compile(r"""^\s*"?kind"?:\s*["']?Secret["']?,?\s*$""", re.MULTILINE)


def target_of(values: Mapping[str, object]) -> str:
    """`render` or `cluster`: what the stack's own settings, by section, say."""
    target = mapping(values.get("kubernetes")).get("target")
    return target if isinstance(target, str) else "cluster"


def manifests(directory: Path) -> list[Path]:
    """Every manifest in the directory, sorted."""
    return sorted(path for folder in _FOLDERS for path in (directory / folder).glob("*.yaml"))


def clear(directory: Path) -> None:
    """Remove what an earlier rendering wrote; other files in the directory stay."""
    for folder in _FOLDERS:
        shutil.rmtree(directory / folder, ignore_errors=True)


@contextmanager
def closed_secrets(directory: Path) -> Generator[None, None, None]:
    """Whatever is written meanwhile is nobody else's to read; afterwards only files that hold a Secret are not."""
    previous = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(previous)
        set_modes(directory)


def set_modes(directory: Path) -> int:
    """Mode 0600 for every file that holds a Secret and 0644 for the rest; gives how many Secrets there are."""
    secrets = 0
    for path in manifests(directory):
        secret = _SECRET.search(path.read_text(encoding="utf-8")) is not None
        path.chmod(0o600 if secret else 0o644)
        secrets += secret
    for folder in (directory, *(directory / name for name in _FOLDERS)):
        if folder.is_dir():
            folder.chmod(0o755)
    return secrets

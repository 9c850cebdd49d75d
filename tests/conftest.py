"""What every tier's tests rely on.

`make test-all` gives pytest `--deep`. Without it, tests marked `deep` are left out, and properties are tried with a
fifth of their examples. `deep(unless_changed=("folder",))` marks tests of what only tests and machines without the
official programs use: they also run when something below one of those folders differs from the main branch.
"""

from __future__ import annotations

import functools
import gc
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from toolchain import programs

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deep", action="store_true", help="also the tests marked `deep`, and every example")


def pytest_configure(config: pytest.Config) -> None:
    """Programs that tests start and interrupt hear it, also where this run was started in the background.

    A shell without job control has what it starts in the background ignore SIGINT, and that is inherited.
    """
    # What collection makes lives to the end: to look through it again and again takes a third of the time of tests.
    gc.disable()
    # The programs that ship, where they were built, before those of the system.
    os.environ["PATH"] = programs.on_path(os.environ["PATH"])
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--deep"):
        os.environ["IMMICH_TESTS_DEEP"] = "1"  # tests.harness.examples reads it where modules are imported


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getoption("dist") != "loadfile":
        return None
    from tests.harness.scheduling import ByFile

    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--deep"):
        return
    left_out = [item for item in items if _is_deep(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000)  # as __main__.py does


def _is_deep(item: pytest.Item) -> bool:
    marks = list(item.iter_markers("deep"))
    return any(not _changed(tuple(mark.kwargs.get("unless_changed", ()))) for mark in marks)


@functools.cache
def _changed(folders: Sequence[str]) -> bool:
    return any(path.startswith(folder) for folder in folders for path in _differs_from_main())


@functools.cache
def _differs_from_main() -> tuple[str, ...]:
    """Files that differ from the main branch: that of a pull request, of the remote, or the local one."""
    named = os.environ.get("GITHUB_BASE_REF", "")
    for base in (f"origin/{named}" if named else "", "origin/main", "main", "HEAD"):
        found = base and _git("merge-base", base, "HEAD")
        if found:
            files = (
                _git("diff", "--name-only", found.strip()),
                _git("ls-files", "--others", "--exclude-standard"),
            )
            return tuple("".join(files).splitlines())
    return ()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""

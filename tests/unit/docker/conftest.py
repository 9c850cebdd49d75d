"""Hosts for the schedules of tasks, one for each shell that images have."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.docker.schedule_host import SHELLS, Host

IN_EVERY_RUN = "busybox"
"""The shell of the images that run steps; the database's has dash."""


@pytest.fixture(
    params=[pytest.param(shell, marks=() if shell == IN_EVERY_RUN else pytest.mark.deep) for shell in SHELLS]
)
def make_host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """`make_host(commands=..., schedule=...)`."""
    shell = SHELLS[request.param]
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    made: list[Host] = []

    def create(**more: Any) -> Host:
        made.append(Host(tmp_path / str(len(made)), shell, **more))
        return made[-1]

    yield create
    for host in made:
        for process in host.running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

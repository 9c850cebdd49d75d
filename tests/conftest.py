"""What every tier's tests rely on."""

from __future__ import annotations

import os
import signal

from toolchain import programs


def pytest_configure() -> None:
    """Programs that tests start and interrupt hear it, also where this run was started in the background.

    A shell without job control has what it starts in the background ignore SIGINT, and that is inherited.
    """
    # The programs that ship, where they were built, before those of the system.
    os.environ["PATH"] = programs.on_path(os.environ["PATH"])
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

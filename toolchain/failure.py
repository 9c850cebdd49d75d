"""The one error that ends a toolchain command: its text is for a person and is printed without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn


class ToolchainError(Exception):
    """What is wrong, and what to do about it, in words for the person at the terminal."""


def exit_with(command: Callable[[], int]) -> NoReturn:
    """Run a command's main function and end the process: 1 after a ToolchainError, 130 after Ctrl-C."""
    try:
        sys.exit(command())
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)

"""The one error that ends a toolchain command: its text is for a person and is printed without a traceback."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import Final, NoReturn

_NOT_OURS: Final = (errno.EACCES, errno.EPERM, errno.EROFS)


class ToolchainError(Exception):
    """What is wrong, and what to do about it, in words for the person at the terminal."""


def exit_with(command: Callable[[], int]) -> NoReturn:
    """Run a command's main function and end the process.

    With 1 after a ToolchainError or for a forbidden file, 130 for Ctrl-C.
    """
    try:
        sys.exit(command())
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise
        print(
            f"error: {error.filename or 'file'}: {error.strerror}. Where the checkout is read-only or another user's, "
            "use one of your own (git clone), or make this one yours (chown -R)",
            file=sys.stderr,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)

"""`eval "$(make -s env)"`: print the lines that put the toolchain into a shell."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from toolchain.environment import additions


def lines(environment: Mapping[str, str]) -> list[str]:
    """One `export NAME='value'` a line, quoted for a POSIX shell; the passphrase itself is not among them."""
    return [f"export {name}={shlex.quote(value)}" for name, value in sorted(additions(environment).items())]


if __name__ == "__main__":
    print("\n".join(lines(os.environ)))

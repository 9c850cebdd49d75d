"""`python -m toolchain.verify STACK`: whether this deployment really works."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
from collections.abc import Sequence

from components.model.values import Quantity
from toolchain.failure import ToolchainError, exit_with
from toolchain.verify.model import data, exit_code
from toolchain.verify.opening import open_target
from toolchain.verify.runner import GROUPS, verify
from toolchain.verify.table import table
from toolchain.verify.target import VARIABLE, Options


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """The command line. It ends the process with 2 for a mistake."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog="python -m toolchain.verify",
        description="Ask a deployment whether it really works. Ends with 0 when nothing failed, else with 1.",
    )
    parser.add_argument("stack", help="its settings are in Pulumi.STACK.yaml")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--size", help="bytes of the upload, such as 100M or 2Gi; then it may take its time")
    parser.add_argument("--door", choices=("internet", "lan", "cluster"), help="only doors of this name")
    parser.add_argument("--only", default="", help=f"only these, with commas: {', '.join(GROUPS)}")
    parser.add_argument(
        "--api-key-env", default=VARIABLE, help=f"variable with a key of Immich's API (default {VARIABLE})"
    )
    parser.add_argument(
        "--connect", action="append", default=[], metavar="HOST:PORT=HOST:PORT",
        help="connect elsewhere than the door's address says, as curl's --connect-to; may be repeated",
    )  # fmt: skip
    return parser.parse_args(given)


def connections(given: Sequence[str]) -> dict[str, tuple[str, int]]:
    """`host:port` -> where to connect. ToolchainError for a text that is no such pair."""
    found: dict[str, tuple[str, int]] = {}
    for text in given:
        parts = re.fullmatch(r"([^=\s]+:\d{1,5})=\[?([^=\s\]]+)\]?:(\d{1,5})", text)
        if parts is None:
            raise ToolchainError(
                f"--connect {text}: expected HOST:PORT=HOST:PORT, such as photos.example.com:443=192.168.1.20:443"
            )
        found[parts[1]] = (parts[2], int(parts[3]))
    return found


def size(text: str | None) -> int | None:
    """Bytes. ToolchainError for what is no size."""
    if text is None:
        return None
    try:
        found = int(Quantity(text).amount)
    except ValueError as error:
        raise ToolchainError(f"--size {text}: {error}") from None
    if found < 1:
        raise ToolchainError(f"--size {text}: expected at least one byte")
    return found


def main() -> int:
    """`python -m toolchain.verify STACK [options]`."""
    given = arguments(sys.argv[1:])
    only = [name for name in given.only.split(",") if name]
    if unknown := [name for name in only if name not in GROUPS]:
        raise ToolchainError(f"--only {', '.join(unknown)}: expected some of {', '.join(GROUPS)}")
    options = Options(
        size=size(given.size),
        door=given.door,
        api_key_variable=given.api_key_env,
    )
    checks = verify(open_target(given.stack, options, connections(given.connect)), only)
    print(json.dumps(data(given.stack, checks), indent=2) if given.json else table(checks))
    return exit_code(checks)


if __name__ == "__main__":
    # `make verify | head` ends quietly.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    exit_with(main)

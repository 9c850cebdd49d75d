"""`python -m toolchain.status STACK [--watch] [--json]`: how a deployment is now."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from typing import Final

from components.recovery.outputs import recovery_outputs
from toolchain.failure import ToolchainError, exit_with
from toolchain.status.report import Report, gather
from toolchain.status.text import copies, text
from toolchain.verify.__main__ import connections
from toolchain.verify.opening import open_target
from toolchain.verify.running import RunningError
from toolchain.verify.target import Options, Target

_PAUSE: Final = 5.0
"""Seconds between two looks."""
_CLEAR: Final = "\x1b[H\x1b[2J"


def arguments(given: Sequence[str]) -> argparse.Namespace:
    """The command line. It ends the process with 2 for a mistake."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False, prog="python -m toolchain.status", description="How a deployment is now."
    )
    parser.add_argument("stack", help="its settings are in Pulumi.STACK.yaml")
    parser.add_argument("--json", action="store_true", help="for programs; one object a line with --watch")
    parser.add_argument(
        "--copies", action="store_true", help="which copies there are instead, how old, and what a loss costs"
    )
    parser.add_argument("--watch", action="store_true", help=f"look again every {_PAUSE:.0f} s until Ctrl-C")
    parser.add_argument(
        "--connect", action="append", default=[], metavar="HOST:PORT=HOST:PORT",
        help="connect elsewhere than a door's address says; may be repeated",
    )  # fmt: skip
    return parser.parse_args(given)


def _copies(target: Target, *, as_json: bool) -> int:
    try:
        statuses = target.running.statuses()
    except RunningError as error:
        raise ToolchainError(str(error)) from None
    told = recovery_outputs(
        target.settings,
        target.stack,
        capacity=target.settings.capacity,
        statuses=statuses,
        now=int(target.now()),
    )
    print(json.dumps(told, indent=2) if as_json else copies(told), flush=True)
    return 0


def main() -> int:
    """`python -m toolchain.status STACK`. ToolchainError where the platform does not answer."""
    given = arguments(sys.argv[1:])
    target = open_target(given.stack, Options(), connections(given.connect))
    report: Report | None = None
    if given.copies:
        return _copies(target, as_json=given.json)
    while True:
        try:
            report = gather(target, report)
        except RunningError as error:
            raise ToolchainError(str(error)) from None
        told = json.dumps(report.data(), indent=None if given.watch else 2) if given.json else text(report)
        clear = given.watch and not given.json and sys.stdout.isatty()
        print(f"{_CLEAR if clear else ''}{told}", flush=True)
        if not given.watch:
            return 0
        time.sleep(_PAUSE)


if __name__ == "__main__":
    # `make status | head` ends quietly.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    exit_with(main)

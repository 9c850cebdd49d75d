"""`python -m toolchain.pr_report STACK [--base REF] [--rendered] [--output FILE] [-- options of pulumi preview]`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from toolchain import environment
from toolchain.failure import exit_with
from toolchain.paths import ROOT
from toolchain.pr_report.command import Request, base_or_default, make


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m toolchain.pr_report",
        description="What the work tree would do to a stack, as Markdown. The exit code is 1 when the preview fails "
        "or a mandatory policy is violated; the report is written all the same.",
    )
    made.add_argument("stack", help="name of the stack")
    made.add_argument(
        "--base", metavar="REF", help="commit to compare the settings with (default: the main branch)"
    )
    made.add_argument(
        "--rendered",
        action="store_true",
        help="compare with the base's program instead of with the stack's state; needs no cluster and no account",
    )
    made.add_argument(
        "--output", metavar="FILE", type=Path, help="where to write it (default: standard output)"
    )
    made.add_argument("options", nargs="*", metavar="-- OPTION", help="further options of `pulumi preview`")
    return made


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write the report; 1 when what it reports is not good."""
    given = parser().parse_args(arguments)
    request = Request(
        stack=cast("str", given.stack),
        base=base_or_default(cast("str | None", given.base), root),
        rendered=cast("bool", given.rendered),
        options=tuple(cast("list[str]", given.options)),
    )
    text, good = make(request, environment.full(os.environ), root)
    output = cast("Path | None", given.output)
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    exit_with(main)

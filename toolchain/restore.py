"""`python -m toolchain.restore STACK --file TEXT [--from WHEN] [--target NAME]`: one photo or folder back from a copy.

The step that copies has all that it takes: the script, the password, the way to the targets, the media, only read-only.
So what runs is that step once more, with the media writable and the script for one file as its command
(components/backup/restore_scripts.py). It is removed afterwards.

Exit code 0 when it was restored, 1 when no copy has it or it failed, 2 for a wrong call, 3 when several paths match:
they are listed then, and nothing is restored. What is there is never overwritten.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from toolchain import environment
from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import settings_file
from toolchain.restore_request import LATEST, Request, request
from toolchain.stack_settings import settings_without_secrets, stack_texts

if TYPE_CHECKING:
    from components.settings.model import Settings


def restore(wanted: Request, settings: Settings, progress: Callable[[str], None]) -> int:
    """Bring it back; `progress` gets what the script says. The script's exit code, 0 to 3; ToolchainError else."""
    if settings.docker is not None:
        from toolchain import restore_docker

        env = environment.full(os.environ)
        code = restore_docker.run(wanted, settings.docker, env, progress)
    else:
        from toolchain import restore_kubernetes
        from toolchain.tasks_kubernetes import Cluster

        namespace = str(settings.kubernetes.namespace)
        cluster = Cluster.connect(wanted.stack, namespace, settings.kubernetes.context)
        code = restore_kubernetes.run(wanted, cluster, tell=progress)
    if code not in {0, 1, 2, 3}:
        raise ToolchainError(
            f"the restore was ended from outside (exit code {code}), by the kernel for lack of memory or by somebody: "
            "nothing was overwritten; the same command again begins anew"
        )
    return code


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m toolchain.restore",
        description="One photo or folder back from a copy, as `make restore STACK=... FILE=...` does it.",
        allow_abbrev=False,
    )
    parser.add_argument("stack", metavar="STACK")
    parser.add_argument(
        "--file", required=True, metavar="TEXT", help="a path, the end of one, or a name (FILE=...)"
    )
    parser.add_argument(
        "--from", dest="when", default=LATEST, metavar="WHEN",
        help="latest, a snapshot's id or a time in UTC (FROM=...)",
    )  # fmt: skip
    parser.add_argument("--target", metavar="NAME", help="the first where none is given (TARGET=...)")
    return parser.parse_args(given)


def _say(line: str) -> None:
    print(line, flush=True)


def _asked_to_end(number: int, frame: FrameType | None) -> None:
    del frame
    sys.exit(128 + number)


def main() -> int:
    """The command line."""
    given = _arguments(sys.argv[1:])
    # What it made is removed however it ends.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _asked_to_end)
    texts, hidden = stack_texts(settings_file(given.stack))
    settings, _ = settings_without_secrets(given.stack, texts, hidden)
    return restore(request(given.stack, settings, given.file, given.when, given.target), settings, _say)


if __name__ == "__main__":
    exit_with(main)

"""`python -m toolchain.restore STACK --file TEXT [--from WHEN] [--target NAME]`: one photo or folder back from a copy.

The step that copies has all that it takes: the script, the password, the way to the targets, the media, only read-only.
So what runs is that step once more, with the media writable and the script for one file as its command
(components/recovery_scripts.py). It is removed afterwards.

Exit code 0 when it was restored, 1 when no copy has it or it failed, 2 for a wrong call, 3 when several paths match:
they are listed then, and nothing is restored. What is there is never overwritten.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING, Final

from toolchain import environment
from toolchain.doors import settings_without_secrets, stack_texts
from toolchain.failure import ToolchainError, exit_with
from toolchain.stack import settings_file

if TYPE_CHECKING:
    from components.settings.model import Settings

LATEST: Final = "latest"
"""The newest copy that has it."""
_DATE: Final = re.compile(r"\d{4}-\d{2}(-\d{2})?")
_SNAPSHOT: Final = re.compile(r"[0-9a-f]{4,64}")
_SAID: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z (?P<said>.*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is wanted back."""

    stack: str
    file: str
    """Whole path, the end of one, or a name, of a file or a folder."""
    when: str = LATEST
    """`latest`, a snapshot's id, or a time in UTC as `moment` gives it."""
    target: str | None = None
    """Name of the target; None is the first."""
    media: frozenset[str] = frozenset({"/data"})
    """Paths where a container of the stack has photos mounted."""

    @property
    def arguments(self) -> list[str]:
        """Of the script."""
        return [self.file, self.when, *([self.target] if self.target else [])]


def moment(text: str) -> str:
    """`--from` as the script takes it: times in UTC. ToolchainError for what is neither snapshot nor time."""
    if text == LATEST or _DATE.fullmatch(text) or _SNAPSHOT.fullmatch(text):
        return text
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ToolchainError(
            f"--from {text!r}: give latest, a snapshot's id such as 1f0c24ab, or a time such as 2026-11-20 or "
            "2026-11-20T18:00:00Z (UTC where it names no zone)"
        ) from None
    given = found if found.tzinfo else found.replace(tzinfo=UTC)
    return f"{given.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def request(stack: str, settings: Settings, file: str, when: str, target: str | None) -> Request:
    """What is wanted of a stack. ToolchainError where its settings say that there is nothing to restore from."""
    from components.storage import server_mounts

    targets = [str(one.name) for one in settings.backup.targets] if settings.backup is not None else []
    if not targets:
        raise ToolchainError(
            f"{stack} has no copies of its files: no target is in immich:backup.targets of Pulumi.{stack}.yaml "
            "(docs/backups.md). What was deleted in Immich within 30 days is in its trash"
        )
    if target is not None and target not in targets:
        raise ToolchainError(f"{stack} has no target {target!r}: give one of {', '.join(targets)}")
    if not file.strip("/"):
        raise ToolchainError(
            "--file (FILE=...): give a path, the end of one, or a name, such as IMG_1234.jpg or upload/.../photo.jpg"
        )
    return Request(
        stack=stack,
        file=file,
        when=moment(when),
        target=target,
        media=frozenset(mount.path for mount in server_mounts(settings.storage)),
    )


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


def said(line: str) -> str:
    """A line of the script without its time."""
    found = _SAID.fullmatch(line)
    return found["said"] if found else line


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m toolchain.restore",
        description="One photo or folder back from a copy, as `make restore STACK=... FILE=...` does it.",
        allow_abbrev=False,
    )
    parser.add_argument("stack", metavar="STACK")
    parser.add_argument("--file", required=True, metavar="TEXT", help="a path, the end of one, or a name (FILE=...)")
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

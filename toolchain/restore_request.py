"""What is wanted back from a copy, judged by the settings of the stack before anything runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from toolchain.failure import ToolchainError

if TYPE_CHECKING:
    from components.settings.model import Settings

COPY_STEP: Final = "backup-copy"
"""The step that has the script, on every platform."""
RESTORE_ONE: Final = "/etc/immich-scripts/restore-one.sh"
"""The script in its containers."""
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
    from components.storage.component import server_mounts

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


def said(line: str) -> str:
    """A line of the script without its time."""
    found = _SAID.fullmatch(line)
    return found["said"] if found else line

"""Folders of a host that a stack mounts: an engine refuses a missing one in the middle of an update.

Nothing here makes one. What is missing may be a disk that is not mounted, and photos would go to the disk below it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.platform.docker import reach
from components.recovery.locations import Place, owner, places

if TYPE_CHECKING:
    from components.settings.docker import Docker
    from components.settings.model import Settings

_SECONDS: Final = 30.0


def missing(settings: Settings, stack: str, env: Mapping[str, str]) -> list[Place]:
    """The folders that are not there; none where nobody can look: on a cluster, by TCP, or as ssh does not answer."""
    docker = settings.docker
    folders = [place for place in places(settings, stack).values() if place.kind == "folder"]
    if docker is None or not folders:
        return []
    host = reach.address(str(docker.host) if docker.host else None, env)
    if host.startswith("unix://"):
        return [place for place in folders if not _is_there(Path(place.where))]
    if host.startswith("ssh://"):
        absent = _asked_by_ssh(docker, host, [place.where for place in folders])
        return [place for place in folders if place.where in absent]
    return []


def _is_there(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except PermissionError:  # inside a folder that this user may not look into
        return True


def _asked_by_ssh(docker: Docker, host: str, folders: Sequence[str]) -> set[str]:
    look = f'for folder in {shlex.join(folders)}; do [ -d "$folder" ] || printf "%s\\n" "$folder"; done'
    line = reach.ssh_line(host, docker.ssh_options, "-o", "BatchMode=yes")
    try:
        answer = subprocess.run(
            [*line, look], capture_output=True, text=True, timeout=_SECONDS, check=False, env=dict(os.environ)
        )
    except (OSError, subprocess.SubprocessError):
        return set()
    return set(answer.stdout.splitlines()) if answer.returncode == 0 else set()


def told(settings: Settings, absent: Sequence[Place]) -> str:
    """For people: what is missing, and the commands that make what may be made."""
    number = "a folder" if len(absent) == 1 else f"{len(absent)} folders"
    lines = [
        f"The host lacks {number} that this stack mounts. Mount the disk first, if one is missing. Then, on the host:"
    ]
    for place in absent:
        if place.name.startswith("library-"):
            lines.append(f"  # {place.where}: the external library {place.name.removeprefix('library-')}")
        user, group = owner(place, settings)
        folder = shlex.quote(place.where)
        lines.append(f"  sudo install -d -o {user} -g {group} -m 0750 {folder}")
        if settings.docker is not None and settings.docker.engine == "podman":
            lines.append(f"  podman unshare chown {user}:{group} {folder}")
    return "\n".join(lines)

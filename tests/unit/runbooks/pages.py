"""The pages of stacks, and what a shell would be given of them."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from components.recovery.runbooks import pages
from components.settings.model import Settings
from tests.unit.capacity.stacks import AWAY, BUCKET, STACKS, USB, cluster, host, of_stack

NFS = {"kind": "nfs", "server": "10.0.0.9", "path": "/photos"}
_OPERATED = {"kind": "cloudnative-pg", "namespace": "databases"}
_ARCHIVE = {"objectStore": {"destinationPath": "s3://b-b/d", "endpointUrl": "https://s3.example.net"}}
_EXTERNAL = {"kind": "external", "host": "10.0.0.8", "vectorExtension": "vectorchord", "postgres": 16}
_REST = {"name": "server", "kind": "rest", "url": "https://copies.example.net/immich", "user": "immich"}
_RCLONE = {
    "name": "drive",
    "kind": "rclone",
    "remote": "drive:immich/photos",
    "hosts": ["www.googleapis.com"],
}
_LOCAL = {"name": "volume", "kind": "local", "source": {"kind": "volume"}}
_LIBRARY = {"name": "old", "mountPath": "/mnt/old", "source": {"kind": "hostPath", "path": "/mnt/old"}}
MADE: Mapping[str, Settings] = {
    "bare": host(),
    "dumps": host({}),
    "two": host({"targets": [USB, AWAY]}, storage={"externalLibraries": [_LIBRARY]}),
    "every": host({"targets": [AWAY, _REST, _RCLONE, BUCKET], "files": {"thumbs": True}}),
    "folders": host(
        {"targets": [_LOCAL]},
        storage={
            "media": {"kind": "hostPath", "path": "/srv/photos"},
            "thumbs": {"kind": "hostPath", "path": "/mnt/ssd/thumbs"},
            "encodedVideo": {"kind": "volume"},
        },
        database={"hostPath": "/srv/database"},
        app={"trash": {"enabled": False}},
    ),
    "operated": cluster(
        {"archive": _ARCHIVE, "targets": [BUCKET]}, database=_OPERATED, storage={"media": NFS}
    ),
    "archived": cluster({"archive": _ARCHIVE}, database=_OPERATED),
    "dumped": cluster({"targets": [BUCKET]}, database=_OPERATED),
    "external": cluster({"targets": [BUCKET]}, database=_EXTERNAL, storage={"thumbs": {"kind": "volume"}}),
    "nowhere": cluster(),
}
"""Stacks for each branch that those of the repository leave out."""
EVERY = [*STACKS, *MADE]


@functools.cache
def pages_of(stack: str) -> dict[str, str]:
    """File name -> text."""
    return pages(MADE[stack] if stack in MADE else of_stack(stack), stack)


@dataclass(frozen=True)
class Command:
    """One command of a page, with what is continued or given on the next lines."""

    page: str
    text: str

    @property
    def parts(self) -> list[list[str]]:
        """Its programs with their arguments: the parts of a pipe, without the text that is given to them."""
        line = re.sub(r" *<<'END'.*", "", self.text, flags=re.DOTALL).replace("\\\n", " ")
        line = re.sub(r"\s# .*|\s{4}# .*", "", line)
        quoted = re.sub(r"'[^']*'|\"[^\"]*\"", "QUOTED", line)
        return [part.split() for part in re.split(r"[|;]|&&", quoted) if part.strip()]


def commands(stack: str) -> list[Command]:
    """Every command in the code of the pages of a stack."""
    return [Command(page, text) for page, content in pages_of(stack).items() for text in code(content)]


def code(page: str) -> list[str]:
    """The commands of one page: indented by four or more; continued lines and texts belong to the one before."""
    found: list[str] = []
    indent, inside = 0, False
    for line in page.splitlines():
        if not line.startswith("    "):
            inside = False
        elif inside or (found and found[-1].endswith("\\")):
            found[-1] += f"\n{line[indent:]}"
            inside = inside and line.strip() != "END"
        else:
            indent = len(line) - len(line.lstrip())
            found.append(line.strip())
            inside = line.endswith("<<'END'")
    return found

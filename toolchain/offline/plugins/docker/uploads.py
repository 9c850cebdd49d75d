"""Files that are put into a container before it starts."""

from __future__ import annotations

import base64
import binascii
import grp
import io
import pwd
import tarfile
import time
from pathlib import Path

from toolchain.offline.plugins.docker.container_request import objects
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, as_text


def archives(given: Object, root: Path) -> list[bytes]:
    """One tar archive for each of `uploads`, for the container's root. `source` starts at `root` when relative.

    Raises ProviderError for an upload without content or with more than one; content is never shown.
    """
    return [_archive(item, root) for item in objects(given.get("uploads"))]


def _archive(item: Object, root: Path) -> bytes:
    data = _content(item, root)
    name = as_text(item.get("file"))
    info = tarfile.TarInfo(name)
    permissions = as_text(item.get("permissions"))
    info.mode = int(permissions, 8) if permissions else 0o744 if item.get("executable") is True else 0o644
    info.size = len(data)
    info.mtime = int(time.time())
    info.uid = _number(as_text(item.get("owner")), name, "owner")
    info.gid = _number(as_text(item.get("group")), name, "group")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _content(item: Object, root: Path) -> bytes:
    name = as_text(item.get("file"))
    keys = [key for key in ("content", "contentBase64", "source") if as_text(item.get(key))]
    if len(keys) != 1:
        raise ProviderError(
            f"error with upload content of {name}: exactly one of 'content', 'contentBase64' or 'source' must be set"
        )
    text = as_text(item.get(keys[0]))
    if keys[0] == "content":
        return text.encode()
    if keys[0] == "contentBase64":
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error:
            raise ProviderError(f"error with upload content of {name}: contentBase64 is not base64") from None
    try:
        return (root / text).read_bytes()
    except OSError as error:
        raise ProviderError(
            f"could not read file {text} for the upload of {name}: {error.strerror}"
        ) from None


def _number(owner: str, name: str, what: str) -> int:
    """A user or group: a number as it is, a name by this machine's database."""
    if not owner or owner.isdigit():
        return int(owner or 0)
    try:
        return pwd.getpwnam(owner).pw_uid if what == "owner" else grp.getgrnam(owner).gr_gid
    except KeyError:
        raise ProviderError(
            f"upload of {name}: this machine knows no {what} {owner!r}: give a number"
        ) from None

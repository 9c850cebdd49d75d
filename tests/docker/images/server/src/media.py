"""Files under the media folder: markers, and uploads."""

from __future__ import annotations

import errno
import hashlib
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from environment import FOLDERS

BUFFER = 1 << 20
ReadInto = Callable[[memoryview], int]
"""Fills a buffer as far as there is something and gives the number of bytes; 0 at the end."""


class MediaError(Exception):
    """What is wrong with the media folder; the server does not start."""


class NoSpaceError(Exception):
    """The media volume is full; nothing is left of the upload."""


def make_markers(media: Path) -> None:
    """The six folders with their `.immich` files; those that are there stay."""
    for name in FOLDERS:
        marker = media / name / ".immich"
        try:
            marker.parent.mkdir(parents=True, exist_ok=True)
            if not marker.exists():
                marker.write_text(_now())
        except OSError as error:
            raise MediaError(f"Failed to create {marker}: {error.strerror}") from error


def check_markers(media: Path) -> None:
    """Read and write each again. MediaError for the first that is missing or not writable."""
    for name in FOLDERS:
        marker = media / name / ".immich"
        try:
            marker.read_bytes()
        except OSError as error:
            raise MediaError(
                f"Failed to read (<UPLOAD_LOCATION>/{name}/.immich): {marker}: {error.strerror}"
            ) from error
        try:
            with marker.open("r+") as opened:
                opened.write(_now())
                opened.truncate()
        except OSError as error:
            raise MediaError(
                f"Failed to write (<UPLOAD_LOCATION>/{name}/.immich): {marker}: {error.strerror}"
            ) from error


def _now() -> str:
    return str(int(time.time() * 1000))


def path_of(media: Path, asset: str) -> Path:
    """Where an original is. ValueError when that is no id."""
    text = str(uuid.UUID(asset))
    return media / "upload" / text[:2] / text


def receive(media: Path, read: ReadInto) -> tuple[str, int, str]:
    """Store a body under a new id: id, bytes, SHA-1. Holds one buffer of it. NoSpaceError, or any error of `read`.

    It is written where it stays (storage.repository.ts, createWriteStream): a server that is killed leaves what it has.
    """
    asset = str(uuid.uuid4())
    path = path_of(media, asset)
    size, digest = 0, hashlib.sha1(usedforsecurity=False)
    buffer = memoryview(bytearray(BUFFER))
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("wb", buffering=0) as opened:
            while count := read(buffer):
                digest.update(buffer[:count])
                written = 0
                while written < count:
                    written += opened.write(buffer[written:count])
                size += count
            os.fsync(opened.fileno())
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoSpaceError(f"no space left on the media volume after {size} bytes") from error
        raise
    return asset, size, digest.hexdigest()


def remove(media: Path, asset: str) -> None:
    """Delete an original; one that is gone already is fine. ValueError when that is no id."""
    path_of(media, asset).unlink(missing_ok=True)

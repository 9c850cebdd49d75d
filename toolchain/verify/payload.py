"""Pictures to upload: real PNGs of any size, made on the way, no two alike."""

from __future__ import annotations

import datetime
import random
import secrets
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_PIECE: Final = 1 << 18
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PADDING: Final = b"zzPd"
"""A chunk that decoders skip: ancillary, private, safe to copy (PNG, 5.4)."""
_MOST: Final = 1 << 30
"""Bytes of one such chunk; the format permits 2^31 - 1."""


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def picture(seed: int, width: int = 64, height: int = 64) -> bytes:
    """A PNG in colour, the same for the same seed. Coarse blocks of noise: it has detail and a thumbnail of it too."""
    noise = random.Random(seed)  # noqa: S311  a picture is no secret
    block = max(1, width // 32)
    columns = -(-width // block)
    rows: list[bytes] = []
    line = b""
    for number in range(height):
        if number % block == 0:
            line = b"".join(noise.randbytes(3) * block for _ in range(columns))[: width * 3]
        rows.append(b"\0" + line)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    drawn = zlib.compress(b"".join(rows), 6)
    return _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", drawn) + _chunk(b"IEND", b"")


def padded(content: bytes, size: int) -> Iterator[bytes]:
    """The same picture with exactly `size` bytes, in pieces; as it is where it is that large already."""
    end = content[-12:]
    missing = size - len(content)
    yield content[:-12]
    while missing >= 12:
        length = min(missing - 12, _MOST)
        if 0 < missing - 12 - length < 12:
            length -= 12
        yield from _padding(length)
        missing -= length + 12
    yield end


def _padding(length: int) -> Iterator[bytes]:
    yield struct.pack(">I", length) + _PADDING
    check = zlib.crc32(_PADDING)
    # Not zeros: a hop that compresses would make a small body of them.
    noise = secrets.token_bytes(_PIECE)
    left = length
    while left:
        piece = noise[: min(left, _PIECE)]
        check = zlib.crc32(piece, check)
        yield piece
        left -= len(piece)
    yield struct.pack(">I", check)


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form as Immich's clients send it to `POST /api/assets` (AssetMediaCreateDto of @immich/sdk 3.2.2)."""

    name: str
    """File name; its ending says what it is."""
    content: bytes
    size: int | None = None
    """Bytes of the whole body; None takes the picture as it is."""
    boundary: str = "immich-verify-4f1c9a7d2b"

    @property
    def type(self) -> str:
        """Content-Type."""
        return f"multipart/form-data; boundary={self.boundary}"

    @property
    def length(self) -> int:
        """Content-Length."""
        file = len(self.content) if self.size is None else max(len(self.content), self._file_size)
        return len(self._head) + file + len(self._tail)

    @property
    def _file_size(self) -> int:
        wanted = (self.size or 0) - len(self._head) - len(self._tail)
        # Less than a chunk cannot be added.
        return wanted if wanted - len(self.content) >= 12 else len(self.content)

    def body(self) -> Iterator[bytes]:
        """The bytes, in pieces."""
        yield self._head
        yield from padded(self.content, self._file_size)
        yield self._tail

    @property
    def _head(self) -> bytes:
        day = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC).isoformat().replace("+00:00", ".000Z")
        fields = {"deviceAssetId": self.name, "deviceId": "immich-verify"} | {
            "fileCreatedAt": day, "fileModifiedAt": day, "filename": self.name
        }  # fmt: skip
        parts = [
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        file = (
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="assetData"; filename="{self.name}"\r\n'
            "Content-Type: image/png\r\n\r\n"
        )
        return ("".join(parts) + file).encode()

    @property
    def _tail(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode()

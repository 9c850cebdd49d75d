"""Bodies of HTTP requests, a buffer at a time, and the range that a download asks for."""

from __future__ import annotations

import re
from email.message import Message
from io import BufferedIOBase
from typing import Protocol


class BodyError(Exception):
    """The body ended early, or is not what its header says; the connection is of no more use."""


class Body(Protocol):
    """A body that is read once."""

    finished: bool

    def read_into(self, buffer: memoryview) -> int:
        """Fill the buffer as far as possible; 0 at the end. BodyError."""
        ...


class Sized:
    """A body with Content-Length."""

    def __init__(self, stream: BufferedIOBase, length: int) -> None:
        self._stream, self._left = stream, length
        self.finished = length == 0

    def read_into(self, buffer: memoryview) -> int:
        if self.finished:
            return 0
        count: int = self._stream.readinto(buffer[: min(len(buffer), self._left)])
        if not count:
            raise BodyError(f"the body ended {self._left} bytes early")
        self._left -= count
        self.finished = self._left == 0
        return count


class Chunked:
    """A body with Transfer-Encoding: chunked."""

    def __init__(self, stream: BufferedIOBase) -> None:
        self._stream, self._left, self.finished = stream, 0, False

    def read_into(self, buffer: memoryview) -> int:
        if self.finished:
            return 0
        if self._left == 0:
            size = self._stream.readline(100).split(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]+", size):
                raise BodyError("the body ended in the middle of a chunk")
            self._left = int(size, 16)
            if self._left == 0:
                while self._stream.readline(8192).strip():
                    continue
                self.finished = True
                return 0
        data = self._stream.read(min(len(buffer), self._left))
        if not data:
            raise BodyError("the body ended in the middle of a chunk")
        buffer[: len(data)] = data
        self._left -= len(data)
        if self._left == 0:
            self._stream.readline(3)
        return len(data)


def body(stream: BufferedIOBase, headers: Message[str, str]) -> Body:
    """The body of a request with these headers. BodyError when they contradict themselves."""
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        return Chunked(stream)
    length = headers.get("Content-Length", "0").strip()
    if not length.isdigit():
        raise BodyError(f"Content-Length: {length!r} is no number")
    return Sized(stream, int(length))


def requested_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte that are asked for; None for all. ValueError when there is no such part."""
    if header is None:
        return None
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if found is None or found.groups() == ("", ""):
        return None  # several ranges, or another unit: answered with all of it, as the standard allows
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
    if start > end:
        raise ValueError(header)
    return start, end

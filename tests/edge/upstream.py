"""A stand-in for Immich's server: keeps what it receives, hashes bodies, answers with bodies of any size.

GET answers with `size=N` bytes of `pattern`, else with a short text; POST and PUT answer with the size and hash of the
body; /api/socket.io speaks WebSocket and echoes. `wait=SECONDS` in the query answers later.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

CHUNK = 1 << 20
_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BLOCK = bytearray(hashlib.shake_256(b"block").digest(CHUNK))


def pattern(size: int) -> Iterator[memoryview]:
    """`size` bytes in blocks of 1 MiB, no two alike; a block is valid until the next one is asked for."""
    block = bytearray(_BLOCK)
    view = memoryview(block)
    for number in range(-(-size // CHUNK)):
        struct.pack_into(">Q", block, 0, number)
        yield view[: min(CHUNK, size - number * CHUNK)]


@dataclass(slots=True)
class Seen:
    """One request, as it arrives."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    connection: int
    """Number of the connection that it came on."""
    first_byte: float = 0.0
    """When the body began to arrive (`time.monotonic`)."""
    size: int = 0
    sha256: str = ""
    whole: bool = False
    """Whether the body came to its end."""

    def all(self, name: str) -> list[str]:
        """Values of a header."""
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def one(self, name: str) -> str:
        """The value of a header that comes once."""
        (value,) = self.all(name)
        return value


@dataclass
class Upstream:
    """The server; `with Upstream() as upstream`."""

    host: str = "127.0.0.1"
    port: int = 0
    seen: list[Seen] = field(default_factory=list[Seen])
    idle: float = 5.0
    """Seconds after which an idle connection is closed, as Node.js does."""
    extra: tuple[tuple[str, str], ...] = ()
    """Headers of every answer."""
    status: str = "200 OK"
    """Status of every answer."""
    _listening: socket.socket | None = None
    _open: set[socket.socket] = field(default_factory=set[socket.socket])
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _connections: int = 0

    def __enter__(self) -> Upstream:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the port that it had before if there was one."""
        listening = socket.create_server((self.host, self.port), backlog=1024)
        self.port = int(listening.getsockname()[1])
        self._listening = listening
        self._spawn(self._accept, listening)

    def stop(self) -> None:
        """Close the port and every connection."""
        assert self._listening is not None
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()
        self._threads.clear()

    def wait_for(self, target: str, seconds: float = 10) -> Seen:
        """The request for a target, once its head has arrived."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for seen in self.seen:
                if seen.target == target:
                    return seen
            time.sleep(0.005)
        raise AssertionError(f"no request for {target} arrived in {seconds} s")

    def _spawn(self, run: object, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)  # pyright: ignore[reportArgumentType]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections += 1
                self._open.add(connection)
                number = self._connections
            self._spawn(self._serve, connection, number)

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.settimeout(self.idle)
        # Whoever closes a connection in the middle is recorded as a body that is not whole.
        with contextlib.suppress(OSError, EOFError), contextlib.closing(connection):
            stream = _Stream(connection)
            while self._answer(stream, number):
                connection.settimeout(self.idle)
        with self._lock:
            self._open.discard(connection)

    def _answer(self, stream: _Stream, number: int) -> bool:
        head = stream.until(b"\r\n\r\n")
        if head is None:
            return False
        stream.connection.settimeout(60)
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        seen = Seen(method, target, pairs, number)
        self.seen.append(seen)
        names = {name.lower(): value for name, value in pairs}
        # Node.js gives a request to the WebSocket server only with both headers.
        if names.get("upgrade") == "websocket" and "upgrade" in names.get("connection", "").lower():
            _web_socket(stream, names["sec-websocket-key"])
            return False
        self._body(stream, names, seen)
        query = {name: values[-1] for name, values in parse_qs(urlsplit(target).query).items()}
        time.sleep(float(query.get("wait", "0")))
        if method == "GET" and "size" in query:
            size = int(query["size"])
            stream.send(self._head(size, "video/mp4"))
            for block in pattern(size):
                stream.send(block)
            return True
        told = json.dumps({"size": seen.size, "sha256": seen.sha256, "connection": number}).encode()
        stream.send(self._head(len(told), "application/json") + (b"" if method == "HEAD" else told))
        return names.get("connection", "").lower() != "close"

    def _head(self, size: int, kind: str) -> bytes:
        lines = [
            f"HTTP/1.1 {self.status}",
            f"Content-Length: {size}",
            f"Content-Type: {kind}",
            *(f"{name}: {value}" for name, value in self.extra),
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    def _body(self, stream: _Stream, names: dict[str, str], seen: Seen) -> None:
        digest = hashlib.sha256()
        if names.get("transfer-encoding", "").lower() == "chunked":
            while True:
                line = stream.until(b"\r\n")
                if not line:
                    raise EOFError
                length = int(line, 16)
                self._take(stream, length, digest.update, seen)
                stream.until(b"\r\n")
                if length == 0:
                    break
        else:
            self._take(stream, int(names.get("content-length", "0")), digest.update, seen)
        seen.sha256 = digest.hexdigest()
        seen.whole = True

    @staticmethod
    def _take(stream: _Stream, length: int, update: object, seen: Seen) -> None:
        assert callable(update)
        for part in stream.take(length):
            if not seen.first_byte:
                seen.first_byte = time.monotonic()
            update(part)
            seen.size += len(part)


class _Stream:
    """A connection with what was read too far."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._rest = b""
        self._buffer = bytearray(CHUNK)

    def until(self, mark: bytes) -> bytes | None:
        """What comes before a mark, which is dropped; None at the end of the stream."""
        while mark not in self._rest:
            more = self.connection.recv(65536)
            if not more:
                return None
            self._rest += more
        found, _, self._rest = self._rest.partition(mark)
        return found

    def take(self, length: int) -> Iterator[bytes | memoryview]:
        """`length` bytes in parts. Raises `EOFError` when the stream ends before."""
        view = memoryview(self._buffer)
        while length:
            if self._rest:
                part: bytes | memoryview = self._rest[:length]
                self._rest = self._rest[len(part) :]
            else:
                number = self.connection.recv_into(view[: min(length, CHUNK)])
                if not number:
                    raise EOFError
                part = view[:number]
            length -= len(part)
            yield part

    def exactly(self, length: int) -> bytes:
        return b"".join(bytes(part) for part in self.take(length))

    def send(self, data: bytes | memoryview) -> None:
        self.connection.sendall(data)


def _web_socket(stream: _Stream, key: str) -> None:
    """Accept and echo frames until the other side closes (RFC 6455; frames of at most 125 bytes)."""
    accepted = base64.b64encode(hashlib.sha1(key.encode() + _SALT, usedforsecurity=False).digest()).decode()
    stream.send(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accepted}\r\n\r\n".encode()
    )
    while True:
        first, length = stream.exactly(2)
        mask = stream.exactly(4)
        data = bytes(byte ^ mask[index % 4] for index, byte in enumerate(stream.exactly(length & 0x7F)))
        stream.send(bytes((first, len(data))) + data)
        if first & 0x0F == 8:
            return

"""HTTP requests from any loopback address with any headers, and uploads that are watched while they go."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.edge.upstream import pattern

HOST = "photos.example.com"
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Values of a header."""
        return [value for known, value in self.headers if known.lower() == name.lower()]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def connect(
    port: int, source: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None, preamble: bytes = b""
) -> socket.socket:
    """A connection from a source address; `preamble` is what a balancer sends before all else."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if preamble:
        plain.sendall(preamble)
    return plain if tls is None else tls.wrap_socket(plain, server_hostname=HOST)


def request(
    port: int,
    method: str,
    path: str,
    headers: Headers = (),
    body: bytes | Iterable[bytes] | None = None,
    *,
    source: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    preamble: bytes = b"",
    host: str = HOST,
) -> Answer:
    """One request on a connection of its own. A body that is no bytes goes in chunks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.sock = connect(port, source, tls=tls, preamble=preamble)
    try:
        return send(connection, method, path, headers, body, host=host)
    finally:
        connection.close()


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: Headers = (),
    body: bytes | Iterable[bytes] | None = None,
    *,
    host: str = HOST,
) -> Answer:
    """One request on a connection that may be used again."""
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", host)
    for name, value in headers:
        connection.putheader(name, value.encode("latin-1"))
    chunked = body is not None and not isinstance(body, bytes)
    if isinstance(body, bytes):
        connection.putheader("Content-Length", str(len(body)))
    elif chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders(body, encode_chunked=chunked)
    found = connection.getresponse()
    return Answer(found.status, found.getheaders(), found.read())


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that came to its end."""

    answer: Answer
    sha256: str
    sent_at: list[float]
    """When so many MiB had been handed to the network (`time.monotonic`), from 0 on."""


def upload(
    port: int,
    path: str,
    size: int,
    *,
    source: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    pause: Callable[[int], None] = lambda _: None,
) -> Upload:
    """Send `size` bytes of `pattern`; `pause` is called with the number of blocks before each one."""
    digest = hashlib.sha256()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.sock = connect(port, source, tls=tls)
    sent_at: list[float] = []
    try:
        connection.putrequest("POST", path, skip_host=True)
        connection.putheader("Host", HOST)
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        for number, block in enumerate(pattern(size)):
            pause(number)
            sent_at.append(time.monotonic())
            digest.update(block)
            connection.sock.sendall(block)
        found = connection.getresponse()
        return Upload(Answer(found.status, found.getheaders(), found.read()), digest.hexdigest(), sent_at)
    finally:
        connection.close()


def download(port: int, path: str) -> tuple[int, str]:
    """Size and hash of what a GET answers with, read in parts."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    digest, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(1 << 20))
    try:
        connection.request("GET", path, headers={"Host": HOST})
        found = connection.getresponse()
        assert found.status == 200
        while number := found.readinto(buffer):
            digest.update(buffer[:number])
            size += number
    finally:
        connection.close()
    return size, digest.hexdigest()

"""HTTP to a Docker host: big files up and down with a hash and without holding them, from a chosen address."""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.docker.host_network import ContainerNetwork, HostNetwork

PIECE = 1 << 20
_PATTERN = bytes(range(1, 252)) * 4200  # no zero in it, and 251 divides no power of two


@dataclass(frozen=True)
class Answer:
    """Status, header and body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body read as JSON. ValueError when it is none."""
        return json.loads(self.body)


class Door:
    """An address of the Docker host, from where somebody connects.

    `source` is one of `HostNetwork.clients`; without one the connection comes from the host itself, which is the only
    way to a port on 127.0.0.1, or from the container whose network is given. With `tls` no certificate is checked.
    """

    def __init__(
        self,
        network: HostNetwork | ContainerNetwork,
        host: str,
        port: int,
        *,
        source: str | None = None,
        tls: bool = False,
        name: str | None = None,
    ) -> None:
        self._network, self._host, self._port, self._source = network, host, port, source
        self._name = name or host
        self._tls: ssl.SSLContext | None = None
        if tls:
            self._tls = ssl.create_default_context()
            self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE

    def connect(self, seconds: float = 60) -> http.client.HTTPConnection:
        """A connection; whoever asked for it closes it. OSError when nobody listens."""
        source = (self._source, 0) if self._source else None
        made = http.client.HTTPConnection(
            self._host, self._port, timeout=seconds, source_address=source, blocksize=PIECE
        )
        if self._source is None:
            made.sock = self._network.connect(self._host, self._port, seconds)
        else:
            made.connect()
        if self._tls is not None:
            made.sock = self._tls.wrap_socket(made.sock, server_hostname=self._name)
        return made

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 60,
    ) -> Answer:
        """One request on a connection of its own."""
        connection = self.connect(seconds)
        try:
            connection.request(method, path, body, {"Host": self._name, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """GET."""
        return self.request("GET", path, headers=headers)

    def upload(
        self, size: int, seed: int = 0, path: str = "/api/assets", seconds: float = 120
    ) -> tuple[Answer, str]:
        """Send `size` bytes made on the fly; the answer and the SHA-1 of what was sent."""
        digest = hashlib.sha1(usedforsecurity=False)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        return self.request(
            "POST", path, content(size, seed, digest.update), headers, seconds
        ), digest.hexdigest()

    def download(self, path: str, seconds: float = 120) -> tuple[int, int, str]:
        """Status, number of bytes and SHA-1 of what comes back."""
        connection = self.connect(seconds)
        try:
            connection.request("GET", path, headers={"Host": self._name})
            answer = connection.getresponse()
            digest, size = hashlib.sha1(usedforsecurity=False), 0
            while piece := answer.read(PIECE):
                digest.update(piece)
                size += len(piece)
            return answer.status, size, digest.hexdigest()
        finally:
            connection.close()


def content(size: int, seed: int = 0, each: Callable[[bytes], object] = bytes) -> Iterator[bytes]:
    """Bytes that compress badly enough to be no hole in a file, the same for the same size and seed.

    Every piece begins with its number, so that one that is lost, doubled or out of place changes the hash.
    """
    sent = 0
    while sent < size:
        offset = (sent // PIECE + seed) % 251
        piece = f"{seed}:{sent};".encode() + _PATTERN[offset : offset + PIECE]
        piece = piece[: min(PIECE, size - sent)]
        each(piece)
        yield piece
        sent += len(piece)

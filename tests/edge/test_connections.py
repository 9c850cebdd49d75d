"""Connections to the server: kept for the next request, upgraded for WebSockets, found again when it has moved."""

from __future__ import annotations

import os
import socket
import time

import pytest

from tests.edge.client import connect, request
from tests.edge.conftest import Start
from tests.edge.name_server import name_server
from tests.edge.running import proxy
from tests.edge.upstream import Upstream

pytestmark = pytest.mark.edge

SOCKET_IO = "/api/socket.io/?EIO=4&transport=websocket"
UPGRADE = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
]


def open_web_socket(port: int) -> socket.socket:
    connection = connect(port)
    lines = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE)
    connection.sendall(f"GET {SOCKET_IO} HTTP/1.1\r\nHost: photos.example.com\r\n{lines}\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    return connection


def echo(connection: socket.socket, text: bytes) -> bytes:
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
    connection.sendall(bytes((0x81, 0x80 | len(text))) + mask + masked)
    told = b""
    while len(told) < 2 + len(text):
        told += connection.recv(200)
    return told[2:]


def test_a_web_socket_echoes_at_once_in_both_directions(start: Start) -> None:
    with open_web_socket(start(proxy()).ports["lan"]) as connection:
        for number in range(50):
            text = f"message {number}".encode()
            assert echo(connection, text) == text


def test_a_web_socket_is_let_through_on_every_listener(start: Start) -> None:
    nginx = start(proxy({"kind": "httpRoute", "gateway": "g", "gatewayNamespace": "g"}), tunnel=True)
    for name in ("gateway", "tunnel"):
        with open_web_socket(nginx.ports[name]) as connection:
            assert echo(connection, b"hello") == b"hello"


@pytest.mark.parametrize(("path", "upgrade"), [("/api/assets", "websocket"), ("/api/socket.io/", "h2c")])
def test_nothing_else_is_upgraded(path: str, upgrade: str, start: Start, upstream: Upstream) -> None:
    headers = [("Upgrade", upgrade), ("Connection", "Upgrade")]
    assert request(start(proxy()).ports["lan"], "GET", path, headers).status == 200
    seen = upstream.wait_for(path)
    assert seen.all("upgrade") == []
    assert seen.all("connection") == []


def test_connections_to_the_server_are_used_again(start: Start, upstream: Upstream) -> None:
    port = start(proxy()).ports["lan"]
    for number in range(30):
        path = "/api/socket.io/?polling" if number % 2 else "/api/server/ping"
        assert request(port, "GET", path).status == 200
    # At most one for each of the two workers.
    assert len({seen.connection for seen in upstream.seen}) <= 2


def test_a_kept_connection_is_given_up_before_the_server_closes_it(start: Start, upstream: Upstream) -> None:
    port = start(proxy()).ports["lan"]
    first = request(port, "POST", "/api/search", body=b"{}").json["connection"]
    time.sleep(4.4)
    # The server would have closed it after 5 s; a request that crosses that would be lost.
    assert request(port, "POST", "/api/search", body=b"{}").json["connection"] != first


@pytest.mark.parametrize(
    "path", ["/.well-known/immich", "/", "/api/server/ping", "/_app/immutable/x.js", "/share/x?key=1"]
)
def test_every_path_leads_to_the_server_as_it_was_asked_for(
    path: str, start: Start, upstream: Upstream
) -> None:
    assert request(start(proxy()).ports["lan"], "GET", path).status == 200
    assert upstream.wait_for(path).one("host") == "photos.example.com"


def test_a_path_is_not_rewritten_on_its_way(start: Start, upstream: Upstream) -> None:
    path = "/api/assets/a%2Fb//c/../d?x=%20&y=%2B"
    assert request(start(proxy()).ports["lan"], "GET", path).status == 200
    upstream.wait_for(path)


def test_a_part_of_a_video_is_asked_for_as_a_part(start: Start, upstream: Upstream) -> None:
    path = "/api/assets/x/video/playback"
    headers = [("Range", "bytes=100-199"), ("If-Range", '"tag"')]
    assert request(start(proxy()).ports["lan"], "GET", path, headers).status == 200
    assert upstream.wait_for(path).one("range") == "bytes=100-199"
    assert upstream.wait_for(path).one("if-range") == '"tag"'


def test_a_server_that_has_moved_is_found_again_without_a_restart(start: Start, upstream: Upstream) -> None:
    addresses = ["127.0.0.1"]
    moved = Upstream(host="127.0.0.55", port=upstream.port)
    with name_server(addresses) as port, moved:
        nginx = start(proxy(), to=f"immich-server.test:{upstream.port}", resolver=f"127.0.0.1:{port}")
        assert request(nginx.ports["lan"], "GET", "/api/first?x=1").status == 200
        upstream.wait_for("/api/first?x=1")
        addresses.append("127.0.0.55")
        until = time.monotonic() + 30
        while time.monotonic() < until and not moved.seen:
            request(nginx.ports["lan"], "GET", "/api/later?x=1")
            time.sleep(0.5)
        assert moved.wait_for("/api/later?x=1", 1).one("x-forwarded-for") == "127.0.0.1"

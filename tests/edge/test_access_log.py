"""Datagrams that nginx sends of each request: what is in them, and that it never waits for whoever counts them.

The exporter itself is no package of Debian: `StandInForTheExporter` only keeps what arrives.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType

import pytest

from components.proxy.access_log import TAG
from tests.edge.client import request
from tests.edge.conftest import Start
from tests.edge.running import GATEWAY, LAN, Nginx, free_ports, proxy
from tests.edge.upstream import Upstream

pytestmark = pytest.mark.edge

Listen = Callable[[int], "StandInForTheExporter"]


class StandInForTheExporter:
    """Listens for syslog by UDP as prometheus-nginxlog-exporter does, and keeps the lines; it counts nothing."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self._socket.settimeout(0.05)
        self.datagrams: list[bytes] = []
        self.seconds: dict[tuple[str, str], str] = {}
        """Of what `lines` gave last: method and status -> until its answer began."""

    def __enter__(self) -> StandInForTheExporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def lines(self, number: int, seconds: float = 5) -> list[dict[str, str]]:
        """What is in the datagrams, once there are so many or the time is over."""
        until = time.monotonic() + seconds
        while len(self.datagrams) < number and time.monotonic() < until:
            try:
                self.datagrams.append(self._socket.recv(65536))
            except TimeoutError:
                continue
        told = [json.loads(one.split(f" {TAG}: ".encode(), 1)[1]) for one in self.datagrams]
        self.seconds = {(one["method"], one["status"]): one.pop("upstream_response_time") for one in told}
        return told


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Starts a stand-in for the exporter at a port; it ends with the test."""
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(StandInForTheExporter(port))


def counted(listener: str, method: str, status: str) -> dict[str, str]:
    return {"listener": listener, "method": method, "status": status}


def gone(nginx: Nginx, listener: str, head: str, body: bytes) -> None:
    """A client that sends this and goes before it has an answer."""
    with socket.create_connection(("127.0.0.1", nginx.ports[listener])) as connection:
        connection.sendall(f"{head} HTTP/1.1\r\nHost: photos.example.com\r\n".encode() + body)
        time.sleep(0.2)


def test_each_request_is_told_with_its_door_its_method_and_its_status(
    start: Start, upstream: Upstream, listen: Listen
) -> None:
    (port,) = free_ports(1)
    nginx = start(proxy(LAN, GATEWAY), counted_at=f"127.0.0.1:{port}")
    there = listen(port)
    upstream.status = "201 Created"
    uploads = [
        request(nginx.ports[door], "POST", "/api/assets", body=b"photo") for door in ("lan", "gateway")
    ]
    refused = request(nginx.ports["lan"], "POST", "/api/auth/login", body=bytes(65537))
    upstream.stop()
    away = request(nginx.ports["gateway"], "PUT", "/api/x", body=b"x")
    upstream.start()
    assert [answer.status for answer in (*uploads, refused, away)] == [201, 201, 413, 502]
    # Workers send on their own: the order is nobody's promise.
    found = there.lines(4)
    assert sorted(found, key=str) == sorted(
        [
            counted("lan", "POST", "201"),
            counted("gateway", "POST", "201"),
            counted("lan", "POST", "413"),
            counted("gateway", "PUT", "502"),
        ],
        key=str,
    )
    for one in there.datagrams:
        assert re.match(rb"<190>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d nginx: \{", one), (
            "RFC 3164, as it is read"
        )
    assert len(nginx.log(4)) == 4, "the log for people is kept as it was"


def test_an_answer_is_timed_until_it_begins_and_only_where_the_server_was_asked(
    start: Start, listen: Listen
) -> None:
    (port,) = free_ports(1)
    nginx = start(proxy(), counted_at=f"127.0.0.1:{port}")
    there = listen(port)
    with socket.create_connection(("127.0.0.1", nginx.ports["lan"])) as slow:
        slow.sendall(
            b"GET /api/assets/1/original?size=30000000&wait=0.3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        began = time.monotonic()
        while time.monotonic() - began < 1:
            assert slow.recv(1 << 16)
            time.sleep(0.01)
        while slow.recv(1 << 20):
            continue
    request(nginx.ports["lan"], "POST", "/api/auth/login", body=bytes(65537))
    there.lines(2)
    assert 0.3 <= float(there.seconds["GET", "200"]) < 1
    assert there.seconds["POST", "413"] == "-"


@pytest.mark.parametrize(
    ("head", "body", "logged"),
    [
        ("POST /api/assets", b"Content-Length: 1000\r\n\r\nhalf", "400"),
        ("POST /api/assets", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "400"),
        ("POST /api/assets?wait=1", b"Content-Length: 5\r\n\r\nwhole", "499"),
        ("GET /api/assets?wait=1", b"\r\n", "499"),
    ],
    ids=["within a body", "within chunks", "after an upload", "before a download"],
)
def test_whoever_gives_up_counts_as_such_even_within_an_upload(
    head: str, body: bytes, logged: str, start: Start, listen: Listen
) -> None:
    (port,) = free_ports(1)
    nginx = start(proxy(), counted_at=f"127.0.0.1:{port}")
    there = listen(port)
    gone(nginx, "lan", head, body)
    assert there.lines(1) == [counted("lan", head.split(maxsplit=1)[0], "499")]
    assert [one["status"] for one in nginx.log()] == [logged], "nginx's own word for it"


def test_a_request_that_is_wrong_in_itself_stays_what_it_is(
    start: Start, upstream: Upstream, listen: Listen
) -> None:
    (port,) = free_ports(1)
    nginx = start(proxy(), counted_at=f"127.0.0.1:{port}")
    there = listen(port)
    with socket.create_connection(("127.0.0.1", nginx.ports["lan"])) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b" 400 " in connection.recv(100)
    upstream.status = "400 Bad Request"
    assert request(nginx.ports["lan"], "POST", "/api/assets", body=b"no photo").status == 400
    assert Counter(one["status"] for one in there.lines(2)) == {"400": 2}


def test_neither_health_checks_nor_what_the_log_leaves_out_are_told(start: Start, listen: Listen) -> None:
    (port,) = free_ports(1)
    nginx = start(proxy(), counted_at=f"127.0.0.1:{port}")
    there = listen(port)
    assert request(nginx.ports["status"], "GET", "/health").status == 200
    assert request(nginx.ports["status"], "GET", "/elsewhere").status == 404
    assert request(nginx.ports["lan"], "GET", "/api/server/ping").status == 200
    assert there.lines(2, seconds=1) == [counted("lan", "GET", "200")]


def test_nothing_of_a_request_is_told_but_its_method(start: Start, listen: Listen) -> None:
    (port,) = free_ports(1)
    nginx = start(proxy(), counted_at=f"127.0.0.1:{port}")
    there = listen(port)
    headers = [("User-Agent", "secret-agent"), ("CF-IPCountry", "secret-place")]
    assert request(nginx.ports["lan"], "BREW", "/share/secret?key=secret", headers).status == 200
    assert request(nginx.ports["lan"], "GET", "/share/secret?key=secret", headers).status == 200
    assert {one["method"] for one in there.lines(2)} == {"BREW", "GET"}
    assert not [one for one in there.datagrams if b"secret" in one]


def test_nginx_starts_and_serves_where_nobody_counts_and_says_nothing_of_it(start: Start) -> None:
    (port,) = free_ports(1)
    nginx = start(proxy(), counted_at=f"127.0.0.1:{port}")
    answers = [request(nginx.ports["lan"], "GET", "/api/server/ping") for _ in range(50)]
    assert {answer.status for answer in answers} == {200}
    assert len(nginx.log(50)) == 50
    assert (nginx.directory / "stderr").read_text() == ""


def test_a_counter_that_comes_goes_and_hangs_is_no_matter_to_those_who_ask(
    start: Start, listen: Listen
) -> None:
    (port,) = free_ports(1)
    nginx = start(proxy(), counted_at=f"127.0.0.1:{port}")

    def ask(number: int) -> float:
        began = time.monotonic()
        assert {request(nginx.ports["lan"], "GET", "/api/server/ping").status for _ in range(number)} == {200}
        return time.monotonic() - began

    ask(20)
    with listen(port) as there:
        ask(20)
        # A worker learns from the first one that it sends whether anybody was there for the one before.
        assert len(there.lines(18)) >= 18
    ask(20)
    hanging = listen(port)
    # More than the socket of one who never reads can hold: the kernel drops the rest.
    assert ask(2000) < 20
    assert hanging.lines(1)
    nginx.stop(signal.SIGQUIT)
    assert nginx.process is not None
    assert nginx.process.returncode == 0

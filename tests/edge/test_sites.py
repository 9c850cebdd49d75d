"""Other sites behind the same nginx: by their names, beside Immich, without its rules."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.client import request
from tests.edge.conftest import Start
from tests.edge.name_server import name_server
from tests.edge.running import LAN, Nginx, proxy
from tests.edge.test_tls import make_certificate
from tests.edge.upstream import Upstream

pytestmark = pytest.mark.edge

BLOG, GONE = "blog.example.com", "gone.example.com"


@pytest.fixture
def blog() -> Iterator[Upstream]:
    with Upstream(host="127.0.0.55") as running:
        yield running


@pytest.fixture
def nginx(start: Start, blog: Upstream) -> Nginx:
    sites = [
        # The slash is how a browser shows an address: it is no path of its own.
        {"hostname": BLOG, "to": f"http://127.0.0.55:{blog.port}/", "maxUpload": "1M"},
        {"hostname": GONE, "to": "http://gone.invalid:80"},
    ]
    return start(proxy(LAN, sites=sites), resolver="127.0.0.1:9")


def test_a_site_gets_what_is_for_its_name_and_immich_the_rest(
    nginx: Nginx, blog: Upstream, upstream: Upstream
) -> None:
    assert request(nginx.ports["lan"], "GET", "/post", host=BLOG).status == 200
    assert request(nginx.ports["lan"], "GET", "/photos").status == 200
    assert [seen.target for seen in blog.seen] == ["/post"]
    assert [seen.target for seen in upstream.seen] == ["/photos"]


def test_a_site_learns_the_client_and_nothing_that_it_made_up(nginx: Nginx, blog: Upstream) -> None:
    forged = [("X-Forwarded-For", "1.2.3.4"), ("X-Real-IP", "1.2.3.4"), ("Forwarded", "for=1.2.3.4")]
    forged.append(("X-Forwarded-Proto", "https"))
    request(nginx.ports["lan"], "GET", "/", forged, source="127.0.0.9", host=BLOG)
    (seen,) = blog.seen
    assert seen.one("host") == BLOG
    assert seen.one("x-forwarded-for") == "127.0.0.9"
    assert seen.one("x-real-ip") == "127.0.0.9"
    assert seen.one("x-forwarded-proto") == "http"
    assert seen.all("forwarded") == []


def test_what_is_closed_for_immich_is_the_sites_own(nginx: Nginx, blog: Upstream) -> None:
    path = "/api/admin/maintenance/x"
    for _ in range(30):
        assert request(nginx.ports["lan"], "POST", path, body=b"", host=BLOG).status == 200
    assert len(blog.seen) == 30


def test_a_site_has_a_limit_of_its_own(nginx: Nginx) -> None:
    assert request(nginx.ports["lan"], "POST", "/", body=bytes(900_000), host=BLOG).status == 200
    assert request(nginx.ports["lan"], "POST", "/", body=bytes(1_100_000), host=BLOG).status == 413
    assert request(nginx.ports["lan"], "POST", "/api/assets", body=bytes(1_100_000)).status == 200


def test_a_site_that_is_away_is_no_reason_not_to_start(nginx: Nginx) -> None:
    assert request(nginx.ports["lan"], "GET", "/", host=GONE).status == 502
    assert request(nginx.ports["lan"], "GET", "/photos").status == 200


def test_a_web_socket_of_a_site_goes_through(nginx: Nginx, blog: Upstream) -> None:
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x")]
    request(nginx.ports["lan"], "GET", "/live", upgrade, host=BLOG)
    (seen,) = blog.seen
    assert (seen.one("upgrade"), seen.one("connection")) == ("websocket", "upgrade")


def test_a_site_by_https_learns_its_name_before_it_shows_a_certificate(start: Start, tmp_path: Path) -> None:
    make_certificate(tmp_path / "certificate")
    asked: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate" / "tls.crt", tmp_path / "certificate" / "tls.key")
    context.sni_callback = lambda _, name, __: asked.append(name)
    with socket.create_server(("127.0.0.55", 0)) as listening, name_server(["127.0.0.55"]) as names:

        def answer() -> None:
            with context.wrap_socket(listening.accept()[0], server_side=True) as one:
                one.recv(65536)
                one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        sites = [{"hostname": BLOG, "to": f"https://blog.test:{listening.getsockname()[1]}"}]
        nginx = start(proxy(LAN, sites=sites), resolver=f"127.0.0.1:{names}")
        assert request(nginx.ports["lan"], "GET", "/", host=BLOG).status == 200
        thread.join(5)
    assert asked == ["blog.test"]

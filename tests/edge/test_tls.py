"""nginx's own TLS: what it speaks, what it refuses, renewed certificates, and the way there from plain HTTP."""

from __future__ import annotations

import socket
import ssl
import subprocess
import warnings
from pathlib import Path

import pytest

from tests.edge.client import HOST, connect, request, upload
from tests.edge.conftest import Start
from tests.edge.running import BALANCER, LAN, PUBLIC, Nginx, proxy
from tests.edge.upstream import Upstream

pytestmark = pytest.mark.edge

SELF_SIGNED = {"kind": "selfSigned"}


def make_certificate(folder: Path) -> None:
    """tls.crt and tls.key, as a Secret of the type kubernetes.io/tls has them."""
    folder.mkdir(exist_ok=True)
    subject = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-days", "2"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    subprocess.run(["openssl", "req", "-x509", *key, *subject, *files], check=True, capture_output=True)


def context(nginx: Nginx, *protocols: str) -> ssl.SSLContext:
    """Trusts nothing but nginx's certificate."""
    found = ssl.create_default_context(cafile=str(nginx.directory / "tls" / "tls.crt"))
    if protocols:
        found.set_alpn_protocols(list(protocols))
    return found


@pytest.fixture
def tls(start: Start) -> Nginx:
    nginx = start(proxy(LAN, BALANCER, PUBLIC, tls=SELF_SIGNED, hsts=True), cloudflare_in_front=True)
    make_certificate(nginx.directory / "tls")
    return nginx


@pytest.mark.parametrize(
    ("offered", "chosen"), [(("h2", "http/1.1"), "h2"), (("http/1.1",), "http/1.1"), ((), None)]
)
def test_http_2_is_agreed_on_with_whoever_can(
    tls: Nginx, offered: tuple[str, ...], chosen: str | None
) -> None:
    with connect(tls.ports["lan-tls"], tls=context(tls, *offered)) as connection:
        assert isinstance(connection, ssl.SSLSocket)
        assert connection.selected_alpn_protocol() == chosen
        assert connection.version() == "TLSv1.3"


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header without index and compression (RFC 7541 6.2.2)."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = connection.recv(size - len(found))
        assert more
        found += more
    return found


def test_a_request_over_http_2_reaches_the_server(tls: Nginx, upstream: Upstream) -> None:
    headers = b"".join(
        literal(name, value)
        for name, value in (
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", HOST.encode()),
            (b":path", b"/api/server/ping"),
            (b"x-forwarded-for", b"1.2.3.4"),
        )
    )
    with connect(tls.ports["lan-tls"], tls=context(tls, "h2")) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 5, 1, headers))
        while True:
            head = exactly(connection, 9)
            payload = exactly(connection, int.from_bytes(head[:3], "big"))
            if head[3] == 1:
                break
        # A first byte of 0x88 is the indexed header `:status: 200`.
        assert payload[0] == 0x88
    seen = upstream.wait_for("/api/server/ping")
    assert seen.one("host") == seen.one("x-forwarded-host") == HOST
    assert seen.one("x-forwarded-for") == "127.0.0.1"
    assert seen.one("x-forwarded-proto") == "https"


def test_an_upload_over_tls_arrives_whole(tls: Nginx, upstream: Upstream) -> None:
    sent = upload(tls.ports["lan-tls"], "/api/assets", 20_000_000, tls=context(tls))
    assert sent.answer.status == 200
    assert upstream.wait_for("/api/assets").sha256 == sent.sha256


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_refused(tls: Nginx, version: ssl.TLSVersion) -> None:
    old = context(tls)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = version
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError), connect(tls.ports["lan-tls"], tls=old):
        pass


@pytest.mark.parametrize(
    ("cipher", "accepted"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", True),
        ("ECDHE-ECDSA-AES128-SHA", False),
        ("ECDHE-ECDSA-AES256-SHA384", False),
    ],
)
def test_of_tls_1_2_only_modern_ciphers_are_accepted(tls: Nginx, cipher: str, accepted: bool) -> None:
    offering = context(tls)
    offering.maximum_version = ssl.TLSVersion.TLSv1_2
    offering.set_ciphers(cipher)
    if accepted:
        assert request(tls.ports["lan-tls"], "GET", "/", tls=offering).status == 200
        return
    with pytest.raises(ssl.SSLError):
        request(tls.ports["lan-tls"], "GET", "/", tls=offering)


def test_a_renewed_certificate_is_used_without_a_restart(tls: Nginx) -> None:
    before = context(tls)
    assert request(tls.ports["lan-tls"], "GET", "/", tls=before).status == 200
    pids = tls.pids()
    make_certificate(tls.directory / "tls")
    assert request(tls.ports["lan-tls"], "GET", "/", tls=context(tls)).status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        request(tls.ports["lan-tls"], "GET", "/", tls=before)
    assert tls.pids() == pids


def test_plain_http_leads_to_tls(tls: Nginx, upstream: Upstream) -> None:
    for method in ("GET", "POST"):
        answer = request(tls.ports["lan"], method, "/photos?x=1")
        # 308 keeps the method.
        assert answer.status == 308
        assert answer.all("location") == [f"https://{HOST}/photos?x=1"]
        assert answer.all("strict-transport-security") == []
    assert upstream.seen == []


@pytest.mark.parametrize("path", ["/.well-known/immich", "/.well-known/acme-challenge/token"])
def test_what_is_looked_up_before_tls_is_answered_without_it(
    tls: Nginx, path: str, upstream: Upstream
) -> None:
    assert request(tls.ports["lan"], "GET", path).status == 200
    assert upstream.wait_for(path).one("x-forwarded-proto") == "http"


def test_a_balancers_tls_port_speaks_the_proxy_protocol(tls: Nginx, upstream: Upstream) -> None:
    preamble = b"PROXY TCP4 203.0.113.9 127.0.0.1 40000 443\r\n"
    answer = request(
        tls.ports["lb-tls"], "GET", "/api/x", source="127.0.3.1", tls=context(tls), preamble=preamble
    )
    assert answer.status == 200
    assert upstream.wait_for("/api/x").one("x-forwarded-for") == "203.0.113.9"


def test_the_promise_of_https_is_made_over_https_only(start: Start, tls: Nginx) -> None:
    secure = request(tls.ports["lan-tls"], "GET", "/", tls=context(tls))
    assert secure.all("strict-transport-security") == ["max-age=31536000"]
    nginx = start(proxy(LAN, {"kind": "httpRoute", "gateway": "g", "gatewayNamespace": "g"}, hsts=True))
    told = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https")]
    for source, port, expected in (
        ("127.0.1.6", "gateway", ["max-age=31536000"]),
        ("127.0.9.9", "gateway", []),
        ("127.0.1.6", "lan", []),
    ):
        answer = request(nginx.ports[port], "GET", "/", told, source=source)
        assert answer.all("strict-transport-security") == expected


def test_without_the_setting_no_promise_is_made(start: Start) -> None:
    nginx = start(proxy(tls=SELF_SIGNED))
    make_certificate(nginx.directory / "tls")
    answer = request(nginx.ports["lan-tls"], "GET", "/", tls=context(nginx))
    assert answer.all("strict-transport-security") == []

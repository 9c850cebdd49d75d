"""What browsers are told with every answer, and what the log keeps of a request."""

from __future__ import annotations

import pytest

from components.proxy.nginx import CONTENT_SECURITY_POLICY, SECURITY_HEADERS
from tests.edge.client import connect, request
from tests.edge.conftest import Start
from tests.edge.running import GATEWAY, proxy
from tests.edge.upstream import Upstream

pytestmark = pytest.mark.edge

PATHS = [
    "/",
    "/api/assets",
    "/api/assets/x/thumbnail",
    "/api/download/archive",
    "/api/auth/login",
    "/api/oauth/callback",
    "/api/socket.io/",
    "/.well-known/immich",
    "/_app/immutable/x.js",
]


@pytest.mark.parametrize("path", PATHS)
def test_each_security_header_comes_once_in_every_location(
    path: str, start: Start, upstream: Upstream
) -> None:
    # As Immich itself sends with IMMICH_HELMET_FILE.
    upstream.extra = (
        ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"),
        ("Strict-Transport-Security", "max-age=1; includeSubDomains; preload"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Powered-By", "Express"),
        ("Content-Security-Policy", "default-src 'self'"),
    )
    answer = request(start(proxy()).ports["lan"], "GET", path)
    assert answer.status == 200
    for name, value in SECURITY_HEADERS.items():
        assert answer.all(name) == [value]
    assert answer.all("strict-transport-security") == []
    assert answer.all("x-powered-by") == []
    assert answer.all("server") == ["nginx"], "without its version"
    assert answer.all("content-security-policy") == ["default-src 'self'"], "Immich's own is left alone"


def test_errors_of_nginx_itself_have_them_too(start: Start, upstream: Upstream) -> None:
    nginx = start(proxy(loginRate=1))
    port = nginx.ports["lan"]
    limited = [request(port, "POST", "/api/auth/login", body=b"") for _ in range(2)][1]
    too_large = request(port, "POST", "/api/auth/login", body=bytes(65537))
    upstream.stop()
    away = request(port, "GET", "/api/server/ping")
    assert [limited.status, too_large.status, away.status] == [429, 413, 502]
    for answer in (limited, too_large, away):
        for name, value in SECURITY_HEADERS.items():
            assert answer.all(name) == [value]
    upstream.start()


def test_the_content_policy_is_sent_when_it_is_asked_for_in_the_place_of_immichs(
    start: Start, upstream: Upstream
) -> None:
    upstream.extra = (("Content-Security-Policy", "default-src 'none'"),)
    answer = request(start(proxy(contentSecurityPolicy=True)).ports["lan"], "GET", "/")
    assert answer.all("content-security-policy") == [CONTENT_SECURITY_POLICY]


@pytest.mark.parametrize(
    ("directive", "needs"),
    [
        ("connect-src", ["'self'", "https://tiles.immich.cloud", "https://static.immich.cloud"]),
        ("worker-src", ["'self'", "blob:"]),
        ("img-src", ["'self'", "data:", "blob:"]),
        ("media-src", ["'self'", "blob:"]),
        ("script-src", ["'self'", "'wasm-unsafe-eval'", "'unsafe-inline'", "https://www.gstatic.com"]),
        ("frame-ancestors", ["'self'"]),
        ("object-src", ["'none'"]),
    ],
)
def test_the_content_policy_lets_the_map_workers_and_media_be(directive: str, needs: list[str]) -> None:
    policy = {
        name: values for name, *values in (part.split() for part in CONTENT_SECURITY_POLICY.split("; "))
    }
    assert set(needs) <= set(policy[directive])


def test_no_header_forbids_what_immich_uses() -> None:
    assert "geolocation=()" not in SECURITY_HEADERS["Permissions-Policy"]
    assert "geolocation=(self)" in SECURITY_HEADERS["Permissions-Policy"]
    assert SECURITY_HEADERS["X-Frame-Options"] == "SAMEORIGIN"


def test_the_log_has_the_true_address_and_no_query(start: Start) -> None:
    nginx = start(proxy(GATEWAY))
    headers = [
        ("X-Forwarded-For", "9.9.9.9, 198.51.100.7"),
        ("X-Forwarded-Proto", "https"),
        ("CF-Ray", "8f-FRA"),
    ]
    request(nginx.ports["gateway"], "GET", "/api/assets/x/original?key=hidden", headers, source="127.0.1.6")
    (entry,) = nginx.log()
    expected = {
        "listener": "gateway",
        "client": "198.51.100.7",
        "peer": "127.0.1.6",
        "method": "GET",
        "scheme": "https",
        "host": "photos.example.com",
        "path": "/api/assets/x/original",
        "protocol": "HTTP/1.1",
        "status": "200",
        "upstreamStatus": "200",
        "cloudflareRay": "8f-FRA",
    }
    assert {name: entry[name] for name in expected} == expected
    assert float(entry["seconds"]) >= 0
    assert int(entry["sent"]) > 0


def test_no_key_of_a_share_or_api_is_ever_written(start: Start, upstream: Upstream) -> None:
    nginx = start(proxy(loginRate=1))
    port = nginx.ports["lan"]
    headers = [
        ("Referer", "https://photos.example.com/share/S3CRET"),
        ("Cookie", "immich_access_token=S3CRET"),
        ("Authorization", "Bearer S3CRET"),
        ("x-api-key", "S3CRET"),
    ]
    for path in ("/share/S3CRET", "/s/S3CRET/photos", "/Share/S3CRET?x=1", "/api/shared-links/me?key=S3CRET"):
        assert request(port, "GET", path, headers).status == 200
    limited = [request(port, "POST", "/api/auth/login?key=S3CRET", headers, b"") for _ in range(2)][1]
    too_large = request(port, "POST", "/api/auth/login?key=S3CRET", headers, bytes(65537))
    with connect(port) as connection:
        connection.sendall(b"GET /x?key=S3CRET HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 400"
    upstream.stop()
    away = request(port, "GET", "/api/assets?apiKey=S3CRET", headers)
    upstream.start()
    assert [limited.status, too_large.status, away.status] == [429, 413, 502]
    nginx.stop()
    entries = nginx.log(8)
    assert [entry["path"] for entry in entries[:3]] == ["/share/...", "/s/...", "/Share/..."]
    assert "S3CRET" not in nginx.output()


def test_a_log_entry_stays_one_entry_whatever_is_asked_for(start: Start) -> None:
    nginx = start(proxy())
    request(nginx.ports["lan"], "GET", '/a"%0A{"client":"1.2.3.4"}%22%7F%C3%BC')
    request(nginx.ports["lan"], "GET", "/end", [("CF-Ray", 'x","client":"1.2.3.4')])
    entries = nginx.log(2)
    assert [entry["client"] for entry in entries] == ["127.0.0.1", "127.0.0.1"]
    assert entries[1]["cloudflareRay"] == 'x","client":"1.2.3.4'


def test_numbers_are_for_the_exporter_beside_nginx_and_health_for_the_kubelet(start: Start) -> None:
    nginx = start(proxy())
    status = nginx.ports["status"]
    numbers = request(status, "GET", "/stub_status")
    assert numbers.status == 200
    assert numbers.body.startswith(b"Active connections: ")
    assert request(status, "GET", "/stub_status", source="127.0.0.2").status == 403
    forged = [("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")]
    assert request(status, "GET", "/stub_status", forged, source="127.0.0.2").status == 403
    assert request(status, "GET", "/health", source="127.0.0.2").body == b"ok\n"
    assert request(status, "GET", "/api/server/ping").status == 404
    request(nginx.ports["lan"], "GET", "/")
    assert len(nginx.log()) == 1, "neither is logged"


@pytest.mark.parametrize("path", ["/stub_status", "/health"])
def test_listeners_for_people_have_neither(path: str, start: Start, upstream: Upstream) -> None:
    assert request(start(proxy()).ports["lan"], "GET", path).status == 200
    upstream.wait_for(path)

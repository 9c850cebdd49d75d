"""Attempts to sign in are limited by address, and nothing else is."""

from __future__ import annotations

import asyncio

import pytest

from tests.edge.client import request
from tests.edge.conftest import Start
from tests.edge.running import GATEWAY, proxy
from tests.edge.upstream import Upstream

pytestmark = pytest.mark.edge

LOGIN = "/api/auth/login"


def statuses(port: int, number: int, path: str = LOGIN, source: str = "127.0.0.1") -> list[int]:
    return [request(port, "POST", path, body=b"{}", source=source).status for _ in range(number)]


def test_the_11th_attempt_in_a_minute_gets_429_and_is_told_when_to_come_again(
    start: Start, upstream: Upstream
) -> None:
    port = start(proxy()).ports["lan"]
    assert statuses(port, 10) == [200] * 10
    refused = request(port, "POST", LOGIN, body=b"{}")
    assert refused.status == 429
    assert refused.all("retry-after") == ["6"]
    assert len(upstream.seen) == 10
    assert statuses(port, 1, source="127.0.0.2") == [200], "another address has attempts of its own"
    assert statuses(port, 20, "/api/assets") == [200] * 20
    assert request(port, "GET", "/").all("retry-after") == []


@pytest.mark.parametrize("rate", [1, 3, 30])
def test_the_number_of_attempts_is_a_setting(rate: int, start: Start) -> None:
    port = start(proxy(loginRate=rate)).ports["lan"]
    assert statuses(port, rate + 1) == [200] * rate + [429]


@pytest.mark.parametrize(
    "path",
    [
        "/api/auth/admin-sign-up",
        "/api/oauth/authorize",
        "/api/oauth/callback",
        "/api/oauth/mobile-redirect?code=x",
        "/api/auth/login?x=1",
        "/api/shared-links/login?key=x",
        "/API/shared-links/login/?key=x",
        # Express answers these as well.
        "/API/Auth/LOGIN",
        "/api/auth/login/",
        "/Api/OAuth/Callback/",
        # And nginx must not be led astray by these.
        "//api/auth/login",
        "/api/auth/%6cogin",
        "/api/x/../auth/login",
    ],
)
def test_no_spelling_of_a_path_escapes_the_limit(path: str, start: Start) -> None:
    port = start(proxy(loginRate=3)).ports["lan"]
    assert statuses(port, 3) == [200] * 3
    assert statuses(port, 1, path) == [429]


@pytest.mark.parametrize(
    "path",
    [
        "/api/auth/logout",
        "/api/auth/validateToken",
        "/api/auth/change-password",
        "/auth/login",
        "/api/oauthx",
    ],
)
def test_what_is_no_attempt_is_not_limited(path: str, start: Start) -> None:
    port = start(proxy(loginRate=1)).ports["lan"]
    assert statuses(port, 15, path) == [200] * 15


def test_invented_headers_give_no_new_attempts(start: Start) -> None:
    port = start(proxy(loginRate=3)).ports["lan"]
    found = [
        request(
            port,
            "POST",
            LOGIN,
            [("X-Forwarded-For", f"1.2.3.{number}"), ("CF-Connecting-IP", f"1.2.3.{number}")],
            b"{}",
        ).status
        for number in range(4)
    ]
    assert found == [200, 200, 200, 429]


def test_clients_behind_one_gateway_have_attempts_of_their_own_and_a_household_with_ipv6_shares_them(
    start: Start,
) -> None:
    port = start(proxy(GATEWAY, loginRate=2)).ports["gateway"]

    def attempt(client: str) -> int:
        headers = [("X-Forwarded-For", client)]
        return request(port, "POST", LOGIN, headers, b"{}", source="127.0.1.6").status

    one_address = ["1.2.3.4", "1.2.3.4", "1.2.3.4", "1.2.3.5"]
    assert [attempt(client) for client in one_address] == [200, 200, 429, 200]
    # Of one /64, with zeros and an end of line among its eight bytes; then one of the next.
    one_network = ["2001:db8:0:a::1", "2001:db8:0:a:ffff::2", "2001:db8:0:a::3"]
    assert [attempt(client) for client in one_network] == [200, 200, 429]
    assert attempt("2001:db8:0:b::1") == 200


def test_700_thumbnails_at_once_are_all_answered(start: Start) -> None:
    port = start(proxy(loginRate=1)).ports["lan"]
    size = 20_000

    async def one(number: int, go: asyncio.Event) -> tuple[bytes, int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await go.wait()
        path = f"/api/assets/{number}/thumbnail?size={size}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: photos.example.com\r\nConnection: close\r\n\r\n".encode())
        told = await reader.read()
        writer.close()
        await writer.wait_closed()
        head, _, body = told.partition(b"\r\n\r\n")
        return head[9:12], len(body)

    async def all_of_them() -> list[tuple[bytes, int]]:
        go = asyncio.Event()
        waiting = [asyncio.create_task(one(number, go)) for number in range(700)]
        await asyncio.sleep(0.5)
        go.set()
        return await asyncio.gather(*waiting)

    assert set(asyncio.run(all_of_them())) == {(b"200", size)}

"""The first administrator is made, a restore or maintenance begun, through doors of the local network; through others
where a setting says so.
"""

from __future__ import annotations

import pytest

from tests.edge.client import Headers, request
from tests.edge.conftest import Start
from tests.edge.running import BALANCER, GATEWAY, LAN, PUBLIC, Nginx, proxy
from tests.edge.upstream import Upstream

pytestmark = pytest.mark.edge

RESTORE = "/api/admin/database-backups/start-restore"
BEGINS = [
    RESTORE,
    "/api/auth/admin-sign-up",
    "/api/admin/database-backups/upload",
    "/api/admin/maintenance",
    "/api/admin/maintenance/login",
]
SPELT = [
    # Express answers these as well, the last three by url.parse of Node.js (tried with Express 5 and parseurl 1.3.3).
    "/API/admin/database-backups/start-restore/",
    "/API/Auth/Admin-Sign-Up/",
    "/api/auth/admin-sign-up?x=1",
    "/api/auth/admin-sign-up#/../../x",
    "/api\\auth\\admin-sign-up#",
    "/api/auth\\Admin-Sign-Up?#",
    # And nginx must not be led astray by these.
    "//api/admin/database-backups/start-restore",
    "/api/x/../auth/admin-sign-up",
    "/api/auth/%61dmin-sign-up",
    "/api/auth/admin-sign-up//",
    "/api/socket.io/../auth/admin-sign-up",
]
LAN_GATEWAY = {**GATEWAY, "door": "lan"}


def posted(nginx: Nginx, listener: str, path: str, headers: Headers = (), source: str = "127.0.0.1") -> int:
    return request(nginx.ports[listener], "POST", path, headers, b"", source=source).status


@pytest.mark.parametrize("path", [*BEGINS, *SPELT])
def test_a_door_of_the_internet_begins_none_of_it_however_it_is_spelt(
    path: str, start: Start, upstream: Upstream
) -> None:
    nginx = start(proxy(GATEWAY, PUBLIC, {**BALANCER, "door": "internet"}), tunnel=True)
    assert {name: posted(nginx, name, path) for name in ("gateway", "tunnel", "internet")} == dict.fromkeys(
        ("gateway", "tunnel", "internet"), 400 if "\\" in path else 403
    )
    assert not upstream.seen


@pytest.mark.parametrize("path", BEGINS)
def test_a_door_of_the_local_network_does_and_every_one_where_it_is_said(path: str, start: Start) -> None:
    assert posted(start(proxy(LAN)), "lan", path) == 200
    opened = start(proxy(GATEWAY, PUBLIC, maintenance="everywhere"), tunnel=True)
    assert {posted(opened, name, path) for name in ("gateway", "tunnel", "internet")} == {200}


@pytest.mark.parametrize(
    ("client", "status"),
    [
        ("192.168.1.20", 200),
        ("10.42.0.7", 200),
        ("fd12:3456::1", 200),
        ("fe80::1", 200),
        ("127.0.0.1", 200),
        ("203.0.113.9", 403),
        ("172.32.0.1", 403),
        ("2001:db8::9", 403),
    ],
)
def test_a_door_of_the_local_network_knows_who_comes_from_the_internet(
    client: str, status: int, start: Start
) -> None:
    nginx, told = start(proxy(LAN_GATEWAY)), [("X-Forwarded-For", client)]
    assert {posted(nginx, "gateway", path, told, "127.0.1.6") for path in BEGINS} == {status}
    assert request(nginx.ports["gateway"], "GET", "/api/users", told, source="127.0.1.6").status == 200


def test_a_listener_that_a_door_of_the_internet_shares_is_closed_and_one_of_the_host_is_not(
    start: Start,
) -> None:
    shared = start(proxy(LAN_GATEWAY, GATEWAY))
    assert posted(shared, "gateway", RESTORE) == 403
    both = start(proxy(LAN, PUBLIC))
    assert (posted(both, "lan", RESTORE), posted(both, "internet", RESTORE)) == (200, 403)


def test_how_far_maintenance_is_and_everything_else_is_answered_everywhere(start: Start) -> None:
    port = start(proxy(GATEWAY, loginRate=1)).ports["gateway"]
    for path in ("/api/admin/maintenance/status", "/api/admin/database-backups", "/api/admin/users"):
        assert [request(port, "GET", path).status for _ in range(3)] == [200] * 3
    assert request(port, "POST", "/api/admin/users", body=b"").status == 200


@pytest.mark.parametrize("path", BEGINS)
def test_where_it_is_open_attempts_are_limited_as_those_to_sign_in_are(path: str, start: Start) -> None:
    nginx = start(proxy(LAN, loginRate=2))
    assert [posted(nginx, "lan", path) for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("path", [path for path in BEGINS if not path.endswith("upload")])
def test_where_it_is_open_bodies_are_small_but_those_of_dumps(path: str, start: Start) -> None:
    port = start(proxy(LAN)).ports["lan"]
    assert request(port, "POST", path, body=bytes(65537)).status == 413
    assert request(port, "POST", "/api/admin/database-backups/upload", body=bytes(2**20)).status == 200

"""A restore or maintenance is begun through doors of the local network; through others where a setting says so."""

from __future__ import annotations

import pytest

from tests.edge.client import request
from tests.edge.conftest import Start
from tests.edge.running import GATEWAY, LAN, PUBLIC, proxy

pytestmark = pytest.mark.edge

BEGINS = [
    "/api/admin/database-backups/start-restore",
    "/API/admin/database-backups/start-restore/",
    "//api/admin/database-backups/start-restore",
    "/api/x/../admin/database-backups/start-restore",
    "/api/admin/database-backups/upload",
    "/api/admin/maintenance",
    "/api/admin/maintenance/login",
]


@pytest.mark.parametrize("path", BEGINS)
def test_a_door_of_the_internet_begins_no_restore_and_no_maintenance(path: str, start: Start) -> None:
    nginx = start(proxy(GATEWAY), tunnel=True)
    answers = {
        name: request(nginx.ports[name], "POST", path, body=b"").status for name in ("gateway", "tunnel")
    }
    assert answers == {"gateway": 403, "tunnel": 403}


@pytest.mark.parametrize("path", BEGINS)
def test_a_door_of_the_local_network_does_and_every_one_where_it_is_said(path: str, start: Start) -> None:
    assert request(start(proxy(LAN)).ports["lan"], "POST", path, body=b"").status == 200
    opened = start(proxy(GATEWAY, maintenance="everywhere"), tunnel=True)
    assert {request(opened.ports[name], "POST", path, body=b"").status for name in ("gateway", "tunnel")} == {
        200
    }


def test_a_listener_that_a_door_of_the_internet_shares_is_closed(start: Start) -> None:
    assert request(start(proxy(LAN, PUBLIC)).ports["lan"], "POST", BEGINS[0], body=b"").status == 403


def test_how_far_maintenance_is_and_everything_else_is_answered_everywhere(start: Start) -> None:
    port = start(proxy(GATEWAY, loginRate=1)).ports["gateway"]
    for path in ("/api/admin/maintenance/status", "/api/admin/database-backups", "/api/admin/users"):
        assert [request(port, "GET", path).status for _ in range(3)] == [200] * 3
    assert request(port, "POST", "/api/admin/users", body=b"").status == 200


def test_where_it_is_open_attempts_are_limited_as_those_to_sign_in_are(start: Start) -> None:
    port = start(proxy(LAN, loginRate=2)).ports["lan"]
    assert [request(port, "POST", BEGINS[0], body=b"").status for _ in range(3)] == [200, 200, 429]
    assert request(port, "POST", "/api/admin/maintenance/login", body=bytes(65537)).status in {413, 429}

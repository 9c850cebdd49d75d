"""Whom Immich writes down, against whom we know to be."""

from __future__ import annotations

import json
import re

import pytest

from tests.unit.verify.parts import Recorded, Reply, Request, answering, target
from toolchain.verify.checks.clients import (
    FORGED,
    Seen,
    clients,
    forged_headers,
    judge_address,
    judge_forged,
    line_about,
)

OURS = "198.51.100.20"


def seen(address: str | None, local: str = OURS, remote: str = "198.51.100.1") -> Seen:
    return Seen(address=address, local=local, remote=remote, status=401)


def judged(attempt: Seen, edge: str | None = None, **running: list[str]) -> str:
    there = target(Recorded(**running))  # pyright: ignore[reportArgumentType]  names of fields by keyword
    return judge_address(there, there.doors[0], attempt, edge).outcome


@pytest.mark.parametrize(
    ("attempt", "networks", "gateways", "outcome"),
    [
        (seen(OURS), [], [], "pass"),
        (seen(f"::ffff:{OURS}"), [], [], "pass"),
        (seen("10.200.1.3"), ["10.200.1.0/28"], [], "fail"),
        (seen("203.0.113.99"), [], [], "fail"),
        (seen("203.0.114.1", local="192.168.1.7"), [], [], "not-checked"),
        (seen("192.168.1.1", local="192.168.1.7"), [], [], "fail"),
        (
            seen("10.200.1.1", local="127.0.0.1", remote="127.0.0.1"),
            ["10.200.1.0/28"],
            ["10.200.1.1"],
            "pass",
        ),
        (
            seen("10.200.1.3", local="127.0.0.1", remote="127.0.0.1"),
            ["10.200.1.0/28"],
            ["10.200.1.1"],
            "fail",
        ),
        (seen("10.200.1.1"), ["10.200.1.0/28"], ["10.200.1.1"], "fail"),
    ],
    ids=[
        "ours",
        "mapped",
        "a container's",
        "somebody's",
        "a router's",
        "another's",
        "host",
        "host's proxy",
        "gateway",
    ],
)
def test_the_address_is_ours_or_what_ours_becomes_on_the_way(
    attempt: Seen, networks: list[str], gateways: list[str], outcome: str
) -> None:
    assert judged(attempt, own_networks=networks, own_gateways=gateways) == outcome


def test_behind_cloudflare_the_edge_knows_who_we_are() -> None:
    assert judged(seen("203.0.114.9", local="192.168.1.7"), edge="203.0.114.9") == "pass"
    assert judged(seen("172.68.1.1", local="192.168.1.7"), edge="203.0.114.9") == "fail"


@pytest.mark.parametrize("header", FORGED)
def test_each_header_that_is_believed_is_named(header: str) -> None:
    check = judge_forged("door", seen(OURS), seen(FORGED[header]))
    assert (check.outcome, header in check.found) == ("fail", True)


def test_headers_that_change_nothing_pass_and_those_that_change_something_fail() -> None:
    assert judge_forged("door", seen(OURS), seen(OURS)).outcome == "pass"
    assert judge_forged("door", seen(OURS), seen("10.0.0.1")).outcome == "fail"


def test_lies_are_of_addresses_that_nobody_has() -> None:
    assert all(re.match(r"203\.0\.113\.\d+$", value) for value in FORGED.values())
    assert forged_headers()["Forwarded"].startswith("for=203.0.113.")


@pytest.mark.parametrize(
    ("log", "found"),
    [
        (
            "WARN [Api:AuthService~ab] Failed login attempt for user a@b.c from ip address 2001:db8::7\n",
            "2001:db8::7",
        ),
        (
            '{"level":"warn","message":"Failed login attempt for user a@b.c from ip address 10.0.0.7"}',
            "10.0.0.7",
        ),
        ("Failed login attempt for user other@b.c from ip address 10.0.0.7", None),
        ("", None),
    ],
)
def test_the_line_is_that_about_our_own_attempt(log: str, found: str | None) -> None:
    assert line_about("a@b.c", log) == found


def attempts(**believing: bool) -> list[str]:
    """Outcomes of both checks with a server that believes X-Forwarded-For, or does not."""
    lines: list[str] = []

    def login(request: Request) -> Reply:
        told = request.headers.get("x-forwarded-for", "127.0.0.1") if believing["believes"] else "127.0.0.1"
        user = json.loads(request.body)["email"]
        lines.append(f"Failed login attempt for user {user} from ip address {told}")
        return Reply(401, {"message": "Incorrect email or password"})

    running = Recorded(log=lambda _: "\n".join(lines))
    with answering(login, target(running)) as (there, _):
        return [check.outcome for check in clients(there, there.doors[0])]


def test_a_server_that_writes_us_down_passes_both() -> None:
    assert attempts(believes=False) == ["pass", "pass"]


def test_a_server_that_believes_a_header_fails_the_second() -> None:
    assert attempts(believes=True) == ["pass", "fail"]


def test_too_many_attempts_are_told_as_such() -> None:
    with answering(lambda _: Reply(429)) as (there, _):
        found = clients(there, there.doors[0])
    assert {(check.outcome, check.found[:3]) for check in found} == {("not-checked", "429")}


def test_a_log_that_is_too_quiet_is_not_waited_for() -> None:
    there = target(server={"logLevel": "error"})
    assert {check.outcome for check in clients(there, there.doors[0])} == {"not-checked"}

"""Checks of a door, against recorded answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from components.proxy.doors import Door
from tests.unit.verify.parts import HOME, Recorded, Reply, Request, answering, settings, target
from toolchain.verify.checks import doors, uploads
from toolchain.verify.model import Check
from toolchain.verify.runner import verify
from toolchain.verify.target import Options, Target, chosen_doors
from toolchain.verify.wire import Wire

KEY = Options(api_key="a-key-of-the-api", size=200_000)
LIMITED: dict[str, Any] = {"proxy": {**HOME["proxy"], "maxUpload": "100M"}}


def well(request: Request) -> Reply | None:
    """As Immich answers."""
    match request.method, request.path.partition("?")[0]:
        case "GET", "/api/server/ping":
            return Reply(200, {"res": "pong"})
        case "GET", "/api/server/version":
            return Reply(200, {"major": 3, "minor": 3, "patch": 1})
        case "GET", "/api/server/config":
            return Reply(200, {"isInitialized": True})
        case "GET", "/api/socket.io/":
            return Reply(101, headers={"Upgrade": "websocket", "Connection": "Upgrade"})
        case "POST", "/api/assets":
            known = request.headers.get("x-api-key") == KEY.api_key
            return Reply(201, {"id": "b8f0", "status": "created"}) if known else Reply(401)
        case "DELETE", "/api/assets":
            return Reply(204)
        case _:
            return None


def one(found: list[Check], name: str) -> Check:
    (check,) = [check for check in found if check.name == name]
    return check


def test_a_door_where_nobody_answers_is_one_failure_and_nothing_else_is_asked() -> None:
    nowhere = replace(target(), wire=Wire(connect={"photos.example.com:2283": ("127.0.0.1", 1)}, seconds=1))
    found = verify(nowhere, ["ping", "websocket"])
    assert [(check.name, check.outcome) for check in found] == [("reachable", "fail")]
    assert "127.0.0.1:1" in found[0].found
    assert "firewall" in found[0].fix


def test_a_door_inside_the_cluster_needs_a_port_that_is_forwarded() -> None:
    cluster = target(cluster=True)
    (door,) = cluster.doors
    elsewhere = replace(cluster, wire=Wire(connect={"localhost:8080": ("127.0.0.1", 1)}, seconds=1))
    check = doors.reached(elsewhere, door)
    assert (check.outcome, "kubectl -n immich port-forward service/immich-proxy" in check.fix) == (
        "not-checked",
        True,
    )


def test_the_service_answers_on_a_cluster_whatever_the_doors_do() -> None:

    def outcome(running: Recorded) -> str:
        return one(doors.inside(target(running, cluster=True)), "ping").outcome

    assert outcome(Recorded(asked=(200, '{"res":"pong"}'))) == "pass"
    assert outcome(Recorded(asked=(503, "no endpoints"))) == "fail"
    assert outcome(Recorded()) == "not-checked"
    assert doors.inside(target()) == []


def test_an_immich_that_is_well_answers_with_its_release() -> None:
    with answering(well) as (there, _):
        found = doors.ping(there, there.doors[0])
    assert [check.outcome for check in found] == ["pass", "pass"]


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (Reply(502, b"Bad Gateway"), "ping"),
        (Reply(200, b"<!doctype html>"), "ping"),
        (Reply(200, {"res": "ping"}), "ping"),
    ],
)
def test_a_page_or_an_error_is_no_pong(reply: Reply, name: str) -> None:
    with answering(lambda request: reply if request.path.endswith("ping") else well(request)) as (there, _):
        assert one(doors.ping(there, there.doors[0]), name).outcome == "fail"


def test_another_release_fails_with_both_numbers() -> None:
    base = target(server={"version": "3.3.0"})
    with answering(well, base) as (there, _):
        check = one(doors.ping(there, there.doors[0]), "version")
    assert (check.outcome, check.found, check.expected[:5]) == ("fail", "3.3.1", "3.3.0")


NO_UPGRADES = (
    Reply(200, b"<html>"),
    Reply(200, headers={"Upgrade": "websocket"}),
    Reply(400),
    Reply(403),
    Reply(101),
)


@pytest.mark.parametrize("reply", NO_UPGRADES)
def test_anything_but_an_upgrade_is_no_websocket(reply: Reply) -> None:
    with answering(lambda _: reply) as (there, _):
        assert one(doors.websocket(there, there.doors[0]), "websocket").outcome == "fail"


def test_an_upgrade_is_a_websocket() -> None:
    with answering(well) as (there, seen):
        assert one(doors.websocket(there, there.doors[0]), "websocket").outcome == "pass"
    assert seen[0].headers["upgrade"] == "websocket"
    assert "transport=websocket" in seen[0].path


SIGN_UP = "/api/auth/admin-sign-up"
RESTORE = "/api/admin/maintenance/verify"


def at(door: str, **more: Any) -> Target:
    """A target with one door of that name."""
    exposed = {**HOME["proxy"]["expose"][0], "door": door}
    return target(proxy={"expose": [exposed], "maintenance": more.pop("maintenance", "lan")}, **more)


def immich(*, initialized: bool = False, refused: int | None = None) -> Callable[[Request], Reply]:
    """Immich behind a door: what the door refuses is answered with `refused`, as it is spelt there."""

    def answer(request: Request) -> Reply:
        if request.method == "GET":
            return Reply(200, {"isInitialized": initialized})
        return Reply(refused or (400 if request.path.lower().strip("/") == SIGN_UP.strip("/") else 404))

    return answer


@pytest.mark.parametrize("door", ["lan", "internet"])
@pytest.mark.parametrize(
    ("initialized", "allowed", "outcome"),
    # A server that says so has IMMICH_ALLOW_SETUP=true, whatever the settings say by now.
    [(True, True, "pass"), (True, False, "pass"), (False, False, "fail"), (False, True, "fail")],
)
def test_where_immich_answers_setup_is_closed_by_an_admin_alone(
    door: str, initialized: bool, allowed: bool, outcome: str
) -> None:
    base = at(door, server={"allowSetup": allowed}, maintenance="everywhere")
    with answering(immich(initialized=initialized), base) as (there, _):
        check = one(doors.setup(there, there.doors[0]), "setup-closed")
    assert check.outcome == outcome
    assert ("there is an admin;" in check.found) == (initialized and allowed)


def test_where_the_program_makes_the_administrator_the_local_network_is_closed_as_well() -> None:
    base = at("lan", setup={"administrator": {"email": "ada@example.com", "name": "Ada"}})
    with answering(immich(refused=403), base) as (there, _):
        check = one(doors.setup(there, there.doors[0]), "setup-closed")
    assert (check.outcome, check.found) == ("pass", "what makes the first admin is refused before Immich")


def test_a_door_of_the_local_network_without_an_administrator_says_who_may_become_it() -> None:
    with answering(immich(refused=403), at("lan")) as (there, seen):
        check = one(doors.setup(there, there.doors[0]), "setup-closed")
    assert (check.outcome, "everybody on the local network" in check.found) == ("fail", True)
    assert [request.method for request in seen] == ["GET"]


@pytest.mark.parametrize("initialized", [True, False])
@pytest.mark.parametrize("status", [403, 302])
def test_a_door_of_the_internet_that_refuses_the_sign_up_is_closed_whatever_the_server_says(
    status: int, initialized: bool
) -> None:
    with answering(immich(initialized=initialized, refused=status), at("internet")) as (there, seen):
        assert one(doors.setup(there, there.doors[0]), "setup-closed").outcome == "pass"
    assert {(request.method, request.path) for request in seen} == {
        ("POST", SIGN_UP),
        ("POST", "/API/AUTH/ADMIN-SIGN-UP/"),
    }
    assert {request.headers.get("content-length", "0") for request in seen} == {"0"}, "it is no sign-up"


@pytest.mark.parametrize(
    ("reply", "fix"),
    [
        (Reply(200, {"maintenanceMode": True}), "disable-maintenance-mode"),
        (Reply(500, {"message": "Failed to get server config"}), "look whether that is well"),
        (Reply(404), "See ping"),
    ],
)
def test_a_server_in_maintenance_or_without_its_database_is_told_though_it_answers_pings(
    reply: Reply, fix: str
) -> None:
    with answering(lambda _: reply, target()) as (there, _):
        check = one(doors.setup(there, there.doors[0]), "setup-closed")
        assert check.outcome == "fail"
        assert fix in check.fix


@pytest.mark.parametrize(
    ("status", "said", "outcome"),
    [(403, "lan", "pass"), (302, "lan", "pass"), (None, "lan", "fail"), (None, "everywhere", "pass")],
)
def test_a_door_of_the_internet_hands_on_no_restore(status: int | None, said: str, outcome: str) -> None:
    with answering(immich(refused=status), at("internet", maintenance=said)) as (there, seen):
        assert one(doors.restore(there, there.doors[0]), "restore-closed").outcome == outcome
    assert ("POST", RESTORE) in {(request.method, request.path) for request in seen}


@pytest.mark.parametrize("check", [doors.setup, doors.restore])
def test_a_door_that_refuses_small_letters_alone_is_open(
    check: Callable[[Target, Door], list[Check]],
) -> None:
    shut = immich(refused=403)

    def answer(request: Request) -> Reply:
        return shut(request) if request.path.islower() else immich()(request)

    with answering(answer, at("internet")) as (there, _):
        (found,) = check(there, there.doors[0])
    assert found.outcome == "fail"


@pytest.mark.parametrize(("implementation", "outcome"), [("envoy-gateway", "pass"), ("other", "fail")])
def test_a_rule_of_a_gateway_that_leads_nowhere_answers_500(implementation: str, outcome: str) -> None:
    route = {"kind": "httpRoute", "gateway": "g", "gatewayNamespace": "g", "implementation": implementation}
    kind = "none" if implementation == "envoy-gateway" else "nginx"
    found = settings(cluster=True, proxy={"kind": kind, "expose": [route]})
    base = replace(target(), settings=found, doors=chosen_doors(found, None))
    with answering(immich(refused=500), base) as (there, _):
        assert one(doors.restore(there, there.doors[0]), "restore-closed").outcome == outcome


def test_what_a_door_of_the_local_network_hands_on_is_not_asked() -> None:
    there = target()
    assert doors.restore(there, there.doors[0]) == []


def test_plain_http_as_in_the_settings_has_no_certificate_and_no_redirect() -> None:
    there = target()
    assert one(doors.certificate(there, there.doors[0]), "tls").outcome == "not-checked"
    assert doors.redirect(there, there.doors[0]) == []


def refuses(request: Request, limit: int = 100_000_000) -> Reply | None:
    """As nginx does: by the length alone, before the body."""
    length = int(request.headers.get("content-length", 0))
    if request.method == "POST" and length > limit:
        return Reply(413)
    return Reply(401) if request.method == "POST" and "x-api-key" not in request.headers else None


def test_the_limit_is_tried_by_the_length_alone() -> None:
    with answering(well, target(**LIMITED), refuse=refuses) as (there, seen):
        check = one(uploads.limits(there, there.doors[0]), "upload-limit")
    assert check.outcome == "pass", check
    lengths = [int(request.headers["content-length"]) for request in seen]
    assert lengths == [100_000_000 - 65_536, 100_000_000 + 65_536]
    assert all("x-api-key" not in request.headers for request in seen)


@pytest.mark.parametrize(
    ("limit", "expected"), [(1_000_000, "413 to an upload of"), (10**12, "401 to an upload of")]
)
def test_a_limit_that_is_another_one_fails(limit: int, expected: str) -> None:
    with answering(well, target(**LIMITED), refuse=lambda one: refuses(one, limit)) as (there, _):
        check = one(uploads.limits(there, there.doors[0]), "upload-limit")
    assert (check.outcome, check.found.startswith(expected)) == ("fail", True), check


def test_a_hop_that_waits_for_the_whole_body_leaves_the_limit_open() -> None:
    with answering(well, target(**LIMITED)) as (there, _):
        check = one(
            uploads.limits(replace(there, wire=replace(there.wire, seconds=0.3)), there.doors[0]),
            "upload-limit",
        )
    assert check.outcome == "not-checked"


def test_an_upload_is_a_form_of_the_size_that_was_asked_for_and_removed_again() -> None:
    with answering(well, target(options=KEY, **LIMITED)) as (there, seen):
        check = one(uploads.upload(there, there.doors[0]), "upload")
    assert check.outcome == "pass", check
    sent, removed = seen
    assert int(sent.headers["content-length"]) == len(sent.body) == KEY.size
    assert sent.headers["content-type"].startswith("multipart/form-data")
    assert b'name="assetData"; filename="immich-verify-' in sent.body
    assert (removed.method, removed.body) == ("DELETE", b'{"ids": ["b8f0"], "force": true}')


def test_without_a_key_nothing_is_uploaded() -> None:
    with answering(well, target(**LIMITED)) as (there, seen):
        check = one(uploads.upload(there, there.doors[0]), "upload")
    assert (check.outcome, seen) == ("not-checked", [])


def test_what_immich_had_already_is_not_removed() -> None:
    def duplicate(request: Request) -> Reply | None:
        return (
            Reply(200, {"id": "yours", "status": "duplicate"}) if request.method == "POST" else well(request)
        )

    with answering(duplicate, target(options=KEY)) as (there, seen):
        check = one(uploads.upload(there, there.doors[0]), "upload")
    assert (check.outcome, [request.method for request in seen]) == ("fail", ["POST"])


def test_what_cannot_be_removed_is_a_failure_with_its_name() -> None:
    def keeps(request: Request) -> Reply | None:
        return Reply(403, {"message": "asset.delete"}) if request.method == "DELETE" else well(request)

    with answering(keeps, target(options=KEY)) as (there, _):
        check = one(uploads.upload(there, there.doors[0]), "upload")
    assert (check.outcome, "immich-verify-" in check.fix) == ("fail", True)


@pytest.mark.parametrize("status", [401, 413, 500, 504])
def test_an_upload_that_is_not_taken_fails_with_what_to_do(status: int) -> None:
    with answering(lambda _: Reply(status, {"message": "no"}), target(options=KEY)) as (there, _):
        check = one(uploads.upload(there, there.doors[0]), "upload")
    assert (check.outcome, check.found[:3], bool(check.fix)) == ("fail", str(status), True)


def test_the_key_is_in_no_text() -> None:
    with answering(well, target(options=KEY, **LIMITED), refuse=refuses) as (there, _):
        found = verify(there, ["ping", "upload", "upload-limit"])
    assert KEY.api_key is not None
    assert KEY.api_key not in repr(found) + repr(there.options)


def limited(size: str) -> Target:
    return target(proxy={**LIMITED["proxy"], "maxUpload": size})


def test_a_large_limit_is_cut_to_a_gigabyte_unless_more_is_asked_for() -> None:
    (door,) = limited("50Gi").doors
    size, note = uploads.wanted(door, None)
    assert (size, "50 GiB" in note) == (1 << 27, True)
    assert uploads.wanted(door, 3 << 30) == (3 << 30, "")
    (small,) = limited("100M").doors
    assert uploads.wanted(small, None) == (100_000_000 - 65_536, "")

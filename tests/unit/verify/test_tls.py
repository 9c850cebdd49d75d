"""Certificates, plain HTTP that leads to them, and uploads that are refused while they are on their way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.verify.parts import Replies, Reply, Request, answering, make_certificate, target
from tests.unit.verify.test_doors import one, well
from toolchain.verify.checks import doors, uploads
from toolchain.verify.checks.doors import site
from toolchain.verify.target import Options, Target
from toolchain.verify.wire import SendingTimeout, Site, Untrusted, Wire, WireError

NAME = "photos.example.com"
WAY = {"kind": "publishedPort", "address": "192.168.1.20", "port": 443}
DAY = 86_400


def https(tls: dict[str, Any] | None = None, **options: Any) -> Target:
    """A door where nginx has the certificate itself."""
    files = {"kind": "files", "folder": "/etc/letsencrypt", "certificate": "a.pem", "key": "b.pem"}
    host = {"name": NAME, "https": True, "port": None}
    found = target(options=Options(**options), host=host, proxy={"expose": [WAY], "tls": tls or files})
    return replace(found, now=time.time)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls") / "own", NAME)


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "fullchain.pem"))
    return certificate


def test_a_valid_certificate_passes_with_the_days_that_are_left(trusted: Path) -> None:
    with answering(well, https(), certificate=trusted) as (there, _):
        check = one(doors.certificate(there, there.doors[0]), "tls")
    assert (check.outcome, "90 days left" in check.found) == ("pass", True), check


@pytest.mark.parametrize(("days", "outcome"), [(75, "pass"), (77, "fail"), (91, "fail")])
def test_a_certificate_that_ends_soon_fails(trusted: Path, days: int, outcome: str) -> None:
    with answering(well, https(), certificate=trusted) as (there, _):
        later = replace(there, now=lambda: time.time() + days * DAY)
        check = one(doors.certificate(later, later.doors[0]), "tls")
    # In 91 days the machine's clock still accepts it: what counts is the time that the check is given.
    assert check.outcome == outcome, check


def test_a_certificate_of_days_may_have_a_fourth_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = make_certificate(tmp_path / "short", NAME, days=6)
    monkeypatch.setenv("SSL_CERT_FILE", str(short / "fullchain.pem"))
    with answering(well, https(), certificate=short) as (there, _):
        assert one(doors.certificate(there, there.doors[0]), "tls").outcome == "pass"
        later = replace(there, now=lambda: time.time() + 5 * DAY)
        assert one(doors.certificate(later, later.doors[0]), "tls").outcome == "fail"


def test_a_chain_that_nobody_knows_fails(certificate: Path) -> None:
    with answering(well, https(), certificate=certificate) as (there, _):
        check = one(doors.certificate(there, there.doors[0]), "tls")
    assert (check.outcome, "self-signed" in check.found) == ("fail", True), check


def test_a_self_signed_certificate_passes_where_the_settings_say_so(certificate: Path) -> None:
    with answering(well, https({"kind": "selfSigned"}), certificate=certificate) as (there, _):
        check = one(doors.certificate(there, there.doors[0]), "tls")
    assert (check.outcome, "as the settings say" in check.found) == ("pass", True), check


@pytest.mark.parametrize("tls", [None, {"kind": "selfSigned"}])
def test_a_certificate_of_another_name_fails(
    tls: dict[str, Any] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_certificate(tmp_path / "other", "photos.example.net")
    monkeypatch.setenv("SSL_CERT_FILE", str(other / "fullchain.pem"))
    with answering(well, https(tls), certificate=other) as (there, _):
        check = one(doors.certificate(there, there.doors[0]), "tls")
    assert (check.outcome, NAME in check.found + check.expected) == ("fail", True), check


def test_no_tls_at_all_is_told_as_such() -> None:
    with answering(well, https()) as (there, _):
        check = one(doors.certificate(there, there.doors[0]), "tls")
    assert (check.outcome, check.found.startswith("no TLS there")) == ("fail", True), check


def leads(location: str, status: int) -> Replies:
    """The first request is that by plain http."""
    turns = iter([True])

    def reply(request: Request) -> Reply | None:
        return Reply(status, headers={"Location": location}) if next(turns, False) else well(request)

    return reply


@pytest.mark.parametrize(
    ("location", "status", "outcome"),
    [
        (f"https://{NAME}/api/server/ping", 308, "pass"),
        (f"https://{NAME}/api/server/ping", 301, "pass"),
        (f"https://{NAME}:8444/api/server/ping", 308, "fail"),
        (f"https://{NAME}/elsewhere", 308, "fail"),
        ("https://login.example.com/api/server/ping", 302, "fail"),
        (f"http://{NAME}/api/server/ping", 302, "fail"),
        ("", 200, "fail"),
    ],
)
def test_plain_http_leads_to_immich_by_https(location: str, status: int, outcome: str, trusted: Path) -> None:
    with answering(leads(location, status), https(), certificate=trusted) as (there, _):
        # Nobody is at a port that no test listens at.
        nobody = {**there.wire.connect, f"{NAME}:8444": ("127.0.0.1", 1)}
        asked = replace(there, wire=replace(there.wire, connect=nobody))
        check = one(doors.redirect(asked, asked.doors[0]), "redirect")
    assert check.outcome == outcome, check


@pytest.mark.parametrize(("redirect", "outcome"), [(80, "fail"), (None, "pass")])
def test_a_closed_port_of_plain_http_is_right_only_where_no_setting_opens_it(
    redirect: int | None, outcome: str
) -> None:
    base = https()
    (way,) = base.settings.proxy.expose
    proxy = base.settings.proxy.model_copy(
        update={"expose": (way.model_copy(update={"redirect_from": redirect}),)}
    )
    there = replace(
        base, settings=replace(base.settings, proxy=proxy),
        wire=Wire(connect={f"{NAME}:80": ("127.0.0.1", 1)}, seconds=1),
    )  # fmt: skip
    assert one(doors.redirect(there, there.doors[0]), "redirect").outcome == outcome


def test_the_key_is_not_sent_to_whoever_shows_another_certificate(certificate: Path) -> None:
    with answering(well, https(api_key="a-key", size=100_000), certificate=certificate) as (there, seen):
        check = one(uploads.upload(there, there.doors[0]), "upload")
    assert (check.outcome, seen) == ("fail", [])


def body(count: int) -> Iterator[bytes]:
    return (b"x" * 65_536 for _ in range(count))


@pytest.mark.parametrize("tls", [True, False])
def test_an_answer_that_comes_before_the_end_ends_an_upload(tls: bool, trusted: Path) -> None:
    def refuse(request: Request) -> Reply | None:
        return Reply(413) if int(request.headers["content-length"]) > 1_000_000 else None

    def taken(request: Request) -> Reply:
        return Reply(201, {"size": len(request.body)})

    with answering(taken, https(), refuse=refuse, certificate=trusted if tls else None) as (there, _):
        where = Site(url=f"{'https' if tls else 'http'}://{NAME}:8443")
        for count, status in ((10, 201), (2000, 413)):
            length = count * 65_536
            answer = there.wire.send(
                where, "/x", method="POST", headers={}, body=body(count), length=length, trust=tls
            )
            assert answer.status == status
            assert (answer.sent == length) == (status == 201)


def test_sending_is_given_up_in_time(trusted: Path) -> None:
    with answering(well, https(), certificate=trusted) as (there, _), pytest.raises(SendingTimeout) as caught:
        there.wire.send(
            site(there, there.doors[0]), "/x", method="POST", headers={}, body=body(10), length=655_360, trust=True,
            until=time.monotonic() - 1,
        )  # fmt: skip
    assert caught.value.sent == 0


def test_what_went_wrong_is_said_in_words() -> None:
    with pytest.raises(WireError, match="does not resolve"):
        Wire(seconds=2).dial(Site(url="http://no-such-name.invalid"))
    with pytest.raises(WireError, match=r"no connection to 127\.0\.0\.1:1"):
        Wire(seconds=2).dial(Site(url="http://127.0.0.1:1"))


def test_a_certificate_that_is_refused_is_told_apart_from_no_answer(certificate: Path) -> None:
    with answering(well, https(), certificate=certificate) as (there, _), pytest.raises(Untrusted):
        there.wire.request(Site(url=f"https://{NAME}"), "/", trust=True)

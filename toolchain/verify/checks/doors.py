"""Each door: whether it is reached, its certificate, plain HTTP, the API behind it, WebSockets."""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import time
from typing import Final, cast
from urllib.parse import urlsplit

from components.proxy.doors import Door
from components.proxy.settings import LoadBalancer, PublishedPort
from toolchain.verify.model import Check, failed, passed, unchecked
from toolchain.verify.running import RunningError
from toolchain.verify.target import Target, ends_tls
from toolchain.verify.wire import Site, Untrusted, WireError, pinned, place

PING: Final = "/api/server/ping"
_VERSION: Final = "/api/server/version"
_CLOSED: Final = frozenset({301, 302, 303, 307, 308, 401, 403})
"""Answers of what stands before Immich: nginx, or a sign-in page."""
_SOCKET: Final = "/api/socket.io/?EIO=4&transport=websocket"
_DAY: Final = 86_400
_SHORT: Final = 14
"""Days left below which a renewal is overdue: certbot renews 30 days before the end."""
_PART: Final = 4
"""Of a certificate that is made for less than 56 days: a fourth of its time."""


def subject(door: Door) -> str:
    """How a door is called in the table."""
    return f"door {door.name} {door.url}"


def site(target: Target, door: Door) -> Site:
    """Where a door is."""
    return Site(url=door.url, address=door.address, pinned=target.self_signed(door))


def reached(target: Target, door: Door) -> Check:
    """Whether anybody answers there. Nothing else of a door is asked where nobody does."""
    name = "reachable"
    try:
        target.wire.dial(site(target, door)).close()
    except WireError as error:
        if door.name == "cluster":
            forward = door.url.rpartition(":")[2]
            way = f"kubectl -n {target.settings.kubernetes.namespace} port-forward service/immich-{_front(target)}"
            return unchecked(
                name, subject(door), str(error), f"Start `{way} {forward}:{forward}` and ask again"
            )
        fix = (
            f"Look at the containers below first. Where they are well: does DNS lead {place(door.url)[0]} here, does a "
            "firewall keep the port closed? From a machine that this door is not for, give --connect or --door"
        )
        return failed(name, subject(door), str(error), "a connection", fix)
    return passed(name, subject(door), "a connection is made")


def _front(target: Target) -> str:
    return "proxy" if target.settings.proxy.kind == "nginx" else "server"


def certificate(target: Target, door: Door) -> list[Check]:
    """Chain, name and days left."""
    name, about, place_of = "tls", subject(door), site(target, door)
    if not door.url.startswith("https://"):
        return [unchecked(name, about, "plain http, as the settings say; nothing to look at")]
    host = place(door.url)[0]
    fix = _certificate_fix(target, door)
    try:
        if place_of.pinned:
            shown = target.wire.shown(place_of)
            with target.wire.shake(place_of, pinned(shown)) as made:
                found, chain = made.getpeercert(), "self-signed, as the settings say"
        else:
            with target.wire.shake(place_of, ssl.create_default_context()) as made:
                found, chain = made.getpeercert(), "valid chain"
    except Untrusted as error:
        return [failed(name, about, f"the certificate is refused: {error}", f"a valid one for {host}", fix)]
    except WireError as error:
        return [failed(name, about, str(error), f"a certificate for {host}", fix)]
    return [_lasting(target, about, f"{chain} for {host}", found, fix)]


def _lasting(target: Target, about: str, what: str, found: object, fix: str) -> Check:
    told = cast("dict[str, str]", found or {})
    begin, end = (ssl.cert_time_to_seconds(told[key]) for key in ("notBefore", "notAfter"))
    left, least = end - target.now(), min(_SHORT * _DAY, (end - begin) / _PART)
    days = f"{left / _DAY:.0f} days left"
    if left < least:
        return failed("tls", about, f"{what}, {days}", f"at least {least / _DAY:.0f} days left", fix)
    return passed("tls", about, f"{what}, {days}")


def _certificate_fix(target: Target, door: Door) -> str:
    tls = target.settings.proxy.tls
    if not ends_tls(door):
        return f"The certificate is that of {door.hops[0].name}: look there"
    if tls is not None and tls.kind in {"acme", "selfSigned", "files"} and target.settings.docker is not None:
        return f"{target.log_command('certificates')} says what the last attempt met"
    if tls is not None and tls.kind == "certManager":
        return f"kubectl -n {target.settings.kubernetes.namespace} describe certificate"
    return "Look at immich:proxy.tls. For an authority of your own: SSL_CERT_FILE names its certificate"


def redirect(target: Target, door: Door) -> list[Check]:
    """Plain HTTP leads to the same door by https, or nobody answers it."""
    name, about = "redirect", subject(door)
    if not door.url.startswith("https://"):
        return []
    host = place(door.url)[0]
    port, wanted = _plain_port(target, door)
    plain = Site(url=f"http://{host}" + ("" if port == 80 else f":{port}"), address=door.address)
    expected = f"{plain.url} leads to {door.url}"
    fix = (
        "immich:proxy.expose[].redirectFrom opens that port; run `make up` if somebody changed nginx"
        if ends_tls(door)
        else f"Have {door.hops[0].name} lead http to https, or close the port"
    )
    try:
        answer = target.wire.request(plain, PING)
    except WireError as error:
        if wanted:
            return [failed(name, about, f"{plain.url}: {error}", expected, fix)]
        return [passed(name, about, f"nobody answers plain http ({error})")]
    location = answer.headers.get("location", "")
    if answer.status not in {301, 302, 307, 308} or not location.startswith(f"https://{host}"):
        return [failed(name, about, f"{plain.url} answers {answer.status} {location}".strip(), expected, fix)]
    parts = urlsplit(location)
    try:
        there = target.wire.request(Site(url=f"https://{parts.netloc}", address=door.address), parts.path)
    except WireError as error:
        return [failed(name, about, f"it leads to {location}, and there: {error}", expected, fix)]
    if there.status != 200:
        return [failed(name, about, f"it leads to {location}, which answers {there.status}", expected, fix)]
    return [passed(name, about, f"{answer.status} from {plain.url} to {location}")]


def _plain_port(target: Target, door: Door) -> tuple[int, bool]:
    """The port of plain HTTP, and whether the settings open it."""
    if not ends_tls(door):
        return 80, False
    ways = [way for way in target.settings.proxy.expose if getattr(way, "door", None) == door.name]
    for way in ways:
        if isinstance(way, PublishedPort) and not way.trusted_sources:
            return way.redirect_from or 80, way.redirect_from is not None
        if isinstance(way, LoadBalancer):
            return 80, True
    return 80, False


def ping(target: Target, door: Door) -> list[Check]:
    """Immich itself answers, and at the release of the settings."""
    about = subject(door)
    return [_ping(target, door, about), _version(target, door, about)]


def _ping(target: Target, door: Door, about: str) -> Check:
    expected = 'GET /api/server/ping answers {"res":"pong"}'
    fix = f"{target.log_command('server')}; what stands between is in `make doors STACK={target.stack}`"
    try:
        began = time.monotonic()
        answer = target.wire.request(site(target, door), PING)
        took = time.monotonic() - began
    except WireError as error:
        return failed("ping", about, str(error), expected, fix)
    if answer.status != 200 or _json(answer.body) != {"res": "pong"}:
        return failed("ping", about, f"{answer.status} {answer.text}", expected, fix)
    return passed("ping", about, f"pong after {took * 1000:.0f} ms")


def _version(target: Target, door: Door, about: str) -> Check:
    wanted = target.settings.server.version
    fix = f"Run `make up STACK={target.stack}`; an upgrade needs a backup first"
    try:
        answer = target.wire.request(site(target, door), _VERSION)
    except WireError as error:
        return failed("version", about, str(error), wanted, fix)
    found = _json(answer.body)
    numbers = [found.get(key) for key in ("major", "minor", "patch")] if found else []
    told = ".".join(str(number) for number in numbers)
    if answer.status != 200 or None in numbers or not numbers:
        return failed("version", about, f"{answer.status} {answer.text}", wanted, fix)
    if told != wanted:
        return failed("version", about, told, f"{wanted}, as immich:server.version says", fix)
    return passed("version", about, told)


def websocket(target: Target, door: Door) -> list[Check]:
    """Socket.IO's upgrade: without it the pages say that the server is offline."""
    name, about, expected = "websocket", subject(door), f"GET {_SOCKET} answers 101"
    fix = "Each hop of the door must pass Upgrade and Connection on for /api/socket.io (immich#28984)"
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
    }
    try:
        answer = target.wire.request(site(target, door), _SOCKET, headers=headers)
    except WireError as error:
        return [failed(name, about, str(error), expected, fix)]
    if answer.status != 101 or answer.headers.get("upgrade", "").lower() != "websocket":
        return [failed(name, about, f"{answer.status} {answer.text}", expected, fix)]
    return [passed(name, about, "101 Switching Protocols")]


def setup(target: Target, door: Door) -> list[Check]:
    """Nobody who comes by can make himself the first admin."""
    name, about = "setup-closed", subject(door)
    try:
        # Without a body it is no sign-up: Immich answers 400.
        closed = door.name == "internet" or target.settings.setup is not None
        if closed and _refused(target, door, "/api/auth/admin-sign-up"):
            return [passed(name, about, "what makes the first admin is refused before Immich")]
        answer = target.wire.request(site(target, door), "/api/server/config")
    except WireError as error:
        return [failed(name, about, str(error), "the server tells whether there is an admin", "See ping")]
    config = _json(answer.body)
    initialized = config.get("isInitialized") if config else None
    if not isinstance(initialized, bool):
        # A ping is answered in both cases (Immich 3.0.3).
        fix = "See ping"
        if config and config.get("maintenanceMode"):
            fix = "Immich is in maintenance mode: end it, or run immich-admin disable-maintenance-mode in its container"
        elif answer.status >= 500:
            fix = "Immich asks its database for this: look whether that is well, and at the server's log"
        return [failed(name, about, f"{answer.status} {answer.text}", "a field isInitialized", fix)]
    if not initialized:
        who = "everybody" if door.name == "internet" else "everybody on the local network"
        return [
            failed(
                name, about, f"no admin yet, and {who} who comes may become it", "an admin",
                f"Make the first account now: `pulumi stack output nextSteps -s {target.stack}` says where; then set "
                "immich:server.allowSetup: false",
            )
        ]  # fmt: skip
    if target.settings.server.allow_setup:
        later = "immich:server.allowSetup may be false now, it would open again with an empty database"
        return [passed(name, about, f"there is an admin; {later}")]
    # With IMMICH_ALLOW_SETUP=false the field is true in any case (server.service.ts).
    untold = "whether there is an admin Immich does not tell then, and without one anybody here may begin a restore"
    return [passed(name, about, f"immich:server.allowSetup is false, so nobody can sign up; {untold}")]


def restore(target: Target, door: Door) -> list[Check]:
    """A door of the internet does not hand on what begins a restore or maintenance."""
    if door.name != "internet":
        return []
    name, about = "restore-closed", subject(door)
    try:
        # Below what begins maintenance, and no route of Immich's: it would answer 404.
        refused = _refused(target, door, "/api/admin/maintenance/verify")
    except WireError as error:
        return [failed(name, about, str(error), "an answer", "See ping")]
    if refused:
        return [passed(name, about, "what begins a restore or maintenance is refused before Immich")]
    if target.settings.proxy.maintenance == "everywhere":
        return [passed(name, about, "restores and maintenance are open, as immich:proxy.maintenance says")]
    return [
        failed(
            name, about, "Immich itself answers, and without an administrator anybody may restore",
            "403 before Immich is reached",
            f"Run `make up STACK={target.stack}`; a proxy of yours in front must not change paths (docs/doors.md)",
        )
    ]  # fmt: skip


def _refused(target: Target, door: Door, path: str) -> bool:
    """Whether a POST is refused before Immich, also in capital letters and with a slash, which Express ignores."""
    answers = {
        target.wire.request(site(target, door), spelt, method="POST").status
        for spelt in (path, f"{path.upper()}/")
    }
    # A gateway's rule without a backend answers 500.
    gateway = target.settings.proxy.kind == "none" and any(
        hop.name.startswith("gateway ") for hop in door.hops
    )
    return answers <= (_CLOSED | {500} if gateway else _CLOSED)


def inside(target: Target) -> list[Check]:
    """On a cluster: the server answers by its Service, whatever the doors do."""
    name, about = "ping", "cluster"
    if target.settings.docker is not None:
        return []
    try:
        status, body = target.running.ask("server", 2283, PING)
    except RunningError as error:
        return [unchecked(name, about, str(error))]
    if status != 200:
        return [failed(name, about, f"{status} {body[:200]}", "pong by the Service immich-server",
                       target.log_command("server"))]  # fmt: skip
    return [passed(name, about, "pong by the Service immich-server")]


def _json(body: bytes) -> dict[str, object] | None:
    try:
        found: object = json.loads(body)
    except ValueError:
        return None
    return cast("dict[str, object]", found) if isinstance(found, dict) else None

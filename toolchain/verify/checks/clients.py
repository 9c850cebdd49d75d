"""Whether Immich knows who its clients are: its own log against the address that we know we have.

Immich writes the address of whoever fails to sign in (`Failed login attempt for user X from ip address Y`,
auth.service.ts of immich-app/immich, at the level `warn`). So we fail to, under a name that nobody has, first as we
are and then with every header that a client may lie with. What it writes is what block lists and people go by.
"""

from __future__ import annotations

import ipaddress
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from components.proxy.doors import Door
from toolchain.verify.checks.doors import site, subject
from toolchain.verify.model import Check, failed, passed, unchecked
from toolchain.verify.running import RunningError
from toolchain.verify.target import Target
from toolchain.verify.wire import WireError

_LOGIN: Final = "/api/auth/login"
_TRACE: Final = "/cdn-cgi/trace"
_WAIT: Final = 6.0
"""Seconds until a line is given up."""
FORGED: Final[Mapping[str, str]] = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Real-IP": "203.0.113.8",
    "CF-Connecting-IP": "203.0.113.9",
    "Forwarded": "203.0.113.10",
    "True-Client-IP": "203.0.113.11",
    "X-Client-IP": "203.0.113.12",
}
"""Header -> an address of nobody's (RFC 5737): which of them comes back says which header was believed."""
_QUIET: Final = frozenset({"error", "fatal"})
"""Log levels at which Immich does not write the line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One failed attempt."""

    address: str | None
    """What Immich wrote; None where it wrote nothing."""
    local: str
    """Our own address on that connection."""
    remote: str
    """Where we connected to."""
    status: int


def clients(target: Target, door: Door) -> list[Check]:
    """`client-address` and `forged-headers` of a door."""
    names, about = ("client-address", "forged-headers"), subject(door)
    level = target.settings.server.log_level
    if level in _QUIET:
        why = f"immich:server.logLevel is {level}: Immich does not write who fails to sign in"
        return [unchecked(name, about, why) for name in names]
    try:
        plain = _attempt(target, door, {})
        forged = _attempt(target, door, forged_headers())
    except (WireError, RunningError) as error:
        return [unchecked(name, about, str(error)) for name in names]
    for attempt in (plain, forged):
        if attempt.address is None:
            why = _silent(target, attempt.status)
            return [unchecked(name, about, why) for name in names]
    return [
        judge_address(target, door, plain, _edge_says(target, door)),
        judge_forged(about, plain, forged),
    ]


def forged_headers() -> dict[str, str]:
    """As a client that lies sends them."""
    return {
        name: f"for={value};proto=https" if name == "Forwarded" else value for name, value in FORGED.items()
    }


def judge_forged(about: str, plain: Seen, forged: Seen) -> Check:
    """Whether what is written changed with the headers."""
    believed = [name for name, value in FORGED.items() if value == forged.address]
    if believed:
        return failed(
            "forged-headers",
            about,
            f"a client that sends {believed[0]}: {forged.address} is written down as {forged.address}",
            f"{plain.address}, whatever the client sends",
            "Some hop believes everybody. Look for `set_real_ip_from`, trustedProxies, trustedSources, Traefik's "
            "forwardedHeaders.insecure; only the neighbour of a hop may be trusted (docs/doors.md)",
        )
    if forged.address != plain.address:
        return failed(
            "forged-headers",
            about,
            f"{plain.address} without and {forged.address} with forged headers",
            "the same address",
            "Some hop goes by a header of the client: docs/doors.md says whom each may trust",
        )
    return passed("forged-headers", about, f"{', '.join(FORGED)} change nothing")


def judge_address(target: Target, door: Door, seen: Seen, edge: str | None) -> Check:
    """Whether the address that is written is ours."""
    name, about = "client-address", subject(door)
    found = _plain(seen.address or "")
    fix = (
        "A hop does not pass the client on, or Immich does not believe it: `immich:server.trustedProxies` must be "
        "`auto` or the network of its neighbour, and each hop must write X-Forwarded-For (docs/doors.md)"
    )
    local, remote = _plain(seen.local), _plain(seen.remote)
    if edge is not None:
        if found == _plain(edge):
            return passed(name, about, f"{found}, as Cloudflare's edge saw us")
        return failed(name, about, found, f"{edge}, as Cloudflare's edge saw us", fix)
    if found == local:
        return passed(name, about, f"{found}, our own")
    on_host = local == remote or ipaddress.ip_address(remote).is_loopback
    if on_host and found in {_plain(one) for one in target.running.gateways()}:
        return passed(name, about, f"{found}: programs of the host come by the engine's own address")
    if _among(found, target.running.networks()):
        told = f"{found}, which is inside the stack: all clients look like one of its own containers"
        return failed(name, about, told, f"{local}, our own", fix)
    if ipaddress.ip_address(local).is_private and not ipaddress.ip_address(found).is_private:
        return unchecked(
            name,
            about,
            f"Immich writes {found}; we are {local} behind a router, whose public address it should be",
        )
    return failed(name, about, found, f"{local}, our own", fix)


def _attempt(target: Target, door: Door, headers: Mapping[str, str]) -> Seen:
    user = f"immich-verify-{secrets.token_hex(8)}@verify.invalid"
    body = json.dumps({"email": user, "password": secrets.token_urlsafe(16)}).encode()
    answer = target.wire.request(
        site(target, door),
        _LOGIN,
        method="POST",
        headers={"Content-Type": "application/json", **headers},
        body=body,
    )
    address = _written(target, user) if answer.status in {400, 401, 403} else None
    return Seen(address=address, local=answer.local, remote=answer.remote, status=answer.status)


def _written(target: Target, user: str) -> str | None:
    """The address in the line about this user, of whichever copy of the server it reached."""
    servers = [one for one in target.running.units() if one.workload == "server" and one.state == "running"]
    if not servers:
        raise RunningError("no server runs")
    deadline = time.monotonic() + _WAIT
    while True:
        for unit in servers:
            if found := line_about(user, target.running.logs(unit)):
                return found
        if time.monotonic() > deadline:
            return None
        time.sleep(0.3)


def line_about(user: str, log: str) -> str | None:
    """The address that a log tells of a failed attempt of this user; None where it tells none."""
    found = re.search(rf"user {re.escape(user)} from ip address ([0-9A-Fa-f.:]+)", log)
    return found[1] if found else None


def _silent(target: Target, status: int) -> str:
    if status == 429:
        return f"429: more than {target.settings.proxy.login_rate} attempts to sign in within a minute; ask again later"
    if status in {400, 401, 403}:
        return f"{status}, and the server's log has no line about it (password sign-in may be off)"
    return f"{status} to an attempt to sign in: a hop answers it, not Immich"


def _edge_says(target: Target, door: Door) -> str | None:
    """Our address as Cloudflare's edge has it; None without one in this door, and where it does not tell."""
    if door.hops[0].program != "cloudflare":
        return None
    try:
        answer = target.wire.request(site(target, door), _TRACE)
    except WireError:
        return None
    found = re.search(r"^ip=([0-9A-Fa-f.:]+)$", answer.body.decode(errors="replace"), re.MULTILINE)
    return found[1] if found else None


def _among(address: str, networks: Sequence[str]) -> bool:
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(one, strict=False) for one in networks)


def _plain(address: str) -> str:
    """Without IPv6's way of writing IPv4 addresses, and without a zone."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)

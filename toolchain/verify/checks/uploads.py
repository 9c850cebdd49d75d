"""What a door lets through: its limit by the declared length alone, and, with a key, a real upload and its removal."""

from __future__ import annotations

import json
import secrets
import time
from typing import Final, cast

from components.proxy.doors import Door, readable
from toolchain.verify.checks.doors import site, subject
from toolchain.verify.model import Check, failed, passed, unchecked
from toolchain.verify.payload import Form, picture
from toolchain.verify.target import Target
from toolchain.verify.wire import Answer, SendingTimeout, WireError

MOST: Final = 1 << 27
"""Bytes of an upload unless more are asked for: more than the 100 MB at which uploads break, and so few that a line of
10 Mbit/s has sent them before the time is over. What is cut off stays in Immich as a fragment."""
SECONDS: Final = 120.0
"""How long an upload may take whose size nobody asked for."""
_MARGIN: Final = 1 << 16
"""Bytes below and above a limit that are tried."""
_UNLIMITED: Final = 8 << 20
"""Bytes of an upload where nothing limits."""
_PATH: Final = "/api/assets"
_ANSWER: Final = 120.0
"""Seconds for the answer after the last byte: the server reads the file once more."""


def limits(target: Target, door: Door) -> list[Check]:
    """Whether the door begins to take a body just under its limit and refuses one just over it.

    Only the length is said and no byte is sent: a hop with a limit answers 413 to that, and where it lets the request
    through, Immich says that it wants a key.
    """
    name, about, limit = "upload-limit", subject(door), door.largest_upload
    if limit is None:
        return []
    hop = door.narrowest
    fix = (
        f"The limit is that of {hop.name if hop else 'a hop'}; `make doors STACK={target.stack}` names it. Another hop "
        "has a smaller one, or nginx was changed: run `make up`"
    )
    under, over = limit - _MARGIN, limit + _MARGIN
    small = _declared(target, door, under)
    if isinstance(small, str):
        why = f"{shown(under)} was announced, and {small}: the hop waits for the whole body"
        return [unchecked(name, about, why, "With a key it is sent as well")]
    if small.status == 413:
        return [failed(name, about, f"413 to an upload of {shown(under)}", f"up to {shown(limit)}", fix)]
    if small.status not in {401, 403}:
        return [failed(name, about, f"{small.status} {small.text} to an upload without a key", "401", fix)]
    large = _declared(target, door, over)
    if isinstance(large, str):
        return [unchecked(name, about, f"{shown(under)} comes in; {shown(over)} was announced, and {large}")]
    if large.status != 413:
        return [
            failed(
                name, about, f"{large.status} to an upload of {shown(over)}", f"413 over {shown(limit)}",
                "The door is wider than its table says: a hop was changed by hand, or `make up` was not run",
            )
        ]  # fmt: skip
    return [passed(name, about, f"{shown(limit)}: just under comes in, just over gets 413")]


def _declared(target: Target, door: Door, size: int) -> Answer | str:
    headers = {"Content-Type": Form(name="limit.png", content=b"").type}
    try:
        return target.wire.send(
            site(target, door), _PATH, method="POST", headers=headers, body=iter(()), length=size, trust=False
        )
    except WireError as error:
        return str(error)


def upload(target: Target, door: Door) -> list[Check]:
    """A picture of a chosen size is taken, and removed again for ever."""
    name, about, options = "upload", subject(door), target.options
    if options.api_key is None:
        return [
            unchecked(
                name, about, f"{options.api_key_variable} is not set",
                "Name the administrator in immich:setup, which makes a key for this; or make one in Immich (Account "
                "Settings > API Keys, permissions asset.upload and asset.delete)",
            )
        ]  # fmt: skip
    size, note = wanted(door, options.size)
    form = Form(name=f"immich-verify-{secrets.token_hex(8)}.png", content=_picture(), size=size)
    expected = f"201 to {shown(size)}"
    began = time.monotonic()
    try:
        answer = target.wire.send(
            site(target, door),
            _PATH,
            method="POST",
            headers={"Content-Type": form.type, "x-api-key": options.api_key, "Accept": "application/json"},
            body=form.body(),
            length=form.length,
            trust=True,
            seconds=_ANSWER,
            until=None if options.size is not None else began + SECONDS,
        )
    except SendingTimeout as error:
        why = f"{error.sent / 1e6:.0f} MB of {shown(size)} were sent in {SECONDS:.0f} s, which is no fault"
        return [
            unchecked(name, about, why, "Give --size: a smaller one, or the same, which may take its time")
        ]
    except WireError as error:
        return [failed(name, about, f"{shown(size)}: {error}", expected, _fix(target))]
    took = max(time.monotonic() - began, 0.001)
    limit = door.largest_upload
    if limit is not None and form.length > limit and answer.status == 413:
        return [passed(name, about, f"413 to {shown(size)}, which is more than the door takes")]
    if answer.status != 201:
        return [failed(name, about, f"{answer.status} {answer.text}", expected, _fix(target, answer.status))]
    speed = f"{form.length / took / 1e6:.0f} MB/s"
    left = remove(target, door, answer)
    if left is not None:
        return [
            failed(
                name, about, f"{shown(size)} was taken, but its removal: {left}", "it is removed again",
                f"Remove {form.name} in Immich; the key needs the permission asset.delete",
            )
        ]  # fmt: skip
    return [passed(name, about, f"{shown(size)}{note} in {took:.1f} s ({speed}), removed again")]


def wanted(door: Door, chosen: int | None) -> tuple[int, str]:
    """Bytes of the upload, and a note where it is less than the door takes."""
    if chosen is not None:
        return chosen, ""
    limit = door.largest_upload
    if limit is None:
        return _UNLIMITED, ""
    if limit - _MARGIN > MOST:
        return MOST, f" (the door takes {shown(limit)}; more with --size)"
    return limit - _MARGIN, ""


def shown(count: int) -> str:
    """Bytes with no more digits than a person reads."""
    exact = readable(count)
    return exact if len(exact) <= 8 else f"{count / 1e6:.1f} MB"


def remove(target: Target, door: Door, answer: Answer) -> str | None:
    """Remove what was just made; why not, where it fails.

    Only what came with status 201 is new: a duplicate would be a picture of the user's.
    """
    key = target.options.api_key
    assert key is not None
    assert answer.status == 201
    try:
        asset = str(cast("dict[str, object]", json.loads(answer.body))["id"])
        removed = target.wire.request(
            site(target, door),
            _PATH,
            method="DELETE",
            headers={"Content-Type": "application/json", "x-api-key": key},
            body=json.dumps({"ids": [asset], "force": True}).encode(),
            trust=True,
        )
    except (WireError, ValueError, KeyError) as error:
        return str(error)
    return None if removed.status == 204 else f"{removed.status} {removed.text}"


def _picture() -> bytes:
    return picture(secrets.randbits(64))


def _fix(target: Target, status: int = 0) -> str:
    match status:
        case 401 | 403:
            return f"{target.options.api_key_variable} must be a key of this Immich with asset.upload and asset.delete"
        case 413:
            return f"A hop has a smaller limit: `make doors STACK={target.stack}`"
        case 500 | 507:
            return f"{target.log_command('server')}: is the media volume full?"
        case _:
            return f"{target.log_command('server')}; timeouts of hops: `make doors STACK={target.stack}`"

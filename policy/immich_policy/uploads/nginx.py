"""nginx in front of Immich: what it does with a `POST /api/assets`, as its rendered files say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from immich_policy.config import Config
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Rule,
    Severity,
    Stack,
    Unjudged,
    dig,
    mapping,
    mappings,
    text,
)
from immich_policy.reading.containers import Container
from immich_policy.reading.nginx_files import (
    UPLOAD,
    Chain,
    Directive,
    Server,
    configurations,
    effective,
    location,
    unreadable,
    uploads_through,
    waits,
)
from immich_policy.text import duration, human, shown, size
from immich_policy.uploads.size import body_size, declared, fits

RESTORE = "/api/admin/database-backups/upload"
"""Where Immich takes a dump to restore (controllers/database-backup.controller.ts, since 2.5.0)."""
_DUMP = 2**30
"""Bytes of a dump that must come through, unless uploads are smaller."""
_TIMEOUT = 60.0
"""Seconds of nginx' timeouts where none is given."""
_TIMEOUTS = ("proxy_read_timeout", "proxy_send_timeout", "send_timeout")


def _hops(stack: Stack) -> list[tuple[Server, Chain]]:
    return [hop for one in stack.once(configurations) for hop in uploads_through(stack, one)]


def _place(server: Server, chain: Chain, found: Directive | None) -> tuple[Directive, str]:
    """The directive that a finding points to, and the server in words."""
    at = found if found is not None else chain[-1]
    inside = chain[-1].value if len(chain) > 2 else ""
    return at, f"for {UPLOAD} on {server.listens}{f' (location {inside})' if inside else ''}"


def _sizes(stack: Stack, config: Config) -> Iterable[Judgement]:
    for file, _ in stack.once(waits):
        yield Unjudged(resource=file.resource, path=file.path)
    for one in stack.once(unreadable):
        what = f"is a pattern that cannot be judged: {shown(one.value)}"
        yield Unjudged(resource=one.resource, path=one.path, what=what)
    for read in stack.once(configurations):
        for file, problem in read.problems:
            message = f"nginx cannot read this file: {problem}"
            yield Finding(
                resource=file.resource, path=file.path, message=message, setting="mend nginx' configuration"
            )
    wanted = declared(stack, config)
    for server, chain in stack.once(_hops):
        found = effective(chain, "client_max_body_size")
        if not fits(body_size(found), wanted):
            at, where = _place(server, chain, found)
            yield Finding(
                resource=at.resource,
                path=at.path,
                message=f"{_size(found)} {where}, while uploads may have {human(wanted)}",
                setting=f"client_max_body_size {wanted}, or 0 for no limit",
            )
    yield from _restored(stack, wanted)


def _size(found: Directive | None) -> str:
    return f"client_max_body_size {shown(found.value)}" if found else "no client_max_body_size (1 MiB)"


def _restored(stack: Stack, wanted: int) -> Iterator[Finding]:
    """Servers of nginx through which uploads come, and a dump of the database does not."""
    for server, uploads in stack.once(_hops):
        chain = location(server, RESTORE)
        passes = chain[-1].inner("proxy_pass")
        refused = chain[-1].inner("return") or any(one.args == ("all",) for one in chain[-1].inner("deny"))
        found = effective(chain, "client_max_body_size")
        same = found is effective(uploads, "client_max_body_size")
        if passes and not refused and not same and not fits(body_size(found), min(wanted, _DUMP)):
            at = found if found is not None else chain[-1]
            yield Finding(
                resource=at.resource,
                path=at.path,
                message=f"{_size(found)} for {RESTORE} on {server.listens}, by which a dump of the database comes back",
                setting=f"client_max_body_size {min(wanted, _DUMP)} or more in the location that {RESTORE} takes",
            )


def _streamed(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for server, chain in stack.once(_hops):
        found = effective(chain, "proxy_request_buffering")
        if found is None or found.value != "off":
            at, where = _place(server, chain, found)
            given = (
                f"proxy_request_buffering {shown(found.value)}"
                if found
                else "no proxy_request_buffering (on)"
            )
            yield Finding(
                resource=at.resource,
                path=at.path,
                message=f"{given} {where}",
                setting="proxy_request_buffering off in that location",
            )


def _patient(stack: Stack, config: Config) -> Iterable[Judgement]:
    for server, chain in stack.once(_hops):
        for name in _TIMEOUTS:
            found = effective(chain, name)
            seconds = _TIMEOUT if found is None else duration(found.value)
            if seconds is None or seconds < config.timeout:
                at, where = _place(server, chain, found)
                given = f"{name} {shown(found.value)}" if found else f"no {name} (60 s)"
                yield Finding(
                    resource=at.resource,
                    path=at.path,
                    message=f"{given} {where}, while {config.timeout:g} s are asked for",
                    setting=f"{name} {config.timeout:g}s",
                )
        # Between two pieces of a body nginx' own 60 s are enough for a phone that changes its network.
        body = effective(chain, "client_body_timeout")
        seconds = _TIMEOUT if body is None else duration(body.value)
        if body is not None and (seconds is None or seconds < min(config.timeout, _TIMEOUT)):
            at, where = _place(server, chain, body)
            message = (
                f"client_body_timeout {shown(body.value)} {where}: a phone that stops for so long begins anew"
            )
            setting = f"client_body_timeout {_TIMEOUT:g}s or more"
            yield Finding(resource=at.resource, path=at.path, message=message, setting=setting)


def _room(stack: Stack, config: Config) -> Iterable[Judgement]:
    wanted = declared(stack, config)
    for server, chain in stack.once(_hops):
        buffering = effective(chain, "proxy_request_buffering")
        if buffering is not None and buffering.value == "off":
            continue
        where = effective(chain, "client_body_temp_path")
        folder = where.args[0] if where is not None and where.args else "/var/cache/nginx/client_temp"
        for path, limit in _rooms(server.container, folder):
            if limit is UNKNOWN:
                yield Unjudged(resource=server.container.resource, path=path)
            elif isinstance(limit, int) and limit < wanted:
                yield Finding(
                    resource=server.container.resource,
                    path=path,
                    message=f"nginx keeps whole uploads in {shown(folder)}, which has room for {human(limit)} of "
                    f"{human(wanted)}",
                    setting="proxy_request_buffering off, or a volume with more room",
                )


def _rooms(one: Container, folder: str) -> Iterator[tuple[str, object]]:
    """Path and size of the limited volume that has a folder; nothing where it has no limit of its own."""
    mounts = [
        mount
        for mount in one.mounts()
        if f"{folder}/".startswith(mount.target.rstrip("/") + "/") and mount.target
    ]
    mount = max(mounts, key=lambda it: len(it.target), default=None)
    if mount is None:
        return
    if mount.kind == "tmpfs":
        options = text(one.props, "tmpfs", mount.target)
        given = next((part[5:] for part in options.split(",") if part.startswith("size=")), None)
        amount = (
            size(given.upper().replace("K", "Ki").replace("M", "Mi").replace("G", "Gi")) if given else None
        )
        if amount is not None:
            yield mount.path, amount
    elif mount.kind == "emptyDir":
        name = next(
            text(it, "name")
            for at, it in mappings(one.props, "volumeMounts")
            if one.at("volumeMounts", at) == mount.path
        )
        for index, volume in mappings(one.pod, "volumes"):
            if text(volume, "name") == name:
                limit = dig(mapping(volume, "emptyDir"), "sizeLimit")
                amount = limit if limit is UNKNOWN else size(limit)
                if amount is not None:
                    yield f"{one.in_pod('volumes', index)}.emptyDir.sizeLimit", amount


RULES = (
    Rule(
        name="uploads-nginx-size",
        family="uploads",
        severity=Severity.HIGH,
        title="nginx lets an upload of the declared size through.",
        why="A larger photo or video is refused with 413; the app retries it for ever and it is in no backup.",
        remediation="Set client_max_body_size in the location that /api/assets takes.",
        judge=_sizes,
    ),
    Rule(
        name="uploads-nginx-streaming",
        family="uploads",
        severity=Severity.MEDIUM,
        title="nginx streams an upload to Immich instead of keeping it first.",
        why="A kept upload fills nginx' disk or memory, takes twice as long, and runs into timeouts in front.",
        remediation="Set proxy_request_buffering off in the location that /api/assets takes.",
        judge=_streamed,
    ),
    Rule(
        name="uploads-nginx-timeouts",
        family="uploads",
        severity=Severity.MEDIUM,
        title="nginx waits long enough for a client and for Immich.",
        why="After a large upload Immich works on it before it answers; at 60 s nginx gives up, and it is sent again.",
        remediation="Set proxy_read_timeout, proxy_send_timeout and send_timeout to 600s, client_body_timeout to 60s.",
        judge=_patient,
    ),
    Rule(
        name="uploads-nginx-room",
        family="uploads",
        severity=Severity.HIGH,
        title="Where nginx keeps uploads, there is room for one of the declared size.",
        why="A pod that outgrows its volume is evicted, with every upload that it was passing on.",
        remediation="Set proxy_request_buffering off, or give the folder of client_body_temp_path more room.",
        judge=_room,
    ),
)

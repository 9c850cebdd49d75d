"""A container's life on the engine: made, connected, filled, started, waited for; updated; stopped and removed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from toolchain.offline.plugins.docker import images
from toolchain.offline.plugins.docker.connection import LONG_SECONDS, CancelledError, Engine, RefusedError
from toolchain.offline.plugins.docker.container_fields import IN_PLACE, RECORDED
from toolchain.offline.plugins.docker.container_request import (
    create_body,
    endpoint,
    number,
    objects,
    update_body,
)
from toolchain.offline.plugins.docker.settings import RegistryAuth
from toolchain.offline.plugins.docker.uploads import archives
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, as_object, as_text, dig

_POLL: Final = 0.25  # seconds


class StartedError(ProviderError):
    """The container `identifier` exists, but a later step failed."""

    def __init__(self, identifier: str, message: str) -> None:
        super().__init__(message)
        self.identifier = identifier


def inspect(engine: Engine, identifier: str) -> Object | None:
    """The engine's description, None when there is no such container."""
    return engine.found(f"/containers/{identifier}/json")


def create(engine: Engine, given: Object, auths: tuple[RegistryAuth, ...], root: Path) -> tuple[str, str]:
    """Make the container and do all that the properties ask for; its id, and its log when that is asked for.

    `given` has its defaults and no secrets' envelopes. Raises ProviderError while there is no container, and
    StartedError from then on.
    """
    image, name = as_text(given.get("image")), as_text(given.get("name"))
    platform = as_text(given.get("platform"))
    try:
        images.find(engine, image, auths, "")
    except CancelledError:
        raise
    except ProviderError as error:
        raise ProviderError(f"Unable to create container with image {image}: {error}") from None
    files = archives(given, root)
    body = create_body(given, volume_subpath=engine.knows(1, 45))
    try:
        made = as_object(
            engine.post(
                "/containers/create", body, seconds=LONG_SECONDS, name=name, platform=platform or None
            )
        )
    except RefusedError as error:
        raise ProviderError(f"Unable to create container {name}: {error}") from None
    identifier = as_text(made.get("Id"))
    try:
        _connect(engine, identifier, given)
        for archive in files:
            _step("Unable to upload volume content", lambda a=archive: engine.put_archive(identifier, a))
        if given.get("start") is True:
            start(engine, identifier)
            if given.get("wait") is True:
                _until_healthy(engine, identifier, number(given.get("waitTimeout")))
        log = _until_ended(engine, identifier, given) if given.get("attach") is True else ""
    except ProviderError as error:
        raise StartedError(identifier, str(error)) from None
    return identifier, log


def _step(what: str, work: Callable[[], None]) -> None:
    try:
        work()
    except RefusedError as error:
        raise ProviderError(f"{what}: {error}") from None


def _connect(engine: Engine, identifier: str, given: Object) -> None:
    wanted = objects(given.get("networksAdvanced"))
    if not wanted:
        return
    try:
        engine.post("/networks/bridge/disconnect", {"Container": identifier, "Force": False})
    except RefusedError as error:
        if "is not connected to" not in str(error).lower():
            raise ProviderError(f"Unable to disconnect the default network: {error}") from None
    for item in wanted:
        network = as_text(item.get("name"))
        try:
            engine.post(
                f"/networks/{network}/connect", {"Container": identifier, "EndpointConfig": endpoint(item)}
            )
        except RefusedError as error:
            raise ProviderError(f"Unable to connect to network '{network}': {error}") from None


def start(engine: Engine, identifier: str) -> None:
    """Start the container; one that runs already is fine."""
    try:
        engine.post(f"/containers/{identifier}/start", seconds=LONG_SECONDS)
    except RefusedError as error:
        raise ProviderError(f"Unable to start container: {error}") from None


def _until_healthy(engine: Engine, identifier: str, timeout: int) -> None:
    deadline = time.monotonic() + timeout
    while True:
        live = inspect(engine, identifier)
        if live is None:
            raise ProviderError("container failed to be in healthy state: it has gone")
        health = dig(live, "State", "Health")
        if not isinstance(health, dict):
            raise ProviderError(
                "you have supplied a 'wait' argument, but the container does not have a healthcheck defined. "
                "Please remove the 'wait' argument or add a 'healthcheck' attribute"
            )
        if health.get("Status") == "healthy":
            return
        if time.monotonic() >= deadline:
            raise ProviderError(
                f"container failed to be in healthy state: after {timeout} s {_condition(live)}"
            )
        engine.pause(_POLL, f"waiting for container {as_text(live.get('Name')).lstrip('/')} to be healthy")


def _condition(live: Object) -> str:
    state = as_object(live.get("State"))
    health = as_object(state.get("Health"))
    if state.get("Running") is not True:
        return (
            f"it is {as_text(state.get('Status'), 'stopped')} with exit code {number(state.get('ExitCode'))}"
        )
    # What the check printed is left out: it may hold secrets.
    codes = [str(number(entry.get("ExitCode"))) for entry in objects(health.get("Log"))]
    said = f", exit codes of its last checks: {', '.join(codes)}" if codes else ", no check has ended yet"
    return f"its health is {as_text(health.get('Status'), 'unknown')}{said}"


def _until_ended(engine: Engine, identifier: str, given: Object) -> str:
    while True:
        live = inspect(engine, identifier)
        if live is None or dig(live, "State", "Running") is not True:
            break
        engine.pause(_POLL, f"waiting for container {as_text(live.get('Name')).lstrip('/')} to end")
    if given.get("logs") is not True or live is None:
        return ""
    data = engine.raw(f"/containers/{identifier}/logs", stdout=True, stderr=True)
    return (data if given.get("tty") is True else demultiplexed(data)).decode(errors="replace")


def demultiplexed(data: bytes) -> bytes:
    """The log without the engine's frames: a byte for the stream, three zeros, four bytes of length."""
    parts: list[bytes] = []
    while len(data) >= 8:
        size = int.from_bytes(data[4:8], "big")
        parts.append(data[8 : 8 + size])
        data = data[8 + size :]
    return b"".join(parts)


def update(engine: Engine, identifier: str, before: Object, given: Object) -> list[str]:
    """Change what can be changed in place; the changed properties that were only recorded.

    `before` and `given` are canonical enough to be compared by `changed_names`.
    """
    changed = changed_names(before, given)
    if "mustRun" in changed and given.get("mustRun") is True and given.get("start") is True:
        start(engine, identifier)
    if changed & IN_PLACE:
        try:
            engine.post(f"/containers/{identifier}/update", update_body(given))
        except RefusedError as error:
            raise ProviderError(f"Unable to update a container: {error}") from None
    return sorted(changed & RECORDED)


def changed_names(before: Object, given: Object) -> frozenset[str]:
    """The names of the properties that differ."""
    from toolchain.offline.plugins.docker.container_fields import FIELDS
    from toolchain.offline.plugins.docker.schema import changes

    return frozenset(changes(before, given, FIELDS, []))


def delete(engine: Engine, identifier: str, outputs: Object) -> None:
    """Stop the container (with `destroyGraceSeconds`, else at once) and remove it; one that has gone is fine."""
    try:
        if outputs.get("attach") is not True:
            grace = max(number(outputs.get("destroyGraceSeconds")), 0)
            engine.post(f"/containers/{identifier}/stop", seconds=LONG_SECONDS, t=grace)
        engine.delete(f"/containers/{identifier}", v=outputs.get("removeVolumes") is not False, force=True)
    except RefusedError as error:
        if error.status != 404 and "is already in progress" not in str(error):
            name = as_text(outputs.get("name"), identifier[:12])
            raise ProviderError(f"Error deleting container {name}: {error}") from None
    while inspect(engine, identifier) is not None:
        engine.pause(_POLL, "waiting for a container to be removed")

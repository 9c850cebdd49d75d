"""One photo or folder back on one host: a container like that of the step that copies, with the media writable."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from toolchain.failure import ToolchainError
from toolchain.offline.plugins.docker.connection import LONG_SECONDS, RefusedError
from toolchain.offline.plugins.docker.containers import demultiplexed
from toolchain.offline.plugins.values import Object, Value, as_object, as_text, dig
from toolchain.restore_request import COPY_STEP, RESTORE_ONE, Request, said
from toolchain.tasks_docker import connected

if TYPE_CHECKING:
    from components.settings.docker import Docker
    from toolchain.offline.plugins.docker.connection import Engine

Progress = Callable[[str], None]

NAME: Final = "restore-one"
_RUN: Final = "immich.restore"
"""Label with what tells this run's container from another's."""
_POLL: Final = 0.5
_HEARTBEAT: Final = 15.0
_GRACE: Final = 20
"""Seconds in which the script takes away what it has not finished."""
_KEPT: Final = (
    "CapDrop", "CpuPeriod", "CpuQuota", "CpuShares", "Dns", "GroupAdd", "LogConfig", "Memory", "MemorySwap",
    "ReadonlyRootfs", "SecurityOpt", "ShmSize", "Tmpfs", "Ulimits",
)  # fmt: skip
"""Of the step's HostConfig."""


def run(wanted: Request, docker: Docker, env: Mapping[str, str], progress: Progress) -> int:
    """The script's exit code. ToolchainError when the stack is not up, and when another restore runs."""
    with connected(docker, env) as engine:
        step = engine.found(f"/containers/immich-{wanted.stack}-{COPY_STEP}/json")
        if step is None:
            raise ToolchainError(
                f"the stack {wanted.stack} is not up here, or was brought up before it had a target: {engine.address} "
                f"has no container immich-{wanted.stack}-{COPY_STEP}. `make up STACK={wanted.stack}` makes it"
            )
        name, token = f"immich-{wanted.stack}-{NAME}", secrets.token_hex(8)
        _make_room(engine, name)
        try:
            _make(engine, name, step, wanted, token)
            return _follow(engine, name, progress)
        finally:
            _remove(engine, name, token)


def body(step: Object, wanted: Request, token: str) -> Object:
    """The container to ask for, from what the engine tells of the step's."""
    config, host = as_object(step.get("Config")), as_object(step.get("HostConfig"))
    networks = networks_of(step)
    return {
        "Image": step.get("Image"),
        "User": config.get("User"),
        "Env": config.get("Env"),
        # Locks in repositories bear it, and are this deployment's by it.
        "Hostname": config.get("Hostname"),
        "Entrypoint": ["/bin/sh", RESTORE_ONE],
        "Cmd": [*wanted.arguments],
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {"immich.stack": wanted.stack, "immich.workload": NAME, _RUN: token},
        "HostConfig": {
            **{key: host[key] for key in _KEPT if key in host},
            "Mounts": mounts(step, wanted.media),
            "NetworkMode": networks[0] if networks else "none",
            "RestartPolicy": {"Name": "no"},
        },
    }


def mounts(step: Object, media: frozenset[str]) -> list[Value]:
    """Those of the step, where photos are writable."""
    found: list[Value] = []
    listed = step.get("Mounts")
    for one in listed if isinstance(listed, list) else []:
        mount = as_object(one)
        kind, path = as_text(mount.get("Type")), as_text(mount.get("Destination"))
        if kind not in {"bind", "volume"}:
            continue  # folders in memory are in `Tmpfs`
        made: Object = {
            "Type": kind,
            "Source": mount.get("Name" if kind == "volume" else "Source"),
            "Target": path,
            "ReadOnly": mount.get("RW") is not True and path not in media,
        }
        if kind == "volume":
            made["VolumeOptions"] = {"NoCopy": True}
        found.append(made)
    return found


def networks_of(step: Object) -> list[str]:
    """Names of the networks that the step is in; none where it has no network."""
    return [name for name in as_object(dig(step, "NetworkSettings", "Networks")) if name != "none"]


def _make_room(engine: Engine, name: str) -> None:
    """Take away what a run that was killed has left."""
    live = engine.found(f"/containers/{name}/json")
    if live is None:
        return
    if dig(live, "State", "Running") is True:
        raise ToolchainError(
            f"another restore runs in {name}: wait for it (`docker wait {name}`), then try again"
        )
    engine.delete(f"/containers/{name}", force=True, v=True)


def _make(engine: Engine, name: str, step: Object, wanted: Request, token: str) -> None:
    try:
        engine.post("/containers/create", body(step, wanted, token), seconds=LONG_SECONDS, name=name)
    except RefusedError as error:
        if error.status == 409:
            raise ToolchainError(f"another restore has just begun in {name}: try again later") from None
        raise
    for network in networks_of(step)[1:]:
        engine.post(f"/networks/{network}/connect", {"Container": name})
    engine.post(f"/containers/{name}/start", seconds=LONG_SECONDS)


def _follow(engine: Engine, name: str, progress: Progress) -> int:
    told, began = 0, time.monotonic()
    spoken = began
    while True:
        state = as_object(dig(engine.found(f"/containers/{name}/json") or {}, "State"))
        if not state:
            raise ToolchainError(f"{name} was removed by somebody else: it is not known what it restored")
        # Read after the state: what has ended has said everything.
        lines = _lines(engine, name)
        for line in lines[told:]:
            progress(said(line))
            spoken = time.monotonic()
        told = len(lines)
        if state.get("Running") is not True:
            code = state.get("ExitCode")
            return int(code) if isinstance(code, int | float) else 1
        if time.monotonic() - spoken >= _HEARTBEAT:
            spoken = time.monotonic()
            progress(f"{spoken - began:.0f} s so far")
        engine.pause(_POLL, "restoring")


def _lines(engine: Engine, name: str) -> list[str]:
    data = engine.raw(f"/containers/{name}/logs", stdout=True, stderr=True)
    return demultiplexed(data).decode(errors="replace").splitlines()


def _remove(engine: Engine, name: str, token: str) -> None:
    live = engine.found(f"/containers/{name}/json")
    if live is None or dig(live, "Config", "Labels", _RUN) != token:
        return  # nothing was made, or it is somebody else's
    if dig(live, "State", "Running") is True:
        engine.post(f"/containers/{name}/stop", seconds=_GRACE + 30, t=_GRACE)
    engine.delete(f"/containers/{name}", force=True, v=True)

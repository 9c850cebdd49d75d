"""Volumes: create (the engine's create of a name that exists gives the volume that is there), read, delete."""

from __future__ import annotations

import time
from typing import Final

from toolchain.offline.plugins.docker.connection import Engine, RefusedError, segment
from toolchain.offline.plugins.docker.container_fields import LABEL
from toolchain.offline.plugins.docker.container_request import label_map, objects, texts
from toolchain.offline.plugins.docker.container_state import labels
from toolchain.offline.plugins.docker.schema import Field
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, as_object, as_text

FIELDS: Final[dict[str, Field]] = {
    "name": Field(kind="text", computed=True),
    "cluster": Field(kind="object", unsupported="Swarm's cluster volumes need the official plugin"),
    "driver": Field(kind="text", computed=True),
    "driverOpts": Field(kind="map"),
    "labels": Field(kind="objects", fields=LABEL),
}
COMPUTED: Final = ("mountpoint",)
RELEASE_SECONDS: Final = 30.0
"""How long a delete waits for the last container to go; the official plugin's own time."""


def create_body(given: Object) -> Object:
    """The body of `POST /volumes/create`."""
    body: Object = {"Name": as_text(given.get("name"))}
    if given.get("labels"):
        body["Labels"] = label_map(given.get("labels"))
    for key, name in (("driver", "Driver"), ("driverOpts", "DriverOpts")):
        if given.get(key):
            body[name] = given[key]
    return body


def state(live: Object, before: Object) -> Object:
    """The outputs, from the engine's description."""
    return {
        **before,
        "name": as_text(live.get("Name")),
        "labels": labels(live.get("Labels")),
        "driver": as_text(live.get("Driver")),
        "driverOpts": as_object(live.get("Options")),
        "mountpoint": as_text(live.get("Mountpoint")),
    }


def create(engine: Engine, given: Object) -> str:
    """Make the volume, or take the one of that name, and return its name, which is its id."""
    try:
        made = as_object(engine.post("/volumes/create", create_body(given)))
    except RefusedError as error:
        raise ProviderError(f"Unable to create volume {as_text(given.get('name'))}: {error}") from None
    return as_text(made.get("Name"))


def inspect(engine: Engine, identifier: str) -> Object | None:
    """The engine's description, None when there is no such volume."""
    return engine.found(f"/volumes/{segment(identifier)}")


def delete(engine: Engine, identifier: str, *, timeout: float) -> None:
    """Remove the volume and its data once no container uses it. `timeout` is in seconds, 0 for RELEASE_SECONDS."""
    limit = timeout or RELEASE_SECONDS
    deadline = time.monotonic() + limit
    while True:
        try:
            engine.delete(f"/volumes/{segment(identifier)}", force=True)
        except RefusedError as error:
            if error.status == 404:
                return
            if "in use" not in str(error).lower() and "being used" not in str(error).lower():
                raise ProviderError(f"Unable to delete volume {identifier}: {error}") from None
            if time.monotonic() >= deadline:
                raise ProviderError(
                    f"Unable to delete volume {identifier}: after {limit:g} s it is still in use by "
                    f"{', '.join(_users(engine, identifier)) or 'a container'}. Remove that, then run this again"
                ) from None
            engine.pause(0.5, f"waiting for volume {identifier} to be free")
        else:
            return


def _users(engine: Engine, identifier: str) -> list[str]:
    found = engine.get("/containers/json", all=True, filters={"volume": [identifier]})
    return sorted(name.lstrip("/") for item in objects(found) for name in texts(item.get("Names"))[:1])

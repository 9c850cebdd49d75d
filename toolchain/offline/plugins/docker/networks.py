"""Networks: create, read, delete."""

from __future__ import annotations

import time
from typing import Final

from toolchain.offline.plugins.docker.connection import Engine, RefusedError
from toolchain.offline.plugins.docker.container_fields import LABEL
from toolchain.offline.plugins.docker.container_request import label_map, objects
from toolchain.offline.plugins.docker.container_state import labels
from toolchain.offline.plugins.docker.schema import Field
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, Value, as_object, as_text, dig

FIELDS: Final[dict[str, Field]] = {
    "name": Field(kind="text", required=True),
    "attachable": Field(kind="boolean"),
    "driver": Field(kind="text", computed=True),
    "ingress": Field(kind="boolean"),
    "internal": Field(kind="boolean", computed=True),
    "ipamConfigs": Field(
        kind="objects",
        computed=True,
        fields={
            "subnet": Field(kind="text"),
            "ipRange": Field(kind="text"),
            "gateway": Field(kind="text"),
            "auxAddress": Field(kind="map"),
        },
    ),
    "ipamDriver": Field(kind="text", default="default"),
    "ipamOptions": Field(kind="map"),
    "ipv6": Field(kind="boolean"),
    "labels": Field(kind="objects", fields=LABEL),
    "options": Field(kind="map", computed=True),
}
COMPUTED: Final = ("scope",)
RELEASE_SECONDS: Final = 30.0
"""How long a delete waits for the last container to leave; the official plugin's own time."""


def create_body(given: Object) -> Object:
    """The body of `POST /networks/create`."""
    body: Object = {"Name": as_text(given.get("name")), "CheckDuplicate": True}
    if given.get("labels"):
        body["Labels"] = label_map(given.get("labels"))
    for key, name in (
        ("driver", "Driver"),
        ("options", "Options"),
        ("internal", "Internal"),
        ("attachable", "Attachable"),
        ("ingress", "Ingress"),
        ("ipv6", "EnableIPv6"),
    ):
        if given.get(key):
            body[name] = given[key]
    ipam: Object = {"Driver": as_text(given.get("ipamDriver"), "default")}
    configs: list[Value] = [_ipam_body(item) for item in objects(given.get("ipamConfigs"))]
    if configs:
        ipam["Config"] = configs
    if given.get("ipamOptions"):
        ipam["Options"] = given["ipamOptions"]
    body["IPAM"] = ipam
    return body


def _ipam_body(item: Object) -> Object:
    names = (
        ("subnet", "Subnet"),
        ("ipRange", "IPRange"),
        ("gateway", "Gateway"),
        ("auxAddress", "AuxiliaryAddresses"),
    )
    return {name: item[key] for key, name in names if item.get(key)}


def state(live: Object, before: Object) -> Object:
    """The outputs, from the engine's description."""
    configs: list[Value] = []
    for item in objects(dig(live, "IPAM", "Config")):
        names = (
            ("subnet", "Subnet"),
            ("ipRange", "IPRange"),
            ("gateway", "Gateway"),
            ("auxAddress", "AuxiliaryAddresses"),
        )
        configs.append({key: item[name] for key, name in names if item.get(name)})
    return {
        **before,
        "name": as_text(live.get("Name")),
        "labels": labels(live.get("Labels")),
        "driver": as_text(live.get("Driver")),
        "internal": live.get("Internal") is True,
        "attachable": live.get("Attachable") is True,
        "ingress": live.get("Ingress") is True,
        "ipv6": live.get("EnableIPv6") is True,
        "ipamDriver": as_text(dig(live, "IPAM", "Driver")),
        "ipamOptions": as_object(dig(live, "IPAM", "Options")),
        "ipamConfigs": configs,
        "options": as_object(live.get("Options")),
        "scope": as_text(live.get("Scope")),
    }


def create(engine: Engine, given: Object) -> str:
    """Make the network and return its id."""
    try:
        made = as_object(engine.post("/networks/create", create_body(given)))
    except RefusedError as error:
        raise ProviderError(f"Unable to create network {as_text(given.get('name'))}: {error}") from None
    return as_text(made.get("Id"))


def inspect(engine: Engine, identifier: str) -> Object | None:
    """The engine's description, None when there is no such network."""
    return engine.found(f"/networks/{identifier}")


def delete(engine: Engine, identifier: str, *, timeout: float) -> None:
    """Remove the network once no container is attached. `timeout` is in seconds, 0 for RELEASE_SECONDS."""
    limit = timeout or RELEASE_SECONDS
    deadline = time.monotonic() + limit
    while True:
        try:
            engine.delete(f"/networks/{identifier}")
        except RefusedError as error:
            if error.status == 404:
                return
            live = inspect(engine, identifier)
            if live is None:
                return
            name = as_text(live.get("Name"), identifier)
            attached = _attached(live)
            if not attached and "active endpoints" not in str(error).lower():
                raise ProviderError(f"Unable to delete network {name}: {error}") from None
            if time.monotonic() >= deadline:
                raise ProviderError(
                    f"Unable to delete network {name}: after {limit:g} s these containers are still attached: "
                    f"{', '.join(attached) or 'unknown to the engine'}. Stop or disconnect them, then run this again"
                ) from None
            engine.pause(0.5, f"waiting for containers to leave network {name}")
        else:
            return


def _attached(live: Object) -> list[str]:
    return sorted(
        as_text(as_object(item).get("Name"), key[:12])
        for key, item in as_object(live.get("Containers")).items()
    )

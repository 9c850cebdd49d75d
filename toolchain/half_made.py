"""What a killed run had begun to make on one host's engine, and that nobody knows the id of: containers and networks.

The engine goes on with what it was asked for, so they may be there, complete or not; made again they would meet
themselves: a container's name, and a network's addresses, are taken. Neither holds data, so they are removed. Volumes
and images need nothing: to ask for one that is there gives that one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from toolchain.deployment import Json, Resource, mapping
from toolchain.failure import ToolchainError

_CONTAINER: Final = "docker:index/container:Container"
_NETWORK: Final = "docker:index/network:Network"
_PROVIDER: Final = "pulumi:providers:docker"


def remove(
    stack: str, creations: Iterable[Resource], present: Sequence[Resource], env: Mapping[str, str]
) -> list[str]:
    """Remove what creations of a stack have left on its engine; the names of what was removed.

    `present` is the state: what it knows stays, and what another stack's label is on stays. ToolchainError when the
    engine cannot be asked.
    """
    wanted = {
        (one.type, name)
        for one in creations
        if one.type in {_CONTAINER, _NETWORK} and isinstance(name := one.inputs.get("name"), str)
    }
    if not wanted:
        return []
    from toolchain.offline.plugins.docker.connection import Engine
    from toolchain.offline.plugins.docker.settings import Settings
    from toolchain.offline.plugins.provider import ProviderError
    from toolchain.offline.plugins.values import as_object, as_text, dig, plain

    known = {one.text("id") for one in present}
    provider = next((one for one in present if one.type == _PROVIDER), Resource({}))
    settings = as_object(plain({"host": env.get("DOCKER_HOST", ""), **provider.inputs}))
    removed: list[str] = []
    try:
        engine = Engine(Settings.read(settings), threading.Event())
        try:
            # Containers first: a network goes when none is in it.
            for type_, name in sorted(wanted):
                kind, labels = ("containers", ("Config", "Labels"))
                if type_ == _NETWORK:
                    kind, labels = "networks", ("Labels",)
                live = engine.found(f"/{kind}/{name}{'/json' if type_ == _CONTAINER else ''}")
                if live is None or as_text(live.get("Id")) in known:
                    continue
                if dig(live, *labels, "immich.stack") != stack:
                    continue
                force = {"force": True, "v": True} if type_ == _CONTAINER else {}
                engine.delete(f"/{kind}/{as_text(live.get('Id'))}", **force)
                removed.append(name)
        finally:
            engine.close()
    except ProviderError as error:
        raise ToolchainError(
            f"What a killed run left on the engine could not be looked at: {error}"
        ) from None
    return removed


def creations(operations: Iterable[Json]) -> list[Resource]:
    """The resources of the engine that operations of a state had begun to create."""
    found = [Resource(mapping(one.get("resource"))) for one in operations if one.get("type") == "creating"]
    return [one for one in found if one.type.startswith("docker:")]

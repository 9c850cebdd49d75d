"""Which containers of a stack are which part of an Immich."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from immich_policy.model import Stack
from immich_policy.reading.connections import foreign
from immich_policy.reading.containers import Container, registered_containers
from immich_policy.reading.mounts import Mount
from immich_policy.reading.names import namespace, object_name
from immich_policy.reading.roles import Role

_SHARED = frozenset({"claim", "volume"})
"""Kinds of mounts that others may have as well."""


def containers(stack: Stack) -> list[Container]:
    """Every container that the stack registers, those that end before others begin included.

    One of another program has no role: an image says what it is, what Immich is connected to says whose.
    """
    found = stack.once(registered_containers)
    theirs = {id(one) for one in foreign(stack, found)}
    return [dataclasses.replace(one, roles=frozenset[Role]()) if id(one) in theirs else one for one in found]


def having(stack: Stack, *roles: Role) -> list[Container]:
    """Containers that are one of these."""
    return [one for one in stack.once(containers) if one.roles & set(roles)]


def immich_pods(stack: Stack) -> Sequence[Container]:
    """Every container of a workload in which one is a known part of an Immich: sidecars are judged with it."""
    known = {id(one.resource) for one in stack.once(containers) if one.roles}
    return [one for one in stack.once(containers) if id(one.resource) in known]


def of_immich(stack: Stack) -> Sequence[Container]:
    """Parts of Immich, all in their pods, and what works for them: by its name, or on the same volumes."""
    return stack.once(_of_immich)


def _of_immich(stack: Stack) -> list[Container]:
    parts = immich_pods(stack)
    known = {id(one.resource) for one in parts}
    volumes = {_volume(one, mount) for one in parts for mount in one.mounts() if mount.kind in _SHARED}
    return [
        one
        for one in stack.once(containers)
        if id(one.resource) in known
        or "immich" in object_name(one.resource)
        or any(_volume(one, mount) in volumes for mount in one.mounts() if mount.kind in _SHARED)
    ]


def _volume(one: Container, mount: Mount) -> tuple[str, str]:
    return ("" if one.docker else namespace(one.resource)), str(mount.source)

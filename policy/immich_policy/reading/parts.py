"""Which containers of a stack are which part of an Immich."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from immich_policy.model import Stack
from immich_policy.reading.connections import foreign
from immich_policy.reading.containers import Container, registered_containers
from immich_policy.reading.roles import Role


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

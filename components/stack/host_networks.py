"""Addresses of a stack's networks on one host: fixed, so that what is trusted is exact. Pure."""

from __future__ import annotations

import hashlib
import ipaddress

from components.settings.docker import NETWORKS, Docker

_PREFIX = 28
"""Room for thirteen containers."""


def subnets(stack: str, docker: Docker) -> dict[str, str]:
    """Addresses of each network that there may be, by its short name."""
    parts = ipaddress.ip_network(docker.subnet or own_subnet(stack)).subnets(new_prefix=_PREFIX)
    found = {name: str(part) for name, part in zip(NETWORKS, parts, strict=False)}
    return found | {name: str(given.subnet) for name, given in docker.networks.items()}


def own_subnet(stack: str) -> str:
    """A /24 that follows from the stack's name: one of 12800, so that stacks on one host hardly ever meet."""
    mark = hashlib.sha256(stack.encode()).digest()
    return f"10.{200 + mark[0] % 50}.{mark[1]}.0/24"

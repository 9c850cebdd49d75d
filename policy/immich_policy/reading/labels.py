"""Labels of Docker containers by which a Traefik is configured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from immich_policy.model import Plain, dig, join, mappings, text
from immich_policy.reading.containers import Container

_LABEL: Final = re.compile(r"traefik\.http\.(middlewares|routers|services)\.([^.]+)\.(.+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Label:
    """One label; names are in lower case, as Traefik takes them."""

    path: str
    group: str
    """`middlewares`, `routers` or `services`."""
    name: str
    option: str
    """Dotted: `buffering.maxrequestbodybytes`, `middlewares`, `loadbalancer.server.port`."""
    value: Plain


def traefik_labels(one: Container) -> Iterator[Label]:
    """Labels of a container for the HTTP of a Traefik."""
    for index, label in mappings(one.props, "labels") if one.docker else ():
        found = _LABEL.fullmatch(text(label, "label"))
        if found is not None:
            group, name, option = (part.lower() for part in found.groups())
            yield Label(join("labels", index), group, name, option, dig(label, "value"))


def names(value: Plain) -> list[str]:
    """Names in a list with commas, each without its provider: `auth@file` is `auth`."""
    if not isinstance(value, str):
        return []
    return [part.strip().partition("@")[0].lower() for part in value.split(",") if part.strip()]

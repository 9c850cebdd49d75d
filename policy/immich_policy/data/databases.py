"""How a database writes: alone in its folder, and so that a loss of power loses nothing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from immich_policy.config import Config
from immich_policy.data.volumes import data_mounts
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Plain,
    Registered,
    Severity,
    Stack,
    Unjudged,
    dig,
    family_rule,
    mapping,
    number,
    text,
)
from immich_policy.reading.clusters import immich_clusters
from immich_policy.reading.containers import Container, registered_containers
from immich_policy.reading.files import files
from immich_policy.reading.mounts import Mount
from immich_policy.reading.names import namespace
from immich_policy.reading.parts import having
from immich_policy.reading.roles import Role
from immich_policy.text import shown

_LASTING: Final = frozenset({"claim", "volume", "host", "nfs"})
_SAFETY: Final = ("fsync", "full_page_writes")
_UNSAFE: Final = re.compile(
    rf"\b({'|'.join(_SAFETY)})\s*[=\s]\s*['\"]?(?:of|off|false|no|0)\b", re.IGNORECASE
)
"""A setting of postgresql.conf, or of the command line, that is turned off."""
_OFF: Final = frozenset({"off", "of", "false", "no", "0", "f", "n"})
_WRITTEN = "fsync and full_page_writes on, which they are by default; faster disks make writing faster"


def _alone(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    ours = {id(one.resource) for one in having(stack, Role.DATABASE)}
    users: dict[tuple[str, str, str, str], list[tuple[Container, Mount]]] = defaultdict(list)
    for one in stack.once(registered_containers):
        for mount in data_mounts(one) if Role.DATABASE in one.roles else ():
            if mount.kind in _LASTING and isinstance(mount.source, str) and not mount.read_only:
                space = "" if one.docker else namespace(one.resource)
                users[space, mount.kind, mount.source.rstrip("/"), mount.inside].append((one, mount))
    for found in users.values():
        if any(id(one.resource) in ours for one, _ in found):
            for one, mount in found[1:]:
                first = found[0][0].resource.name
                message = f"{one.says()} and {first} are two PostgreSQL on {shown(mount.source)}"
                setting = "a volume of its own for each database"
                yield Finding(resource=one.resource, path=mount.path, message=message, setting=setting)
            yield from _copies(found[0][0])


def _copies(one: Container) -> Iterator[Judgement]:
    """More than one pod at a time: PostgreSQL sees another one in its own container alone."""
    if one.docker:
        return
    replicas = dig(one.resource.props, "spec", "replicas")
    if replicas is UNKNOWN:
        yield Unjudged(resource=one.resource, path="spec.replicas")
    elif (number(one.resource.props, "spec", "replicas") or 0) > 1:
        message = f"{shown(replicas)} copies of PostgreSQL are on one volume"
        yield Finding(resource=one.resource, path="spec.replicas", message=message, setting="replicas: 1")
    strategy = mapping(one.resource.props, "spec", "strategy")
    if one.resource.kind == "Deployment" and text(strategy, "type") != "Recreate":
        message = "an update starts a second PostgreSQL on the volume before the first one ends"
        path, setting = "spec.strategy.type", "strategy.type: Recreate, or a StatefulSet"
        yield Finding(resource=one.resource, path=path, message=message, setting=setting)


def _durable(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for cluster in stack.once(immich_clusters):
        for name in _SAFETY:
            path = f"spec.postgresql.parameters.{name}"
            value = dig(cluster.props, *path.split("."))
            if value is UNKNOWN:
                yield Unjudged(resource=cluster, path=path)
            elif value is not None and (value is False or str(value).strip().lower() in _OFF):
                yield _unsafe(cluster, path, name)
    for one in having(stack, Role.DATABASE):
        for path, value in _told(stack, one):
            resource, where = path
            for found in dict.fromkeys(
                _UNSAFE.findall(_COMMENT.sub("", value)) if isinstance(value, str) else ()
            ):
                yield _unsafe(resource, where, found.lower())
        if "-F" in one.arguments():
            yield _unsafe(one.resource, one.at("command" if one.docker else "args"), "fsync")


_COMMENT: Final = re.compile(r"#[^\n]*")


def _told(stack: Stack, one: Container) -> Iterator[tuple[tuple[Registered, str], Plain]]:
    """What a PostgreSQL is told, on its command line, at its making, and in its file."""
    yield (one.resource, one.at("command" if one.docker else "args")), " ".join(one.arguments())
    for path, name, value in one.variables():
        if name == "POSTGRES_INITDB_ARGS":
            yield (one.resource, path), value
    for name, file in files(stack, one).items():
        if name.endswith(".conf"):
            yield (file.resource, file.path), file.content


def _unsafe(resource: Registered, path: str, name: str) -> Finding:
    message = f"{name} is off: after a loss of power the database may be beyond repair"
    return Finding(resource=resource, path=path, message=message, setting=_WRITTEN)


_rule = partial(family_rule, "data")

RULES = (
    _rule(
        "database-alone",
        Severity.CRITICAL,
        "One PostgreSQL at a time writes to a volume.",
        "Two in different containers do not see each other's lock, and destroy the database within minutes.",
        "Give each database a volume of its own, one copy, and `strategy.type: Recreate`.",
        judge=_alone,
    ),
    _rule(
        "durable",
        Severity.CRITICAL,
        "The database waits until what it writes is on the disk.",
        "Without fsync or full pages a loss of power leaves a database that does not start, or one with wrong rows, "
        "which backups take over.",
        "Leave `fsync` and `full_page_writes` on.",
        judge=_durable,
    ),
)

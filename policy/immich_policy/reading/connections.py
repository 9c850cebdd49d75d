"""Whose a database, a cache or an nginx is, in a program that has other applications beside Immich.

Pure. What Immich is connected to decides: DB_HOSTNAME, DB_URL, REDIS_HOSTNAME and REDIS_URL with their defaults
(server/src/repositories/config.repository.ts of Immich 3.0.3), the networks of a Docker container, the configuration of
an nginx. A program without a server of Immich is taken for a part of one, and everything in it is Immich's.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

from immich_policy.model import (
    UNKNOWN,
    Plain,
    Stack,
    dig,
    mapping,
    mappings,
    sequence,
    strings,
    text,
)
from immich_policy.reading.containers import Container
from immich_policy.reading.files import files
from immich_policy.reading.names import chosen, namespace, object_name
from immich_policy.reading.roles import IMMICH, Role

_VARIABLES: Final = {
    Role.DATABASE: ("DB_URL", "DB_HOSTNAME", "database"),
    Role.CACHE: ("REDIS_URL", "REDIS_HOSTNAME", "redis"),
}
"""Role -> the variable with an address, the one with a name, and the name where neither is set."""
_OPAQUE: Final = frozenset({"localhost", "host.docker.internal", "host.containers.internal", "host-gateway"})
_OWN: Final = re.compile(r"vectorchord|vchord|pgvecto|immich")
"""Parts of repositories of images that nobody but Immich is likely to use."""
_OFFICIAL: Final = re.compile(
    r"(?:^|/)(?:library/)?nginx$|nginxinc/nginx-unprivileged$|(?:^|/)nginx-unprivileged$"
)
"""Images of nginx that pass nothing on unless they are given a configuration."""
_HELPER: Final = re.compile(r"exporter|backup|dump|postgres|redis|valkey")
_LEADS: Final = re.compile(r"immich|:2283\b")
_CONFIGURED: Final = re.compile(r"/etc/nginx|/opt/bitnami/nginx|\.conf$")


def foreign(stack: Stack, found: Sequence[Container]) -> Iterator[Container]:
    """Containers that look like a part of Immich and belong to another program."""
    servers = [one for one in found if one.roles & IMMICH]
    if not servers:
        return
    for role in _VARIABLES:
        yield from _not_connected(stack, found, servers, role)
    names = {name for one in servers for name in reached_as(stack, one)}
    for server in servers:
        names |= {
            name.split(".")[0] for role in _VARIABLES if (name := host(server, role)) and not is_opaque(name)
        }
    for one in found:
        if Role.NGINX in one.roles and not _in_front(stack, one, servers, names):
            yield one


def _own(one: Container) -> bool:
    return one.parsed is not None and _OWN.search(one.parsed.repository.lower()) is not None


def _not_connected(
    stack: Stack,
    found: Sequence[Container],
    servers: Sequence[Container],
    role: Role,
) -> Iterator[Container]:
    candidates = [one for one in found if role in one.roles]
    hosts = [(server, host(server, role)) for server in servers]
    mine = {
        id(one)
        for one in candidates
        if any(name is not None and _leads(stack, server, name, one) for server, name in hosts)
    }
    decided = bool(mine) or any(_own(one) for one in candidates)
    elsewhere = all(
        name is not None and not is_opaque(name) and name != _VARIABLES[role][2] for _, name in hosts
    )
    for one in candidates:
        if id(one) in mine or _own(one) or any("immich" in name for name in reached_as(stack, one)):
            continue
        apart = not any(_may_meet(server, one) for server in servers)
        if decided or elsewhere or apart or _used_by_another(stack, found, one):
            yield one


def host(server: Container, role: Role) -> str | None:
    """Host that a server connects to for its database or cache; None where it is not known."""
    address, name, default = _VARIABLES[role]
    for variable in (address, name):
        given = server.variable(variable)
        if server.variable(f"{variable}_FILE") is not None or (given and not isinstance(given[1], str)):
            return None
        if given and given[1]:
            return _host_of(given[1]) if variable == address else given[1]
    socket = role is Role.CACHE and server.variable("REDIS_SOCKET") is not None
    return default if server.variables_known() and not socket else None


def _host_of(url: str) -> str | None:
    scheme, _, rest = url.partition("://")
    try:
        if scheme == "ioredis":
            options = json.loads(base64.b64decode(rest, validate=True))
            return text(options, "host") or None
        return urlsplit(url).hostname
    except (ValueError, binascii.Error, RecursionError):
        return None


def is_opaque(name: str) -> bool:
    """Whether a host says nothing about who is behind it: an address, or the host itself."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower() in _OPAQUE
    return True


def _leads(stack: Stack, server: Container, name: str, one: Container) -> bool:
    if one.docker or server.docker:
        addresses = {text(each, "ipv4Address") for _, each in mappings(one.props, "networksAdvanced")}
        return one.docker and server.docker and name in {*docker_names(one), *(addresses - {""})}
    if name in {"localhost", "127.0.0.1", "::1"}:
        return one.resource is server.resource
    labels = name.split(".")
    reached = reached_as(stack, one)
    own = namespace(one.resource) == namespace(server.resource)
    # A pod of a StatefulSet has a name of its own below that of its Service.
    return any(
        label in reached and (namespace(one.resource) == labels[at + 1] if len(labels) > at + 1 else own)
        for at, label in enumerate(labels[:2])
    )


def reached_as(stack: Stack, one: Container) -> set[str]:
    """Names under which a container is reached: of Docker, or of its workload and the Services that select it."""
    if one.docker:
        return docker_names(one)
    labels = pod_labels(one)
    services = {
        object_name(service)
        for service in stack.of_kind("Service", group="core")
        if chosen(service, labels, namespace(one.resource))
    }
    return {object_name(one.resource), text(one.resource.props, "spec", "serviceName"), *services} - {""}


def docker_names(one: Container) -> set[str]:
    """Names under which other containers reach a Docker container."""
    aliases = {
        alias
        for _, network in mappings(one.props, "networksAdvanced")
        for alias in strings(network, "aliases")
    }
    return {text(one.props, "name") or one.resource.name, text(one.props, "hostname"), *aliases} - {""}


def pod_labels(one: Container) -> dict[str, Plain]:
    """Labels of a container's pod."""
    above = one.pod_path.split(".")[:-1]
    return mapping(one.resource.props, *above, "metadata", "labels")


def _may_meet(first: Container, second: Container) -> bool:
    """Whether two containers may reach each other: of pods any, of Docker those of one network."""
    if first.docker != second.docker:
        return False
    if not first.docker:
        return True
    ours, theirs = _networks(first), _networks(second)
    return ours is None or theirs is None or bool(ours & theirs)


def _networks(one: Container) -> set[str] | None:
    """Names of Docker networks; None where they are not known, or the host's is among them."""
    listed = [dig(each, "name") for _, each in mappings(one.props, "networksAdvanced")]
    mode = dig(one.props, "networkMode")
    odd = mode is UNKNOWN or dig(one.props, "networksAdvanced") is UNKNOWN
    if odd or UNKNOWN in listed or UNKNOWN in sequence(one.props, "networksAdvanced") or mode == "host":
        return None
    return {str(each) for each in listed} or {str(mode or "bridge")}


def _used_by_another(stack: Stack, found: Iterable[Container], one: Container) -> bool:
    """Whether a container that is no part of Immich names this one among its variables or arguments."""
    names = reached_as(stack, one)
    pattern = (
        re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(names)))})(?![\w-])") if names else None
    )
    return pattern is not None and any(
        not other.roles
        and not other.init
        and other.resource is not one.resource
        and _may_meet(other, one)
        and any(pattern.search(value) for value in _said(other))
        for other in found
        if not _helps(other)
    )


def _helps(one: Container) -> bool:
    """Whether a container is there for a database: it measures or saves it, and names it for that."""
    image = one.parsed.name.lower() if one.parsed else ""
    return (
        one.resource.kind in {"Job", "CronJob"}
        or re.search(r"exporter|backup|dump|postgres|redis", image) is not None
    )


def _said(one: Container) -> Iterator[str]:
    yield from (value for _, _, value in one.variables() if isinstance(value, str))
    yield from one.arguments()


def _in_front(stack: Stack, one: Container, servers: Sequence[Container], names: set[str]) -> bool:
    """Whether an nginx may lead to a server: its configuration says so, or nobody here has that."""
    image = one.parsed.repository if one.parsed else ""
    if any(_LEADS.search(name) for name in (image, *reached_as(stack, one))):
        return True
    given = {path: file.content for path, file in files(stack, one).items() if _CONFIGURED.search(path)}
    written = [*_said(one), *given.values()]
    pattern = re.compile(
        rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(names)))})(?![\w-])|{_LEADS.pattern}"
    )
    if any(value is UNKNOWN or pattern.search(str(value)) for value in written):
        return True
    elsewhere = any(
        _CONFIGURED.search(mount.target)
        and mount.kind not in {"tmpfs", "emptyDir"}
        and not any(path.startswith(mount.target) for path in given)
        for mount in one.mounts()
    )
    baked = not given and _OFFICIAL.search(image) is None
    return (elsewhere or baked) and any(_may_meet(one, server) for server in servers)

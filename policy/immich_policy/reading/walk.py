"""Views of a stack: files that containers read, names that lead to Immich, networks, and the doors in front of it."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from immich_policy.config import Network
from immich_policy.model import (
    UNKNOWN,
    Plain,
    Registered,
    Stack,
    dig,
    flag,
    join,
    mapping,
    mappings,
    sequence,
    strings,
    text,
)
from immich_policy.reading.clusters import namespace, object_name
from immich_policy.reading.containers import Container, Role, containers, having
from immich_policy.reading.targets import docker_names, pod_labels

DOCKER_NETWORK = "docker:index/network:Network"


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """A file in a container, and where it is registered."""

    resource: Registered
    path: str
    """Of the content in the resource: `data["nginx.conf"]`."""
    content: Plain
    """Text, or `UNKNOWN`."""


def files(stack: Stack, one: Container) -> dict[str, File]:
    """Files that the program itself gives to a container, by their path in it."""
    return dict(_docker_files(stack, one) if one.docker else _pod_files(stack, one))


def _pod_files(stack: Stack, one: Container) -> Iterator[tuple[str, File]]:
    space = namespace(one.resource)
    volumes = {text(volume, "name"): volume for _, volume in mappings(one.pod, "volumes")}
    for _, mount in mappings(one.props, "volumeMounts"):
        volume, target = volumes.get(text(mount, "name"), {}), text(mount, "mountPath")
        below = text(mount, "subPath")
        for kind, source in _sources(volume):
            name = text(source, "secretName") or text(source, "name")
            for holder in stack.of_kind(kind, group="core"):
                if object_name(holder) != name or namespace(holder) != space:
                    continue
                for relative, file in _keys(holder, source):
                    if not below:
                        yield posixpath.join(target, relative), file
                    elif below == relative:
                        yield target, file


def _sources(volume: Mapping[str, Plain]) -> Iterator[tuple[str, dict[str, Plain]]]:
    for _, part in [(0, dict(volume)), *mappings(volume, "projected", "sources")]:
        if mapping(part, "configMap"):
            yield "ConfigMap", mapping(part, "configMap")
        if mapping(part, "secret"):
            yield "Secret", mapping(part, "secret")


def _keys(holder: Registered, source: Mapping[str, Plain]) -> Iterator[tuple[str, File]]:
    items = [(text(item, "key"), text(item, "path")) for _, item in mappings(source, "items")]
    encoded = ("data",) if holder.kind.startswith("Secret") else ("binaryData",)
    for field in ("data", "stringData", "binaryData"):
        for key, value in mapping(holder.props, field).items():
            content = _decoded(value) if field in encoded else value
            for relative in [path for name, path in items if name == key] if items else [key]:
                yield relative, File(holder, join(field, key), content)


def _decoded(value: Plain) -> Plain:
    if not isinstance(value, str):
        return UNKNOWN
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return UNKNOWN


def _docker_files(stack: Stack, one: Container) -> Iterator[tuple[str, File]]:
    for file, found in _uploads(one):
        yield file, found
    mine = [(mount.source, mount.target) for mount in one.mounts() if mount.kind == "volume"]
    for other in stack.once(containers):
        if other.resource is one.resource or not other.docker or not sequence(other.props, "uploads"):
            continue
        theirs = [(m.source, m.target) for m in other.mounts() if m.kind == "volume"]
        for volume, target in mine:
            for source, at in theirs:
                if isinstance(volume, str) and volume == source:
                    for relative, found in _loaded(other, at, len(theirs) == 1):
                        yield posixpath.join(target, relative), found


def _uploads(one: Container) -> Iterator[tuple[str, File]]:
    for index, upload in mappings(one.props, "uploads"):
        content, coded = dig(upload, "content"), dig(upload, "contentBase64")
        key = "content" if coded is None else "contentBase64"
        if content is None:
            content = UNKNOWN if coded is None else _decoded(coded)
        if text(upload, "file"):
            yield text(upload, "file"), File(one.resource, join("uploads", index, key), content)


def _loaded(loader: Container, target: str, alone: bool) -> Iterator[tuple[str, File]]:
    """What a container that copies files into volumes puts into the one at `target`.

    Uploads below the mount are there as they are. Of staging folders the one that is called as the mount is meant
    (`/staging/0` and `/target/0`); where there is a single volume, every folder is.
    """
    found = list(_uploads(loader))
    below = [(posixpath.relpath(file, target), it) for file, it in found if _inside(file, target)]
    staged = [(file, it) for file, it in found if not _inside(file, target)]
    named = posixpath.basename(target.rstrip("/"))
    paired = [
        (posixpath.basename(file), it)
        for file, it in staged
        if named and posixpath.basename(posixpath.dirname(file)) == named
    ]
    yield from below
    yield from paired
    if alone and not loader.roles and not below and not paired:
        folder = (
            posixpath.commonpath([posixpath.dirname(file) for file, _ in staged])
            if _all_absolute(staged)
            else ""
        )
        for file, it in staged:
            yield posixpath.relpath(file, folder) if folder else posixpath.basename(file), it


def _inside(file: str, folder: str) -> bool:
    return bool(folder) and file.startswith(folder.rstrip("/") + "/")


def _all_absolute(staged: list[tuple[str, File]]) -> bool:
    return bool(staged) and all(file.startswith("/") for file, _ in staged)


# Who is who


def namespace_services(stack: Stack, *roles: Role) -> list[Registered]:
    """Services that select pods with one of these roles."""
    wanted = [one for one in having(stack, *roles) if not one.docker]
    found: list[Registered] = []
    for service in stack.of_kind("Service", group="core"):
        selector = mapping(service.props, "spec", "selector")
        if selector and any(
            namespace(one.resource) == namespace(service) and selector.items() <= pod_labels(one).items()
            for one in wanted
        ):
            found.append(service)
    return found


def names_of(stack: Stack, *roles: Role) -> frozenset[str]:
    """Host names (first label) under which containers with these roles are reached."""
    docker = {name for one in having(stack, *roles) if one.docker for name in docker_names(one)}
    return frozenset(docker | {object_name(one) for one in namespace_services(stack, *roles)})


def in_front(stack: Stack) -> frozenset[str]:
    """Names that lead to Immich: those of the server and of an nginx in front of it."""
    return names_of(stack, Role.SERVER, Role.NGINX)


# Networks


@dataclass(frozen=True, slots=True, eq=False)
class DockerNetwork:
    """A registered network of Docker."""

    resource: Registered
    name: str
    subnets: tuple[Network, ...]
    """Empty where the engine chooses."""


def docker_networks(stack: Stack) -> dict[str, DockerNetwork]:
    """Registered networks by their name on the engine."""
    found: dict[str, DockerNetwork] = {}
    for one in stack.of_type(DOCKER_NETWORK):
        name = text(one.props, "name") or one.name
        subnets = [subnet(text(each, "subnet")) for _, each in mappings(one.props, "ipamConfigs")]
        found[name] = DockerNetwork(one, name, tuple(each for each in subnets if each is not None))
    return found


def subnet(written: str) -> Network | None:
    """A network as it is written, host bits cut off; None for what is none."""
    try:
        return ipaddress.ip_network(written, strict=False)
    except ValueError:
        return None


def attached(one: Container) -> list[str]:
    """Names of the Docker networks that a container is in, as far as they are known."""
    found = [text(each, "name") for _, each in mappings(one.props, "networksAdvanced")]
    mode = text(one.props, "networkMode")
    return [name for name in [*found, mode] if name and name not in {"none", "host", "bridge", "default"}]


def host_network(one: Container) -> bool:
    """Whether a container has the network of its host."""
    return text(one.props, "networkMode") == "host" if one.docker else flag(one.pod, "hostNetwork")


# Doors


@dataclass(frozen=True, slots=True, eq=False)
class Door:
    """Something that leads from outside to Immich."""

    resource: Registered
    path: str
    cloudflare: bool
    """Whether what comes through it came through Cloudflare's edge."""


def doors(stack: Stack) -> list[Door]:
    """Every way from outside to Immich that is registered; a port that only the host itself reaches is none."""
    found = [
        Door(one.resource, one.path, cloudflare=True)
        for one in having(stack, Role.CLOUDFLARED)
        if not one.init
    ]
    for kind in ("Ingress", "HTTPRoute", "IngressRoute"):
        found += [
            Door(one, "", cloudflare=False) for one in stack.of_kind(kind) if leads_to_immich(stack, one)
        ]
    for service in namespace_services(stack, Role.SERVER, Role.NGINX):
        if text(service.props, "spec", "type") in {"LoadBalancer", "NodePort"}:
            found.append(Door(service, "spec.type", cloudflare=False))
    for one in having(stack, Role.SERVER, Role.NGINX, Role.TRAEFIK):
        if not one.docker:
            continue
        for index, port in mappings(one.props, "ports"):
            if not text(port, "ip").startswith(("127.", "::1")):
                found.append(Door(one.resource, join("ports", index), cloudflare=False))
        if any(
            text(each, "label").startswith("traefik.http.routers.")
            for _, each in mappings(one.props, "labels")
        ):
            found.append(Door(one.resource, "labels", cloudflare=False))
    return found


def leads_to_immich(stack: Stack, route: Registered) -> bool:
    """Whether an Ingress or a route leads to the server or to an nginx in front of it.

    Where the stack has no such Service, the name and the port of the backend decide: `immich` in it, or 2283.
    """
    known = in_front(stack)
    for name, port in backends(route):
        if name in known or (name not in known and (port == 2283 or "immich" in name)):
            return True
    return False


def backends(route: Registered) -> Iterator[tuple[str, Plain]]:
    """Name and port of each Service that an Ingress, a route of the Gateway API or one of Traefik leads to."""
    spec = mapping(route.props, "spec")
    if route.kind.startswith("Ingress") and not route.kind.startswith("IngressRoute"):
        paths = [path for _, rule in mappings(spec, "rules") for _, path in mappings(rule, "http", "paths")]
        for service in [mapping(path, "backend", "service") for path in paths] + [
            mapping(spec, "defaultBackend", "service")
        ]:
            if text(service, "name"):
                yield text(service, "name"), dig(service, "port", "number")
        return
    outer, inner = (
        ("routes", "services") if route.kind.startswith("IngressRoute") else ("rules", "backendRefs")
    )
    for _, rule in mappings(spec, outer):
        for _, ref in mappings(rule, inner):
            if text(ref, "name"):
                yield text(ref, "name"), dig(ref, "port")


def flags(one: Container) -> dict[str, tuple[str, str]]:
    """Command-line flags as `--name=value` or `--name value`: lower-case name -> (value, path)."""
    found: dict[str, tuple[str, str]] = {}
    for key in ("entrypoints", "command") if one.docker else ("command", "args"):
        listed = strings(one.props, key)
        for index, word in enumerate(listed):
            if not word.startswith("-"):
                continue
            name, equals, value = word.lstrip("-").partition("=")
            if not equals and index + 1 < len(listed) and not listed[index + 1].startswith("-"):
                value = listed[index + 1]
            found[name.lower()] = (value, one.at(key, index))
    return found

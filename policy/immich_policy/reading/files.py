"""Files that a program itself gives to containers."""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from immich_policy.model import (
    UNKNOWN,
    Plain,
    Registered,
    Stack,
    dig,
    join,
    mapping,
    mappings,
    sequence,
    text,
)
from immich_policy.reading.containers import Container, registered_containers
from immich_policy.reading.names import namespace, object_name


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
    for other in stack.once(registered_containers):
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

"""What is mounted into containers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from immich_policy.model import UNKNOWN, Plain, dig, join, mapping, mappings, text

if TYPE_CHECKING:
    from immich_policy.reading.containers import Container


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Something mounted."""

    path: str
    """Where in the resource."""
    target: str
    """Where in the container."""
    kind: str
    """`claim`, `volume`, `host`, `emptyDir`, `tmpfs`, `anonymous`, `nfs`, `secret`, `template` (a claim that a
    StatefulSet makes), `other` or `unknown`."""
    source: Plain
    """Name of the claim or volume, path on the host, or `UNKNOWN`."""
    read_only: bool
    inside: str = ""
    """The folder of the source that is mounted (`subPath`); empty for all of it."""


def pod_mounts(one: Container) -> Iterator[Mount]:
    """What a pod mounts into one of its containers."""
    volumes = {text(volume, "name"): volume for _, volume in mappings(one.pod, "volumes")}
    templates = {
        text(claim, "metadata", "name")
        for _, claim in mappings(one.resource.props, "spec", "volumeClaimTemplates")
    }
    for index, mount in mappings(one.props, "volumeMounts"):
        name = text(mount, "name")
        kind, source, sealed = _pod_volume(volumes.get(name), name, templates)
        yield Mount(
            path=one.at("volumeMounts", index),
            target=text(mount, "mountPath"),
            kind=kind,
            source=source,
            read_only=sealed or dig(mount, "readOnly") is True,
            inside=text(mount, "subPath"),
        )


def _pod_volume(volume: dict[str, Plain] | None, name: str, templates: set[str]) -> tuple[str, Plain, bool]:
    if volume is None:
        return ("template", name, False) if name in templates else ("unknown", UNKNOWN, False)
    claim = mapping(volume, "persistentVolumeClaim")
    if claim:
        return "claim", dig(claim, "claimName"), dig(claim, "readOnly") is True
    for key, kind in (
        ("emptyDir", "emptyDir"),
        ("ephemeral", "emptyDir"),
        ("nfs", "nfs"),
        ("hostPath", "host"),
    ):
        if key in volume:
            path = dig(volume, key, "path")
            return kind, path, dig(volume, key, "readOnly") is True
    if any(key in volume for key in ("secret", "configMap", "projected", "downwardAPI")):
        return "secret", name, True
    if "csi" in volume:
        return "other", dig(volume, "csi", "driver"), dig(volume, "csi", "readOnly") is True
    return ("unknown", UNKNOWN, False) if UNKNOWN in volume.values() else ("other", name, False)


def docker_mounts(one: Container) -> Iterator[Mount]:
    """What is mounted into a container of Docker."""
    for index, volume in mappings(one.props, "volumes"):
        name, host = dig(volume, "volumeName"), dig(volume, "hostPath")
        kind, source = ("volume", name) if name not in (None, "") else ("host", host)
        if source is None or source == "":
            kind = "other" if dig(volume, "fromContainer") else "anonymous"
        read_only = dig(volume, "readOnly") is True
        target = text(volume, "containerPath")
        yield Mount(path=join("volumes", index), target=target, kind=kind, source=source, read_only=read_only)
    for index, mount in mappings(one.props, "mounts"):
        source = dig(mount, "source")
        kind = {"bind": "host", "volume": "volume", "tmpfs": "tmpfs"}.get(text(mount, "type"), "unknown")
        if kind == "volume" and source in (None, ""):
            kind = "anonymous"
        yield Mount(
            path=join("mounts", index),
            target=text(mount, "target"),
            kind=kind,
            source=source,
            read_only=dig(mount, "readOnly") is True,
            inside=text(mount, "volumeOptions", "subpath"),
        )
    for target in mapping(one.props, "tmpfs"):
        yield Mount(path=join("tmpfs", target), target=target, kind="tmpfs", source=None, read_only=False)

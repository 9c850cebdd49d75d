"""What hands over the host or the cluster: sockets of engines, folders and devices, the rights of an account."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from immich_policy.config import Config
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
    mappings,
    text,
)
from immich_policy.reading.containers import Container
from immich_policy.reading.mounts import Mount
from immich_policy.reading.parts import containers, of_immich
from immich_policy.reading.rights import granted
from immich_policy.text import shown

_SOCKET: Final = re.compile(
    r"/(?:docker|podman|containerd|crio|dockershim|buildkitd|balena-engine)\.sock\Z|/var/run/docker\Z"
)
_WHOLE: Final = frozenset({
    "/", "/etc", "/root", "/boot", "/dev", "/proc", "/sys", "/usr", "/bin", "/sbin", "/lib", "/run", "/var", "/var/run",
    "/var/lib", "/var/lib/docker", "/var/lib/docker/volumes", "/var/lib/containers", "/var/lib/containerd",
    "/var/lib/kubelet", "/var/lib/rancher", "/var/lib/rancher/k3s", "/var/lib/etcd", "/var/spool/cron",
    "/run/containerd",
})  # fmt: skip
"""Folders of a host with what is needed to take it over."""
_BELOW: Final = re.compile(
    r"/(?:etc/(?:kubernetes|rancher|shadow|gshadow|sudoers|ssh|ssl/private|docker|containerd|systemd|cron)"
    r"|root/\.(?:ssh|kube|docker)|var/lib/rancher/k3s/server)"
)
"""Beginnings of paths below those that are as good as the whole."""
_DEVICE: Final = re.compile(
    r"/dev(?:/(?:sd[a-z]|nvme\d|vd[a-z]|mmcblk\d|mem|kmem|port|disk|mapper|kvm-host)\S*)?/?\Z"
)
"""Disks and memory of the host; those of a GPU are none."""


def _files(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    ours = {id(one) for one in of_immich(stack)}
    for one in stack.once(containers):
        for mount in one.mounts():
            if mount.kind != "host":
                continue
            if mount.source is UNKNOWN:
                if id(one) in ours:
                    yield Unjudged(resource=one.resource, path=mount.path)
            elif (what := _taken(mount)) and (id(one) in ours or what == _ENGINE or not mount.read_only):
                message = f"{one.says()} has {shown(mount.source)} of the host, {what}"
                yield Finding(resource=one.resource, path=mount.path, message=message, setting=_SETTING)
        yield from _devices(one)
    for volume in stack.of_kind("PersistentVolume"):
        for key in ("hostPath", "local"):
            path = _normal(dig(volume.props, "spec", key, "path"))
            if path in _WHOLE:
                message = f"the volume is {shown(path)} of the host, {_SYSTEM}"
                where = f"spec.{key}.path"
                yield Finding(resource=volume, path=where, message=message, setting=_SETTING)


_ENGINE = "with which it starts containers as root on the host"
_SYSTEM = "with which the host can be taken over"
_SETTING = (
    "leave it out; mount the one folder that is needed, and reach an engine through a proxy of its socket"
)


def _taken(mount: Mount) -> str | None:
    path = _normal(mount.source)
    if _SOCKET.search(path):
        # Whoever may connect to a socket may do all, read-only or not.
        return _ENGINE
    written_etc = (
        path.startswith("/etc/") and not mount.read_only and path not in {"/etc/localtime", "/etc/timezone"}
    )
    return _SYSTEM if path in _WHOLE or _BELOW.match(path) or written_etc else None


def _normal(path: Plain) -> str:
    return posixpath.normpath(path) if isinstance(path, str) and path else ""


def _devices(one: Container) -> Iterator[Finding]:
    for index, device in mappings(one.props, "devices"):
        if _DEVICE.match(text(device, "hostPath")):
            message = f"{one.says()} has the device {shown(text(device, 'hostPath'))} of the host"
            yield Finding(
                resource=one.resource, path=one.at("devices", index), message=message, setting=_SETTING
            )


def _rights(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    seen: set[tuple[Registered, str]] = set()
    for one in of_immich(stack):
        if one.docker or dig(one.pod, "automountServiceAccountToken") is False:
            continue
        for binding, what in granted(stack, one):
            if (binding, what) not in seen:
                seen.add((binding, what))
                yield Finding(
                    resource=binding,
                    path="roleRef",
                    message=f"the account of {one.resource.name} {what}",
                    setting="a Role with what is needed, by resourceNames; or automountServiceAccountToken: false",
                )


_rule = partial(family_rule, "workloads")

RULES = (
    _rule(
        "host-files",
        Severity.CRITICAL,
        "No container has the socket of a container engine, or the host's own folders and disks.",
        "Whoever takes over that container takes over the host, with everything on it.",
        "Mount the one folder that is needed. What reads the engine, such as Traefik, can ask a proxy of the socket "
        "that lets nothing but reading through.",
        judge=_files,
    ),
    _rule(
        "cluster-rights",
        Severity.CRITICAL,
        "No account of Immich's pods may read Secrets of others, run commands in pods, or do everything.",
        "Immich needs nothing of the API server. A token in a pod is whoever's who gets into it: with such rights, the "
        "whole cluster.",
        "Bind no such role to the account; set `automountServiceAccountToken: false`.",
        judge=_rights,
    ),
)

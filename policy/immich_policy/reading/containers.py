"""Containers of a stack with what Kubernetes and Docker say of each, and which part of Immich each one is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

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
    strings,
    text,
)
from immich_policy.reading.images import Image, parse


class Role(Enum):
    """Which part of an Immich a container is."""

    SERVER = "server"
    """Serves the API."""
    MICROSERVICES = "microservices"
    """Works on jobs; a server that is not split is both."""
    MACHINE_LEARNING = "machine-learning"
    DATABASE = "database"
    CACHE = "cache"
    NGINX = "nginx"
    CLOUDFLARED = "cloudflared"
    TRAEFIK = "traefik"


PRIVATE: Final = frozenset({Role.MACHINE_LEARNING, Role.DATABASE, Role.CACHE})
"""What nobody but Immich may reach: none of them knows users, and machine learning not even a password."""
IMMICH: Final = frozenset({Role.SERVER, Role.MICROSERVICES})
KNOWN: Final = frozenset(Role)

_POD_PATHS: Final = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    "Deployment": ("spec", "template", "spec"),
    "StatefulSet": ("spec", "template", "spec"),
    "DaemonSet": ("spec", "template", "spec"),
    "ReplicaSet": ("spec", "template", "spec"),
    "ReplicationController": ("spec", "template", "spec"),
    "Job": ("spec", "template", "spec"),
    "Rollout": ("spec", "template", "spec"),
}
DOCKER: Final = "docker:index/container:Container"
REMOTE_IMAGE: Final = "docker:index/remoteImage:RemoteImage"
_HELPERS = ("exporter", "backup", "barman", "pgadmin", "adminer", "commander", "sentinel", "insight")
_ONE_OFF = ("pg_dump", "pg_dumpall", "pg_restore", "pg_isready", "psql", "redis-cli", "valkey-cli")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Container:
    """One container, of a pod or of Docker."""

    resource: Registered
    path: str
    """Of the container in its resource; empty for Docker."""
    props: dict[str, Plain]
    """Of the container: Kubernetes' `Container`, or the inputs of Docker's."""
    pod: dict[str, Plain]
    """Kubernetes' `PodSpec`; empty for Docker."""
    pod_path: str
    init: bool
    """Whether it ends before the others begin."""
    image: Plain
    """The reference, `UNKNOWN`, or None."""
    roles: frozenset[Role]

    @property
    def docker(self) -> bool:
        """Whether it is a container of Docker itself."""
        return self.resource.type == DOCKER

    @property
    def parsed(self) -> Image | None:
        """The reference in its parts, where it is known."""
        return parse(self.image) if isinstance(self.image, str) else None

    def at(self, *parts: str | int) -> str:
        """The path of something in the container."""
        return join(self.path, *parts)

    def in_pod(self, *parts: str | int) -> str:
        """The path of something in the pod."""
        return join(self.pod_path, *parts)

    def says(self) -> str:
        """How a message names the container."""
        name = text(self.props, "name") or self.resource.name
        return f"the container {name}"

    def variables(self) -> Iterator[tuple[str, str, Plain]]:
        """Path, name and value of each variable; a value from a Secret is None."""
        if self.docker:
            for index, one in enumerate(sequence(self.props, "envs")):
                name, _, value = one.partition("=") if isinstance(one, str) else ("", "", "")
                yield self.at("envs", index), name, value
        else:
            for index, one in mappings(self.props, "env"):
                yield self.at("env", index), text(one, "name"), dig(one, "value")

    def variable(self, name: str) -> tuple[str, Plain] | None:
        """Path and value of a variable; `None` where it is not set."""
        return next(((path, value) for path, key, value in self.variables() if key == name), None)

    def variables_known(self) -> bool:
        """Whether all names of variables are known."""
        listed = dig(self.props, "envs" if self.docker else "env")
        return listed is not UNKNOWN and UNKNOWN not in sequence({"it": listed}, "it")

    def arguments(self) -> list[str]:
        """Command and arguments, as far as they are known."""
        keys = ("entrypoints", "command") if self.docker else ("command", "args")
        return [one for key in keys for one in strings(self.props, key)]

    def mounts(self) -> Iterator[Mount]:
        """What is mounted into it."""
        return _docker_mounts(self) if self.docker else _pod_mounts(self)


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


def containers(stack: Stack) -> list[Container]:
    """Every container that the stack registers, those that end before others begin included."""
    found: list[Container] = []
    images = {one.urn: one for one in stack.of_type(REMOTE_IMAGE)}
    for one in stack:
        if one.type == DOCKER:
            once = dig(one.props, "mustRun") is False
            found.append(_made(one, "", dict(one.props), image=docker_image(one, images), init=once))
        elif one.group and one.kind.removesuffix("Patch") in _POD_PATHS:
            keys = _POD_PATHS[one.kind.removesuffix("Patch")]
            pod, pod_path = mapping(one.props, *keys), ".".join(keys)
            for field in ("containers", "initContainers"):
                for index, props in mappings(pod, field):
                    path = join(pod_path, field, index)
                    init = field == "initContainers" and text(props, "restartPolicy") != "Always"
                    made = _made(
                        one, path, props, image=dig(props, "image"), pod=pod, pod_path=pod_path, init=init
                    )
                    found.append(made)
    return found


def docker_image(one: Registered, images: dict[str, Registered]) -> Plain:
    """The name of a Docker container's image: the container itself has the id of a RemoteImage."""
    image = dig(one.props, "image")
    known = [images[urn] for urn in one.dependencies if urn in images]
    exact = [it for it in images.values() if isinstance(image, str) and dig(it.props, "imageId") == image]
    if exact:
        return dig(exact[0].props, "name")
    by_id = image is UNKNOWN or (isinstance(image, str) and (image.startswith("sha256:") or image == ""))
    if not by_id:
        return image
    return dig(known[0].props, "name") if len(known) == 1 else UNKNOWN


def _made(
    one: Registered,
    path: str,
    props: dict[str, Plain],
    *,
    image: Plain,
    pod: dict[str, Plain] | None = None,
    pod_path: str = "",
    init: bool = False,
) -> Container:
    made = Container(
        resource=one,
        path=path,
        props=props,
        pod=pod or {},
        pod_path=pod_path,
        init=init,
        image=image,
        roles=frozenset(),
    )
    if init or one.kind in {"Job", "CronJob"}:
        return made
    return dataclasses.replace(made, roles=_roles(made))


def _roles(one: Container) -> frozenset[Role]:
    image = one.parsed
    name = image.name.lower() if image else ""
    arguments = one.arguments()
    program = arguments[0].rsplit("/", 1)[-1] if arguments else ""
    names = {key for _, key, _ in one.variables()}
    if any(helper in name for helper in _HELPERS) or program in _ONE_OFF:
        return frozenset()
    if "immich-machine-learning" in name or (not name and "MACHINE_LEARNING_CACHE_FOLDER" in names):
        return frozenset({Role.MACHINE_LEARNING})
    if name in {"immich-server", "immich", "docker-immich", "noml"} or (
        not name and names & {"IMMICH_TRUSTED_PROXIES", "IMMICH_WORKERS_INCLUDE", "IMMICH_MEDIA_LOCATION"}
    ):
        return _workers(one)
    for part, role in (
        ("cloudflared", Role.CLOUDFLARED),
        ("traefik", Role.TRAEFIK),
        ("nginx", Role.NGINX),
        ("valkey", Role.CACHE),
        ("redis", Role.CACHE),
        ("dragonfly", Role.CACHE),
        ("keydb", Role.CACHE),
        ("postgres", Role.DATABASE),
        ("vectorchord", Role.DATABASE),
        ("vchord", Role.DATABASE),
        ("pgvecto", Role.DATABASE),
    ):
        if part in (name or program):
            return (
                frozenset() if role is Role.DATABASE and _borrows_programs(one, names) else frozenset({role})
            )
    if not name and names & {"POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PASSWORD_FILE", "PGDATA"}:
        return frozenset({Role.DATABASE})
    return frozenset()


def _borrows_programs(one: Container, names: set[str]) -> bool:
    """Whether it runs a script of its own in PostgreSQL's image, as dumps do: no data folder and no variable of it."""
    key = "entrypoints" if one.docker else "command"
    own = bool(strings(one.props, key)) and not any(name.startswith(("POSTGRES", "PGDATA")) for name in names)
    return own and not any("/postgresql" in mount.target for mount in one.mounts())


def _workers(one: Container) -> frozenset[Role]:
    include, exclude = one.variable("IMMICH_WORKERS_INCLUDE"), one.variable("IMMICH_WORKERS_EXCLUDE")
    named = _named(include[1] if include else None) or {"api", "microservices"}
    named -= _named(exclude[1] if exclude else None)
    roles = {"api": Role.SERVER, "microservices": Role.MICROSERVICES}
    return frozenset(roles[name] for name in named if name in roles)


def _named(value: Plain) -> set[str]:
    return {part.strip() for part in value.split(",") if part.strip()} if isinstance(value, str) else set()


def having(stack: Stack, *roles: Role) -> list[Container]:
    """Containers that are one of these."""
    return [one for one in stack.once(containers) if one.roles & set(roles)]


def immich_pods(stack: Stack) -> Sequence[Container]:
    """Every container of a workload in which one is a known part of an Immich: sidecars are judged with it."""
    known = {id(one.resource) for one in stack.once(containers) if one.roles}
    return [one for one in stack.once(containers) if id(one.resource) in known]


def _pod_mounts(one: Container) -> Iterator[Mount]:
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


def _docker_mounts(one: Container) -> Iterator[Mount]:
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
        )
    for target in mapping(one.props, "tmpfs"):
        yield Mount(path=join("tmpfs", target), target=target, kind="tmpfs", source=None, read_only=False)

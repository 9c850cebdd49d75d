"""Containers of a stack with what Kubernetes and Docker say of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
from immich_policy.reading.mounts import Mount, docker_mounts, pod_mounts
from immich_policy.reading.names import namespace, object_name
from immich_policy.reading.roles import Role, by_image

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
_WHOLE: Final = {"ConfigMap": "configMapRef", "Secret": "secretRef"}
"""Kinds that variables come from, and how `envFrom` refers to one as a whole."""

Sources = dict[tuple[str, str, str], Registered]
"""Kind, namespace and name -> a registered ConfigMap or Secret."""


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
    sources: Sources
    """Where variables may come from."""

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
        """Path, name and value of each variable, those that count first; a value of a Secret is None.

        Values of registered ConfigMaps are followed (`configMapKeyRef`, `envFrom`).
        """
        if self.docker:
            for index, one in enumerate(sequence(self.props, "envs")):
                name, _, value = one.partition("=") if isinstance(one, str) else ("", "", "")
                yield self.at("envs", index), name, value
            return
        for index, one in mappings(self.props, "env"):
            ref = mapping(one, "valueFrom", "configMapKeyRef")
            found = self._source("ConfigMap", ref) if ref else None
            value = dig(found.props, "data", text(ref, "key")) if found else dig(one, "value")
            yield self.at("env", index), text(one, "name"), value
        for index, one in reversed(mappings(self.props, "envFrom")):
            for kind, key in _WHOLE.items():
                found = self._source(kind, mapping(one, key))
                for field in ("data", "stringData") if found else ():
                    for name, value in mapping(found.props if found else {}, field).items():
                        given = value if kind == "ConfigMap" else None
                        yield self.at("envFrom", index), text(one, "prefix") + name, given

    def _source(self, kind: str, ref: Mapping[str, Plain]) -> Registered | None:
        return self.sources.get((kind, namespace(self.resource), text(ref, "name")))

    def variable(self, name: str) -> tuple[str, Plain] | None:
        """Path and value of a variable; `None` where it is not set."""
        return next(((path, value) for path, key, value in self.variables() if key == name), None)

    def variables_known(self) -> bool:
        """Whether all names of variables are known: none is UNKNOWN, or comes from what is not registered."""
        elsewhere = any(
            self._source(kind, mapping(one, key)) is None
            for _, one in mappings(self.props, "envFrom")
            for kind, key in _WHOLE.items()
            if key in one
        )
        listed = [dig(self.props, key) for key in (("envs",) if self.docker else ("env", "envFrom"))]
        return not elsewhere and not any(
            one is UNKNOWN or UNKNOWN in sequence({"it": one}, "it") for one in listed
        )

    def arguments(self) -> list[str]:
        """Command and arguments, as far as they are known."""
        keys = ("entrypoints", "command") if self.docker else ("command", "args")
        return [one for key in keys for one in strings(self.props, key)]

    def mounts(self) -> Iterator[Mount]:
        """What is mounted into it."""
        return docker_mounts(self) if self.docker else pod_mounts(self)


def registered_containers(stack: Stack) -> list[Container]:
    """Every container with the roles that its image gives it, whoever uses it."""
    found: list[Container] = []
    images = {one.urn: one for one in stack.of_type(REMOTE_IMAGE)}
    sources: Sources = {
        (kind, namespace(one), object_name(one)): one
        for kind in _WHOLE
        for one in stack.of_kind(kind, group="core")
    }
    for one in stack:
        if one.type == DOCKER:
            once = dig(one.props, "mustRun") is False
            image = docker_image(one, images)
            found.append(_made(one, "", dict(one.props), sources, image=image, init=once))
        elif one.group and one.kind.removesuffix("Patch") in _POD_PATHS:
            keys = _POD_PATHS[one.kind.removesuffix("Patch")]
            pod, pod_path = mapping(one.props, *keys), ".".join(keys)
            for field in ("containers", "initContainers"):
                for index, props in mappings(pod, field):
                    path = join(pod_path, field, index)
                    init = field == "initContainers" and text(props, "restartPolicy") != "Always"
                    image = dig(props, "image")
                    found.append(
                        _made(one, path, props, sources, image=image, pod=pod, pod_path=pod_path, init=init)
                    )
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
    sources: Sources,
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
        sources=sources,
    )
    if init or one.kind in {"Job", "CronJob"}:
        return made
    return dataclasses.replace(made, roles=by_image(made))

"""Workloads and options that tests of the platform for one host begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from components.model.values import ImageRef, Quantity
from components.model.workload import Mount, Resources, Workload
from components.platform.docker.containers import ContainerContext, Folder, container
from components.platform.docker.options import DockerPlatformArgs
from components.settings.docker import Docker
from components.stack.host_networks import subnets

AMOUNTS = Resources(
    cpu_request=Quantity("250m"),
    memory_request=Quantity("1Gi"),
    cpu_limit=Quantity("1500m"),
    memory_limit=Quantity("2Gi"),
)
PLAIN = Workload(name="server", image=ImageRef("example.com/a:1"), resources=AMOUNTS, user=1000, group=1001)
LINKED = frozenset({"server", "proxy", "database", "cache", "machine-learning"})
OPTIONS = DockerPlatformArgs(
    stack="home",
    subnets=subnets("home", Docker()),
    joined=LINKED,
    files_image="example.com/busybox:1",
    log_options={"max-size": "10m", "max-file": "5"},
)
FOLDERS = {
    "media": Folder(path="/srv/photos"),
    "database": Folder(volume="immich-home-database"),
}


def workload(**more: Any) -> Workload:
    """A server with these fields."""
    return replace(PLAIN, **more)


def options(**more: Any) -> DockerPlatformArgs:
    """The stack `home` with these fields."""
    return replace(OPTIONS, **more)


def inputs(
    one: Workload = PLAIN,
    *,
    of: DockerPlatformArgs = OPTIONS,
    networks: Sequence[tuple[str, str | None]] = (("immich-home-server", "immich-server"),),
    files: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    copy: int = 0,
) -> dict[str, Any]:
    """A container's inputs."""
    context = ContainerContext(
        options=of,
        image="sha256:1",
        networks=tuple(networks),
        folders=FOLDERS,
        files=files or {},
        labels=labels or {},
    )
    return container(one, context, copy)


def mounted(*mounts: Mount, of: DockerPlatformArgs = OPTIONS) -> dict[str, Any]:
    """A container's inputs with these mounts; files come from a volume called as their folder."""
    paths = {mount.path: mount.path for mount in mounts}
    return inputs(workload(mounts=mounts), of=of, files=paths)


def labels_of(found: Mapping[str, Any]) -> dict[str, str]:
    """A container's labels."""
    return {one["label"]: one["value"] for one in found["labels"]}

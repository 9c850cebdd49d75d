"""Whether an engine gives GPUs in the way in which a stack asks for them: asked before anything is planned.

An engine refuses such a container in the middle of an update, and Podman before 5.4 starts it without the GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from toolchain.deployment import items, mapping
from toolchain.tasks_docker import connected

if TYPE_CHECKING:
    from components.settings.model import Settings

_PODMAN: Final = (5, 4)
"""The first Podman that does not ignore `DeviceRequests` of its Docker-compatible API (its release notes)."""


def problem(settings: Settings, stack: str, env: Mapping[str, str]) -> str | None:
    """What is wrong and what to do; None where no NVIDIA GPU is asked for, or the engine gives them so."""
    docker = settings.docker
    if docker is None or not docker.cdi or not _asks(settings):
        return None
    with connected(docker, env) as engine:
        about, version = mapping(engine.get("/info")), mapping(engine.get("/version"))
    parts = [mapping(one) for one in items(version.get("Components"))]
    podman = next((str(one.get("Version")) for one in parts if one.get("Name") == "Podman Engine"), None)
    if podman is not None:
        found = tuple(int(part) for part in podman.split(".")[:2] if part.isdecimal())
        if found >= _PODMAN:
            return None
        return f"Podman {podman} ignores requests for GPUs: 5.4 is the first that gives them. Update Podman"
    # "An empty list indicates that CDI device injection is disabled" (Docker's API 1.44, GET /info).
    if items(about.get("CDISpecDirs")):
        return None
    return (
        f"The engine, Docker {version.get('Version')}, has CDI switched off, and immich:docker.gpuRequests is cdi. "
        'Switch it on ({"features": {"cdi": true}} in its daemon.json, from Docker 25 on), or ask as `docker run '
        "--gpus` does:\n"
        f"  pulumi config set -s {stack} --path immich:docker.gpuRequests gpus"
    )


def _asks(settings: Settings) -> bool:
    learning = settings.machine_learning
    return settings.server.acceleration == "nvenc" or getattr(learning, "backend", None) == "cuda"

"""How a stack is set up on its host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class DockerPlatformArgs:
    """Everything that the platform is told beside the workloads."""

    stack: str
    """What names of containers, volumes and networks begin with, after `immich-`."""
    subnets: Mapping[str, str]
    """Addresses of each network that there may be, by its short name."""
    joined: frozenset[str]
    """Workloads that others are linked to: each has a network of its own with those."""
    files_image: str
    """Image with a shell that puts files into volumes."""
    podman: bool = False
    selinux: bool = False
    restart: str = "always"
    log_driver: str = "json-file"
    log_options: Mapping[str, str] = field(default_factory=dict[str, str])
    dns: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """What the names of containers, volumes and networks begin with: stacks on one host do not meet."""
        return f"immich-{self.stack}"

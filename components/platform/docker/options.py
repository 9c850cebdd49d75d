"""How a stack is set up on its host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.versions import current


@dataclass(frozen=True, kw_only=True, slots=True)
class DockerPlatformArgs:
    """How the container engine is used."""

    stack: str
    """What names of containers, volumes and networks begin with, after `immich-`."""
    subnets: Mapping[str, str] = field(default_factory=dict[str, str])
    """Addresses of each network that there may be, by its short name; none leaves them to the engine, and then nobody
    is trusted as a proxy by its address."""
    joined: frozenset[str] | None = None
    """Workloads that others are linked to: each has a network of its own with those. None is every one with a port."""
    files_image: str = field(default_factory=lambda: str(current("busybox")))
    """Image with a shell that puts files into volumes."""
    podman: bool = False
    """Whether the engine is Podman."""
    cdi: bool = False
    """Whether GPUs of NVIDIA are asked for by their CDI names."""
    hides_clients: bool = False
    """Whether the engine passes connections to published ports on itself, as those without root do."""
    selinux: bool = False
    """Whether folders of the machine are relabelled for containers (`:z`)."""
    restart: str = "always"
    """Restart policy of containers: `always`, `unless-stopped` or `on-failure`."""
    log_driver: str = "json-file"
    """Log driver of the engine."""
    log_options: Mapping[str, str] = field(default_factory=dict[str, str])
    """Options of the log driver, such as `max-size`."""
    dns: tuple[str, ...] = ()
    """Name servers of containers; none are the engine's."""

    def has_network(self, workload: str, *, ports: bool) -> bool:
        """Whether a workload, with or without ports, has a network of its own."""
        return ports if self.joined is None else workload in self.joined

    @property
    def prefix(self) -> str:
        """What the names of containers, volumes and networks begin with: stacks on one host do not meet."""
        return f"immich-{self.stack}"

"""What checks are made of: a stack's settings, its doors, how to reach its containers, and what the user chose."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from components.cache.settings import BundledCache
from components.database.settings import BundledDatabase
from components.machine_learning.settings import BundledMachineLearning
from components.proxy.doors import Door, doors
from components.proxy.tls_settings import TlsSelfSigned
from components.recovery.locations import controller
from components.server.settings import SplitWorkers
from components.settings.docker import Docker
from toolchain.verify.running import Running
from toolchain.verify.wire import Wire

if TYPE_CHECKING:
    from components.settings.model import Settings


VARIABLE: Final = "IMMICH_API_KEY"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user chose."""

    size: int | None = None
    """Bytes of the upload; None goes by the door's limit."""
    door: str | None = None
    """Only doors of this name."""
    api_key: str | None = field(default=None, repr=False)
    """Key of Immich's API: that of the variable, else the one that the stack made; None skips what needs one."""
    api_key_variable: str = VARIABLE
    """Where the key is looked for."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One deployment."""

    stack: str
    settings: Settings
    running: Running
    wire: Wire
    options: Options = Options()
    now: Callable[[], float] = time.time
    doors: tuple[Door, ...] = ()
    """As the settings have them; see `chosen_doors`."""

    def self_signed(self, door: Door) -> bool:
        """Whether a door shows nginx's own self-signed certificate, as the settings say."""
        return isinstance(self.settings.proxy.tls, TlsSelfSigned) and ends_tls(door)

    def log_command(self, workload: str) -> str:
        """How a person reads a container's log."""
        docker: Docker | None = self.settings.docker
        if docker is not None:
            return f"docker logs immich-{self.stack}-{workload}"
        return f"kubectl -n {self.settings.kubernetes.namespace} logs {controller(workload)}"


def chosen_doors(settings: Settings, name: str | None) -> tuple[Door, ...]:
    """The doors of the settings, each address once; of one name where one is chosen."""
    found = doors(settings.host, settings.proxy, settings.cloudflare)
    return tuple(door for door in dict.fromkeys(found) if name is None or door.name == name)


def ends_tls(door: Door) -> bool:
    """Whether nginx itself has the certificate that this door shows: nothing stands before it."""
    return door.url.startswith("https://") and door.hops[0].program == "nginx"


def expected_workloads(settings: Settings) -> tuple[str, ...]:
    """Workloads that must run, by the settings."""
    found = ["server"]
    if isinstance(settings.server.workers, SplitWorkers):
        found.append("microservices")
    if isinstance(settings.machine_learning, BundledMachineLearning):
        found.append("machine-learning")
    if isinstance(settings.database, BundledDatabase):
        found.append("database")
    if isinstance(settings.cache, BundledCache):
        found.append("cache")
    if settings.proxy.kind == "nginx":
        found.append("proxy")
    if settings.docker is not None and settings.proxy.tls is not None:
        found.append("certificates")
    if settings.cloudflare is not None and settings.cloudflare.tunnel is not None:
        found.append("cloudflared")
    return tuple(found)


def transcoder(settings: Settings) -> str:
    """The workload that transcodes."""
    return "microservices" if isinstance(settings.server.workers, SplitWorkers) else "server"

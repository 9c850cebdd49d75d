"""What a platform can tell of a stack that runs: containers, commands in them, logs, what is open to the outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class RunningError(Exception):
    """The platform cannot tell or do it; the text says why, for a person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """A container of the stack: on a cluster the main one of a pod."""

    name: str
    """The container's or the pod's name."""
    workload: str
    """`server`, `proxy` ...; empty for one that no workload is known of."""
    state: str
    """`running`, else the platform's own word: exited, restarting, Pending, CrashLoopBackOff ..."""
    health: str = ""
    """`healthy`, `unhealthy`, `starting`; empty where nothing asks."""
    restarts: int = 0
    """Starts again by the platform since it was made."""
    since: float = 0
    """When its process began, in seconds since 1970; 0 where it never did."""
    killed_for_memory: bool = False
    """Whether its last process was ended because it took more memory than its limit."""
    images: tuple[str, ...] = ()
    """References of its image, as many as the platform knows."""
    task: bool = False
    """Whether it has an end: a loader of files, a step of a backup."""
    exit_code: int | None = None
    """Of one that has ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """Something that can be reached from outside the stack's own networks."""

    owner: str
    """Container or Service."""
    kind: str
    """`port`, `LoadBalancer`, `NodePort`, `externalIPs`, `hostPort` or `hostNetwork`."""
    address: str
    """Address of the host; empty for any."""
    port: int


class Running(Protocol):
    """A stack on its platform. Methods may be called from several threads at once; all raise `RunningError`."""

    def units(self) -> Sequence[Unit]:
        """Every container of the stack, also those that have ended."""
        ...

    def run(self, unit: Unit, command: Sequence[str], seconds: float = 15) -> tuple[int, str]:
        """Run a command in a container: exit code and output."""
        ...

    def restart(self, unit: Unit) -> None:
        """End a container and start it again; on a cluster, delete its pod, whose owner makes another one."""
        ...

    def logs(self, unit: Unit, *, lines: int = 2000) -> str:
        """The end of its log. Not from a time on: clocks of two machines differ."""
        ...

    def openings(self) -> Sequence[Opening]:
        """What is published, by whomever belongs to the stack or is in its networks."""
        ...

    def strangers(self) -> Sequence[str]:
        """Containers that are in the stack's own networks and not of the stack."""
        ...

    def networks(self) -> Sequence[str]:
        """Addresses of the stack's own networks (CIDR), as far as they are known."""
        ...

    def gateways(self) -> Sequence[str]:
        """Addresses that programs of the host itself have for containers."""
        ...

    def statuses(self) -> Mapping[str, Mapping[str, object]]:
        """What the last runs of backups and drills left: name without `.json` -> data."""
        ...

    def ask(self, workload: str, port: int, path: str) -> tuple[int, str]:
        """An HTTP GET to a workload from inside, as the platform itself can make it: status and body."""
        ...


def unit_of(units: Sequence[Unit], workload: str) -> Unit | None:
    """A running container of a workload, else any; None without one."""
    found = [unit for unit in units if unit.workload == workload]
    return next((unit for unit in found if unit.state == "running"), found[0] if found else None)

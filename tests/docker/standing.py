"""A stack that is up, with what was seen while it came up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from docker.client import DockerClient
from docker.models.containers import Container

from tests.docker.host import State, host_pid, state
from tests.docker.stacks import EVERYTHING, SYSTEMS, HostStack
from tests.harness.engine import Result

STANDING: Final = tuple(
    pytest.param(name, marks=[] if name in {EVERYTHING, "homelab"} else [pytest.mark.deep], id=name)
    for name in (EVERYTHING, *SYSTEMS)
)
"""Stacks whose behaviour is looked at: the one with everything and that of Podman's shape; the others in a deep run."""


def systems(*names: str) -> pytest.MarkDecorator:
    """For a test of some of them only."""
    chosen = [one for one in STANDING if one.id in names]
    assert len(chosen) == len(names), names
    return pytest.mark.parametrize("standing", chosen, indirect=True, scope="session")


@dataclass(frozen=True)
class Happening:
    """What the engine told of a container."""

    time: float
    """Seconds since 1970."""
    workload: str
    what: str
    """`start`, `die`, `health_status: healthy` ..."""


@dataclass(frozen=True)
class Standing:
    """A stack after its first `up`."""

    stack: HostStack
    first: Result
    seconds: float
    """From the command to its end; every container that has a health check is healthy then."""
    history: Sequence[Happening]
    """In order."""
    states: Mapping[str, State]
    """Workload -> its container right afterwards."""
    memory: Mapping[str, int]
    """Workload -> bytes that it held then."""

    @classmethod
    def bring_up(cls, stack: HostStack) -> Standing:
        """The first `up`."""
        with watched(stack) as history:
            began = time.monotonic()
            first = stack.up()
            seconds = time.monotonic() - began
        containers = stack.workloads()
        return cls(
            stack, first, seconds, tuple(history), {name: state(one) for name, one in containers.items()},
            {name: sum(memory(one)) for name, one in containers.items()},
        )  # fmt: skip

    def when(self, workload: str, what: str) -> float:
        """When something first happened to a container. AssertionError when it did not."""
        found = [one.time for one in self.history if one.workload == workload and one.what == what]
        assert found, f"{workload} never had {what}: {self.history}"
        return found[0]


@contextmanager
def watched(stack: HostStack) -> Generator[list[Happening]]:
    """What happens to the containers of a stack meanwhile; complete once the block has ended."""
    filters = {
        "type": "container",
        "label": f"immich.stack={stack.name}",
        "event": ["create", "start", "die", "destroy", "restart", "health_status", "kill", "oom"],
    }
    client: DockerClient = stack.place.engine.client(3600)
    # The engine gives back whole seconds: what it told before in this one is none of it.
    began = time.time()
    stream: Any = client.events(since=int(began), filters=filters, decode=True)
    seen: list[Happening] = []

    def read() -> None:
        for event in stream:
            workload = event["Actor"]["Attributes"]["name"].removeprefix(f"{stack.prefix}-")
            if event["timeNano"] / 1e9 >= began:
                seen.append(Happening(event["timeNano"] / 1e9, workload, event["Action"]))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield seen
        time.sleep(0.3)  # the engine tells a little later than it does
    finally:
        stream.close()
        thread.join(10)
        client.close()


def memory(container: Container) -> tuple[int, int]:
    """Bytes that a container holds and cannot give back: of its processes, and of its folders in memory."""
    # Not the engine's statistics: it takes a second for each answer.
    pid = host_pid(container)
    groups = [line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    (where,) = [
        Path("/sys/fs/cgroup") / kind / group.lstrip("/")
        for kind, group in groups
        if kind == "memory" or (not kind and len(groups) == 1)
    ]
    counted = dict(line.split() for line in (where / "memory.stat").read_text().splitlines())
    root = Path(f"/proc/{pid}/root")
    folders = [
        os.statvfs(root / path.lstrip("/")) for path in container.attrs["HostConfig"].get("Tmpfs") or {}
    ]
    return int(counted["anon" if "anon" in counted else "rss"]), sum(
        (one.f_blocks - one.f_bfree) * one.f_frsize for one in folders
    )


class Peak:
    """The most that containers held while a block ran: `with Peak([...]) as peak`, then `peak.grown`."""

    def __init__(self, containers: Sequence[Container]) -> None:
        self._before = {one: sum(memory(one)) for one in containers}
        self._most = dict(self._before)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.1):
            for one, most in self._most.items():
                self._most[one] = max(most, sum(memory(one)))

    @property
    def grown(self) -> dict[str, int]:
        """Container -> bytes more than before."""
        return {str(one.name): most - self._before[one] for one, most in self._most.items()}

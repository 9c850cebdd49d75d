"""A stack that is up, with what was seen while it came up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker.client import DockerClient
from docker.models.containers import Container

from tests.docker.host import host_pid
from tests.docker.stacks import HostStack
from tests.harness.engine import Result


def systems(*names: str) -> pytest.MarkDecorator:
    """For a test of some of the systems only."""
    return pytest.mark.parametrize("standing", names, indirect=True, scope="session")


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

    @classmethod
    def bring_up(cls, stack: HostStack) -> Standing:
        """The first `up`."""
        with watched(stack) as history:
            began = time.monotonic()
            first = stack.up()
            seconds = time.monotonic() - began
        return cls(stack, first, seconds, tuple(history))

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


def memory(client: DockerClient, container: Container) -> tuple[int, int]:
    """Bytes that a container holds and cannot give back: of its processes, and of its folders in memory."""
    stats = client.api.stats(str(container.id), stream=False, one_shot=True)["memory_stats"]["stats"]
    root = Path(f"/proc/{host_pid(container)}/root")
    folders = [
        os.statvfs(root / path.lstrip("/")) for path in container.attrs["HostConfig"].get("Tmpfs") or {}
    ]
    return int(stats["anon" if "anon" in stats else "rss"]), sum(
        (one.f_blocks - one.f_bfree) * one.f_frsize for one in folders
    )


class Peak:
    """The most that containers held while a block ran: `with Peak(client, [...]) as peak`, then `peak.grown`."""

    def __init__(self, client: DockerClient, containers: Sequence[Container]) -> None:
        self._client = client
        self._before = {one: sum(memory(client, one)) for one in containers}
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
                self._most[one] = max(most, sum(memory(self._client, one)))

    @property
    def grown(self) -> dict[str, int]:
        """Container -> bytes more than before."""
        return {str(one.name): most - self._before[one] for one, most in self._most.items()}

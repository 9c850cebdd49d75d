"""Each thing that breaks in a stack that is watched rings the alert that is about it, and no other one.

test_everything_monitoring.py has a few at once, and all the rest; promtool judges every alert (tests/monitoring).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docker import host
from tests.docker.monitoring_picture import busy, drawn
from tests.docker.stacks import HostStack, Place
from tests.docker.watched import Watched, changes

pytestmark = [pytest.mark.docker, pytest.mark.engine, pytest.mark.deep]


@pytest.fixture(scope="module")
def watched(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The stack, up, with what Immich and its backups would have made, and no alert."""
    folder = tmp_path_factory.mktemp("watched")
    stack = HostStack.create(place, folder, "home", name="watched", changes=changes(place, accessLog=True))
    try:
        stack.up()
        made = Watched(stack)
        made.make_tables()
        made.status("dump", success=True)
        made.evaluate_each_second()
        # The exporter keeps its answer from before there were tables.
        made.container("postgres-exporter").restart(timeout=5)
        made.wait_for((), 60)
        yield made
    finally:
        stack.remove()


def test_the_overview_is_drawn_from_its_numbers(watched: Watched, tmp_path: Path) -> None:
    minutes = float(os.environ.get("IMMICH_PICTURE_MINUTES", "0"))
    picture = Path(os.environ.get("IMMICH_PICTURE", tmp_path / "overview.png"))
    busy(watched, minutes)
    said = drawn(watched, tmp_path, picture, max(minutes, 5))
    assert picture.read_bytes().startswith(b"\x89PNG")
    print(said)


@dataclass(frozen=True)
class Fault:
    """Something broken, and how it is mended."""

    alerts: frozenset[str]
    """Exactly those that ring meanwhile."""
    break_it: Callable[[Watched], object]
    mend: Callable[[Watched], object]


def _stopped(workload: str, *alerts: str) -> Fault:
    def mend(watched: Watched) -> None:
        container = watched.container(workload)
        container.start()
        host.wait_healthy(container)

    return Fault(frozenset(alerts), lambda watched: watched.container(workload).stop(timeout=10), mend)


def _jobs(queue: str, state: str, count: int, *alerts: str) -> Fault:
    return Fault(
        frozenset(alerts),
        lambda watched: watched.jobs(queue, state, count),
        lambda watched: watched.jobs(queue, state, 0),
    )


def _dump(success: bool, ago: float, *alerts: str) -> Fault:
    return Fault(
        frozenset(alerts),
        lambda watched: watched.status("dump", success=success, ago=ago),
        lambda watched: watched.status("dump", success=True),
    )


FAULTS = {
    "the server is away": _stopped("server", "ImmichDown", "ImmichMicroservicesDown"),
    "the database is away": _stopped("database", "ImmichDatabaseDown"),
    "the cache is away": _stopped("cache", "ImmichCacheDown"),
    "machine learning is away": _stopped("machine-learning", "ImmichMachineLearningDown"),
    "an exporter is away": _stopped("valkey-exporter", "ImmichExporterDown"),
    "jobs wait": _jobs("smartSearch", "wait", 150, "ImmichMachineLearningBacklog", "ImmichQueueStuck"),
    "a queue is paused": _jobs("metadataExtraction", "paused", 3, "ImmichQueuePaused"),
    "a backup is old": _dump(True, 5 * 86400, "ImmichBackupStale"),
    "a backup failed": _dump(False, 0, "ImmichBackupFailed"),
    "the cache throws jobs away": Fault(
        frozenset({"ImmichCacheEvicts"}),
        lambda watched: watched.valkey("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
        lambda watched: watched.valkey("CONFIG", "SET", "maxmemory-policy", "noeviction"),
    ),
    # Its exporter goes on: it shares nothing but the network.
    "the proxy hangs": Fault(
        frozenset({"ImmichProxyDown"}),
        lambda watched: watched.container("proxy").pause(),
        lambda watched: watched.container("proxy").unpause(),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_exactly_what_is_broken_rings(watched: Watched, name: str) -> None:
    fault = FAULTS[name]
    try:
        fault.break_it(watched)
        watched.wait_for(fault.alerts)
    finally:
        fault.mend(watched)
    watched.wait_for(())

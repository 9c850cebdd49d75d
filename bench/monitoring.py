"""`make bench-monitoring`: what being watched costs an idle stack, by the processor time that control groups counted.

A stack with the bundled monitoring on an engine of the tests, read every 30 seconds: Debian's Prometheus and exporters,
Immich a stand-in. In turns, Prometheus is stopped (all else runs on), then reads and evaluates. The difference is
what reading costs in all containers together, Prometheus' own included; told as a share of one processor, and as the
ratio of what all containers used with it and without it. Medians of rounds, so that what else the machine does at the
time counts for both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from tests.docker.engine_process import Engine, missing_parts
from tests.docker.host_network import HostNetwork
from tests.docker.images.library import Images
from tests.docker.stacks import HostStack, Place
from tests.docker.watched import Watched, changes
from toolchain.failure import ToolchainError, exit_with

_MOST: Final = 0.02
"""Share of the machine's processors that reading may take."""
_SETTLE: Final = 15
"""Seconds after a start or stop of Prometheus that are not counted."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was measured."""

    interval: str
    seconds: float
    """Of each turn."""
    processors: int
    without: list[float]
    """Processor seconds in a second, all containers together, by round: nobody reads."""
    reading: list[float]
    """The same while Prometheus reads."""
    by_workload: Mapping[str, float] = field(default_factory=dict[str, float])
    """What each container takes more while Prometheus reads: median, as a share of one processor."""
    series: Mapping[str, int] = field(default_factory=dict[str, int])
    """Series by job."""

    @property
    def ratio(self) -> float:
        """Times as much processor time as without a reader."""
        return statistics.median(on / off for on, off in zip(self.reading, self.without, strict=True))

    @property
    def share(self) -> float:
        """What reading takes, as a share of one processor."""
        return statistics.median(on - off for on, off in zip(self.reading, self.without, strict=True))

    @property
    def of_machine(self) -> float:
        """The same, of all processors."""
        return self.share / self.processors


def measure(watched: Watched, seconds: float, rounds: int, interval: str) -> Report:
    """Turns with and without a reader."""
    prometheus = watched.container("prometheus")
    off: list[dict[str, float]] = []
    on: list[dict[str, float]] = []
    for _ in range(rounds):
        prometheus.stop(timeout=60)
        time.sleep(_SETTLE)
        off.append(_spent(watched, seconds))
        prometheus.start()
        time.sleep(_SETTLE)
        on.append(_spent(watched, seconds))
    series = {
        one["metric"]["job"]: int(one["value"][1])
        for one in watched.query('count by (job) ({job=~"immich-.*"})')
    }
    names = sorted({name for one in on for name in one})
    return Report(
        interval=interval,
        seconds=seconds,
        processors=os.cpu_count() or 1,
        without=[sum(one.values()) for one in off],
        reading=[sum(one.values()) for one in on],
        by_workload={
            name: statistics.median(
                later.get(name, 0) - before.get(name, 0) for before, later in zip(off, on, strict=True)
            )
            for name in names
        },
        series=series,
    )


def _spent(watched: Watched, seconds: float) -> dict[str, float]:
    """Processor seconds in a second by workload, over `seconds`."""
    before, began = _counters(watched), time.monotonic()
    time.sleep(seconds)
    after, took = _counters(watched), time.monotonic() - began
    return {name: (after[name] - before[name]) / took for name in after if name in before}


def _counters(watched: Watched) -> dict[str, float]:
    """Processor seconds since each container's start, as its control group counted them."""
    client = watched.stack.place.client
    found: dict[str, float] = {}
    for name, container in watched.stack.workloads().items():
        if container.status == "running":
            stats = cast("dict[str, Any]", client.api.stats(str(container.id), stream=False, one_shot=True))
            found[name] = stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
    return found


@contextmanager
def _standing(interval: str) -> Generator[Watched]:
    """The stack, up and idle, on an engine of its own."""
    if missing := missing_parts():
        raise ToolchainError(f"no Docker Engine on this machine: {'; '.join(missing)}")
    # A short path: that of a socket is limited.
    with tempfile.TemporaryDirectory(prefix="imb-") as directory:
        engine = Engine(Path(directory) / "e", HostNetwork.create())
        engine.directory.mkdir()
        try:
            engine.start()
            client = engine.client()
            place = Place(engine, client, Images(client))
            stack = HostStack.create(
                place,
                Path(directory) / "s",
                "home",
                name="watched",
                changes=changes(place, interval=interval),
            )
            try:
                stack.up()
                watched = Watched(stack)
                watched.make_tables()
                watched.status("dump", success=True)
                yield watched
            finally:
                stack.remove()
                client.close()
        finally:
            engine.remove()


def told(report: Report) -> str:
    """For people."""
    lines = [
        f"every {report.interval}, turns of {report.seconds:g} s, {len(report.reading)} rounds",
        f"nobody reads       {statistics.median(report.without):.2%} of one processor",
        f"Prometheus reads   {statistics.median(report.reading):.2%} of one processor",
        f"reading            {report.share:.2%} of one processor, {report.of_machine:.2%} of {report.processors}",
        f"                   {report.ratio:.2f} times as much as without (wanted: {_MOST:.0%} of the machine at most)",
        "of that            "
        + ", ".join(
            f"{name} {more:.2%}"
            for name, more in sorted(report.by_workload.items(), key=lambda item: -item[1])[:6]
        ),
        f"series             {sum(report.series.values())}: "
        + ", ".join(f"{job} {count}" for job, count in sorted(report.series.items())),
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure and tell; 1 where reading takes more than it may."""
    parser = argparse.ArgumentParser(prog="python -m bench.monitoring", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120, help="length of a turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--interval", default="30s", help="how often numbers are read")
    parser.add_argument("--json", type=Path, help="also write the report there")
    chosen = parser.parse_args(arguments)
    with _standing(chosen.interval) as watched:
        report = measure(watched, chosen.seconds, chosen.rounds, chosen.interval)
    print(told(report))
    if chosen.json is not None:
        measured = {**asdict(report), "ratio": report.ratio, "share": report.share}
        chosen.json.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    return 0 if report.of_machine <= _MOST else 1


if __name__ == "__main__":
    exit_with(main)

"""The picture of the overview, drawn from a real Prometheus that was given two hours of a busy deployment."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from bench.dashboard_picture import Asker, draw
from components.monitoring.dashboard_files import dashboards
from components.monitoring.rule_files import rule_body
from tests.monitoring import processes
from tests.monitoring.scenarios import Scenario
from tests.monitoring.worlds import DOCKER, World
from toolchain.failure import ToolchainError

STEP, STEPS = 60, 120
BUSY = Scenario(
    alert="",
    plan=DOCKER,
    fires={
        "wait-smartSearch": "4000-30x{n}",
        "active-smart_search": "2x{n}",
        "wait-thumbnailGeneration": "100+10x60 700-11x{n}",
        "uploaded": "10000+5x{n}",
        "http-fast": "0+55x{n}",
        "free-photos": "2e11-1e8x{n}",
        "gpu-temperature": "60+0.2x{n}",
    },
    quiet={},
)
_PART = re.compile(r"(-?[0-9.e+]+?)(?:([+-][0-9.]+(?:e[0-9]+)?))?x([0-9]+)")


def _values(notation: str) -> list[float]:
    """promtool's notation of values, as far as the worlds use it."""
    found: list[float] = []
    for part in notation.format(n=STEPS, s=STEP).split():
        match = _PART.fullmatch(part)
        assert match, part
        first, by, times = float(match[1]), float(match[2] or 0), int(match[3])
        found += [first + by * index for index in range(times + 1)]
    return found[: STEPS + 1]


def _history(world: World, end: float) -> str:
    """The world as OpenMetrics with times that end now; what is a time in it is counted from the beginning."""
    start = end - STEP * STEPS
    by_name: dict[str, list[str]] = {}
    for series, notation in world.values():
        name = series.split("{")[0]
        shift = start if name.endswith("_timestamp_seconds") else 0
        for index, value in enumerate(_values(notation)):
            at = start + index * STEP
            by_name.setdefault(name, []).append(f"{series} {value + shift} {at:.0f}")
    return "\n".join(line for lines in by_name.values() for line in lines) + "\n# EOF\n"


@pytest.fixture(scope="module")
def url(installed: None, tmp_path_factory: pytest.TempPathFactory):
    """A Prometheus with that history, and with what our rules record of it."""
    folder = tmp_path_factory.mktemp("prometheus")
    data, end = folder / "data", time.time() // STEP * STEP
    (folder / "history.txt").write_text(_history(BUSY.world(BUSY.fires), end), encoding="utf-8")
    (folder / "rules.yml").write_text(json.dumps(rule_body(DOCKER)), encoding="utf-8")
    _promtool("tsdb", "create-blocks-from", "openmetrics", folder / "history.txt", data)
    configuration = json.dumps({"global": {"evaluation_interval": "1h"}, "rule_files": ["rules.yml"]})
    for _ in range(2):
        # Recorded series are made of others, and some of those of recorded ones.
        with processes.prometheus("{}", data, folder) as address:
            _promtool(
                "tsdb", "create-blocks-from", "rules", f"--url={address}", f"--start={end - STEP * STEPS:.0f}",
                f"--end={end:.0f}", f"--output-dir={data}", "--eval-interval=60s", folder / "rules.yml",
            )  # fmt: skip
    with processes.prometheus(configuration, data, folder) as address:
        yield address


def _promtool(*arguments: object) -> None:
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.deep
def test_every_panel_of_the_overview_is_drawn(url: str, tmp_path: Path) -> None:
    picture = tmp_path / "overview.png"
    counted = draw(dashboards(DOCKER)["overview"], Asker(url=url, end=time.time(), seconds=3600), picture)
    assert {title for title, number in counted.items() if number == 0} == set()
    assert counted["Doors"] == 2
    assert counted["Jobs that wait"] == 2
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_prometheus_that_is_away_is_said_in_words(tmp_path: Path) -> None:
    away = Asker(url="http://127.0.0.1:9", end=0, seconds=60)
    with pytest.raises(ToolchainError, match="does not answer"):
        draw(dashboards(DOCKER)["overview"], away, tmp_path / "overview.png")

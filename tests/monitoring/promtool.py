"""promtool, asked which alerts ring in a world."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.monitoring.plan import MonitoringPlan
from components.monitoring.rule_files import alerts, rule_body
from tests.monitoring.worlds import World

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Ringing:
    """An alert that fires."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def seconds(duration: str) -> int:
    """`90m` -> 5400."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]


def check(text: str, directory: Path) -> None:
    """Fails with promtool's reason for rules that it refuses."""
    path = directory / "checked.yml"
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def ringing(plan: MonitoringPlan, world: World, directory: Path, *, at: str, step: str) -> list[Ringing]:
    """What fires at a time of that world, as promtool's own test of rules says it."""
    body = rule_body(plan)
    # JSON is YAML, and quicker to write.
    (directory / "rules.yml").write_text(json.dumps(body), encoding="utf-8")
    steps = seconds(at) // seconds(step) + 2
    # Sixty times at most, each when there is a sample: an evaluation of all rules costs.
    every = seconds(step) * math.ceil(max(300, seconds(at) / 60) / seconds(step))
    names = sorted({alert.name for alert in alerts(plan)})
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{every}s",
        # Recorded series come first, as they do within seconds in a running Prometheus.
        "group_eval_order": [group["name"] for group in body["groups"]],
        "tests": [
            {
                "interval": step,
                "input_series": [
                    {"series": series, "values": values.format(n=steps, s=seconds(step))}
                    for series, values in world.values()
                ],
                # Nothing is expected, so promtool names whatever it gets.
                "alert_rule_test": [{"eval_time": at, "alertname": name, "exp_alerts": []} for name in names],
            }
        ],
    }
    (directory / "test.yml").write_text(json.dumps(test), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "test", "rules", directory / "test.yml"], capture_output=True, text=True, check=False
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0 or "got:[" in told, told
    return _read(told)


def _read(told: str) -> list[Ringing]:
    found: list[Ringing] = []
    labels: dict[str, str] = {}
    for line in told.splitlines():
        if line.strip().startswith("Labels:{"):
            labels = dict(_LABEL.findall(line))
        elif line.strip().startswith("Annotations:{"):
            annotations = {key: text.replace('\\"', '"') for key, text in _LABEL.findall(line)}
            found.append(Ringing(labels["alertname"], labels, annotations))
    return found

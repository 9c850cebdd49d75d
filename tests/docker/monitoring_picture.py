"""The overview of a stack that is watched, drawn from its own Prometheus; and a while in which something happens in it.

    IMMICH_PICTURE=docs/overview.png IMMICH_PICTURE_MINUTES=20 .venv/bin/python -m pytest \
        tests/docker/test_monitoring.py -k overview -p no:randomly --timeout=3000

makes the picture of the README. What is drawn is what Prometheus answers; Immich itself is the stand-in of the tests.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from components.monitoring import scrapes, setup
from components.monitoring.dashboard_files import dashboard_files
from tests.docker import host
from tests.docker.watched import Watched
from tests.harness.program import ROOT
from toolchain.stack_settings import settings_without_secrets, stack_texts


def drawn(watched: Watched, folder: Path, picture: Path, minutes: float) -> str:
    """Draw the overview; gives what the command says, which names the panels that have nothing to show."""
    stack = watched.stack
    given, _ = settings_without_secrets(stack.name, *stack_texts(stack.deployment.settings_file))
    plan = setup.plan(scrapes.with_numbers(given), stack.name)
    file = folder / "overview.json"
    file.write_text(dashboard_files(plan)["overview.json"], encoding="utf-8")
    network = f"--net=/proc/{host.host_pid(watched.container('prometheus'))}/ns/net"
    done = subprocess.run(
        [
            "nsenter", network, sys.executable, "-m", "bench.dashboard_picture", "http://127.0.0.1:9090", str(file),
            str(picture), "--hours", str(minutes / 60),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def busy(watched: Watched, minutes: float, seed: int = 1) -> None:
    """Uploads in waves, some that are refused, and jobs that come and go."""
    chance, end = random.Random(seed), time.monotonic() + minutes * 60
    door = watched.stack.door(watched.stack.place.network.clients[0])
    waiting = dict.fromkeys(("thumbnailGeneration", "smartSearch", "videoConversion"), 0)
    step = 0
    watched.jobs("metadataExtraction", "wait", 0)
    while time.monotonic() < end:
        step += 1
        wave = 1 + (step // 12) % 3
        photos = chance.randrange(2, 6) * wave
        for number in range(photos):
            content = chance.randrange(200_000, 4_000_000)
            assert door.upload(content, seed=1000 * step + number)[0].status == 201
        # The stand-in knows no table of the real library, which is what the exporter counts.
        watched.sql(f"INSERT INTO asset SELECT FROM generate_series(1, {photos})")
        watched.jobs("metadataExtraction", "wait", chance.randrange(0, 20))
        for _ in range(chance.randrange(4, 12)):
            door.get("/api/server/ping")
        for queue in waiting:
            waiting[queue] = max(0, waiting[queue] + chance.randrange(-24, 10 * wave))
            watched.jobs(queue, "wait", waiting[queue])
        time.sleep(4)
    for queue in (*waiting, "metadataExtraction"):
        watched.jobs(queue, "wait", 0)

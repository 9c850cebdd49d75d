"""What `pulumi up` costs beside `docker-compose up` of the same containers, in the same run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docker import host
from tests.docker.compose import document
from tests.docker.conftest import MakeStack
from tests.docker.stacks import HostStack
from tests.docker.test_stack_up import AFTER

pytestmark = [pytest.mark.docker, pytest.mark.engine, pytest.mark.deep]

MOST = 3.0
"""Times as long: a loaded machine included; what it really was is in the report."""


def _cleared(stack: HostStack) -> None:
    """Take away the containers; networks and volumes stay, nameless ones too, so that both begin with the same."""
    for container in stack.place.client.containers.list(all=True, filters=stack.mine, ignore_removed=True):
        container.remove(force=True)


def test_up_takes_little_longer_than_compose(
    make_stack: MakeStack, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("not installed (Debian: apt-get install docker-compose)")
    stack = make_stack("home", name="cost")
    stack.up()
    file = tmp_path / "compose.json"
    file.write_text(json.dumps(document(stack.workloads(), AFTER)), encoding="utf-8")

    _cleared(stack)
    began = time.monotonic()
    stack.up()
    by_pulumi = time.monotonic() - began
    images = {name: container.attrs["Image"] for name, container in stack.workloads().items()}

    _cleared(stack)
    began = time.monotonic()
    done = subprocess.run(
        ["docker-compose", "-f", str(file), "-p", "cost", "up", "-d"],
        env={**os.environ, "DOCKER_HOST": stack.place.engine.url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    composed = {
        container.labels["com.docker.compose.service"]: container
        for container in stack.place.client.containers.list(
            filters={"label": "com.docker.compose.project=cost"}
        )
    }
    try:
        for container in composed.values():
            host.wait_healthy(container)
        by_compose = time.monotonic() - began
        assert {name: container.attrs["Image"] for name, container in composed.items()} == images
    finally:
        for container in composed.values():
            container.remove(force=True)
    ratio = by_pulumi / by_compose
    record_property("seconds_up", round(by_pulumi, 1))
    record_property("seconds_compose", round(by_compose, 1))
    record_property("ratio", round(ratio, 2))
    print(f"pulumi up {by_pulumi:.1f} s, docker-compose up {by_compose:.1f} s, ratio {ratio:.2f}")
    assert ratio < MOST

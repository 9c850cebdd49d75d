"""`make verify` and `make status` of a newcomer's stack, by their command lines, as it stands in this repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.docker.standing import Standing, systems
from tests.harness.stacks import ROOT
from toolchain.stack_settings import settings_without_secrets, stack_texts
from toolchain.verify.checks.backups import wanted

pytestmark = [pytest.mark.docker, pytest.mark.engine, pytest.mark.deep]


def command(standing: Standing, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """It reads Pulumi.home.yaml, which names no engine: the environment does."""
    place = standing.stack.place
    env = {**os.environ, "DOCKER_HOST": place.engine.url}
    env.pop("IMMICH_API_KEY", None)
    return subprocess.run(
        [sys.executable, "-m", module, "home", *arguments],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


@systems("home")
def test_a_new_stack_is_well_but_for_what_its_owner_has_yet_to_do(standing: Standing) -> None:
    address = standing.stack.place.network.address
    done = command(standing, "toolchain.verify", "--json", "--connect", f"localhost:2283={address}:2283")
    assert done.stderr == ""
    told: dict[str, Any] = json.loads(done.stdout)
    settings, _ = settings_without_secrets("home", *stack_texts(ROOT / "Pulumi.home.yaml"))
    # Nobody has signed up yet, and no backup has run yet.
    yet = {("door lan http://localhost:2283", "setup-closed")}
    yet |= {(f"backup {name}", "proven" if name == "drill" else "fresh") for name, _ in wanted(settings)}
    found = {(one["subject"], one["name"]): one for one in told["checks"]}
    failed = {at for at, one in found.items() if one["outcome"] == "fail"}
    assert failed <= yet, [found[at] for at in failed - yet]
    assert ("door lan http://localhost:2283", "setup-closed") in failed
    assert done.returncode == 1
    door = {name: one["outcome"] for (about, name), one in found.items() if about.startswith("door")}
    for name in ("reachable", "ping", "version", "websocket", "client-address", "forged-headers"):
        assert door[name] == "pass", (name, door)
    assert (door["tls"], door["upload"]) == ("not-checked", "not-checked")
    for workload in ("server", "machine-learning", "database", "cache", "proxy"):
        assert found[f"container {workload}", "health"]["outcome"] == "pass"
    assert all(one["fix"] for one in told["checks"] if one["outcome"] == "fail")


@systems("home")
def test_some_checks_alone_are_a_table_and_end_with_zero(standing: Standing) -> None:
    done = command(
        standing, "toolchain.verify", "--only", "published-ports,networks,machine-learning,versions"
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "open: every address:2283 by immich-home-proxy" in done.stdout
    assert done.stdout.rstrip().endswith("5 passed, 0 failed, 0 not checked")


@systems("home")
def test_status_tells_containers_backlog_and_fill(standing: Standing) -> None:
    done = command(standing, "toolchain.status", "--json")
    assert (done.returncode, done.stderr) == (0, ""), done
    told: dict[str, Any] = json.loads(done.stdout)
    components = {one["workload"]: one for one in told["components"]}
    assert components["server"]["health"] == "healthy"
    assert components["server"]["version"].startswith("v")
    assert told["problems"] == []
    assert set(told["queues"]) >= {"metadataExtraction", "thumbnailGeneration"}
    fill = {(one["workload"], one["path"]) for one in told["volumes"]}
    assert fill >= {("server", "/data"), ("cache", "/data")}
    for secret in standing.stack.secrets().values():
        assert secret not in done.stdout
    people = command(standing, "toolchain.status").stdout
    assert "immich-home-server" in people
    assert "metadataExtraction" in people or "no jobs" in people


@systems("home")
def test_a_part_is_restarted_and_waited_for(standing: Standing) -> None:
    container = standing.stack.container("cache")
    before = container.attrs["State"]["StartedAt"]
    done = command(standing, "toolchain.restart", "cache")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "immich-home-cache: healthy after" in done.stdout
    container.reload()
    assert container.attrs["State"]["StartedAt"] != before
    refused = command(standing, "toolchain.restart", "redis")
    assert refused.returncode == 1
    assert "has no part 'redis'" in refused.stderr
    assert "Traceback" not in refused.stderr

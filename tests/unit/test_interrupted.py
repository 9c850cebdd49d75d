"""What a killed engine leaves at work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolchain import interrupted

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc on this system")


def orphan(directory: Path, name: str) -> int:
    """A process of that name in that folder whose parent has ended."""
    command = f'(exec -a "{name}" sleep 600 </dev/null >/dev/null 2>&1) & echo $!'
    done = subprocess.run(["bash", "-c", command], cwd=directory, capture_output=True, text=True, check=True)
    return int(done.stdout)


def ended(process: int) -> bool:
    """Whether it is gone, or waits for a parent that does not ask."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[dict[str, int]]:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    made = {
        "plugin": orphan(tmp_path, "/opt/plugins/pulumi-resource-kubernetes"),
        "of another project": orphan(elsewhere, "/opt/plugins/pulumi-resource-kubernetes"),
        "another program": orphan(tmp_path, "/usr/bin/less"),
    }
    yield made
    for process in made.values():
        if not ended(process):
            os.kill(process, signal.SIGKILL)


def test_plugins_of_a_killed_engine_are_ended_before_its_lock_is_released(
    tmp_path: Path, processes: dict[str, int]
) -> None:
    killed = subprocess.Popen(["true"])
    killed.wait()
    lock = tmp_path / ".pulumi/locks/organization/immich/dev/0.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"pid": killed.pid, "hostname": socket.gethostname(), "timestamp": "now"}))
    interrupted.release_lock("dev", {"PULUMI_BACKEND_URL": f"file://{tmp_path}"}, tmp_path)
    assert not lock.exists()
    assert {name for name, process in processes.items() if ended(process)} == {"plugin"}

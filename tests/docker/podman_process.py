"""Podman's Docker-compatible socket for tests: in the network, the mounts and the folder of an engine of the tests.

Podman has health checks run by systemd's timers. Where there is no systemd, `HealthTimers` runs them in its place.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from docker.client import DockerClient

from tests.docker.engine_process import Engine
from tests.docker.host import until

PROGRAMS: Final = ("podman", "conmon", "runc")
_NETAVARK: Final = Path("/usr/lib/podman/netavark")
_ADDRESSES: Final = Path("/usr/lib/podman/aardvark-dns")

_CONFIGURATION: Final = """
[engine]
runtime = "clamped"
[engine.runtimes]
clamped = ["{folder}/clamped"]
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""

_CLAMPED: Final = """#!{python}
# runc, with limits that this process may give: Podman asks for more open files than a container of CI may have.
import json, os, resource, sys
for option, file in (("--bundle", "config.json"), ("--process", "")):
    if option not in sys.argv:
        continue
    path = os.path.join(sys.argv[sys.argv.index(option) + 1], file).rstrip("/")
    with open(path) as opened:
        config = json.load(opened)
    for limit in config.get("process", config).get("rlimits", []):
        most = resource.getrlimit(getattr(resource, limit["type"]))[1]
        for end in ("soft", "hard") if most != resource.RLIM_INFINITY else ():
            limit[end] = min(limit[end], most)
    with open(path, "w") as opened:
        json.dump(config, opened)
os.execvp("runc", ["runc", *sys.argv[1:]])
"""


def missing_parts() -> list[str]:
    """What is not installed, for a skip by name; empty when all is there."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return missing + [path.name for path in (_NETAVARK, _ADDRESSES) if not path.exists()]


class Podman:
    """One `podman system service`. Its containers are gone when the engine that it was started beside is removed."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.directory = engine.directory / "podman"
        self.directory.mkdir()
        self.log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """`unix:///...`, for DOCKER_HOST."""
        return f"unix://{self.directory}/p.sock"

    def client(self, seconds: int = 120) -> DockerClient:
        """A client of its socket."""
        return DockerClient(base_url=self.url, timeout=seconds)

    def command(self, *arguments: str) -> list[str]:
        """A command of Podman on this store, in this network."""
        return [
            "nsenter", f"--net={self.engine.network.path}", f"--mount=/proc/{self.engine.mounts_pid}/ns/mnt",
            "podman", f"--root={self.directory}/root", f"--runroot={self.directory}/run",
            f"--tmpdir={self.directory}/tmp", "--cgroup-manager=cgroupfs", "--events-backend=file", *arguments,
        ]  # fmt: skip

    @property
    def env(self) -> dict[str, str]:
        """Environment of its commands."""
        path = self.directory / "containers.conf"
        return {**os.environ, "CONTAINERS_CONF": str(path), "TMPDIR": str(self.directory)}

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self.directory / "containers.conf").write_text(_CONFIGURATION.format(folder=self.directory))
        clamped = self.directory / "clamped"
        clamped.write_text(_CLAMPED.format(python=sys.executable))
        clamped.chmod(0o755)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *self.command("system", "service", "--time=0", self.url)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
            )  # fmt: skip
        until(self._answers, f"Podman answers:\n{self.log.read_text(errors='replace')}", 30)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as tried:
            return tried.connect_ex(str(self.directory / "p.sock")) == 0

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run a command of Podman; its output."""
        finished = subprocess.run(
            self.command(*arguments), env=self.env, capture_output=True, text=True, check=False, timeout=60
        )
        assert finished.returncode == 0 or not check, finished.stderr
        return finished.stdout

    def stop(self) -> None:
        """Remove its containers and end it."""
        self.run("rm", "--all", "--force", "--time=0")
        self.run("volume", "rm", "--all", "--force")
        self.run("network", "prune", "--force")
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)


class HealthTimers:
    """Runs the health check of every running container each second, as systemd's timers would in their interval."""

    def __init__(self, podman: Podman) -> None:
        self._podman = podman
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> HealthTimers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(1):
            for name in self._podman.run("ps", "--format", "{{.Names}}", check=False).split():
                self._podman.run("healthcheck", "run", name, check=False)  # what it finds is in `inspect`

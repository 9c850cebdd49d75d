"""A Docker Engine of a test run: Debian's dockerd on its own socket, data, network and control group."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

from docker.client import DockerClient

from tests.docker.host import remove_all
from tests.docker.host_network import HostNetwork

PROGRAMS: Final = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
}
"""Programs that this tier needs -> Debian's package."""


class EngineError(Exception):
    """The engine did not do what it was told; the text has the end of its log."""


def missing_parts() -> list[str]:
    """Why no engine can be started on this machine; empty when one can."""
    missing: list[str] = []
    if os.geteuid() != 0:
        missing.append("the tests must run as root to start dockerd")
    absent = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if absent:
        missing.append(f"not installed (Debian: apt-get install {' '.join(absent)})")
    return missing


class Engine:
    """One dockerd. It ends with the process that started it, also when that one is killed.

    `directory` must be short: the path of a unix socket has at most 107 bytes.
    """

    def __init__(self, directory: Path, network: HostNetwork) -> None:
        self.directory = directory
        self.network = network
        self.log = directory / "dockerd.log"
        self._socket = directory / "docker.sock"
        network.note(directory)
        self._process: subprocess.Popen[bytes] | None = None
        self._mounts: subprocess.Popen[bytes] | None = None
        if len(os.fsencode(self._socket)) > 90:  # containerd's own sockets are a little deeper
            raise EngineError(f"{directory}: too long a path for a unix socket, use a shorter TMPDIR")

    @property
    def url(self) -> str:
        """The engine's address, as DOCKER_HOST has it."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int:
        """dockerd's. EngineError when it does not run."""
        if self._process is None:
            raise EngineError("dockerd does not run")
        return self._process.pid

    def client(self, seconds: int = 120) -> DockerClient:
        """A client; `seconds` is the longest time for one answer."""
        return DockerClient(base_url=self.url, timeout=seconds, version="auto")

    def start(self, seconds: float = 60) -> None:
        """Start dockerd on the data that is there and wait until it answers. EngineError when it does not."""
        if self._process is not None:
            raise EngineError("dockerd runs already")
        command = [
            "setpriv", "--pdeathsig", "TERM",  # it must not outlive the tests
            # Not `ip netns exec`: that puts a new /sys over the control groups.
            "nsenter", f"--net={self.network.path}", f"--mount=/proc/{self._hold_mounts()}/ns/mnt",
            "dockerd", f"--host={self.url}",
            f"--data-root={self.directory / 'data'}", f"--exec-root={self.directory / 'exec'}",
            f"--pidfile={self.directory / 'pid'}", f"--cgroup-parent=/{self.network.name}",
            "--storage-driver=overlay2", "--bip=172.31.255.1/24",
            "--default-address-pool=base=172.30.0.0/16,size=24",
            # The rest of this machine's configuration is not this engine's.
            f"--config-file={self._configuration()}",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory
            )
        deadline = time.monotonic() + seconds
        while True:
            if self._process.poll() is not None:
                code, self._process = self._process.returncode, None
                raise EngineError(f"dockerd ended with {code}:\n{self.log_tail()}")
            if self._answers():
                return
            if time.monotonic() > deadline:
                self.stop()
                raise EngineError(f"dockerd did not answer in {seconds:.0f} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(10)
            try:
                asked.connect(str(self._socket))
                asked.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b" 200 " in asked.recv(100)
            except OSError:
                return False

    @property
    def mounts_pid(self) -> int:
        """Of a process that has the same mounts as dockerd."""
        return self._hold_mounts()

    def _hold_mounts(self) -> int:
        """The pid of a process with a copy of this machine's mounts: what engines mount there goes away with it."""
        if self._mounts is None:
            self._mounts = subprocess.Popen(
                [
                    "setpriv",
                    "--pdeathsig",
                    "KILL",
                    "unshare",
                    "--mount",
                    "--propagation",
                    "slave",
                    "sleep",
                    "inf",
                ],
                stdin=subprocess.DEVNULL,
            )
            mine = Path("/proc/self/ns/mnt").readlink()
            while Path(f"/proc/{self._mounts.pid}/ns/mnt").readlink() == mine:
                time.sleep(0.005)
        return self._mounts.pid

    def _configuration(self) -> Path:
        path = self.directory / "daemon.json"
        path.write_text("{}")
        return path

    def stop(self, seconds: float = 60) -> None:
        """Stop dockerd as an administrator would: containers are stopped too. Does nothing when it does not run."""
        self._end(signal.SIGTERM, seconds)

    def restart(self, *, crash: bool = False) -> None:
        """Stop and start on the same data. `crash` kills dockerd, so that it cannot stop its containers."""
        self._end(signal.SIGKILL if crash else signal.SIGTERM, 60)
        self.start()

    def _end(self, how: signal.Signals, seconds: float) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(how)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if how == signal.SIGKILL:
            # The kernel ends containerd with it; the containers go on until the next dockerd finds them.
            pid_file = self.directory / "exec" / "containerd" / "containerd.pid"
            _wait_for_end(int(pid_file.read_text()))
            pid_file.unlink()  # else dockerd waits for the one that is named there

    def remove(self) -> None:
        """Remove containers, stop dockerd, and delete its data, its network and its control group."""
        if self._process is None:
            self.start()  # only an engine ends what an engine that was killed has left running
        client = self.client()
        try:
            remove_all(client, {"label": "immich.stack"})
            for container in client.containers.list(all=True, ignore_removed=True):
                container.remove(force=True, v=True)
        finally:
            client.close()
            self.stop()
            self.end_mounts()
            self.network.remove()
            shutil.rmtree(self.directory)
            _remove_control_groups(self.network.name)

    def end_mounts(self) -> None:
        """Give up the copy of the mounts. Of use only once dockerd has ended."""
        if self._mounts is not None:
            self._mounts.kill()
            self._mounts.wait()
            self._mounts = None

    def log_tail(self, lines: int = 30) -> str:
        """The end of dockerd's log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _wait_for_end(pid: int, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state in "ZX":
            return
        time.sleep(0.02)
    raise EngineError(f"process {pid} has not ended in {seconds:.0f} s")


def _remove_control_groups(name: str, seconds: float = 20) -> None:
    """With what a run that was killed has left in them; the kernel takes a moment until no process is in them."""
    roots = Path("/sys/fs/cgroup")
    deadline = time.monotonic() + seconds
    for group in sorted({*roots.glob(name), *roots.glob(f"*/{name}")}):
        inside = sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True)
        for one in (*inside, group):
            while one.exists():
                try:
                    one.rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    for pid in (one / "cgroup.procs").read_text().split():
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(int(pid), signal.SIGKILL)
                    time.sleep(0.02)

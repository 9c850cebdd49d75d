"""A network namespace that plays the Docker host: its addresses, its firewall, its published ports.

Docker rewrites the firewall of the network that it runs in and takes ports and subnets there. In a namespace of its own
an engine meets neither this machine's network nor another run's, and the test process is a client with a real address:

    test process  198.18.N.1 (and .11, .12) ---- veth ---- 198.18.N.2 (and .3)  the host's network, 127.0.0.1, bridges

198.18.0.0/15 is set aside for tests (RFC 2544) and is private to nobody, so no default list of trusted proxies has it.
There is no default route: nothing in there reaches the internet.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

_NAMES = Path("/run/netns")
_LOCKS = Path("/run/lock")
_HIGHEST = 200
_CLONE_NEWNET = 0x40000000


class NetworkError(Exception):
    """A command about the network failed; the text says which and why."""


@dataclass
class HostNetwork:
    """The namespace. Its number is held by a lock for as long as this process lives."""

    number: int
    lock: int = field(repr=False)
    servers: set[int] = field(default_factory=set[int], compare=False)
    """Ports at `address` of servers that tests run beside the engine."""

    @property
    def name(self) -> str:
        """Of the namespace, for `ip netns`."""
        return f"immich-test-{self.number}"

    @property
    def path(self) -> Path:
        """For nsenter."""
        return _NAMES / self.name

    @property
    def address(self) -> str:
        """The host's address on the network of its clients."""
        return f"198.18.{self.number}.2"

    @property
    def other_address(self) -> str:
        """A second address of the host: what is published on one must not answer on the other."""
        return f"198.18.{self.number}.3"

    @property
    def clients(self) -> tuple[str, ...]:
        """Addresses that the test process can speak from; the first is the one it has by default."""
        return tuple(f"198.18.{self.number}.{last}" for last in (1, 11, 12))

    @classmethod
    def create(cls) -> HostNetwork:
        """Take the first number that no living process holds, and lay the network out. NetworkError when it fails."""
        for number in range(_HIGHEST):
            lock = os.open(
                _LOCKS / f"immich-test-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            made = cls(number, lock)
            # What a killed run left behind; it holds no lock any more, and its dockerd ends with it.
            made._remove_noted()
            made.remove_namespace()
            try:
                made._lay_out()
            except NetworkError:
                made.remove()
                raise
            return made
        raise NetworkError(
            f"all of the {_HIGHEST} networks for tests are in use: see {_LOCKS}/immich-test-*.lock"
        )

    def note(self, directory: Path) -> None:
        """Remember a folder that goes away with this network; if this process is killed, the next one removes it."""
        with os.fdopen(os.dup(self.lock), "a") as lock:
            lock.write(f"{directory}\n")

    def _remove_noted(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        for line in Path(f"/proc/self/fd/{self.lock}").read_text().splitlines():
            directory = Path(line)
            while directory.exists() and _dockerd_of(directory) and time.monotonic() < deadline:
                time.sleep(0.1)
            shutil.rmtree(directory, ignore_errors=True)
        os.ftruncate(self.lock, 0)

    def _lay_out(self) -> None:
        outer, inner = f"imt{self.number}", "client0"
        _run("ip", "netns", "add", self.name)
        _run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", self.name)
        for address in self.clients:
            _run("ip", "address", "add", f"{address}/24", "dev", outer)
        _run("ip", "link", "set", outer, "up")
        for address in (self.address, self.other_address):
            self.run("ip", "address", "add", f"{address}/24", "dev", inner)
        self.run("ip", "link", "set", inner, "up")
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command: str) -> str:
        """Run a command in this network and give its output. NetworkError when it fails."""
        return _run("nsenter", f"--net={self.path}", *command)

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket that belongs to this network, as if a process of the host had opened it."""
        return socket_in(self.path, family, kind)

    def connect(self, host: str, port: int, seconds: float = 10) -> socket.socket:
        """A TCP connection from the host itself, for example to 127.0.0.1. OSError as `connect` raises it."""
        return connect_in(self.path, host, port, seconds)

    def listening(self) -> set[tuple[str, int]]:
        """Address and TCP port of whatever listens in this network, containers apart; `0.0.0.0` and `::` mean all."""
        found: set[tuple[str, int]] = set()
        for line in self.run("ss", "-Hltn").splitlines():
            address, _, port = line.split()[3].rpartition(":")
            found.add((address.strip("[]").partition("%")[0].replace("*", "0.0.0.0"), int(port)))  # noqa: S104  read, not bound
        return found

    def remove_namespace(self) -> None:
        """Delete the namespace, and with it its bridges, its firewall and both ends of the veth pair."""
        if self.path.exists():
            _run("ip", "netns", "delete", self.name)
        outer = Path(f"/sys/class/net/imt{self.number}")
        if outer.exists():  # the kernel takes a namespace apart after the command has returned
            subprocess.run(["ip", "link", "delete", outer.name], capture_output=True, check=False)

    def remove(self) -> None:
        """Delete the namespace and give the number back."""
        self.remove_namespace()
        os.ftruncate(self.lock, 0)
        os.close(self.lock)


@dataclass(frozen=True)
class ContainerNetwork:
    """The network of a running container, as `HostNetwork` is the host's."""

    pid: int
    """Of one of its processes, on this machine."""

    def connect(self, host: str, port: int, seconds: float = 10) -> socket.socket:
        """A TCP connection as if the container had opened it. OSError as `connect` raises it."""
        return connect_in(Path(f"/proc/{self.pid}/ns/net"), host, port, seconds)


def socket_in(namespace: Path, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A socket in a network namespace, of which `namespace` is the file."""
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def enter() -> None:
        # The namespace is that of a thread; this one ends with it.
        libc = ctypes.CDLL(None, use_errno=True)
        with namespace.open("rb") as opened:
            if libc.setns(opened.fileno(), _CLONE_NEWNET) != 0:
                failed.append(OSError(ctypes.get_errno(), f"cannot enter {namespace}"))
                return
        made.append(socket.socket(family, kind))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def connect_in(namespace: Path, host: str, port: int, seconds: float) -> socket.socket:
    """A TCP connection from a network namespace. OSError as `connect` raises it."""
    opened = socket_in(namespace)
    opened.settimeout(seconds)
    try:
        opened.connect((host, port))
    except OSError:
        opened.close()
        raise
    return opened


def _dockerd_of(directory: Path) -> bool:
    try:
        pid = int((directory / "pid").read_text())
        return os.fsencode(str(directory)) in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False


def _run(*command: str) -> str:
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if finished.returncode != 0:
        raise NetworkError(f"{' '.join(command)}: {finished.stderr.strip() or finished.returncode}")
    return finished.stdout

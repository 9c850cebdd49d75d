"""nginx with the configuration that the program renders: own ports, own folder, stopped by its own pid."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from components.proxy.listeners import Listener, listeners
from components.proxy.nginx import Surroundings, command, configuration
from components.proxy.settings import Proxy
from tests.edge.client import request

NGINX = "nginx"
PODS = ("127.0.1.0/24", "fd00:42::/56")
"""The network of pods in these tests: tunnel connectors, gateways and nginx itself are there."""
BALANCERS = "127.0.3.0/24"
EDGE = "127.0.4.0/24"
"""Stands for Cloudflare's edge, from whose networks nobody can connect here."""
LAN: dict[str, Any] = {"kind": "loadBalancer"}
GATEWAY: dict[str, Any] = {"kind": "httpRoute", "gateway": "public", "gatewayNamespace": "gateway"}
BALANCER: dict[str, Any] = {"kind": "loadBalancer", "proxyProtocol": True, "trustedSources": [BALANCERS]}
PUBLIC: dict[str, Any] = {"kind": "loadBalancer", "door": "internet"}


def version() -> tuple[int, int, int]:
    """nginx's own."""
    told = subprocess.run([NGINX, "-v"], capture_output=True, text=True, check=True).stderr
    found = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", told)
    assert found, told
    return int(found[1]), int(found[2]), int(found[3])


def proxy(*expose: dict[str, Any], **more: Any) -> Proxy:
    """The proxy section, read as a stack's file is."""
    return Proxy.model_validate({"expose": list(expose or (LAN,)), **more}, by_alias=True, by_name=False)


def free_ports(number: int) -> list[int]:
    """Ports of 127.0.0.1 that are free now, all different, and none that the system gives to outgoing connections."""
    found: list[int] = []
    draw = random.SystemRandom()  # not the seeded one, which is the same in every worker of xdist
    while len(found) < number:
        port = draw.randrange(12000, 32000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        if port not in found:
            found.append(port)
    return found


@dataclass
class Nginx:
    """A running nginx."""

    settings: Proxy
    upstream: str
    """Host and port."""
    directory: Path
    tunnel: bool = False
    cloudflare_in_front: bool = False
    resolver: str | None = None
    counted_at: str | None = None
    listeners: tuple[Listener, ...] = ()
    ports: dict[str, int] = field(default_factory=dict[str, int])
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Nginx:
        for attempt in range(5):
            self.begin()
            if self.ready():
                return self
            self.stop()
            assert attempt < 4, self.output()
        raise AssertionError

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def scratch(self) -> Path:
        """What nginx may write to."""
        return self.directory / "scratch"

    def _render(self) -> None:
        found = listeners(
            self.settings, pods=PODS, tunnel=self.tunnel, cloudflare_in_front=self.cloudflare_in_front
        )
        ports = free_ports(2 * len(found) + 1)
        status = ports.pop()
        numbered: list[Listener] = []
        for one in found:
            trust = (*one.trust, EDGE) if one.name == "cloudflare" else one.trust
            tls = ports.pop() if one.tls_port is not None else None
            numbered.append(replace(one, port=ports.pop(), tls_port=tls, trust=trust))
        self.listeners = tuple(numbered)
        self.ports = {one.name: one.port for one in numbered} | {"status": status}
        self.ports |= {f"{one.name}-tls": one.tls_port for one in numbered if one.tls_port is not None}
        self.scratch.mkdir(exist_ok=True)
        self.write(status)

    def write(self, status: int) -> None:
        """Its files."""
        where = Surroundings(
            upstream=self.upstream,
            version=version(),
            workers=2,
            resolver=self.resolver,
            scratch=str(self.scratch),
            certificates=str(self.directory / "tls"),
            status_port=status,
            addresses=("127.0.0.1",),
            counted_at=self.counted_at,
        )
        write(configuration(self.settings, self.listeners, where), self.directory)

    def begin(self) -> None:
        """Write its files on ports that are free, and start it."""
        self._render()
        user = " user root;" if os.geteuid() == 0 else ""
        with (self.directory / "stdout").open("ab") as out, (self.directory / "stderr").open("ab") as err:
            self.process = subprocess.Popen(
                command(str(self.directory / "nginx.conf"), f"daemon off;{user}"),
                stdout=out,
                stderr=err,
                cwd=self.directory,
            )

    def ready(self) -> bool:
        """Whether it answers within 20 s."""
        assert self.process is not None
        until = time.monotonic() + 20
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if request(self.ports["status"], "GET", "/health").status == 200:
                    return True
            except OSError:
                time.sleep(0.02)
        return False

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 20) -> None:
        """End it; SIGQUIT lets requests in progress come to their end."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise

    def pids(self) -> list[int]:
        """Master and workers."""
        assert self.process is not None
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *(int(child) for child in children)]

    def resident(self) -> int:
        """Bytes of memory of all its processes; shared pages count in each."""
        total = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/statm").read_text().split()
            total += int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
        return total

    def spooled(self) -> list[str]:
        """Files with parts of bodies: in its folder, or open though they have no name any more."""
        found = [str(path) for path in self.scratch.rglob("*") if path.is_file() and path.name != "nginx.pid"]
        for pid in self.pids():
            for link in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    target = str(link.readlink())
                except FileNotFoundError:
                    continue
                if target.startswith(str(self.scratch)):
                    found.append(target)
        return found

    def log(self, number: int = 1) -> list[dict[str, str]]:
        """Entries of the access log, once there are so many."""
        until = time.monotonic() + 5
        while True:
            lines = (self.directory / "stdout").read_text().splitlines()
            if len(lines) >= number or time.monotonic() > until:
                return [json.loads(line) for line in lines]
            time.sleep(0.02)

    def output(self) -> str:
        """Everything that it has written anywhere."""
        return "".join((self.directory / name).read_text() for name in ("stdout", "stderr"))


def write(files: Mapping[str, str], directory: Path) -> None:
    """Put rendered files into a folder."""
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")


class Watch:
    """Samples memory and files of an nginx while something goes through; `with Watch(nginx) as watch`."""

    def __init__(self, nginx: Nginx) -> None:
        self._nginx = nginx
        self.before = nginx.resident()
        self.peak = self.before
        self.spooled: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(10)

    @property
    def growth(self) -> int:
        """Bytes."""
        return self.peak - self.before

    def _sample(self) -> None:
        while True:
            self.peak = max(self.peak, self._nginx.resident())
            self.spooled.update(self._nginx.spooled())
            if self._done.wait(0.02):
                return

"""`make bench-edge`: what nginx costs an upload and a download, as ratios to the leanest nginx that can be written.

Four ways, in turns (A B C D A B ...), with one body over one connection at a time on the loopback interface:

direct      the client to the server, nothing between
leanest     a bare `proxy_pass`, request buffering off, a body buffer of 1 MB
ours        the configuration that this program renders
system heartbeat  `client_max_body_size 1G` and nginx' own defaults, as that system has it

The server discards what it gets and sends from memory, so that nginx is what is measured. Ratios are medians of the
ratios within a round, so that what else the machine does at the time counts for all of them.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from tests.edge.running import Nginx, free_ports, proxy, write
from toolchain.failure import ToolchainError, exit_with

_CHUNK: Final = 1 << 20
_TICK: Final = os.sysconf("SC_CLK_TCK")
_SAMPLE: Final = 0.01  # seconds
_LEANEST_GOAL: Final = 0.95
_HEARTBEAT_GOAL: Final = 3.0

_FRAME: Final = """\
worker_processes 2;
pid {scratch}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {scratch}/client_body;
    proxy_temp_path {scratch}/proxy;
    fastcgi_temp_path {scratch}/fastcgi;
    uwsgi_temp_path {scratch}/uwsgi;
    scgi_temp_path {scratch}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location = /health {{ return 200; }}
        location / {{
            proxy_pass http://{upstream};
            proxy_http_version 1.1;
{directives}
        }}
    }}
}}
"""
_LEANEST: Final = """\
            client_max_body_size 0;
            proxy_request_buffering off;
            client_body_buffer_size 1m;"""
_HEARTBEAT: Final = """\
            client_max_body_size 1G;
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            add_header X-Frame-Options SAMEORIGIN;"""


@dataclass
class Plain(Nginx):
    """An nginx with a configuration of somebody else's."""

    directives: str = ""

    def _render(self) -> None:
        (port,) = free_ports(1)
        self.ports = {"lan": port, "status": port}
        self.scratch.mkdir(exist_ok=True)
        text = _FRAME.format(
            scratch=self.scratch, port=port, upstream=self.upstream, directives=self.directives
        )
        write({"nginx.conf": text}, self.directory)


@dataclass
class Way:
    """One way from the client to the server, and what was measured on it."""

    name: str
    port: int
    nginx: Nginx | None = None
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"upload": [], "download": []})
    cpu: dict[str, list[float]] = field(default_factory=lambda: {"upload": [], "download": []})
    spooled: dict[str, int] = field(default_factory=lambda: {"upload": 0, "download": 0})
    """The most bytes of bodies that were in files at a time."""

    def processor_seconds(self) -> float:
        """What nginx has used so far."""
        total = 0
        for pid in self.nginx.pids() if self.nginx is not None else ():
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / _TICK

    def on_disk(self) -> int:
        """Bytes of bodies in files now, with those whose files have no name."""
        total = 0
        for pid in self.nginx.pids()[1:] if self.nginx is not None else ():
            for link in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    inside = self.nginx is not None and str(link.readlink()).startswith(
                        str(self.nginx.scratch)
                    )
                    total += link.stat().st_size if inside else 0
                except OSError:
                    continue  # closed meanwhile
        return total


@dataclass(frozen=True)
class Row:
    """The result for one way and direction. `vs_*` are ratios of throughput; CPU is nginx' own."""

    way: str
    direction: str
    mb_per_s: float
    vs_leanest: float
    vs_heartbeat: float
    cpu_s_per_gb: float
    spooled_mb: float


def serve() -> None:
    """The server: prints its port, then discards uploads and answers `GET /<bytes>` from memory."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listening.getsockname()[1], flush=True)
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = memoryview(bytearray(_CHUNK))
    with connection:
        while (head := _head(connection)) is not None:
            lines, got = head
            method, path, _ = lines[0].split(" ", 2)
            if method == "GET":
                left = int(path[1:])
                connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n".encode())
                while left:
                    connection.sendall(buffer[: min(left, _CHUNK)])
                    left -= min(left, _CHUNK)
                continue
            sizes = [line.split(":")[1] for line in lines if line.lower().startswith("content-length:")]
            left = int(sizes[0]) - got
            while left:
                number = connection.recv_into(buffer)
                if not number:
                    return
                left -= number
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def _head(connection: socket.socket) -> tuple[list[str], int] | None:
    """Lines of a head, and how many bytes of the body came with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return head.decode("latin-1").split("\r\n"), len(body)


def upload(port: int, size: int) -> None:
    """Send a body. Raises `ToolchainError` for any answer but 200."""

    def blocks() -> Iterator[memoryview]:
        block = memoryview(bytearray(_CHUNK))
        for sent in range(0, size, _CHUNK):
            yield block[: min(size - sent, _CHUNK)]

    _asked(port, "POST", "/api/assets", blocks(), {"Content-Length": str(size)})


def download(port: int, size: int) -> None:
    """Get a body. Raises `ToolchainError` for any answer but 200, and for a body that ends early."""
    if left := size - _asked(port, "GET", f"/{size}"):
        raise ToolchainError(f"A download ended {left} bytes early.")


def _asked(
    port: int,
    method: str,
    path: str,
    body: Iterator[memoryview] | None = None,
    headers: Mapping[str, str] | None = None,
) -> int:
    """Bytes of the answer's body."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        if answer.status != 200:
            raise ToolchainError(f"A request was not answered with 200: {answer.status} {answer.reason}.")
        buffer = memoryview(bytearray(_CHUNK))
        return sum(iter(lambda: answer.readinto(buffer), 0))
    finally:
        connection.close()


@contextmanager
def ways(scratch: Path) -> Generator[list[Way]]:
    """The four ways, each with its nginx running."""
    with ExitStack() as stack:
        command = [sys.executable, "-m", "bench.edge", "--serve"]
        server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        stack.callback(server.kill)
        assert server.stdout is not None
        number = int(server.stdout.readline())
        found = [Way("direct", number)]
        upstream = f"127.0.0.1:{number}"
        made: dict[str, Callable[[Path], Nginx]] = {
            "leanest": lambda folder: Plain(proxy(), upstream, folder, directives=_LEANEST),
            "ours": lambda folder: Nginx(proxy(), upstream, folder),
            "system heartbeat": lambda folder: Plain(proxy(), upstream, folder, directives=_HEARTBEAT),
        }
        for name, make in made.items():
            folder = scratch / name.replace(" ", "-")
            folder.mkdir()
            nginx = stack.enter_context(make(folder))
            found.append(Way(name, nginx.ports["lan"], nginx))
        yield found


def run(way: Way, direction: str, size: int) -> None:
    """Send one body and keep what it took."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_SAMPLE):
            way.spooled[direction] = max(way.spooled[direction], way.on_disk())

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    before, started = way.processor_seconds(), time.monotonic()
    (upload if direction == "upload" else download)(way.port, size)
    way.seconds[direction].append(time.monotonic() - started)
    way.cpu[direction].append(way.processor_seconds() - before)
    done.set()
    watching.join()


def measure(size: int, rounds: int) -> list[Row]:
    """Everything once unmeasured, then `rounds` times in turns."""
    with tempfile.TemporaryDirectory(prefix="bench-edge-") as directory, ways(Path(directory)) as found:
        for way in found:
            for direction in way.seconds:
                run(way, direction, min(size, 100_000_000))
                way.seconds[direction].clear()
                way.cpu[direction].clear()
                way.spooled[direction] = 0
        for number in range(rounds):
            # Each begins a round in turn: whoever comes after the heaviest finds the machine at its busiest.
            for way in found[number % len(found) :] + found[: number % len(found)]:
                for direction in way.seconds:
                    run(way, direction, size)
    by_name = {way.name: way for way in found}
    return [
        Row(
            way=way.name,
            direction=direction,
            mb_per_s=round(size / 1e6 / statistics.median(way.seconds[direction])),
            vs_leanest=_ratio(by_name["leanest"], way, direction),
            vs_heartbeat=_ratio(by_name["system heartbeat"], way, direction),
            cpu_s_per_gb=round(statistics.median(way.cpu[direction]) * 1e9 / size, 2),
            spooled_mb=round(way.spooled[direction] / 1e6, 1),
        )
        for direction in ("upload", "download")
        for way in found
    ]


def _ratio(base: Way, way: Way, direction: str) -> float:
    """How many times faster than the base, as the median over rounds."""
    pairs = zip(base.seconds[direction], way.seconds[direction], strict=True)
    return round(statistics.median(theirs / ours for theirs, ours in pairs), 2)


def goals(rows: list[Row]) -> list[str]:
    """What is promised of uploads through our nginx, and whether it holds."""
    (row,) = [one for one in rows if one.way == "ours" and one.direction == "upload"]
    (back,) = [one for one in rows if one.way == "ours" and one.direction == "download"]
    checks = (
        (f"uploads at least {_LEANEST_GOAL} of the leanest", row.vs_leanest >= _LEANEST_GOAL),
        (f"downloads at least {_LEANEST_GOAL} of the leanest", back.vs_leanest >= _LEANEST_GOAL),
        (f"uploads at least {_HEARTBEAT_GOAL:g} times system heartbeat", row.vs_heartbeat >= _HEARTBEAT_GOAL),
        ("nothing spooled", row.spooled_mb == back.spooled_mb == 0),
    )
    return [f"{'met   ' if held else 'MISSED'} {text}" for text, held in checks]


def main() -> int:
    """Measure and print a table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.edge", description="Cost of nginx.")
    parser.add_argument(
        "--size", type=int, default=10**9, help="bytes of a body (default: 1 GB, below 1 GiB)"
    )
    parser.add_argument("--rounds", type=int, default=9, help="measured bodies each way (default: 9)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
    if shutil.which("nginx") is None:
        raise ToolchainError("There is no nginx on PATH; on Debian: apt-get install nginx.")
    rows = measure(given.size, given.rounds)
    if given.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    print(f"{given.size / 1e9:g} GB over loopback, median of {given.rounds} in turns, {os.cpu_count()} cores")
    print("| way | direction | MB/s | of leanest | of system heartbeat | nginx CPU s/GB | MB spooled |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        print(
            f"| {row.way} | {row.direction} | {row.mb_per_s:g} | {row.vs_leanest:.2f} | {row.vs_heartbeat:.2f} "
            f"| {row.cpu_s_per_gb:.2f} | {row.spooled_mb:g} |"
        )
    print("\n".join(goals(rows)))
    return 0


if __name__ == "__main__":
    exit_with(main)

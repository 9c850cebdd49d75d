"""A platform and a door with recorded answers."""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from components.settings.model import Settings
from components.settings.reader import read_settings
from toolchain.verify.running import Opening, RunningError, Unit
from toolchain.verify.target import Options, Target, chosen_doors
from toolchain.verify.wire import Wire

NOW = 1_795_000_000.0
HOME: dict[str, Any] = {
    "docker": {},
    "host": {"name": "photos.example.com", "https": False, "port": 2283},
    "proxy": {"expose": [{"kind": "publishedPort", "address": "0.0.0.0"}]},  # noqa: S104
}


ON_A_CLUSTER: dict[str, Any] = {"host": {"port": None}, "proxy": {"expose": [{"kind": "clusterIp"}]}}
"""Sections of `target` that go with `cluster=True`."""


def settings(*, cluster: bool = False, **sections: Any) -> Settings:
    """Those of a home server, with sections put over them key by key."""
    merged = {
        name: {**HOME.get(name, {}), **sections.get(name, {})} for name in dict.fromkeys([*HOME, *sections])
    }
    if cluster:
        del merged["docker"]
    return read_settings("unit", {name: json.dumps(value) for name, value in merged.items()})


def unit(workload: str, **more: Any) -> Unit:
    """A container that is well."""
    found = Unit(
        name=f"immich-unit-{workload}", workload=workload, state="running", health="healthy", since=NOW - 86_400,
        images=(f"x/{workload}:v3.3.1",),
    )  # fmt: skip
    return replace(found, **more)


WORKLOADS = ("server", "machine-learning", "database", "cache", "proxy")


@dataclass
class Recorded:
    """A `Running` that answers from what it was given."""

    found: list[Unit] = field(default_factory=lambda: [unit(name) for name in WORKLOADS])
    commands: Callable[[str, Sequence[str]], tuple[int, str]] | None = None
    log: str | Callable[[Unit], str] = ""
    open: list[Opening] = field(default_factory=list[Opening])
    others: list[str] = field(default_factory=list[str])
    own_networks: list[str] = field(default_factory=list[str])
    own_gateways: list[str] = field(default_factory=list[str])
    states: Mapping[str, Mapping[str, object]] = field(default_factory=dict[str, Mapping[str, object]])
    asked: tuple[int, str] | None = None
    restarted: list[str] = field(default_factory=list[str])
    ran: list[tuple[str, tuple[str, ...]]] = field(default_factory=list[tuple[str, tuple[str, ...]]])

    def units(self) -> Sequence[Unit]:
        return self.found

    def run(self, unit: Unit, command: Sequence[str], seconds: float = 15) -> tuple[int, str]:
        self.ran.append((unit.workload, tuple(command)))
        if self.commands is None:
            raise RunningError("no command can be run here")
        return self.commands(unit.workload, command)

    def restart(self, unit: Unit) -> None:
        self.restarted.append(unit.name)
        self.found = [replace(one, since=one.since + 60) if one == unit else one for one in self.found]

    def logs(self, unit: Unit, *, lines: int = 2000) -> str:
        return self.log if isinstance(self.log, str) else self.log(unit)

    def openings(self) -> Sequence[Opening]:
        return self.open

    def strangers(self) -> Sequence[str]:
        return self.others

    def networks(self) -> Sequence[str]:
        return self.own_networks

    def gateways(self) -> Sequence[str]:
        return self.own_gateways

    def statuses(self) -> Mapping[str, Mapping[str, object]]:
        return self.states

    def ask(self, workload: str, port: int, path: str) -> tuple[int, str]:
        if self.asked is None:
            raise RunningError("nobody is asked here")
        return self.asked


def target(
    running: Recorded | None = None, *, options: Options | None = None, cluster: bool = False, **sections: Any
) -> Target:
    """A deployment with recorded answers; its door leads nowhere."""
    found = settings(cluster=cluster, **(ON_A_CLUSTER if cluster else {}), **sections)
    return Target(
        stack="unit",
        settings=found,
        running=running or Recorded(),
        wire=Wire(seconds=2),
        options=options or Options(),
        now=lambda: NOW,
        doors=chosen_doors(found, None),
    )


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What goes out; `read` says whether the body is read first."""

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    read: bool = True


Replies = Callable[[Request], Reply | None]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        server = self.server
        assert isinstance(server, _Server)
        length = int(self.headers.get("Content-Length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        refusal = server.refuse(Request(self.command, self.path, {**headers}, b"")) if server.refuse else None
        body = b"" if refusal is not None else self.rfile.read(length)
        request = Request(self.command, self.path, headers, body)
        server.seen.append(request)
        reply = refusal or server.replies(request) or Reply(404, {"message": "Not found"})
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status != 101:
            self.send_header("Content-Length", str(len(content)))
        if refusal is not None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(content)
        if refusal is not None:
            self._linger()

    def _linger(self) -> None:
        """As nginx does: who still sends would otherwise lose the answer."""
        self.wfile.flush()
        self.connection.settimeout(0.3)
        with contextlib.suppress(OSError):
            while self.connection.recv(1 << 16):
                continue

    do_GET = do_POST = do_DELETE = do_PUT = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    replies: Replies
    refuse: Replies | None
    seen: list[Request]


@contextmanager
def answering(
    replies: Replies,
    base: Target | None = None,
    *,
    refuse: Replies | None = None,
    certificate: Path | None = None,
) -> Generator[tuple[Target, list[Request]]]:
    """A target whose doors lead to these replies, and what came; `refuse` is asked before a body is read.

    `certificate` is a folder with fullchain.pem and privkey.pem: then port 80 alone is plain HTTP.
    """
    seen: list[Request] = []
    plain, secure = (_Server(("127.0.0.1", 0), _Handler) for _ in range(2))
    for server in (plain, secure):
        server.replies, server.refuse, server.seen = replies, refuse, seen
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate / "fullchain.pem", certificate / "privkey.pem")
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
    for server in (plain, secure):
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    places = {f"photos.example.com:{port}": ("127.0.0.1", secure.server_port) for port in (443, 2283, 8443)}
    places["photos.example.com:80"] = ("127.0.0.1", plain.server_port)
    try:
        yield replace(base or target(), wire=Wire(connect=places, seconds=2)), seen
    finally:
        for server in (plain, secure):
            server.shutdown()
            server.server_close()


def make_certificate(folder: Path, name: str, days: int = 90) -> Path:
    """The folder with a self-signed certificate for a name."""
    folder.mkdir(exist_ok=True)
    line = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", str(days), "-keyout", str(folder / "privkey.pem"), "-out", str(folder / "fullchain.pem"),
        "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
    ]  # fmt: skip
    subprocess.run(line, check=True, capture_output=True)
    return folder

#!/usr/bin/env python3
"""Stand-in of cloudflared. There is no Cloudflare: a port of its own takes the place of the edge (STANDIN_EDGE_PORT).

What comes in there goes to the first http:// service with the headers that the edge adds: the client's address in
CF-Connecting-IP (from STANDIN-Client, else the peer's), X-Forwarded-For and X-Forwarded-Proto: https.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120  before anything of ours can be imported

from command_line import CommandLine, UsageError, credentials, parse, services

_BUFFER = 1 << 18
_HEAD = 1 << 16


def main(arguments: list[str]) -> int:
    """0 after SIGTERM, 1 for wrong arguments or credentials."""
    try:
        line = parse(arguments)
        if line.commands == ["version"]:
            print(f"cloudflared (stand-in) version {os.environ.get('STANDIN_TAG', '')}")
            return 0
        if line.commands == ["tunnel", "ready"]:
            return _ready(line.flags.get("metrics", "127.0.0.1:20241"))
        return _run(line)
    except UsageError as error:
        print(f"ERR {error}", file=sys.stderr, flush=True)
        return 1


def _ready(address: str) -> int:
    host, _, port = address.rpartition(":")
    host = "127.0.0.1" if host in {"", "0.0.0.0"} else host  # noqa: S104
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/ready", timeout=3) as answer:
            return 0 if answer.status == 200 else 1
    except (OSError, urllib.error.URLError) as error:
        print(f"ERR {error}", file=sys.stderr)
        return 1


def _run(line: CommandLine) -> int:
    if line.commands != ["tunnel", "run"]:
        raise UsageError(
            f"this stand-in knows `tunnel run`, `tunnel ready` and `version`, not {line.commands}"
        )
    tunnel = credentials(line)
    found = [service for service in services(line) if service.startswith("http://")]
    service = next(iter(found), os.environ.get("STANDIN_SERVICE", ""))
    target = urlsplit(service)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    host, _, port = line.flags.get("metrics", "127.0.0.1:20241").rpartition(":")
    metrics = ThreadingHTTPServer((host, int(port)), _Metrics)
    threading.Thread(target=metrics.serve_forever, daemon=True).start()
    if target.hostname:
        edge = socket.create_server(("0.0.0.0", int(os.environ.get("STANDIN_EDGE_PORT", "7000"))))  # noqa: S104
        address = (target.hostname, target.port or 80)
        threading.Thread(
            target=_accept, args=(edge, lambda: socket.create_connection(address, 10)), daemon=True
        ).start()
    print(
        f"INF Registered tunnel connection tunnelID={tunnel} service={service or 'none'} (stand-in)",
        flush=True,
    )
    stop.wait()
    metrics.shutdown()
    print("INF Tunnel server stopped", flush=True)
    return 0


class _Metrics(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        answers = {
            "/ready": json.dumps(
                {"status": 200, "readyConnections": 4, "connectorId": "00000000-0000-4000-8000-0"}
            ),
            "/healthcheck": "OK\n",
            "/metrics": "cloudflared_tunnel_ha_connections 4\n",
        }
        text = answers.get(self.path)
        body = (text or "404 page not found").encode()
        self.send_response(200 if text else 404)
        # As cloudflared does (promhttp): Prometheus 3 reads no numbers without a type.
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
        """Nothing."""


def _accept(edge: socket.socket, connect: Callable[[], socket.socket]) -> None:
    while True:
        client, peer = edge.accept()
        threading.Thread(target=_forward, args=(client, str(peer[0]), connect), daemon=True).start()


def _forward(client: socket.socket, peer: str, connect: Callable[[], socket.socket]) -> None:
    """One request a connection: head with the edge's headers, then bytes in both directions."""
    with client:
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _HEAD:
            data = client.recv(_HEAD)
            if not data:
                return
            head += data
        lines, _, rest = head.partition(b"\r\n\r\n")
        try:
            origin = connect()
        except OSError as error:
            print(f"ERR Unable to reach the origin service: {error}", file=sys.stderr, flush=True)
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        with origin:
            origin.settimeout(None)
            origin.sendall(_with_headers(lines, peer) + b"\r\n\r\n" + rest)
            upwards = threading.Thread(target=_pump, args=(client, origin), daemon=True)
            upwards.start()
            _pump(origin, client)
            client.shutdown(socket.SHUT_RD)  # ends the other direction as well
            upwards.join()


def _with_headers(head: bytes, peer: str) -> bytes:
    first, *lines = head.split(b"\r\n")
    given = {line.partition(b":")[0].strip().lower(): line.partition(b":")[2].strip() for line in lines}
    address = given.get(b"standin-client", peer.encode())
    forwarded = b", ".join(part for part in (given.get(b"x-forwarded-for"), address) if part)
    replaced = {b"standin-client", b"cf-connecting-ip", b"x-forwarded-for", b"x-forwarded-proto", b"cf-ray"}
    upgrade = b"upgrade" in given
    if not upgrade:
        replaced.add(b"connection")
    kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in replaced]
    added = [
        b"CF-Connecting-IP: " + address,
        b"X-Forwarded-For: " + forwarded,
        b"X-Forwarded-Proto: https",
        b"CF-Ray: 0000000000000000-STANDIN",
    ]
    return b"\r\n".join([first, *kept, *added, *([] if upgrade else [b"Connection: close"])])


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(_BUFFER):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One side is gone: so is this connection.
        for side in (source, target):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

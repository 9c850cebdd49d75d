"""Stand-in of Immich's machine learning: answers /ping and keeps a file in its cache. It knows no model."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        answers = {"/ping": "pong", "/": json.dumps({"message": "Immich ML (stand-in)"})}
        text = answers.get(self.path)
        body = (text or "Not Found").encode()
        self.send_response(200 if text else 404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
        print(f"{self.address_string()} {format % args}", flush=True)


class Server(ThreadingHTTPServer):
    daemon_threads = True


def main() -> None:
    cache = Path(os.environ.get("MACHINE_LEARNING_CACHE_FOLDER", "/cache"))
    try:
        (cache / "stand-in").mkdir(parents=True, exist_ok=True)
        (cache / "stand-in" / "model.bin").write_bytes(b"no model")
    except OSError as error:
        sys.exit(f"The cache cannot be written: {error}")
    host = os.environ.get("IMMICH_HOST", "[::]").strip("[]")
    try:
        port = int(os.environ.get("IMMICH_PORT", "3003"))
    except ValueError:
        sys.exit(f"IMMICH_PORT must be an integer, not {os.environ['IMMICH_PORT']!r}")
    if ":" in host:
        Server.address_family = socket.AF_INET6
    server = Server((host, port), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"Application startup complete on {host}:{port}", flush=True)
    server.serve_forever()
    server.server_close()


main()

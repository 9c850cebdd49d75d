"""Ports with /metrics, opened only with telemetry. Names and labels are those of Immich after 3.1.0."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds, as OpenTelemetry's histogram of HTTP has them."""


class Requests:
    """How many answers there were, and how long they took."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._lock = threading.Lock()
        self._found: dict[tuple[str, int], list[float]] = {}

    def observe(self, method: str, status: int, seconds: float) -> None:
        """One answer."""
        with self._lock:
            mine = self._found.setdefault((method, status), [0.0] * (len(_BOUNDS) + 2))
            for index, bound in enumerate(_BOUNDS):
                mine[index] += seconds <= bound
            mine[-2] += 1
            mine[-1] += seconds

    def text(self) -> str:
        """For Prometheus."""
        name = "http_server_request_duration"
        lines = [f'target_info{{service_name="immich",service_version="{self._version}"}} 1']
        with self._lock:
            found = {key: list(numbers) for key, numbers in self._found.items()}
        for (method, status), numbers in found.items():
            labels = f'http_request_method="{method}",http_response_status_code="{status}"'
            bounds = (*(f"{bound:g}" for bound in _BOUNDS), "+Inf")
            lines += [
                f'{name}_bucket{{{labels},le="{bound}"}} {number:g}'
                for bound, number in zip(bounds, numbers, strict=False)
            ]
            lines += [
                f"{name}_count{{{labels}}} {numbers[-2]:g}",
                f"{name}_sum{{{labels}}} {numbers[-1]:.6f}",
            ]
        return "".join(f"{line}\n" for line in lines)


def serve(port: int, numbers: Callable[[], str]) -> ThreadingHTTPServer:
    """Answer `/metrics` in Prometheus' form on all addresses until `shutdown`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = self.path == "/metrics"
            text = numbers() if found else "Not Found"
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
            """Nothing."""

    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)  # noqa: S104
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server

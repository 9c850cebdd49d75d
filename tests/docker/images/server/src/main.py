"""Stand-in of Immich's server: starts, refuses to start, and stops as the real one does. It knows no photo.

SIGTERM ends it at once, as it ends Immich: no handler (main.ts of 2.5.0, 2.7.5 and 3.0.3; all is gone within 0.9 s).
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

import media
import metrics
from api import Application, Server
from environment import Environment, InvalidEnvironmentError, read
from stores import Cache, Database, UnusableError

_LEVELS = ("verbose", "debug", "log", "warn", "error", "fatal")


class Log:
    """Lines on stdout, for people or as JSON."""

    def __init__(self, environment: Environment) -> None:
        self._lowest = _LEVELS.index(environment.log_level)
        self._json = environment.choices.get("IMMICH_LOG_FORMAT") == "json"

    def __call__(self, message: str, level: str = "log") -> None:
        if _LEVELS.index(level) < self._lowest:
            return
        now = time.strftime("%m/%d/%Y, %H:%M:%S")
        if self._json:
            print(
                json.dumps({"level": level, "timestamp": time.time_ns() // 10**6, "message": message}),
                flush=True,
            )
        else:
            print(f"[Nest] {os.getpid()}  - {now} {level.upper():>7} [Stand-in] {message}", flush=True)


def main() -> int:
    """1 when it refuses to start."""
    try:
        environment = read(os.environ)
    except InvalidEnvironmentError as error:
        print(f"Error: Invalid environment variables:\n{error}", file=sys.stderr, flush=True)
        return 1
    log = Log(environment)
    database, cache = Database(environment.database()), Cache(environment.cache())
    try:
        _start(environment, database, cache, log)
    except (UnusableError, media.MediaError) as error:
        log(str(error), level="fatal")
        return 1
    _serve(environment, database, cache, log)
    return 0


def _start(environment: Environment, database: Database, cache: Cache, log: Log) -> None:
    database.require()
    cache.wait(log)
    database.prepare()
    if database.markers_made():
        try:
            media.check_markers(environment.media)
        except media.MediaError as error:
            if not environment.flags["IMMICH_IGNORE_MOUNT_CHECK_ERRORS"]:
                raise
            log(str(error), level="warn")
    else:
        log("Writing initial mount file for the six folders")
        media.make_markers(environment.media)
        database.remember_markers()


def _serve(environment: Environment, database: Database, cache: Cache, log: Log) -> None:
    application = Application(environment, database, cache, log)
    if environment.telemetry and "api" in environment.workers:
        metrics.serve(
            environment.integers["IMMICH_API_METRICS_PORT"],
            lambda: (
                f'target_info{{service_name="immich",service_version="{application.version}"}} 1\n'
                "immich_users_total 1\n"
            ),
        )
    if environment.telemetry and "microservices" in environment.workers:
        metrics.serve(
            environment.integers["IMMICH_MICROSERVICES_METRICS_PORT"],
            lambda: "immich_queues_metadata_extraction_active 0\n",
        )
    if "microservices" in environment.workers:
        log("Immich Microservices is running (stand-in)")
    if "api" not in environment.workers:
        threading.Event().wait()
    server = Server(application)
    log(
        f"Immich Server is listening on port {environment.integers['IMMICH_PORT']} (stand-in v{application.version})"
    )
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())

"""Stand-in of Immich's server: starts, refuses to start, and stops as the real one does. It knows no photo."""

from __future__ import annotations

import json
import os
import signal
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
    """1 when it refuses to start; 0 after SIGTERM, when all requests have their answers."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        environment = read(os.environ)
    except InvalidEnvironmentError as error:
        print(f"Error: Invalid environment variables:\n{error}", file=sys.stderr, flush=True)
        return 1
    log = Log(environment)
    database, cache = Database(environment.database()), Cache(environment.cache())
    try:
        # Interruptible: whoever waits for a database for minutes still wants to stop it.
        _in_thread(lambda: _start(environment, database, cache, log), stop)
    except (UnusableError, media.MediaError) as error:
        log(str(error), level="fatal")
        return 1
    if stop.is_set():
        return 0
    _serve(environment, database, cache, log, stop)
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
    if "api" in environment.workers and (removed := media.remove_unfinished(environment.media)):
        log(f"removed {removed} unfinished uploads")


def _in_thread(work: object, stop: threading.Event) -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            assert callable(work)
            work()
        except BaseException as error:  # noqa: BLE001  raised again by who started the thread
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive() and not stop.is_set():
        thread.join(0.1)
    if failed:
        raise failed[0]


def _serve(
    environment: Environment, database: Database, cache: Cache, log: Log, stop: threading.Event
) -> None:
    application = Application(environment, database, cache, log)
    if environment.telemetry and "api" in environment.workers:
        metrics.serve(
            environment.integers["IMMICH_API_METRICS_PORT"],
            application.requests.text,
        )
    if environment.telemetry and "microservices" in environment.workers:
        metrics.serve(
            environment.integers["IMMICH_MICROSERVICES_METRICS_PORT"],
            lambda: "immich_queues_metadata_extraction_active 0\n",
        )
    if "microservices" in environment.workers:
        log("Immich Microservices is running (stand-in)")
    if "api" not in environment.workers:
        stop.wait()
        return
    server = Server(application)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    log(
        f"Immich Server is listening on port {environment.integers['IMMICH_PORT']} (stand-in v{application.version})"
    )
    stop.wait()
    log("SIGTERM: no new connections, requests in progress go on")
    application.stopping = True
    server.shutdown()
    server.socket.close()
    application.wait_until_idle()
    log("stopped")


if __name__ == "__main__":
    sys.exit(main())

"""Serve the language host on a loopback port, tell the engine which, and run programs until it says stop.

The engine starts this executable with its own address as the last argument, reads the port from the first line of
stdout, and ends it with SIGINT.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from io import TextIOWrapper
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import grpc
from pulumi.runtime.proto import language_pb2_grpc

from toolchain.offline.language_host.policy_process import stop_all
from toolchain.offline.language_host.program import Outcome, run
from toolchain.offline.language_host.service import LanguageHost

if TYPE_CHECKING:
    from pulumi.runtime.proto import language_pb2

_MESSAGE_LIMIT = 400 * 1024 * 1024  # bytes; the engine's own limit
_OPTIONS = [
    ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
    ("grpc.max_send_message_length", _MESSAGE_LIMIT),
]

Job = tuple["language_pb2.RunRequest", "Future[Outcome]"]


def _leave() -> NoReturn:
    # os._exit: an interrupted program has threads and an event loop that would print tracebacks on an orderly exit.
    stop_all()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(0)


def _on_signal(_signal: int, _frame: FrameType | None) -> NoReturn:
    _leave()


def _leave_on_signals() -> None:
    """End the process on SIGINT and SIGTERM, whatever the main thread is doing.

    Python runs a handler on the main thread alone, and one that is just about to block on a lock would not see the
    signal; the engine would then wait five seconds before it kills. The wake-up descriptor is written at once.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def wait() -> None:
        reader.recv(1)
        _leave()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _on_signal)
    signal.set_wakeup_fd(writer.fileno())
    _kept_open.append(writer)


_kept_open: list[socket.socket] = []


def _leave_with_the_engine() -> None:
    """End the process when the engine is gone without a signal: killed, or its output's reader closed."""
    engine = os.getppid()

    def watch() -> None:
        while os.getppid() == engine:
            time.sleep(1)
        _leave()

    threading.Thread(target=watch, name="engine", daemon=True).start()


def main() -> NoReturn:
    """Serve until a signal, or the end of the engine, ends the process."""
    _leave_on_signals()
    _leave_with_the_engine()
    for stream in (sys.stdout, sys.stderr):
        # The engine shows lines as they come; a pipe is block-buffered otherwise.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    engine_address = addresses[-1] if addresses else ""

    jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()

    def on_main_thread(request: language_pb2.RunRequest) -> Outcome:
        done: Future[Outcome] = Future()
        jobs.put((request, done))
        return done.result()

    server = grpc.server(ThreadPoolExecutor(max_workers=16), options=_OPTIONS)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(on_main_thread), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)

    # Programs may use signals and event loops that only a process's main thread may set up.
    while True:
        request, done = jobs.get()
        done.set_result(run(request, engine_address))


if __name__ == "__main__":
    main()

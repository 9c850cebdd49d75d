"""Processes that the engine runs through the language host: policy packs, each a Python program of its own."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pulumi.runtime.proto import language_pb2

if TYPE_CHECKING:
    import grpc

_CHUNK = 64 * 1024  # bytes
_running: set[subprocess.Popen[bytes]] = set()
_lock = threading.Lock()


def stop_all() -> None:
    """Kill every process that is still running: its engine is going away."""
    for process in tuple(_running):
        process.kill()


def interpreter(request: language_pb2.RunPluginRequest) -> str:
    """The Python of the pack's `virtualenv` option (relative to the pack) if there is one, else this process's own."""
    directory = Path(request.info.program_directory or request.program)
    wanted = (
        request.info.options.fields["virtualenv"].string_value if request.info.HasField("options") else ""
    )
    if wanted:
        python = directory / wanted / "bin" / "python"
        if python.exists():
            return str(python)
    return sys.executable


def run_plugin(
    request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
) -> Iterator[language_pb2.RunPluginResponse]:
    """Run the program in the request, passing on what it prints, and end with its exit code."""
    environment = {**os.environ, **dict(entry.split("=", 1) for entry in request.env if "=" in entry)}
    program = request.info.program_directory or request.program
    process = subprocess.Popen(
        [interpreter(request), "-u", program, *request.args],
        cwd=request.pwd or None,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    with _lock:
        _running.add(process)
    context.add_callback(process.kill)
    try:
        yield from _output(process)
        yield language_pb2.RunPluginResponse(exitcode=process.wait())
    finally:
        process.kill()
        process.wait()
        with _lock:
            _running.discard(process)


def _output(process: subprocess.Popen[bytes]) -> Iterator[language_pb2.RunPluginResponse]:
    responses: queue.SimpleQueue[language_pb2.RunPluginResponse | None] = queue.SimpleQueue()

    def pump(stream: IO[bytes], *, errors: bool) -> None:
        while chunk := stream.read(_CHUNK):
            responses.put(
                language_pb2.RunPluginResponse(stderr=chunk)
                if errors
                else language_pb2.RunPluginResponse(stdout=chunk)
            )
        responses.put(None)

    pumps: list[threading.Thread] = []
    for stream, errors in ((process.stdout, False), (process.stderr, True)):
        if stream is not None:
            pumps.append(
                threading.Thread(target=pump, args=(stream,), kwargs={"errors": errors}, daemon=True)
            )
    for thread in pumps:
        thread.start()
    open_streams = len(pumps)
    while open_streams:
        response = responses.get()
        if response is None:
            open_streams -= 1
        else:
            yield response

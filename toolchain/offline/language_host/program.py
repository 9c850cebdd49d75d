"""Run one Pulumi program in this process, as `pulumi-language-python-exec` of the official host does in its own.

What a person sees of a failure: the message alone for a `pulumi.RunError` and for `sys.exit("message")`, place and
caret for a syntax error, the program's own frames for any other exception.
"""

from __future__ import annotations

import asyncio
import logging
import os
import runpy
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import grpc
from pulumi import RunError, log
from pulumi.runtime import reset_options, run_in_stack, set_all_config

if TYPE_CHECKING:
    from pulumi.runtime.proto import language_pb2


@dataclass(frozen=True)
class Outcome:
    """How a program ended."""

    error: str = ""
    """Message for the engine to show; empty when the program succeeded or has shown its own."""
    bail: bool = False
    """The program failed and its message has been shown already."""


_SUCCESS = Outcome()
_SHOWN = Outcome(bail=True)
_DISCONNECTED = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})


def entry_point(request: language_pb2.RunRequest) -> Path:
    """File that the engine asks to run: the program directory's `__main__.py` unless it names another."""
    directory = Path(request.info.program_directory or request.pwd)
    named = directory / (request.info.entry_point or ".")
    return named / "__main__.py" if named.is_dir() else named


def run(request: language_pb2.RunRequest, engine_address: str) -> Outcome:
    """Run the program of a request to its end; must be called on the main thread."""
    reset_options(
        project=request.project,
        stack=request.stack,
        root_directory=request.info.root_directory or None,
        parallel=request.parallel,
        engine_address=engine_address,
        monitor_address=request.monitor_address,
        preview=request.dryRun,
        organization=request.organization or "organization",
    )
    set_all_config(dict(request.config), list(request.configSecretKeys))
    program = entry_point(request)
    if not program.is_file():
        log.error(f"There is no Pulumi program at {program}.")
        return _SHOWN
    if request.pwd:
        os.chdir(request.pwd)
    sys.path.insert(0, str(program.parent))
    sys.argv = [str(program), *request.args]
    try:
        return _run_to_end(program, max(request.parallel, 1) * 4)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _run_to_end(program: Path, workers: int) -> Outcome:
    # A failed program leaves futures that nobody awaits; asyncio would report each of them beside the real message.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(max_workers=workers))
    try:
        loop.run_until_complete(run_in_stack(lambda: _execute(program)))
    except RunError as failure:
        log.error(str(failure))
        return _SHOWN
    except SystemExit as leaving:
        return _after_exit(leaving)
    except grpc.RpcError as failure:
        return _after_rpc_error(failure)
    except Exception as failure:  # noqa: BLE001  whatever a program raises is shown to its author
        log.error(f"The program failed with an unhandled exception:\n{describe(failure, program)}")
        return _SHOWN
    finally:
        _close(loop)
    return _SUCCESS


def _execute(program: Path) -> None:
    runpy.run_path(str(program), run_name="__main__")


def _after_exit(leaving: SystemExit) -> Outcome:
    if leaving.code is None or leaving.code == 0:
        return _SUCCESS
    if isinstance(leaving.code, int):
        return Outcome(error=f"The program ended with exit code {leaving.code}.")
    log.error(str(leaving.code))
    return _SHOWN


def _after_rpc_error(failure: grpc.RpcError) -> Outcome:
    code = cast("Callable[[], grpc.StatusCode] | None", getattr(failure, "code", None))
    details = cast("Callable[[], str | None] | None", getattr(failure, "details", None))
    if code is not None and code() in _DISCONNECTED:
        return _SHOWN  # the engine is stopping and says itself why
    message = (details() if details is not None else None) or str(failure)
    log.error(message)
    return _SHOWN


def describe(failure: BaseException, program: Path) -> str:
    """The failure as the program's author needs it: without the frames of this host and of asyncio."""
    if isinstance(failure, SyntaxError):
        return "".join(traceback.format_exception_only(failure)).rstrip()
    frames = traceback.extract_tb(failure.__traceback__)
    own = next((at for at, frame in enumerate(frames) if Path(frame.filename) == program), None)
    if own is None:
        return "".join(traceback.format_exception(failure)).rstrip()
    return "".join(
        traceback.format_exception(type(failure), failure, failure.__traceback__, limit=own - len(frames))
    ).rstrip()


def _close(loop: asyncio.AbstractEventLoop) -> None:
    pending = asyncio.all_tasks(loop)
    for task in pending:
        task.cancel()
    if pending:
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_default_executor())
    asyncio.set_event_loop(None)
    loop.close()

"""Tasks of a stack on one host: ask for a run and follow it, read what the last ones said, and forget failed attempts.

The steps are containers that look for a request in the folder of their task, which all of them have mounted
(components/platform/docker/tasks.py). Everything is asked of the engine; no file of the host is read.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import tarfile
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from components.model.task import BACKUP_FOLDER
from components.platform.docker.tasks import ONCE_LABEL, RUNS, STEP_LABEL, TASK_LABEL
from toolchain.failure import ToolchainError

if TYPE_CHECKING:
    from components.settings.docker import Docker
    from toolchain.offline.plugins.docker.connection import Engine
    from toolchain.offline.plugins.values import Object

Progress = Callable[[str], None]

_POLL: Final = 1.0
"""Seconds between two looks at a run."""
_BEGIN: Final = 60.0
"""Seconds after which a request that nobody took is given up, while no run is going on."""
_TAIL: Final = 20
_STAMP: Final = re.compile(r"(\S+) (.*)", re.DOTALL)


@dataclass(frozen=True)
class Step:
    """A container of a step."""

    task: str
    number: int
    id: str
    name: str
    state: str
    """running, exited, restarting ..."""
    once: bool


@contextmanager
def connected(docker: Docker, env: Mapping[str, str]) -> Generator[Engine]:
    """The engine of a stack. ToolchainError when it does not answer."""
    from components.platform.docker import reach
    from toolchain.offline.plugins.docker.connection import Engine
    from toolchain.offline.plugins.docker.settings import Settings
    from toolchain.offline.plugins.provider import ProviderError

    try:
        engine = Engine(
            Settings(
                host=reach.address(docker.host, env),
                cert_path=str(docker.tls_folder or env.get("DOCKER_CERT_PATH", "")),
                ssh_options=tuple(docker.ssh_options),
            ),
            threading.Event(),
        )
        try:
            yield engine
        finally:
            engine.close()
    except ProviderError as error:
        raise ToolchainError(str(error)) from None


def steps(engine: Engine, stack: str) -> list[Step]:
    """The steps of all tasks of a stack, by task and number."""
    from toolchain.offline.plugins.values import as_object, as_text

    filters = {"label": [f"immich.stack={stack}", TASK_LABEL]}
    answer = engine.get("/containers/json", all=True, filters=filters)
    found: list[Step] = []
    for one in answer if isinstance(answer, list) else []:
        container = as_object(one)
        labels, names = as_object(container.get("Labels")), container.get("Names")
        name = as_text(names[0]) if isinstance(names, list) and names else ""
        found.append(
            Step(
                task=as_text(labels.get(TASK_LABEL)),
                number=int(as_text(labels.get(STEP_LABEL), "0")),
                id=as_text(container.get("Id")),
                name=name.lstrip("/"),
                state=as_text(container.get("State")),
                once=as_text(labels.get(ONCE_LABEL)) == "true",
            )
        )
    return sorted(found, key=lambda step: (step.task, step.number))


def run(stack: str, docker: Docker, task: str, env: Mapping[str, str], progress: Progress) -> int:
    """Run a task now; `progress` gets a line now and then, and what the steps say. 0 when the run succeeded, else 1.

    A run that is going on is waited for first. ToolchainError for a task that the stack has not, and for one whose
    containers do not run.
    """
    with connected(docker, env) as engine:
        mine = _of(engine, stack, task)
        if stopped := [step for step in mine if step.state != "running"]:
            names = ", ".join(f"{step.name} is {step.state}" for step in stopped)
            raise ToolchainError(
                f"{task} cannot run: {names}. `make up STACK={stack}` brings its containers back"
            )
        token = secrets.token_hex(8)
        _ask(engine, mine[0], token)
        result = _follow(engine, mine, token, progress)
        for name, status in read_status_of(engine, mine[0]).items():
            if status.get("run") == result.get("run"):
                progress(f"{name}: {status.get('result')}, {status.get('verdict')}: {status.get('message')}")
    if result.get("result") == "success":
        progress(f"{task}: success (run {result.get('run')})")
        return 0
    progress(_told(result))
    return 1


def read_status(stack: str, docker: Docker, env: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """What each part of the last runs wrote about itself, by its name; `run-<task>` is how each task ended last."""
    with connected(docker, env) as engine:
        found: dict[str, dict[str, object]] = {}
        every = steps(engine, stack)
        for task in dict.fromkeys(step.task for step in every):
            first = next(step for step in every if step.task == task)
            found |= read_status_of(engine, first)
            if result := _result(engine, first):
                found[f"run-{task}"] = result
        return found


def read_status_of(engine: Engine, step: Step) -> dict[str, dict[str, object]]:
    """The status files that a step's container sees, by name."""
    found: dict[str, dict[str, object]] = {}
    for name, text in _files(engine, step, f"{BACKUP_FOLDER}/status").items():
        if name.endswith(".json"):
            found[name.removesuffix(".json")] = _object(text)
    return found


def failed_attempts(engine: Engine, stack: str) -> list[Step]:
    """Containers of steps that run once, have ended and have failed."""
    from toolchain.offline.plugins.values import dig

    found: list[Step] = []
    for step in steps(engine, stack):
        if not step.once or step.state == "running":
            continue
        live = engine.found(f"/containers/{step.id}/json")
        if live is not None and dig(live, "State", "ExitCode") != 0:
            found.append(step)
    return found


def forget_failed(stack: str, docker: Docker, env: Mapping[str, str]) -> list[str]:
    """Remove what failed attempts of tasks that run once left, so that the next `up --refresh` makes them anew.

    Gives their names. What ended well stays, and is not run again.
    """
    with connected(docker, env) as engine:
        attempts = failed_attempts(engine, stack)
        for step in attempts:
            engine.delete(f"/containers/{step.id}", force=True, v=True)
        return [step.name for step in attempts]


def explain_failed(stack: str, docker: Docker, env: Mapping[str, str]) -> list[str]:
    """For people, after an `up` that failed: the last lines of each failed step's log, and what its status says."""
    with connected(docker, env) as engine:
        lines: list[str] = []
        for step in failed_attempts(engine, stack):
            lines.append(f"{step.name} said at last:")
            lines += [f"  {line}" for _, line in _log(engine, step)[-_TAIL:]]
            for name, status in read_status_of(engine, step).items():
                if status.get("result") == "failed":
                    lines.append(f"status {name}: {status.get('verdict')}: {status.get('message')}")
        return lines


def _of(engine: Engine, stack: str, task: str) -> list[Step]:
    every = [step for step in steps(engine, stack) if not step.once]
    if mine := [step for step in every if step.task == task]:
        return mine
    known = ", ".join(dict.fromkeys(step.task for step in every)) or "none"
    raise ToolchainError(
        f"{stack} has no task {task!r} that can be run. Tasks there: {known}. `make up STACK={stack}` makes those of "
        f"Pulumi.{stack}.yaml"
    )


def _ask(engine: Engine, step: Step, token: str) -> None:
    """Put the request into the folder of the task, as the step's own user."""
    from toolchain.offline.plugins.values import as_object, as_text

    folder = _folder(step.task)
    write = f'printf "%s\\n" "$1" >{folder}/request.new && mv {folder}/request.new {folder}/request'
    body: Object = {"Cmd": ["/bin/sh", "-c", write, "request", token]}
    made = as_object(engine.post(f"/containers/{step.id}/exec", body))
    identifier = as_text(made.get("Id"))
    engine.post(f"/exec/{identifier}/start", {"Detach": True})
    while True:
        live = engine.found(f"/exec/{identifier}/json") or {}
        if live.get("Running") is not True:
            break
        engine.pause(0.1, "asking for a run")
    if live.get("ExitCode") != 0:
        raise ToolchainError(
            f"{step.task} cannot be asked for a run: {folder} cannot be written in {step.name}. Is the volume full?"
        )


def _follow(engine: Engine, mine: Sequence[Step], token: str, progress: Progress) -> Mapping[str, object]:
    first, asked = mine[0], time.monotonic()
    seen: dict[str, str] = {}
    begun = False
    for step in mine:
        seen[step.id] = max((stamp for stamp, _ in _log(engine, step)), default="")
    progress(f"{first.task}: asked for a run; Ctrl-C ends only the watching")
    while True:
        result = _result(engine, first)
        if begun := begun or result.get("request") == token:
            for step in mine:
                for stamp, line in _log(engine, step):
                    if stamp > seen[step.id]:
                        seen[step.id] = stamp
                        progress(f"{step.name}: {line}")
        if result.get("request") == token and result.get("result") != "running":
            return result
        if not begun:
            asked = _patience(result, first, asked, progress)
        engine.pause(_POLL, f"waiting for {first.task}")


def _patience(result: Mapping[str, object], first: Step, asked: float, progress: Progress) -> float:
    """Since when nothing hinders the run from being begun."""
    if result.get("result") == "running":
        if time.monotonic() - asked >= 15:
            progress(f"{first.task}: run {result.get('run')} still goes on; this one comes after it")
            return time.monotonic()
        return asked
    if time.monotonic() - asked > _BEGIN:
        raise ToolchainError(
            f"{first.task} did not begin within {_BEGIN:.0f} s. `docker logs {first.name}` says what it does"
        )
    return asked


def _told(result: Mapping[str, object]) -> str:
    why = {
        "deadline": "took too long and was ended",
        "stopped": "was stopped from outside",
        "interrupted": "was killed, or the machine went down",
    }.get(str(result.get("reason")), f"ended with exit code {result.get('exitCode')}")
    return f"{result.get('task')}: failed (run {result.get('run')}): {result.get('step')} {why}"


def _folder(task: str) -> str:
    return f"{BACKUP_FOLDER}/{RUNS}/{task}"


def _result(engine: Engine, step: Step) -> dict[str, object]:
    return _object(_files(engine, step, f"{_folder(step.task)}/result.json").get("result.json", "{}"))


def _object(text: str) -> dict[str, object]:
    from toolchain.deployment import mapping

    try:
        return mapping(json.loads(text))
    except ValueError:
        return {}


def _files(engine: Engine, step: Step, path: str) -> dict[str, str]:
    """The small files of a folder in a container, running or not, or the one file; nothing where there is none."""
    from toolchain.offline.plugins.docker.connection import RefusedError

    try:
        content = engine.raw(f"/containers/{step.id}/archive?path={quote(path)}")
    except RefusedError as error:
        if error.status == 404:
            return {}
        raise
    found: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for entry in archive:
            opened = archive.extractfile(entry) if entry.isfile() else None
            if opened is not None:
                found[entry.name.rpartition("/")[2]] = opened.read().decode(errors="replace")
    return found


def _log(engine: Engine, step: Step) -> list[tuple[str, str]]:
    """When, and what a container said, the last lines of it."""
    from toolchain.offline.plugins.docker.containers import demultiplexed

    data = engine.raw(f"/containers/{step.id}/logs", stdout=True, stderr=True, timestamps=True, tail=200)
    lines = demultiplexed(data).decode(errors="replace").splitlines()
    return [(found[1], found[2]) for line in lines if (found := _STAMP.match(line))]

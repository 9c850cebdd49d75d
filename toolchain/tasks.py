"""`python -m toolchain.tasks run STACK TASK`: a task now, followed to its verdict. `... status STACK`: the last runs.

Exit code 0 when the run succeeded, or when no last run failed; 1 otherwise.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from toolchain import environment
from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import settings_file
from toolchain.stack_settings import settings_without_secrets, stack_texts

if TYPE_CHECKING:
    from components.settings.model import Settings
    from toolchain.tasks_kubernetes import Cluster

_USAGE: Final = "usage: python -m toolchain.tasks run STACK TASK | status STACK"
_DAY: Final = 86_400


def run(stack: str, task: str, progress: Callable[[str], None]) -> int:
    """Run a task of a stack now. 0 when it succeeded. ToolchainError when it cannot be run."""
    settings, env = _settings(stack), environment.full(os.environ)
    if settings.docker is not None:
        from toolchain import tasks_docker

        return tasks_docker.run(stack, settings.docker, task, env, progress)
    from toolchain import tasks_kubernetes

    return tasks_kubernetes.run(_cluster(stack, settings), task, tell=progress)


def read_status(stack: str) -> dict[str, dict[str, object]]:
    """What each part of the last runs wrote about itself, by its name."""
    settings, env = _settings(stack), environment.full(os.environ)
    if settings.docker is not None:
        from toolchain import tasks_docker

        return tasks_docker.read_status(stack, settings.docker, env)
    from toolchain import tasks_kubernetes

    return tasks_kubernetes.read_status(_cluster(stack, settings))


def _cluster(stack: str, settings: Settings) -> Cluster:
    from toolchain.tasks_kubernetes import Cluster

    return Cluster.connect(stack, str(settings.kubernetes.namespace), settings.kubernetes.context)


def table(found: Mapping[str, Mapping[str, object]], now: float) -> str:
    """Status files for people, one line each."""
    rows = [("part", "result", "last success", "verdict")]
    for name, status in sorted(found.items()):
        success = status.get("lastSuccess")
        if name.startswith("run-") and status.get("result") == "success":
            success = status.get("finished")
        said = status.get("message") or status.get("verdict") or status.get("reason") or ""
        rows.append((name, str(status.get("result", "?")), _ago(success, now), str(said)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    )


def _ago(moment: object, now: float) -> str:
    if not isinstance(moment, int | float) or moment <= 0:
        return "never"
    minutes = max(0, round((now - moment) / 60))
    if minutes < 120:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 2 * _DAY / 60 else f"{minutes // 1440} d ago"


def _settings(stack: str) -> Settings:
    texts, hidden = stack_texts(settings_file(stack))
    settings, _ = settings_without_secrets(stack, texts, hidden)
    return settings


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """The command line."""
    match sys.argv[1:]:
        case ["run", stack, task]:
            return run(stack, task, _say)
        case ["status", stack]:
            found = read_status(stack)
            if not found:
                raise ToolchainError(
                    f"no task of {stack} has run yet: `make up STACK={stack}`, then wait or run one"
                )
            _say(table(found, time.time()))
            return 1 if any(status.get("result") == "failed" for status in found.values()) else 0
        case _:
            raise ToolchainError(_USAGE)


if __name__ == "__main__":
    exit_with(main)

"""`make shell STACK=x PART=server [ARGS="command"]`: a shell, or a command, in a container of a deployment."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from components.platform.docker import reach
from components.recovery.runbooks import engine_command
from toolchain import environment
from toolchain.failure import ToolchainError, exit_with
from toolchain.restart import of_part
from toolchain.verify.opening import deployed, open_running
from toolchain.verify.running import RunningError

if TYPE_CHECKING:
    from components.settings.model import Settings

_SHELL: Final = ("sh",)
_USAGE: Final = (
    "usage: python -m toolchain.shell STACK PART [COMMAND ...]   (make shell STACK=... PART=server)"
)


def command_line(settings: Settings, container: str, inside: Sequence[str], *, terminal: bool) -> list[str]:
    """The command of the platform's own client that runs `inside` in a container, or a pod's first one."""
    docker, flags = settings.docker, ["-it"] if terminal else ["-i"]
    if docker is None:
        cluster = settings.kubernetes
        context = ["--context", cluster.context] if cluster.context else []
        place = ["kubectl", *context, "-n", str(cluster.namespace), "exec", *flags, container, "--"]
        return [*place, *inside]
    if docker.host is None or docker.host.scheme != "ssh":
        return [*shlex.split(engine_command(settings)), "exec", *flags, container, *inside]
    # Through ssh itself: it takes the options of the settings, and this machine needs no client of the engine.
    there = shlex.join([docker.engine, "exec", *flags, container, *inside])
    return [*reach.ssh_line(str(docker.host), docker.ssh_options, *(["-t"] if terminal else [])), there]


def variables(settings: Settings, env: Mapping[str, str]) -> dict[str, str]:
    """The environment, with the folder of certificates that the settings name."""
    docker = settings.docker
    if docker is None or docker.tls_folder is None:
        return dict(env)
    return {**env, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(docker.tls_folder)}


def main() -> int:
    """`python -m toolchain.shell STACK PART [COMMAND ...]`; the exit code is the command's."""
    stack, part, *inside = [*sys.argv[1:3], "", ""][:2] + sys.argv[3:]
    if not stack or stack.startswith("-") or part.startswith("-"):
        raise ToolchainError(_USAGE)
    settings = deployed(stack)
    try:
        unit = of_part(open_running(stack, settings), stack, part)[0]
    except RunningError as error:
        raise ToolchainError(str(error)) from None
    line = command_line(settings, unit.name, inside or _SHELL, terminal=sys.stdin.isatty())
    try:
        os.execvpe(line[0], line, variables(settings, environment.full(os.environ)))  # noqa: S606
    except OSError as error:
        raise ToolchainError(
            f"{line[0]} cannot be started ({error.strerror}): install it, or run where it is: {shlex.join(line)}"
        ) from None


if __name__ == "__main__":
    exit_with(main)

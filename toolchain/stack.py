"""`make up`, `make preview`, `make refresh`: the CLI with the toolchain's environment, and the stack made when absent.

The CLI writes the salt of a stack's passphrase into `Pulumi.<stack>.yaml`. With the generated passphrase, which never
leaves this clone, that line is of no use to anybody else and would dirty a committed file, so it is taken out again;
the state keeps the salt, and the CLI finds it there (PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER). A file that holds
`secure:` values keeps its salt: without it they could be lost together with the state.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

from toolchain import api_server, environment, interrupted, kept_data, plugin_origin, rendered, summary
from toolchain.deployment import Json, export, items, mapping
from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import RENDERED, ROOT, settings_file
from toolchain.progress import warn
from toolchain.rendered import target_of

if TYPE_CHECKING:
    from components.settings.docker import Docker
    from components.settings.model import Settings

_SALT: Final = re.compile(rb"^encryptionsalt:.*\n?", re.MULTILINE)
_SECURE: Final = re.compile(rb"^\s+secure:", re.MULTILINE)
_COMMANDS: Final = {
    "up": ("up", "--yes"),
    "preview": ("preview",),
    "refresh": ("refresh", "--yes"),
}

_UNASKED: Final = "--offline"
"""Of a preview: the API server is not asked whether it answers."""

_OTHER_SALT: Final = (
    "\nPulumi.{stack}.yaml holds the salt of another passphrase than this shell's: name that one with "
    "PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE, or, if the file holds no `secure:` values, remove "
    "its line `encryptionsalt:`."
)


def without_salt(current: bytes, committed: bytes | None) -> bytes:
    """A settings file as it should be left: without a salt line, unless it is committed or protects secure values."""
    if _SECURE.search(current) or (committed is not None and _SALT.search(committed)):
        return current
    stripped = _SALT.sub(b"", current)
    # The CLI may have rewritten white space as well; what was committed is what the person wrote.
    if committed is not None and b"".join(stripped.split()) == b"".join(committed.split()):
        return committed
    return stripped


def _committed(path: Path) -> bytes | None:
    shown = subprocess.run(
        ["git", "show", f"HEAD:./{path.name}"], cwd=path.parent, capture_output=True, check=False
    )
    return shown.stdout if shown.returncode == 0 else None


def _of_a_host(settings: bytes) -> dict[str, object] | None:
    """The section `docker` of a stack's file; None on a cluster, and where the file is wrong: others say that."""
    from toolchain import stack_file

    try:
        values = stack_file.parse(settings).values
    except ToolchainError:
        return None
    return mapping(values["docker"]) if "docker" in values else None


def looks_first(command: str, settings: bytes) -> tuple[str, ...]:
    """Options that have the CLI look at what is there before it compares.

    On one host a container that was stopped is noticed by nothing else; a cluster starts its pods again by itself. The
    program says first where the host is now.
    """
    return (
        ("--refresh", "--run-program")
        if command in {"up", "preview"} and _of_a_host(settings) is not None
        else ()
    )


def silent_engine(settings: bytes, env: Mapping[str, str]) -> str | None:
    """One sentence on why the engine of a stack on one host does not answer; None where it does, or on a cluster.

    Asked before the CLI looks at what is there: that says it once for each object.
    """
    section = _of_a_host(settings)
    if section is None:
        return None
    from components.platform.docker.reach import silence

    host, folder = section.get("host"), section.get("tlsFolder")
    return silence(
        host if isinstance(host, str) and host != "auto" else None,
        env,
        tls_folder=folder if isinstance(folder, str) else None,
        ssh_options=[str(one) for one in items(section.get("sshOptions"))],
    )


@contextmanager
def tidy_settings(path: Path, env: Mapping[str, str]) -> Generator[None, None, None]:
    """Take out the salt that the CLI adds to the settings file meanwhile, when the passphrase is the generated one."""
    before = path.read_bytes()
    try:
        yield
    finally:
        if environment.uses_own_passphrase(env) and path.exists():
            committed = _committed(path)
            current = path.read_bytes()
            wanted = without_salt(current, before if committed is None else committed)
            if wanted != current:
                path.write_bytes(wanted)


def run(arguments: Sequence[str], env: Mapping[str, str], cwd: Path = ROOT) -> int:
    """Run the CLI in the foreground and give its exit code; Ctrl-C reaches the CLI, which ends in its own order."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # The child would inherit an ignored SIGINT; restored before it starts.
        process = subprocess.Popen(
            ["pulumi", *arguments],
            cwd=cwd,
            env=dict(env),
            preexec_fn=_default_interrupt,  # noqa: PLW1509  no threads here
        )
        return process.wait()
    except FileNotFoundError as error:
        raise ToolchainError("The Pulumi CLI is not set up yet: run `make setup`.") from error
    finally:
        signal.signal(signal.SIGINT, previous)


def _default_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ensure(stack: str, env: Mapping[str, str], cwd: Path = ROOT) -> Json:
    """The stack's state; the stack is made in the backend when it is not there.

    Raises ToolchainError with the CLI's words when that fails. The lock of a run that was killed is taken away first.
    """
    interrupted.release_lock(stack, env)
    if (state := export(stack, env, cwd)) is not None:
        return state
    made = subprocess.run(
        ["pulumi", "stack", "init", stack, "--no-select", "--non-interactive"],
        cwd=cwd,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0 and "already exists" not in made.stderr:
        hint = _OTHER_SALT.format(stack=stack) if "incorrect passphrase" in made.stderr else ""
        raise ToolchainError(f"The stack {stack} could not be made:\n{made.stderr.strip()}{hint}")
    return {}


def _judged(command: str, stack: str, settings: Path) -> AbstractContextManager[list[str]]:
    """The policy pack, for what plans changes; a refresh only looks."""
    if command == "refresh":
        return nullcontext([])
    from toolchain import policies

    return policies.options(stack, settings)


def main() -> int:
    """`python -m toolchain.stack up|preview|refresh STACK [CLI options]`."""
    if len(sys.argv) < 3 or sys.argv[1] not in _COMMANDS:
        raise ToolchainError(
            f"usage: python -m toolchain.stack {'|'.join(_COMMANDS)} STACK [options of the CLI]"
        )
    from toolchain import stack_file

    command, stack, *options = sys.argv[1:]
    env = environment.full(os.environ)
    settings = settings_file(stack)
    values = stack_file.read(settings).values
    if target_of(values) == "render":
        # The official plugin asks a cluster first, and then advises to drop everything from the state.
        options = [option for option in options if option not in {"--refresh", "-r"}]
        if command == "refresh":
            raise ToolchainError(
                f"The stack {stack} renders files (immich:kubernetes.target): there is no cluster to read back. "
                f"Nothing was done; `make render STACK={stack}` writes every file again"
            )
    if (reason := silent_engine(settings.read_bytes(), env)) is not None:
        raise ToolchainError(f"{reason}. Nothing was planned or changed")
    if command != "refresh":
        _look_at_host(command, stack, env)
    planned = command == "preview" and _UNASKED in options
    if not planned and (reason := api_server.silence(values, env)) is not None:
        raise ToolchainError(
            f"{reason}. Nothing was planned or changed. `make render STACK={stack}` writes what the cluster would get, "
            f"and `make preview STACK={stack} ARGS={_UNASKED}` plans as if nothing were there"
        )
    change = plugin_origin.CHANGE in options
    options = [option for option in options if option not in {_UNASKED, plugin_origin.CHANGE}]
    with tidy_settings(settings, env):
        state = plugin_origin.check(stack, ensure(stack, env), env, change=change, write=command != "preview")
        if command != "preview":
            state = interrupted.repair(stack, state, env)
        if command == "up" and (client := api_server.client_of(values, env)) is not None:
            kept_data.take_back(stack, state, client, env)
        renders = target_of(values) == "render"
        return _carry_out(command, stack, options, state, env, renders=renders)


def _carry_out(
    command: str, stack: str, options: list[str], state: Json, env: Mapping[str, str], *, renders: bool
) -> int:
    settings = settings_file(stack)
    looks = looks_first(command, settings.read_bytes())
    if looks and command == "up":
        _forget_failed(stack, env)
    writes = rendered.closed_secrets(RENDERED / stack) if renders else nullcontext()
    shows = command == "up" and not {"--json", "--suppress-outputs"} & set(options)
    quiet = ["--suppress-outputs"] if shows else []
    with writes, _judged(command, stack, settings) as judged:
        code = run([*_COMMANDS[command], *looks, *judged, *quiet, "--stack", stack, *options], env)
    if shows and code == 0:
        print(f"\n{summary.show(stack, env, local=_is_local(stack, env))}", flush=True)
    if code != 0 and looks and command == "up":
        _explain_failed(stack, env)
    if code == 1 and command != "refresh":
        for line in kept_data.refused(stack, state, env):
            print(line, file=sys.stderr)
    return code


def _forget_failed(stack: str, env: Mapping[str, str]) -> None:
    """Steps that ran once and failed run again: the engine would take their containers for made."""
    from toolchain import tasks_docker

    if (docker := _host(stack)) is not None:
        for name in tasks_docker.forget_failed(stack, docker, env):
            print(f"{name} failed the last time and runs again", file=sys.stderr)


def _explain_failed(stack: str, env: Mapping[str, str]) -> None:
    from toolchain import tasks_docker

    if (docker := _host(stack)) is not None:
        for line in tasks_docker.explain_failed(stack, docker, env):
            print(line, file=sys.stderr)


def _look_at_host(command: str, stack: str, env: Mapping[str, str]) -> None:
    """Refuse an `up` of a host that lacks folders, or whose engine gives no GPU; a preview tells it."""
    from toolchain import engine_gpus, host_folders

    settings = _settings(stack)
    if settings is None or settings.docker is None:
        return
    absent = host_folders.missing(settings, stack, env)
    wrong = [
        host_folders.told(settings, absent) if absent else None,
        engine_gpus.problem(settings, stack, env),
    ]
    if said := "\n".join(one for one in wrong if one is not None):
        if command == "up":
            raise ToolchainError(f"{said}\nNothing was planned or changed.")
        warn(said)


def _is_local(stack: str, env: Mapping[str, str]) -> bool:
    """Whether the stack is on this machine's own engine."""
    from components.platform.docker import reach

    docker = _host(stack)
    return docker is not None and reach.address(str(docker.host or "") or None, env).startswith("unix://")


def _host(stack: str) -> Docker | None:
    settings = _settings(stack)
    return settings.docker if settings is not None else None


def _settings(stack: str) -> Settings | None:
    """The stack's settings; None where they are not right, which the CLI says better."""
    from toolchain.stack_settings import settings_without_secrets, stack_texts

    try:
        texts, hidden = stack_texts(settings_file(stack))
        return settings_without_secrets(stack, texts, hidden)[0]
    except ToolchainError:
        return None


if __name__ == "__main__":
    exit_with(main)

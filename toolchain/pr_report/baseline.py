"""A state to compare with where there is none: the program of the base commit, rendered into a throw-away backend.

A stack that renders needs no cluster and no account, so what a change does to it can be seen from two commits alone:
the base is brought up in a directory of its own, and the work tree is previewed against the state that this leaves.
Both run with the dependencies of the work tree.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from toolchain.failure import ToolchainError
from toolchain.paths import settings_file
from toolchain.pr_report import doors, markdown
from toolchain.rendered import DIRECTORY_VARIABLE
from toolchain.stack import ensure

_CLUSTER: Final = ("KUBECONFIG",)
"""Variables that would have the provider talk to a cluster."""
_TAIL: Final = 40
"""Lines of a failed base that are shown."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Where to preview."""

    env: Mapping[str, str]
    note: str = ""
    """What the reader must know about what is compared with; Markdown."""


def rendering(stack: str, env: Mapping[str, str], settings: Mapping[str, object]) -> dict[str, str]:
    """An environment in which the stack renders. ToolchainError for a stack on a host, which cannot."""
    if "docker" in settings:
        raise ToolchainError(
            f"The stack {stack} is one on a Docker host, and only Kubernetes stacks can be rendered. "
            "Without --rendered its preview asks the host."
        )
    kept = {name: value for name, value in env.items() if name not in _CLUSTER}
    return {**kept, DIRECTORY_VARIABLE: f"rendered/{stack}"}


@contextmanager
def rendered(stack: str, base: str, env: Mapping[str, str], root: Path) -> Generator[Baseline, None, None]:
    """A throw-away backend with the base's stack in it, in a directory of its owner's alone, which is gone afterwards.

    `env` is one of `rendering`. When the base has no such stack, or does not come up, its state is empty and the
    note says so.
    """
    with tempfile.TemporaryDirectory(prefix="immich-base-") as name:
        directory = Path(name)
        state, project = directory / "state", directory / "project"
        state.mkdir()
        project.mkdir()
        own = {**env, "PULUMI_BACKEND_URL": f"file://{state}"}
        note = _bring_up(stack, base, own, root, project)
        ensure(stack, own, root)
        yield Baseline(own, note)


def _bring_up(stack: str, base: str, env: Mapping[str, str], root: Path, project: Path) -> str:
    _unpack(base, root, project)
    try:
        settings_file(stack, project)
    except ToolchainError:
        return "The base has no such stack: everything is new."
    if (root / ".venv").exists() and not (project / ".venv").exists():
        (project / ".venv").symlink_to(root / ".venv", target_is_directory=True)
    try:
        ensure(stack, env, project)
    except ToolchainError as error:
        return _as_new("The base could not be made", str(error))
    done = subprocess.run(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", stack],
        cwd=project,
        env=dict(env),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return ""
    return _as_new("The base does not come up by itself", f"{done.stdout}\n{done.stderr}")


def _as_new(what: str, said: str) -> str:
    told = "\n".join(said.strip().splitlines()[-_TAIL:])
    sentence = f"**{what}: what it would have made counts as new.**"
    return f"{sentence}\n\n{markdown.details('What it says', markdown.block(told))}"


def _unpack(base: str, root: Path, project: Path) -> None:
    packed = subprocess.run(
        ["git", "archive", "--format=tar", doors.commit(base, root) or base, "."],
        cwd=root,
        capture_output=True,
        check=False,
    )
    if packed.returncode != 0:
        raise ToolchainError(
            f"The commit {base!r} could not be read:\n{packed.stderr.decode(errors='replace').strip()}"
        )
    try:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            archive.extractall(project, filter="data")
    except tarfile.FilterError as error:
        raise ToolchainError(
            f"The commit {base!r} holds what does not stay in its directory: {error}"
        ) from None

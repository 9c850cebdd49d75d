"""`pulumi preview` of a stack with the policy pack, in the toolchain's environment."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain import policies
from toolchain.failure import ToolchainError
from toolchain.paths import settings_file
from toolchain.pr_report import events
from toolchain.stack import looks_first


def command(stack: str, root: Path, judged: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """The whole command line; `judged` are the options of the policy pack."""
    looks = looks_first("preview", settings_file(stack, root).read_bytes())
    return [
        "pulumi",
        "preview",
        "--json",
        "--non-interactive",
        "--stack",
        stack,
        *judged,
        *looks,
        *options,
    ]


def run(
    stack: str, env: Mapping[str, str], root: Path, options: Sequence[str] = ()
) -> tuple[events.Preview, str]:
    """The preview, and why it is none that can be relied on: empty, or the CLI's own words.

    Raises ToolchainError when there is no CLI.
    """
    try:
        with policies.options(stack, settings_file(stack, root), root / "policy") as judged:
            answer = subprocess.run(
                command(stack, root, judged, options),
                cwd=root,
                env={**env, **events.STREAM},
                capture_output=True,
                text=True,
                check=False,
            )
    except FileNotFoundError as error:
        raise ToolchainError("The Pulumi CLI is not set up yet: run `make setup`.") from error
    found = events.read(answer.stdout.splitlines())
    explained = bool(found.errors or found.violated)
    if answer.returncode != 0 and not explained:
        return found, answer.stderr.strip() or f"pulumi preview ended with exit code {answer.returncode}."
    if not found.finished:
        return found, answer.stderr.strip() or "pulumi preview did not tell how it ended."
    return found, ""

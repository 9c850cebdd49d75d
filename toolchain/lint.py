"""What `make lint` says of `.github/`: actionlint for what would not run, zizmor for what would be unsafe.

actionlint is built from toolchain/lint/go.mod where there is a Go; zizmor is a wheel of requirements/dev.in.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from toolchain import go_build
from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import BIN, ROOT, VENV_BIN
from toolchain.progress import warn

WORKFLOWS: Final = ".github/workflows"
ACTIONLINT: Final = go_build.Build(ROOT / "toolchain" / "lint")

WITHOUT_GO: Final = "actionlint is built from source, and no `go` is on PATH: install Go 1.24 or newer (https://go.dev/doc/install)"


def actionlint(env: Mapping[str, str], own: Path = BIN) -> Path | None:
    """The actionlint of the wanted version, built if need be.

    Without Go: None and a sentence on stderr; a ToolchainError where CI is set: nothing is skipped there.
    """
    if not go_build.is_built(ACTIONLINT, own) and shutil.which("go", path=env.get("PATH")) is None:
        if env.get("CI"):
            raise ToolchainError(f"{WITHOUT_GO}.")
        warn(f"the workflows are not checked by actionlint. {WITHOUT_GO}.")
        return None
    go_build.ensure(ACTIONLINT, own, env)
    return own / "actionlint"


def commands(linter: Path | None, root: Path = ROOT) -> list[list[str]]:
    """What to run, in order. Both are told to leave out what depends on the machine: shellcheck, the network."""
    found: list[list[str]] = []
    if linter is not None:
        files = sorted(
            str(path.relative_to(root))
            for path in (root / WORKFLOWS).iterdir()
            if path.suffix in {".yml", ".yaml"}
        )
        found.append([str(linter), "-shellcheck=", "-pyflakes=", *files])
    found.append([str(VENV_BIN / "zizmor"), "--offline", "--no-progress", "--persona=pedantic", WORKFLOWS])
    return found


def main() -> int:
    """`python -m toolchain.lint`: 1 when one of them finds something."""
    if len(sys.argv) > 1:
        raise ToolchainError("usage: python -m toolchain.lint")
    worst = 0
    for command in commands(actionlint(os.environ)):
        try:
            done = subprocess.run(command, cwd=ROOT, check=False)
        except FileNotFoundError as error:
            raise ToolchainError(
                f"{Path(command[0]).name} is not installed: run `make setup-dev`."
            ) from error
        worst = max(worst, done.returncode != 0)
    return worst


if __name__ == "__main__":
    exit_with(main)

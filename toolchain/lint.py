"""What `make lint` says of `.github/`: actionlint for what would not run, zizmor for what would be unsafe.

actionlint is built from toolchain/lint/go.mod where there is a Go; zizmor is a wheel of requirements/dev.in.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import BIN, ROOT, VENV_BIN
from toolchain.progress import run_visibly, warn

WORKFLOWS: Final = ".github/workflows"
_MODULE: Final = ROOT / "toolchain" / "lint"
_PACKAGE: Final = "github.com/rhysd/actionlint/cmd/actionlint"
_REQUIRED: Final = re.compile(r"^\s*(?:require\s+)?github\.com/rhysd/actionlint\s+v(\S+)", re.MULTILINE)

WITHOUT_GO: Final = "actionlint is built from source, and no `go` is on PATH: install Go 1.24 or newer (https://go.dev/doc/install)"


def wanted_version(module: Path = _MODULE) -> str:
    """The version of actionlint that go.mod requires, without `v`."""
    found = _REQUIRED.search((module / "go.mod").read_text(encoding="utf-8"))
    if found is None:
        raise ToolchainError(f"{module / 'go.mod'} does not require github.com/rhysd/actionlint.")
    return found[1]


def version_of(executable: Path) -> str | None:
    """What an actionlint says that it is; None when it is not there or does not answer within ten seconds."""
    try:
        answer = subprocess.run(
            [executable, "-version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.split("\n", 1)[0].strip().removeprefix("v") if answer.returncode == 0 else None


def actionlint(env: Mapping[str, str], own: Path = BIN) -> Path | None:
    """The actionlint of the wanted version, built if need be.

    Without Go: None and a sentence on stderr; a ToolchainError where CI is set: nothing is skipped there.
    """
    executable = own / "actionlint"
    if version_of(executable) == wanted_version():
        return executable
    go = shutil.which("go", path=env.get("PATH"))
    if go is None:
        if env.get("CI"):
            raise ToolchainError(f"{WITHOUT_GO}.")
        warn(f"the workflows are not checked by actionlint. {WITHOUT_GO}.")
        return None
    own.mkdir(parents=True, exist_ok=True)
    partial = own / f".actionlint.{os.getpid()}.part"
    run_visibly(
        "building actionlint from toolchain/lint/go.mod",
        [go, "build", "-trimpath", "-o", str(partial), _PACKAGE],
        cwd=_MODULE,
        env=env,
        timeout=600,
    )
    partial.replace(executable)
    return executable


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

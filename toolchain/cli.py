"""Which `pulumi` is used: the first of PATH, the official release, a build from go.mod."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from toolchain import go_build, release
from toolchain.failure import ToolchainError
from toolchain.memory import failed_recently, forget_failure, remember_failure
from toolchain.paths import BIN, ROOT
from toolchain.progress import say
from toolchain.versions import GO, PULUMI, PULUMI_SUPPORTED

Source = Literal["path", "release", "build"]
Version = tuple[int, int, int]

_FAILURE: Final = "official-cli"
_KIND_FILE: Final = "pulumi.source"
_VERSION_FLAG: Final = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"

NOTHING_AVAILABLE: Final = (
    "There is no Pulumi CLI on this machine, the official one cannot be downloaded ({reason}), and there is no Go to "
    f"build it with. Install either the Pulumi CLI {PULUMI_SUPPORTED[0]} or newer "
    "(https://www.pulumi.com/docs/iac/download-install/) or Go {go} or newer (https://go.dev/doc/install; a Go from "
    "1.21 on fetches the right one by itself), see that `pulumi version` or `go version` works in this shell, and run "
    "the command again."
)


@dataclass(frozen=True)
class Cli:
    """A CLI that was found or made."""

    path: Path
    source: Source
    """`path`: the person's own; `release` and `build`: ours, in .toolchain/bin."""


def parse_version(text: str) -> Version | None:
    """`v3.259.0`, `3.259.0-dev.1` or `pulumi v3.259.0` as three numbers; None for anything else."""
    found = re.search(r"(?<![\w.])v?(\d+)\.(\d+)\.(\d+)(?![\w.])", text.strip().split("-", 1)[0])
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def supported(version: Version | None) -> bool:
    """Whether a CLI of that version is used as it is."""
    low, high = (parse_version(bound) for bound in PULUMI_SUPPORTED)
    return version is not None and low is not None and high is not None and low <= version < high


def version_of(executable: Path) -> Version | None:
    """What `pulumi version` answers within ten seconds; None when it does not answer with a version."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1"}
    try:
        answer = subprocess.run(
            [executable, "version"], capture_output=True, text=True, timeout=10, check=False, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(answer.stdout) if answer.returncode == 0 else None


def candidates(path: str, own: Path = BIN) -> Iterator[Path]:
    """Every executable `pulumi` on a PATH, in order, except those in our own directory."""
    for directory in path.split(os.pathsep):
        folder = Path(directory or ".")
        found = shutil.which("pulumi", path=str(folder))
        if found and folder.resolve() != own.resolve():
            yield Path(found)


def on_path(path: str, own: Path = BIN, ask: Callable[[Path], Version | None] = version_of) -> Path | None:
    """The first supported CLI on a PATH that is not ours."""
    return next((found for found in candidates(path, own) if supported(ask(found))), None)


def ours(own: Path = BIN) -> Cli | None:
    """The CLI that an earlier run put into our directory, when it is of the pinned version."""
    executable, kind = own / "pulumi", own / _KIND_FILE
    try:
        source, version = kind.read_text(encoding="utf-8").split()
    except (FileNotFoundError, ValueError):
        return None
    if version != PULUMI or not os.access(executable, os.X_OK) or source not in {"release", "build"}:
        return None
    return Cli(executable, "release" if source == "release" else "build")


def ensure(own: Path = BIN) -> Cli:
    """Find or make a CLI; ToolchainError with one paragraph of advice when there is no way to one."""
    if found := on_path(os.environ.get("PATH", ""), own):
        return Cli(found, "path")
    if made := ours(own):
        return made
    own.mkdir(parents=True, exist_ok=True)
    reason = failed_recently(_FAILURE)
    if reason is None:
        try:
            release.install(own)
        except release.DownloadError as error:
            reason = str(error)
            remember_failure(_FAILURE, reason)
            say(f"not available: {reason}")
        else:
            forget_failure(_FAILURE)
            return _made(own, "release")
    build(own, reason)
    return _made(own, "build")


def _made(own: Path, source: Literal["release", "build"]) -> Cli:
    (own / _KIND_FILE).write_text(f"{source} {PULUMI}\n", encoding="utf-8")
    return Cli(own / "pulumi", source)


def build(own: Path, reason: str) -> None:
    """Build the CLI from toolchain/go.mod with the Go on PATH; ToolchainError when there is none or the build fails."""
    if shutil.which("go") is None:
        raise ToolchainError(NOTHING_AVAILABLE.format(reason=reason, go=GO))
    go_build.make(go_build.Build(ROOT / "toolchain", ldflags=f"-X {_VERSION_FLAG}=v{PULUMI}"), own)

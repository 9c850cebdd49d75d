"""Build programs with Go from the go.mod of a folder of this repository.

Its `tool` lines name them, its go.sum locks what they are made of. Nothing is built twice: beside the programs there is
a note of what they were made of.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from toolchain.failure import ToolchainError
from toolchain.progress import run_visibly

WITHOUT_GO: Final = (
    "{what} is built from source, and no `go` is on PATH. Install Go {go} or newer (https://go.dev/doc/install; a Go "
    "from 1.21 on fetches the right one by itself), see that `go version` works in this shell, and run the command "
    "again."
)
HEARTBEAT: Final = 15.0
"""Seconds between two lines of progress."""
_TOOL: Final = re.compile(r"^(?:tool\s+|\t)([\w.-]+\.[\w.-]+/\S+)$", re.MULTILINE)
_STALE: Final = "{{if .Stale}}stale {{.ImportPath}}{{end}}"


@dataclass(frozen=True)
class Build:
    """What is built: programs that the go.mod of a folder names as a `tool`. Statically linked: no cgo."""

    folder: Path
    only: tuple[str, ...] = ()
    """Names of the programs that are wanted; every `tool` where none is named."""
    ldflags: str = ""
    """Beside those that leave out what debuggers need."""
    tags: str = ""
    added: Mapping[str, str] = field(default_factory=dict[str, str])
    """Files that a module's archive lacks: `module/path/of/file` -> text."""

    @property
    def go_mod(self) -> str:
        """The text of go.mod."""
        return (self.folder / "go.mod").read_text(encoding="utf-8")

    @property
    def packages(self) -> dict[str, str]:
        """Program -> its Go package."""
        tools = {package.rpartition("/")[2]: package for package in _TOOL.findall(self.go_mod)}
        return {name: tools[name] for name in self.only or tools}

    @property
    def recipe(self) -> str:
        """A digest of all that decides what comes out."""
        parts = [
            self.go_mod,
            (self.folder / "go.sum").read_text(encoding="utf-8"),
            *(file.read_text(encoding="utf-8") for file in sorted(self.folder.rglob("*.go"))),
            self.ldflags,
            self.tags,
            json.dumps(dict(self.added)),
            platform.machine(),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def version(self, module: str) -> str:
        """The version of a module that go.mod requires, with its `v`. ToolchainError where it requires none."""
        found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)", self.go_mod, re.MULTILINE)
        if found is None:
            raise ToolchainError(f"{self.folder / 'go.mod'} does not require the module {module}.")
        return found[1]


def is_built(build: Build, into: Path) -> bool:
    """Whether a folder has all programs, made of what the recipe says today."""
    try:
        note = json.loads(_note(build, into).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return note["recipe"] == build.recipe and all(os.access(into / name, os.X_OK) for name in build.packages)


def seconds(build: Build, into: Path) -> float:
    """How long the build took that made what is there; 0 where nothing is."""
    return float(json.loads(_note(build, into).read_text())["seconds"]) if is_built(build, into) else 0.0


def ensure(build: Build, into: Path, env: Mapping[str, str] | None = None) -> bool:
    """Build into a folder what is missing there, or was made of something else; whether there was anything to build.

    Raises ToolchainError when Go is absent or the build fails.
    """
    if is_built(build, into):
        return False
    into.mkdir(parents=True, exist_ok=True)
    with (into / ".build.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_built(build, into):
            return False
        make(build, into, env)
    return True


def make(build: Build, into: Path, env: Mapping[str, str] | None = None) -> None:
    """Build into a folder, whatever is there. Raises ToolchainError when Go is absent or the build fails."""
    names = ", ".join(build.packages)
    go, env = find(names, build, env), _environment(env)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=into, prefix=".build-") as temporary:
        work = Path(temporary)
        flags = ["-trimpath", "-ldflags", f"-s -w {build.ldflags}".strip(), "-tags", build.tags]
        if build.added:
            flags += ["-modfile", str(_completed(build, env, work))]
        listed = run_visibly(
            f"fetching the sources of {names}",
            [go, "list", "-deps", *flags, "-f", _STALE, *build.packages.values()],
            cwd=build.folder,
            env=env,
            heartbeat=HEARTBEAT,
            told=lambda output: f"{output.count('go: downloading ')} modules",
        )
        total = sum(line.startswith("stale ") for line in listed.splitlines())
        (work / "out").mkdir()
        run_visibly(
            f"building {names}",
            [go, "build", "-v", *flags, "-o", f"{work / 'out'}{os.sep}", *build.packages.values()],
            cwd=build.folder,
            env=env,
            heartbeat=HEARTBEAT,
            told=lambda output: f"{len(output.splitlines()):,} of {total:,} packages",
        )
        for name in build.packages:
            (work / "out" / name).replace(into / name)
    note = {"recipe": build.recipe, "seconds": round(time.monotonic() - began, 1), "packages": total}
    _note(build, into).write_text(f"{json.dumps(note)}\n", encoding="utf-8")


def find(what: str, build: Build, env: Mapping[str, str] | None = None) -> str:
    """The Go on PATH; ToolchainError with one paragraph of advice when there is none."""
    go = shutil.which("go", path=(os.environ if env is None else env).get("PATH"))
    if go is None:
        wanted = re.search(r"^go (\S+)", build.go_mod, re.MULTILINE)
        raise ToolchainError(WITHOUT_GO.format(what=what, go=wanted[1] if wanted else ""))
    return go


def module_folder(module: str, build: Build, env: Mapping[str, str] | None = None) -> Path:
    """Where Go keeps the sources of a module. Raises ToolchainError when Go is absent or cannot fetch them."""
    go, env = find(module, build, env), _environment(env)
    command = [go, "mod", "download", "-json", f"{module}@{build.version(module)}"]
    output = run_visibly(f"fetching {module}", command, cwd=build.folder, env=env)
    return Path(json.loads(output[output.index("{") :])["Dir"])


def _completed(build: Build, env: Mapping[str, str], work: Path) -> Path:
    """A go.mod for `go build -modfile` that takes a copy of each module that has what its archive lacks."""
    go_mod = work / "go.mod"
    shutil.copy(build.folder / "go.sum", work / "go.sum")
    replaced: dict[str, Path] = {}
    for path, text in build.added.items():
        module = "/".join(path.split("/")[:3])
        if module not in replaced:
            replaced[module] = work / f"module-{len(replaced)}"
            shutil.copytree(module_folder(module, build, env), replaced[module])
            # The module cache is read-only, and so is a copy of it.
            subprocess.run(["chmod", "-R", "u+w", replaced[module]], check=True)
        file = replaced[module] / path.removeprefix(f"{module}/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    lines = [f"replace {module} => {folder}" for module, folder in replaced.items()]
    go_mod.write_text("\n".join([build.go_mod, *lines, ""]), encoding="utf-8")
    return go_mod


def _note(build: Build, into: Path) -> Path:
    return into / f".{'-'.join((build.folder.name, *build.only))}.json"


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    """Cleared of workspaces and flags that would make Go look at another module, or build something else."""
    kept = os.environ if env is None else env
    return {
        **{key: value for key, value in kept.items() if key != "GOFLAGS"},
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }

"""The real `pulumi` CLI in a test: a project, a state and a PULUMI_HOME of its own, with the offline plugins.

The CLI is the one that PULUMI_BIN names, else the project's own in `.toolchain/bin`, else the one on PATH.
The language host is taken from `.toolchain/bin`, else from PATH. `find_cli` says what is missing, for a skip
by name.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parents[2]
LOCAL_BIN = ROOT / ".toolchain" / "bin"
LANGUAGE_HOST = "pulumi-language-python"
OFFLINE_PLUGINS = ("kubernetes", "random", "cloudflare")

WRITES_ONCE: Final = {"PULUMI_EXPERIMENTAL": "true", "PULUMI_SKIP_CHECKPOINTS": "true"}
"""The state is written when an operation has ended, not after each resource: half of the time of an update. Runs that
are interrupted do without (`writes_as_users`)."""

_OWN_VARIABLES = ("PULUMI_", "KUBECONFIG", "CLOUDFLARE_")


def keep_no_log(home: Path) -> None:
    """Have the CLI of this PULUMI_HOME keep no log of its own: packing it takes half of the CLI's CPU time.

    pkg/v3/logging/encrypted.go of v3.259.0: it keeps none where the folder cannot be made.
    """
    (home / "logs").touch()


def writes_as_users(env: Mapping[str, str]) -> dict[str, str]:
    """The environment of a run that is interrupted: it leaves what it would leave a person."""
    return {name: value for name, value in env.items() if name not in WRITES_ONCE}


@dataclass(frozen=True)
class Missing:
    """What a test that needs the engine lacks."""

    reason: str


def find_cli() -> Path | Missing:
    """The CLI, or what to do to have it."""
    named = os.environ.get("PULUMI_BIN")
    found = named or shutil.which(
        "pulumi", path=os.pathsep.join([str(LOCAL_BIN), os.environ.get("PATH", "")])
    )
    if not found or not Path(found).exists():
        return Missing("the pulumi CLI is not there: run `make setup`, or set PULUMI_BIN")
    if not any((folder / LANGUAGE_HOST).exists() for folder in _language_folders(Path(found))):
        return Missing(f"{LANGUAGE_HOST} is not there: run `make setup`")
    return Path(found)


def _language_folders(cli: Path) -> list[Path]:
    return [
        LOCAL_BIN,
        cli.parent,
        *(Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part),
    ]


@dataclass(frozen=True)
class Result:
    """What one command did. `ops` are the operations by resource name, such as `create`, `same`, `delete-
    replaced`.
    """

    returncode: int
    stdout: str
    stderr: str
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def text(self) -> str:
        """Everything that was printed."""
        return self.stdout + self.stderr

    @property
    def ops(self) -> dict[str, list[str]]:
        """Operations by the resource's name, in the order in which they began; root stack and providers left
        out.
        """
        found: dict[str, list[str]] = {}
        for event in self.events:
            step = event.get("resourcePreEvent", {}).get("metadata")
            if step and not step["type"].startswith(("pulumi:pulumi:", "pulumi:providers:")):
                found.setdefault(step["urn"].rsplit("::", 1)[-1], []).append(step["op"])
        return found

    @property
    def changes(self) -> dict[str, list[str]]:
        """`ops` without resources that stayed the same."""
        return {name: ops for name, ops in self.ops.items() if ops != ["same"]}


class EngineError(AssertionError):
    """A command failed that had to succeed; the message is what it printed."""


@dataclass
class Engine:
    """One project with one stack `test`."""

    directory: Path
    cli: Path
    env: dict[str, str] = field(default_factory=dict[str, str])
    stack: str = "test"

    @classmethod
    def create(cls, directory: Path, cli: Path, *, plugins: Sequence[str] = OFFLINE_PLUGINS) -> Engine:
        """A new project in `directory` with the named offline plugins on PATH."""
        engine = cls(directory=directory / "project", cli=cli)
        engine.directory.mkdir(parents=True)
        home, shims, state = directory / "home", directory / "bin", directory / "state"
        for folder in (home, shims, state):
            folder.mkdir()
        keep_no_log(home)
        for plugin in plugins:
            shim = shims / f"pulumi-resource-{plugin}"
            shim.write_text(
                f'#!/bin/sh\nexec "{sys.executable}" -m toolchain.offline.plugins.{plugin} "$@"\n'
            )
            shim.chmod(0o755)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_OWN_VARIABLES)}
        search = [shims, LOCAL_BIN, cli.parent, Path(sys.executable).parent]
        engine.env = (
            inherited
            | WRITES_ONCE
            | {
                "PATH": os.pathsep.join([*map(str, search), os.environ.get("PATH", "")]),
                "PYTHONPATH": str(ROOT),
                "PULUMI_HOME": str(home),
                "PULUMI_BACKEND_URL": f"file://{state}",
                "PULUMI_CONFIG_PASSPHRASE": "correct horse battery staple",
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
                "PULUMI_DEBUG_COMMANDS": "true",
                "HOME": str(home),
            }
        )
        (engine.directory / "Pulumi.yaml").write_text("name: harness\nruntime: python\n")
        engine.program("")
        engine.run("stack", "init", engine.stack)
        return engine

    def program(self, text: str) -> None:
        """Make `text` the Pulumi program."""
        (self.directory / "__main__.py").write_text(text)

    def run(
        self, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None, timeout: float = 180
    ) -> Result:
        """Run the CLI. With `check`, a failure raises EngineError."""
        done = subprocess.run(
            [str(self.cli), *arguments, "--non-interactive"],
            cwd=self.directory,
            env=self.env | dict(env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        if check and done.returncode != 0:
            raise EngineError(f"pulumi {' '.join(arguments)} exited with {done.returncode}:\n{result.text}")
        return result

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the CLI and return at once: for tests that interrupt it. The caller ends and reaps it."""
        return subprocess.Popen(
            [str(self.cli), *arguments, "--non-interactive", "--stack", self.stack],
            cwd=self.directory,
            env=writes_as_users(self.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def operate(
        self, command: str, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None
    ) -> Result:
        """Run `up`, `preview`, `refresh` or `destroy` and read its event log."""
        log = self.directory.parent / "events.jsonl"
        log.unlink(missing_ok=True)
        confirm = [] if command == "preview" else ["--yes", "--skip-preview"]
        result = self.run(
            command,
            "--stack",
            self.stack,
            *confirm,
            "--event-log",
            str(log),
            *arguments,
            check=check,
            env=env,
        )
        lines = log.read_text().splitlines() if log.exists() else []
        return Result(result.returncode, result.stdout, result.stderr, [json.loads(line) for line in lines])

    def up(self, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None) -> Result:
        """`pulumi up`."""
        return self.operate("up", *arguments, check=check, env=env)

    def preview(self, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None) -> Result:
        """`pulumi preview`."""
        return self.operate("preview", *arguments, check=check, env=env)

    def refresh(self, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None) -> Result:
        """`pulumi refresh`."""
        return self.operate("refresh", *arguments, check=check, env=env)

    def destroy(self, *arguments: str, check: bool = True, env: Mapping[str, str] | None = None) -> Result:
        """`pulumi destroy`."""
        return self.operate("destroy", *arguments, check=check, env=env)

    def export(self) -> dict[str, Any]:
        """The state as it is stored: secrets are ciphertext."""
        return json.loads(self.run("stack", "export", "--stack", self.stack).stdout)

    def resources(self) -> dict[str, dict[str, Any]]:
        """The stored resources by name; root stack and providers left out."""
        listed = self.export()["deployment"].get("resources", [])
        return {
            resource["urn"].rsplit("::", 1)[-1]: resource
            for resource in listed
            if not resource["type"].startswith(("pulumi:pulumi:", "pulumi:providers:"))
        }

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs; secret ones are shown as `[secret]`."""
        return json.loads(self.run("stack", "output", "--stack", self.stack, "--json").stdout)

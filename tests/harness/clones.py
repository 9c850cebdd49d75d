"""A clone of this repository in a temporary directory, for what `make` runs: those modules write beside themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.engine import LANGUAGE_HOST, LOCAL_BIN, OFFLINE_PLUGINS, ROOT, WRITES_ONCE, keep_no_log

_OWN_VARIABLES = ("PULUMI_", "KUBECONFIG", "CLOUDFLARE_", "IMMICH_")


@dataclass(frozen=True)
class Done:
    """What a command did."""

    returncode: int
    text: str


@dataclass
class Clone:
    """One clone, set up as `make setup` leaves it."""

    directory: Path
    env: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def create(cls, directory: Path, cli: Path) -> Clone:
        """Program, settings and toolchain are copied; tools and the virtual environment are linked."""
        root = directory / "clone"
        root.mkdir()
        for pattern in ("Pulumi*.yaml", "__main__.py"):
            for file in ROOT.glob(pattern):
                shutil.copy(file, root / file.name)
        for folder in ("components", "policy", "toolchain"):
            # With the compiled modules, which are good for as long as their sources have the same time.
            shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("go.*"))
        (root / ".venv").symlink_to(ROOT / ".venv")
        tools = root / ".toolchain" / "bin"
        tools.mkdir(parents=True)
        (tools / "pulumi").symlink_to(cli)
        host = LOCAL_BIN if (LOCAL_BIN / LANGUAGE_HOST).exists() else cli.parent
        (tools / LANGUAGE_HOST).symlink_to(host / LANGUAGE_HOST)
        for plugin in OFFLINE_PLUGINS:
            script = tools / f"pulumi-resource-{plugin}"
            script.write_text(
                f'#!/bin/sh\nexec "{sys.executable}" -m toolchain.offline.plugins.{plugin} "$@"\n'
            )
            script.chmod(0o755)
        home = directory / "home"
        home.mkdir()
        keep_no_log(home)
        env = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
        made = cls(
            root,
            {
                **env,
                **WRITES_ONCE,
                "HOME": str(home),
                "PYTHONPATH": str(root),
                "PULUMI_HOME": str(home),
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            },
        )
        prepared = made.python("-c", "from toolchain import environment; environment.prepare()")
        assert prepared.returncode == 0, prepared.text
        return made

    def python(self, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
        """Run Python in the clone; output and errors together, as a person sees them."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.directory,
            env=self.env | dict(env or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=180,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def make(self, what: str, stack: str, *, env: Mapping[str, str] | None = None) -> Done:
        """What `make <what> STACK=<stack>` runs after `make setup`."""
        module = {
            "destroy": ["toolchain.destroy"],
            "render": ["toolchain.render"],
        }.get(what, ["toolchain.stack", what])
        return self.python("-m", *module, stack, env=env)

    def pulumi(self, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
        """The CLI as in a shell after `eval "$(make -s env)"`."""
        code = (
            "import os, subprocess, sys\n"
            "from toolchain import environment\n"
            "sys.exit(subprocess.call(['pulumi', *sys.argv[1:]], env=environment.full(os.environ)))\n"
        )
        return self.python("-c", code, *arguments, env=env)

    def rendered(self, stack: str) -> dict[str, str]:
        """Rendered file -> its text."""
        folder = self.directory / "rendered" / stack
        return {
            str(path.relative_to(folder)): path.read_text(encoding="utf-8")
            for path in sorted(folder.rglob("*.yaml"))
        }

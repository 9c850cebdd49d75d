"""`make setup`: virtual environment, CLI, plugins, passphrase. Runs on a bare Python, before anything is installed.

`--dev` adds what tests and checks need. A second run finds everything in place and takes a fraction of a second.
"""

from __future__ import annotations

import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036  a person may start this with an older Python, and should be told so
    sys.exit(
        "Python 3.11 or newer is needed and this is {}.{}: install one, and run `make PYTHON=python3.11 ...`.".format(
            *sys.version_info[:2]
        )
    )

from toolchain import cli, environment, plugin_setup, venv
from toolchain.failure import exit_with
from toolchain.paths import BIN, TOOLCHAIN


def ensure_language_host(made: cli.Cli) -> None:
    """Beside a CLI that we built, our language host; the official archive brings its own."""
    script = BIN / "pulumi-language-python"
    if made.source == "build":
        plugin_setup.write_start_script(script, "toolchain.offline.language_host")
    elif made.source == "path":
        # Ours come first on PATH, and would shadow the person's own CLI and its language host.
        for own in BIN.glob("pulumi-language-*"):
            own.unlink()
        (BIN / "pulumi").unlink(missing_ok=True)


def main() -> int:
    """Set everything up that is not there yet."""
    BIN.mkdir(parents=True, exist_ok=True)
    TOOLCHAIN.chmod(0o700)
    venv.ensure("dev" if "--dev" in sys.argv[1:] else "runtime")
    made = cli.ensure()
    ensure_language_host(made)
    environment.prepare()
    plugin_setup.ensure(made.path, environment.full(os.environ))
    return 0


if __name__ == "__main__":
    exit_with(main)

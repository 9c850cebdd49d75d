"""Resource plugins: the official ones when the CLI can install them, else those of toolchain/offline/plugins.

An executable on PATH wins over an installed plugin, so an offline plugin's start script exists only while the
official plugin of the same name does not.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from toolchain.failure import ToolchainError
from toolchain.memory import failed_recently, forget_failure, remember_failure
from toolchain.paths import BIN, ROOT, VENV_PYTHON
from toolchain.progress import run_visibly, say
from toolchain.versions import PLUGINS

_SOURCE: Final = "https://get.pulumi.com/"
_PROBE_TIMEOUT: Final = 10.0  # seconds
_INSTALL_TIMEOUT: Final = 300.0  # seconds for one plugin
_FAILURE: Final = "official-plugins"

OFFLINE_NOTICE: Final = (
    "using the offline plugins (toolchain/offline) for {names}: the official ones cannot be downloaded here"
)


def installed(name: str, environment: Mapping[str, str]) -> bool:
    """Whether the official plugin of the wanted version is in the CLI's plugin cache."""
    home = environment.get("PULUMI_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".pulumi")
    folder = Path(home) / "plugins" / f"resource-{name}-v{PLUGINS[name]}"
    return (folder / f"pulumi-resource-{name}").is_file() and not Path(f"{folder}.partial").exists()


def offline_module(name: str) -> str | None:
    """Python module of the offline plugin of that name, or None when this project has none."""
    base = ROOT / "toolchain" / "offline" / "plugins"
    exists = (base / f"{name}.py").is_file() or (base / name / "__main__.py").is_file()
    return f"toolchain.offline.plugins.{name}" if exists else None


def write_start_script(path: Path, module: str) -> None:
    """A script that becomes `python -m module` in our environment; git-ignored, so it may hold absolute paths."""
    script = (
        "#!/bin/sh\n"
        f"PYTHONPATH={shlex.quote(str(ROOT))}${{PYTHONPATH:+:$PYTHONPATH}} "
        f'exec {shlex.quote(str(VENV_PYTHON))} -P -m {module} "$@"\n'
    )
    if path.is_file() and path.read_text(encoding="utf-8") == script:
        return
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(script, encoding="utf-8")
    partial.chmod(0o755)
    partial.replace(path)


def ensure(cli: Path, environment: Mapping[str, str]) -> None:
    """Install the official plugins, or put the offline ones in their place and say so in one line."""
    missing = [name for name in PLUGINS if not installed(name, environment)]
    if missing and not _install(cli, missing, environment):
        missing = [name for name in missing if not installed(name, environment)]
    else:
        missing = []
    offline: list[str] = []
    for name in PLUGINS:
        script = BIN / f"pulumi-resource-{name}"
        module = offline_module(name) if name in missing else None
        if module is None:
            script.unlink(missing_ok=True)
        else:
            write_start_script(script, module)
            offline.append(name)
    if offline:
        say(OFFLINE_NOTICE.format(names=", ".join(offline)))


def _install(cli: Path, names: list[str], environment: Mapping[str, str]) -> bool:
    if failed_recently(_FAILURE) is not None:
        return False
    try:
        _probe()
        for name in names:
            # Our start scripts must not be on PATH here: an ambient plugin counts as installed for the CLI.
            run_visibly(
                f"installing the official {name} plugin v{PLUGINS[name]}",
                [str(cli), "plugin", "install", "resource", name, f"v{PLUGINS[name]}"],
                cwd=Path(os.sep),
                env={**environment, "PULUMI_IGNORE_AMBIENT_PLUGINS": "true"},
                timeout=_INSTALL_TIMEOUT,
            )
    except (ToolchainError, OSError, subprocess.SubprocessError) as error:
        remember_failure(_FAILURE, str(error))
        return False
    forget_failure(_FAILURE)
    return True


def _probe() -> None:
    """Raise OSError when the plugins' server does not answer soon; the CLI itself would wait much longer."""
    request = urllib.request.Request(_SOURCE, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=_PROBE_TIMEOUT).close()  # noqa: S310  as above
    except urllib.error.HTTPError:
        return  # it answers

"""The environment in which `pulumi` runs: PATH, backend, passphrase. What the person has set stays as it is."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from toolchain.paths import BIN, PASSPHRASE, STATE, VENV_BIN

_CLOUD: Final = "https://api.pulumi.com"
"""The CLI's own default (pkg/backend/httpstate/backend.go of v3.206.0: PULUMI_API, else this)."""


def logged_in_elsewhere(environment: Mapping[str, str]) -> str | None:
    """Address of the backend that `pulumi login` chose, from the CLI's own credentials file; None without one."""
    home = environment.get("PULUMI_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".pulumi")
    credentials = Path(environment.get("PULUMI_CREDENTIALS_PATH") or home) / "credentials.json"
    try:
        content: object = json.loads(credentials.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    current = content.get("current") if isinstance(content, dict) else None  # pyright: ignore[reportUnknownVariableType]  # any JSON
    return current if isinstance(current, str) and current else None


def uses_own_passphrase(environment: Mapping[str, str]) -> bool:
    """Whether the generated passphrase file is what the CLI reads in this environment."""
    return "PULUMI_CONFIG_PASSPHRASE" not in environment and environment.get(
        "PULUMI_CONFIG_PASSPHRASE_FILE", str(PASSPHRASE)
    ) == str(PASSPHRASE)


def additions(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables to set on top of an environment. No value of them is secret.

    The backend is that of PULUMI_BACKEND_URL or `pulumi login`, else Pulumi Cloud where PULUMI_ACCESS_TOKEN is given,
    else the project's own. The passphrase is the generated file unless the environment names one, and the salt of a
    stack is found in its state when its settings file has none, so that the file need not be written.
    """
    wanted = {
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PULUMI_ERROR_OUTPUT_STRING": "1",
        "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
    }
    result = {name: value for name, value in wanted.items() if name not in environment}
    result["PATH"] = _path(environment.get("PATH", os.defpath))
    if not environment.get("PULUMI_BACKEND_URL") and logged_in_elsewhere(environment) is None:
        with_token = environment.get("PULUMI_ACCESS_TOKEN")
        cloud = environment.get("PULUMI_API") or _CLOUD
        result["PULUMI_BACKEND_URL"] = cloud if with_token else f"file://{STATE}"
    if "PULUMI_CONFIG_PASSPHRASE" not in environment and "PULUMI_CONFIG_PASSPHRASE_FILE" not in environment:
        result["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(PASSPHRASE)
    return result


def _path(current: str) -> str:
    own = [str(BIN), str(VENV_BIN)]
    return os.pathsep.join([*own, *(entry for entry in current.split(os.pathsep) if entry not in own)])


def full(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """A complete environment for a child process."""
    base = dict(os.environ if environment is None else environment)
    return {**base, **additions(base)}


def prepare() -> None:
    """Make the state directory and the passphrase file, once; the passphrase is never shown."""
    STATE.mkdir(parents=True, exist_ok=True)
    if PASSPHRASE.exists():
        return
    descriptor = os.open(PASSPHRASE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")

"""The stack's config as Pulumi has it, given to the settings reader. Reads no secret's value."""

from __future__ import annotations

import pulumi
from pulumi.runtime import config as runtime_config

from components.settings.model import Settings
from components.settings.reader import SettingsError, read_settings

PROJECT = "immich"


def load_settings() -> Settings:
    """The settings of the current stack.

    Raises `pulumi.RunError`, which the engine shows without a traceback, with every problem of the configuration.
    """
    own, hidden = _own()
    try:
        return read_settings(
            pulumi.get_stack(), {key: "" if key in hidden else value for key, value in own.items()}, hidden
        )
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from None


def stack_file() -> str:
    """The stack's settings as a file that `pulumi` takes, with the names of its secrets and none of their values."""
    own, hidden = _own()
    lines = ["# Settings of this stack. Secrets are not in it" + (":" if hidden else ".")]
    lines += [f"#   {PROJECT}:{key}" for key in sorted(hidden)]
    lines += [
        "config:",
        *(f"  {PROJECT}:{key}: {text}" for key, text in sorted(own.items()) if key not in hidden),
    ]
    return "\n".join(lines) + "\n"


def _own() -> tuple[dict[str, str], set[str]]:
    """This program's texts by key, and the keys of those that are secret."""
    texts = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    secret = {
        *runtime_config.get_config_secret_keys_env(),
        *(key for key in texts if runtime_config.is_config_secret(key)),
    }
    prefix = f"{PROJECT}:"
    own = {key.removeprefix(prefix): str(value) for key, value in texts.items() if key.startswith(prefix)}
    return own, {key.removeprefix(prefix) for key in secret if key.startswith(prefix)}

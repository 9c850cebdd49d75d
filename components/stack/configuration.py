"""The stack's config as Pulumi has it, given to the settings reader. Reads no secret's value."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi.runtime import config as runtime_config

from components.settings.model import Settings
from components.settings.reader import PROJECT, Problem, SettingsError, read_settings, unread_key


def load_settings() -> Settings:
    """The settings of the current stack.

    Raises `pulumi.RunError`, which the engine shows without a traceback, with every problem of the configuration.
    """
    own, hidden = _own()
    stack = pulumi.get_stack()
    problems = _unread(own)
    try:
        settings = read_settings(
            stack, {key: "" if key in hidden else value for key, value in own.items()}, hidden
        )
    except SettingsError as error:
        raise pulumi.RunError(str(SettingsError(stack, [*problems, *error.problems]))) from None
    if problems:
        raise pulumi.RunError(str(SettingsError(stack, problems)))
    if settings.monitoring.kind == "none":
        return settings
    from components.monitoring.scrapes import with_numbers  # only stacks that somebody watches

    return with_numbers(settings)


def _unread(own: Mapping[str, str]) -> list[Problem]:
    """Keys that nobody reads; and no key at all, which would mean all defaults and the current cluster."""
    texts = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    found = [unread_key(key) for key in texts if not key.startswith(f"{PROJECT}:")]
    problems = [one for one in found if one is not None]
    if not own:
        problems.append(
            Problem(
                key=f"{PROJECT}:host",
                given=None,
                reason="the stack has no setting at all; its file is Pulumi.<stack>.yaml beside Pulumi.yaml",
                hint=f"pulumi config set --path '{PROJECT}:host.name' photos.example.com",
            )
        )
    return problems


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

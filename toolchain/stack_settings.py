"""The settings of a stack, from its file, without the values of its secrets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from components.settings.model import SECRET_KEYS
from components.settings.problems import key_text
from components.settings.reader import SettingsError, read_settings
from toolchain import stack_file
from toolchain.failure import ToolchainError

if TYPE_CHECKING:
    from components.settings.model import Settings


def stack_texts(path: Path) -> tuple[dict[str, str], set[str]]:
    """The texts of a stack's file as Pulumi hands them to the program, and which keys hold something encrypted.

    Raises `ToolchainError` when the file is none that the CLI would take, or has keys that nobody reads.
    """
    found = stack_file.read(path)
    return found.texts(), set(found.hidden)


def settings_without_secrets(
    stack: str, texts: Mapping[str, str], hidden: Collection[str]
) -> tuple[Settings, list[str]]:
    """The settings, and the keys of secrets that are not given yet. Raises `ToolchainError` for other problems."""
    try:
        return read_settings(stack, texts, hidden), []
    except SettingsError as error:
        missing = [
            key
            for key in SECRET_KEYS
            if key not in texts and any(problem.key == key_text(key) for problem in error.problems)
        ]
        if not missing:
            raise ToolchainError(str(error)) from None
    try:
        return read_settings(stack, {**texts, **dict.fromkeys(missing, "")}, {*hidden, *missing}), missing
    except SettingsError as error:
        raise ToolchainError(str(error)) from None

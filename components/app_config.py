"""Immich's own configuration file: rendered, with places for its secrets."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from components.secret_text import SecretText, json_with_secrets
from components.settings.app_overrides import app_overrides
from components.settings.model import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class AppFile:
    """The file, as a text with secrets in it."""

    text: SecretText
    revision: str
    """Hash of what is no secret in it: Immich reads the file only when it starts."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Config keys of the secrets in it."""
        return self.text.keys


def app_file(settings: Settings) -> AppFile | None:
    """The file for a stack, or None where Immich is set up on its web page."""
    if settings.app is None:
        return None
    from components.settings.app import SECRET_FIELDS  # only stacks with that section

    overrides = app_overrides(settings.host, settings.server, settings.machine_learning, settings.backup)
    document = settings.app.render(overrides)
    revision = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]
    return AppFile(
        text=json_with_secrets(document, SECRET_FIELDS, settings.app.required_secrets), revision=revision
    )

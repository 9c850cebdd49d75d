"""Immich's own configuration file: rendered, with places for its secrets."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.model.secret_text import SecretText, json_with_secrets
from components.model.specs import PublishedSecret
from components.server.app.overrides import app_overrides

if TYPE_CHECKING:
    from components.backup.settings import Backup
    from components.machine_learning.settings import MachineLearning
    from components.proxy.host_settings import Host
    from components.server.app.settings import AppConfig
    from components.server.settings import Server


@dataclass(frozen=True, kw_only=True, slots=True)
class AppFile:
    """The file, as a text with secrets in it."""

    text: SecretText
    revision: str
    """Hash of what is no secret in it: Immich reads the file only when it starts."""

    @property
    def secret(self) -> PublishedSecret:
        """The Secret that the server and its backup read it from."""
        return PublishedSecret(name="app", items={"immich.json": self.text})

    @property
    def secrets(self) -> tuple[str, ...]:
        """Config keys of the secrets in it."""
        return self.text.keys


def app_file(
    app: AppConfig | None,
    host: Host,
    server: Server,
    machine_learning: MachineLearning,
    backup: Backup | None,
) -> AppFile | None:
    """The file for a stack, or None where Immich is set up on its web page."""
    if app is None:
        return None
    from components.server.app.settings import SECRET_FIELDS  # only stacks with that section

    overrides = app_overrides(app, host, server, machine_learning, backup)
    document = app.render(overrides)
    revision = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]
    return AppFile(text=json_with_secrets(document, SECRET_FIELDS, app.required_secrets), revision=revision)

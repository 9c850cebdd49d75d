"""What the program itself says of settings for a deployment: whether it goes on to them, or refuses for its data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from components.database.settings import CloudNativePg
from components.settings.model import Settings
from components.settings.reader import read_settings
from components.upgrade.assessment import judge
from components.upgrade.deployed import Deployed, Last, wanted
from components.upgrade.gate import backed_up
from tests.harness.stacks import needed_secrets


def settings_of(sections: Mapping[str, Any]) -> Settings:
    """Settings as the program reads them. Raises `SettingsError` for those that are not accepted."""
    texts = {key: json.dumps(value) for key, value in sections.items()}
    hidden = dict.fromkeys(needed_secrets(sections), "")
    return read_settings("test", {**texts, **hidden}, list(hidden))


def goes_on(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a deployment that is up with the first settings may get the second ones."""
    there = deployed_by(settings_of(before))
    return _may(Last(finished=there, reached=there), settings_of(after))


def starts(sections: Mapping[str, Any]) -> bool:
    """Whether a new deployment may have these settings."""
    return _may(Last(), settings_of(sections))


def _may(last: Last, after: Settings) -> bool:
    return not judge(last, deployed_by(after), after.upgrade, backed_up=backed_up(after)).problems


def deployed_by(settings: Settings) -> Deployed:
    """What an update with these settings leaves."""
    database = settings.database
    generation = database.lineage.generation if isinstance(database, CloudNativePg) else None
    return wanted(settings, settings.upgrade, lineage=generation)

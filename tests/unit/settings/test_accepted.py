"""What the settings reader makes of configurations that it accepts: one case in each file of `accepted/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from components.settings.model import SECRET_KEYS, SECTIONS, Settings
from components.settings.reader import read_settings
from components.settings.required_secrets import wanted_secrets
from tests.unit.settings.cases import ACCEPTED, load, texts


def read(case: Mapping[str, Any]) -> Settings:
    return read_settings("test", texts(case), case.get("secretKeys", ()))


def at(value: Any, path: str) -> Any:
    """The value at a path of attributes, keys and indices."""
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value[part]
        elif isinstance(value, tuple):
            value = value[int(part)]
        else:
            value = getattr(value, part)
    return value


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_a_good_configuration_is_read_as_it_is_meant(path: Path) -> None:
    case = load(path)
    settings = read(case)
    for where, expected in case["expect"]:
        # As JSON, so that true is not 1.
        assert f"{where}: {json.dumps(at(settings, where))}" == f"{where}: {json.dumps(expected)}"


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_reading_twice_gives_the_same(path: Path) -> None:
    case = load(path)
    assert read(case) == read(case)


def test_settings_have_an_attribute_for_every_section() -> None:
    names = [
        "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name) for name in SECTIONS
    ]
    assert sorted(names) == sorted(field.name for field in fields(Settings))


def test_settings_never_change_after_reading() -> None:
    settings = read({})
    with pytest.raises(ValueError, match="frozen"):
        settings.host.name = settings.host.name
    with pytest.raises(AttributeError, match="cannot assign"):
        settings.host = settings.host  # pyright: ignore[reportAttributeAccessIssue] - that is what is tested


def test_a_default_is_not_shared_between_two_settings() -> None:
    assert read({}).server.placement.node_selector is not read({}).server.placement.node_selector


def test_every_secret_that_settings_can_want_has_a_key() -> None:
    wanted: set[str] = set()
    for path in ACCEPTED:
        settings = read(load(path))
        wanted |= set(wanted_secrets(settings.database, settings.cache, settings.backup, settings.app))
    assert wanted <= set(SECRET_KEYS)
    assert {"databasePassword", "cachePassword", "backupAccessKeyId", "oauthClientSecret"} <= wanted

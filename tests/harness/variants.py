"""Stacks beside those of the repository, which together use every kind of setting (variants.yaml)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from components.settings.reader import SettingsError, read_settings
from tests.harness.program import ROOT

_FILE = Path(__file__).with_name("variants.yaml")
_EVERY_KEY = ROOT / "tests" / "unit" / "app_cases" / "every_key.json"


@dataclass(frozen=True, slots=True)
class Variant:
    """One stack."""

    name: str
    sections: Mapping[str, Any]
    platform: Literal["kubernetes", "docker"]
    """Where it is meant to run: a cluster, or one host with a container engine."""
    provided: tuple[str, ...]
    """What the cluster has beside the stack's own objects, as `tests.harness.references.problems` takes it."""


def every_app_key() -> dict[str, Any]:
    """A value for every key of Immich's own configuration."""
    return cast("dict[str, Any]", json.loads(_EVERY_KEY.read_text(encoding="utf-8")))


def accepted(sections: Mapping[str, Any]) -> bool:
    """Whether the settings are accepted, missing secrets apart, which every test gives."""
    return not refusals(sections)


def refusals(sections: Mapping[str, Any]) -> list[str]:
    """What is wrong with settings, missing secrets apart."""
    from components.settings.model import SECRET_KEYS

    try:
        read_settings("test", {key: json.dumps(value) for key, value in sections.items()})
    except SettingsError as error:
        keys = {f"immich:{key}" for key in SECRET_KEYS}
        return [str(problem) for problem in error.problems if problem.key not in keys]
    return []


def _read() -> dict[str, Variant]:
    found = cast("dict[str, dict[str, Any]]", yaml.load(_FILE.read_text(encoding="utf-8"), yaml.CSafeLoader))
    variants: dict[str, Variant] = {}
    for name, content in found.items():
        sections: dict[str, Any] = content["sections"]
        if sections.get("app") == "every key":
            sections["app"] = every_app_key()
            # What other sections decide of it.
            del sections["app"]["machineLearning"]["urls"]
            sections["app"]["ffmpeg"]["accel"] = sections["server"]["acceleration"]
        platform = content.get("platform", "kubernetes")
        variants[name] = Variant(name, sections, platform, tuple(content["provided"]))
    return variants


EVERY_VARIANT = _read()
VARIANTS = {name: one for name, one in EVERY_VARIANT.items() if one.platform == "kubernetes"}
"""Those of clusters: the engine can render them without one."""
HOST_VARIANTS = {name: one for name, one in EVERY_VARIANT.items() if one.platform == "docker"}
"""Those of one host: they need an engine there, or the mocks."""

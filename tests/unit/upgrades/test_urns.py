"""No object's URN depends on who registers first: an upgrade, a restore or a change of order would make it anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

import pytest

from components.settings.lineage import Lineage
from components.settings.model import Settings
from components.upgrades.before_database import backed_up
from components.upgrades.deployed import Deployed, Last, wanted
from tests.harness.going_on import settings_of
from tests.harness.mocks import Run
from tests.harness.program import ROOT, Stack, from_file, host_stack, run_stack
from tests.harness.stacks import needed_secrets
from tests.harness.variants import EVERY_VARIANT

STACKS: dict[str, Stack] = {
    **{path.stem.removeprefix("Pulumi."): from_file(path) for path in sorted(ROOT.glob("Pulumi.*.yaml"))},
    **{
        f"variant {name}": host_stack("test", variant.sections)
        if variant.platform == "docker"
        else Stack("test", variant.sections, needed_secrets(variant.sections))
        for name, variant in EVERY_VARIANT.items()
    },
}
"""Every stack of the repository, and those that tests vary."""


def past(stack: Stack, **older: Any) -> Last:
    """What is known of an update of the same stack, with other versions."""
    settings: Settings = settings_of(stack.sections)
    now = wanted(settings, settings.upgrade, lineage=_generation(settings))
    before: Deployed = replace(now, **older)
    return Last(finished=before, reached=before)


def _generation(settings: Settings) -> int | None:
    lineage = getattr(settings.database, "lineage", None)
    return lineage.generation if isinstance(lineage, Lineage) else None


def release_before(version: str) -> str:
    """One of the same major."""
    major, minor, patch = map(int, version.split("."))
    return f"{major}.{minor}.{patch - 1}" if patch else f"{major}.{minor - 1}.0"


def urns(run: Run) -> dict[tuple[str, str], str]:
    """Type and name -> URN."""
    return {(one.type, one.name): one.urn for one in run.resources}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.deep if name.startswith("variant") else ()) for name in STACKS],
)
def test_an_upgrade_registers_every_object_where_it_was(name: str) -> None:
    stack = STACKS[name]
    settings = settings_of(stack.sections)
    if not backed_up(settings):
        given = {**stack.sections.get("upgrade", {}), "withoutBackup": settings.server.version}
        stack = replace(stack, sections={**stack.sections, "upgrade": given})
    versions = {"immich": release_before(settings.server.version)}
    if settings.database.vectorchord is not None:
        versions["vectorchord"] = "0.4.3"
    with mock.patch("components.upgrades.gate.read_last", return_value=past(stack, **versions)):
        upgraded = urns(run_stack(stack))
    usual = urns(run_stack(stack))
    assert {one: upgraded.get(one) for one in usual} == usual

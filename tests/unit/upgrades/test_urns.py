"""No object's URN depends on who registers first: an upgrade, a restore or a change of order would make it anew."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import pytest

from components.upgrade.deployed import Last
from components.upgrade.gate import backed_up
from tests.harness.going_on import deployed_by, settings_of
from tests.harness.mocks import Run
from tests.harness.program import Stack, host_stack, run_stack, shared_run
from tests.harness.stacks import needed_secrets
from tests.harness.variants import EVERY_VARIANT
from tests.unit.program.stacks import REPOSITORY


def stack_of(name: str) -> Stack:
    """A stack of the repository, or a variant of the tests."""
    if name in REPOSITORY:
        return REPOSITORY[name]
    variant = EVERY_VARIANT[name]
    if variant.platform == "docker":
        return host_stack("test", variant.sections)
    return Stack("test", variant.sections, needed_secrets(variant.sections))


def release_before(version: str) -> str:
    """One of the same major."""
    major, minor, patch = map(int, version.split("."))
    return f"{major}.{minor}.{patch - 1}" if patch else f"{major}.{minor - 1}.0"


def urns(run: Run) -> dict[tuple[str, str], str]:
    """Type and name -> URN."""
    return {(one.type, one.name): one.urn for one in run.resources}


NAMED = ("dev", "vanillax", "home", "homelab")
"""A cluster with either database, a host with Docker and one with Podman."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in NAMED else pytest.mark.deep)
        for name in (*REPOSITORY, *EVERY_VARIANT)
    ],
)
def test_an_upgrade_registers_every_object_where_it_was(name: str) -> None:
    stack = stack_of(name)
    settings = settings_of(stack.sections)
    if not backed_up(settings):
        given = {**stack.sections.get("upgrade", {}), "withoutBackup": settings.server.version}
        stack = replace(stack, sections={**stack.sections, "upgrade": given})
    versions = {"immich": release_before(settings.server.version)}
    if settings.database.vectorchord is not None:
        versions["vectorchord"] = "0.4.3"
    before = replace(deployed_by(settings), **versions)
    with mock.patch("components.upgrade.gate.read_last", return_value=Last(finished=before, reached=before)):
        upgraded = urns(run_stack(stack))
    usual = urns(shared_run(stack))
    assert {one: upgraded.get(one) for one in usual} == usual

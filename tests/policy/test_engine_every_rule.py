"""Every rule stops (or tells) by the real engine, on a program that registers one bad case of each rule.

The plugins are a stand-in that takes every input as it is (echo_plugin.py): a case need not be complete.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from immich_policy.model import UNKNOWN
from immich_policy.rules import ALL
from tests.harness.engine import Engine, Missing, Result, find_cli
from tests.harness.program import ROOT
from tests.policy.case_files import HERE, load

pytestmark = pytest.mark.engine

PROGRAM = """
import json
import pulumi

for one in json.load(open("resources.json")):
    pulumi.CustomResource(one["type"], one["name"], one["props"], pulumi.ResourceOptions(
        protect=one.get("protect", False)))
"""
MOST_PREVIEWS = 4
"""A resource of one case may be what another case lacks, so not all of them can be in one program."""


def _unknown(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_unknown(inner) for inner in value.values())
    return value is UNKNOWN or (isinstance(value, list) and any(_unknown(inner) for inner in value))


def _bad_case(rule: str) -> dict[str, Any]:
    for path in sorted(HERE.glob(f"cases/*/{rule}/bad-*.yaml")):
        document = load(path)
        plain = not any(
            one["type"].startswith("pulumi:") or one.get("dependencies") for one in document["resources"]
        )
        if plain and not _unknown(document["resources"]):
            return document
    raise AssertionError(f"{rule} has no bad case with known values")


def _together(cases: Mapping[str, dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Resources and configuration of as many cases as agree about the configuration."""
    resources: list[dict[str, Any]] = []
    config: dict[str, Any] = {}
    for rule, case in cases.items():
        wanted = case.get("config", {})
        if all(config.get(key, value) == value for key, value in wanted.items()):
            config |= wanted
            resources += [{**one, "name": f"{rule}/{one['name']}"} for one in case["resources"]]
    return resources, config


def _preview(directory: Path, cli: Path, cases: Mapping[str, dict[str, Any]]) -> Result:
    resources, config = _together(cases)
    packages = {str(one["type"]).partition(":")[0] for one in resources}
    directory.mkdir()
    engine = Engine.create(directory, cli, plugins=sorted(packages))
    for name in packages:
        shim = directory / "bin" / f"pulumi-resource-{name}"
        shim.write_text(
            f'#!/bin/sh\nECHO_NAME={name} exec "{sys.executable}" -m tests.policy.echo_plugin "$@"\n'
        )
    (engine.directory / "resources.json").write_text(json.dumps(resources))
    engine.program(PROGRAM)
    settings = engine.directory / "policy.json"
    settings.write_text(json.dumps({"immich-pack": config}))
    return engine.operate(
        "preview", "--policy-pack", str(ROOT / "policy"), "--policy-pack-config", str(settings), check=False
    )


def test_every_rule_is_heard_in_a_preview(tmp_path: Path) -> None:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    levels = {rule.name: rule.level.value for rule in ALL}
    waiting = {rule: _bad_case(rule) for rule in levels}
    for number in range(MOST_PREVIEWS):
        result = _preview(tmp_path / str(number), cli, waiting)
        assert "Traceback" not in result.text
        told = [event["policyEvent"] for event in result.events if "policyEvent" in event]
        heard = {one["policyName"]: one for one in told if one["policyName"] in waiting}
        assert heard, f"not heard even without the others: {sorted(waiting)}\n{result.text}"
        for rule, event in heard.items():
            assert event["enforcementLevel"] == levels[rule]
            assert f"docs/policies.md#{rule}" in event["message"]
        if any(levels[rule] == "mandatory" for rule in heard):
            assert result.returncode != 0
        waiting = {rule: case for rule, case in waiting.items() if rule not in heard}
        if not waiting:
            return
    pytest.fail(f"not heard in {MOST_PREVIEWS} previews: {sorted(waiting)}")

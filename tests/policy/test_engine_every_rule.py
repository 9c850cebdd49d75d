"""Every rule stops (or tells) by the real engine, on a program that registers the resources of one of its bad cases.

The plugins are a stand-in that takes every input as it is (echo_plugin.py): a case need not be complete.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from immich_policy.model import UNKNOWN
from immich_policy.rules import ALL
from tests.harness.engine import Engine, Missing, find_cli
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


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
def test_a_rule_is_heard_in_a_preview(rule: Any, tmp_path: Path) -> None:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    case = _bad_case(rule.name)
    packages = {str(one["type"]).partition(":")[0] for one in case["resources"]}
    engine = Engine.create(tmp_path, cli, plugins=sorted(packages))
    for name in packages:
        shim = tmp_path / "bin" / f"pulumi-resource-{name}"
        shim.write_text(
            f'#!/bin/sh\nECHO_NAME={name} exec "{sys.executable}" -m tests.policy.echo_plugin "$@"\n'
        )
    (engine.directory / "resources.json").write_text(json.dumps(case["resources"]))
    engine.program(PROGRAM)
    settings = engine.directory / "policy.json"
    settings.write_text(json.dumps({"immich-pack": case.get("config", {})}))
    result = engine.operate(
        "preview", "--policy-pack", str(ROOT / "policy"), "--policy-pack-config", str(settings), check=False
    )
    heard = {
        event["policyEvent"]["policyName"]: event["policyEvent"]
        for event in result.events
        if "policyEvent" in event
    }
    assert rule.name in heard, result.text
    assert heard[rule.name]["enforcementLevel"] == rule.level.value
    if rule.level.value == "mandatory":
        assert result.returncode != 0
    assert f"docs/policies.md#{rule.name}" in heard[rule.name]["message"]
    assert "Traceback" not in result.text

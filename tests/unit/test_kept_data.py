"""What is told of data that left the settings."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from toolchain import kept_data

CLAIM = "urn:pulumi:home::immich::kubernetes:core/v1:PersistentVolumeClaim::immich/thumbs"
PASSWORD = "urn:pulumi:home::immich::random:index/randomPassword:RandomPassword::backup-password"
MEDIA = "urn:pulumi:home::immich::kubernetes:core/v1:PersistentVolumeClaim::immich/media"


def resource(urn: str, **more: object) -> dict[str, Any]:
    return {"urn": urn, "type": urn.split("::")[2], "protect": True, "custom": True, **more}


STATE: dict[str, object] = {
    "deployment": {"resources": [resource(CLAIM), resource(PASSWORD), resource(MEDIA)]}
}


def planned(monkeypatch: pytest.MonkeyPatch, *steps: dict[str, Any]) -> None:
    answer = subprocess.CompletedProcess([], 1, json.dumps({"steps": steps}), "")
    monkeypatch.setattr("toolchain.kept_data.subprocess.run", lambda *_, **__: answer)


def test_everything_that_left_is_told_with_its_command_although_the_plan_ends_at_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planned(
        monkeypatch,
        {"op": "same", "newState": resource(MEDIA)},
        {"op": "delete", "oldState": resource(CLAIM)},
    )
    told = kept_data.refused("home", STATE, {}, Path())
    assert "What holds data is not in the settings any more (2). Nothing was changed:" in told
    commands = [line.strip() for line in told if line.startswith("  pulumi ")]
    assert commands == [f"pulumi state unprotect --stack home --yes {urn}" for urn in (CLAIM, PASSWORD)]
    # A random password is nowhere else: it is written down before the engine forgets it.
    kept = next(index for index, line in enumerate(told) if "--show-secrets" in line)
    assert kept < told.index(f"  {commands[0]}")
    assert "umask 077" in told[kept]


def test_another_failure_is_left_to_the_cli(monkeypatch: pytest.MonkeyPatch) -> None:
    planned(monkeypatch, {"op": "update", "newState": resource(MEDIA)})
    assert kept_data.refused("home", STATE, {}, Path()) == []
    assert kept_data.refused("home", {}, {}, Path()) == []

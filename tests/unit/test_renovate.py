"""What Renovate would find in the files as they are: renovate.json names them, and its expressions match."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.versions import IMAGES
from tests.harness.program import ROOT
from toolchain import versions

CONFIGURATION: dict[str, Any] = json.loads((ROOT / "renovate.json").read_text(encoding="utf-8"))
MARK = "# renovate: "
SDKS = ROOT / "requirements" / "runtime.in"


def expression(text: str) -> re.Pattern[str]:
    """A pattern of RE2 as Python has it."""
    return re.compile(text.replace("(?<", "(?P<"))


def found() -> dict[str, list[dict[str, str]]]:
    """File -> what is captured in it, as Renovate looks at the files of the repository."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    captured: dict[str, list[dict[str, str]]] = {}
    for manager in CONFIGURATION["customManagers"]:
        patterns = [expression(one.strip("/")) for one in manager["managerFilePatterns"]]
        for name in listed.stdout.splitlines():
            if any(pattern.search(name) for pattern in patterns):
                text = (ROOT / name).read_text(encoding="utf-8")
                for one in manager["matchStrings"]:
                    captured.setdefault(name, []).extend(
                        {key: value for key, value in match.groupdict().items() if value is not None}
                        for match in expression(one).finditer(text)
                    )
    return captured


FOUND = found()


def test_every_comment_for_renovate_is_in_a_file_that_it_reads_and_matches() -> None:
    marked = subprocess.run(
        ["git", "grep", "-c", f"^ *{MARK}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    expected = {
        name: int(count) for name, _, count in (line.rpartition(":") for line in marked.stdout.split())
    }
    assert {name: len(FOUND.get(name, [])) for name in expected} == expected


def test_every_image_with_a_version_is_found_with_it_under_its_own_name() -> None:
    captured = {(one["depName"], one["currentValue"]) for one in FOUND["components/images.yaml"]}
    assert captured == {(image.repository, image.version) for image in IMAGES.values() if image.version}


@pytest.mark.parametrize("one", FOUND["toolchain/versions.py"], ids=lambda one: one["depName"])
def test_a_version_of_a_tool_is_the_one_that_the_module_has(one: dict[str, str]) -> None:
    text = (ROOT / "toolchain" / "versions.py").read_text(encoding="utf-8")
    (line,) = [
        after
        for before, after in zip(text.splitlines(), text.splitlines()[1:], strict=False)
        if before.startswith(f"{MARK}datasource={one['datasource']} depName={one['depName']}")
    ]
    assert getattr(versions, line.partition(":")[0]) == one["currentValue"]


def test_the_sdks_are_those_that_the_program_needs() -> None:
    captured = {one["depName"]: one["currentValue"] for one in FOUND["requirements/runtime.in"]}
    lines = Path(SDKS).read_text(encoding="utf-8").splitlines()
    assert captured == dict(line.split("==") for line in lines if line.startswith("pulumi"))
    plugins = {one["depName"]: one["currentValue"] for one in FOUND["toolchain/versions.py"]}
    assert {name: captured.get(name) for name in plugins if name.startswith("pulumi-")} == {
        name: value for name, value in plugins.items() if name.startswith("pulumi-")
    }


def test_a_tag_with_a_v_stays_out_of_a_file_that_has_none() -> None:
    captured = [one for listed in FOUND.values() for one in listed]
    of_tags = [
        one for one in captured if one.get("datasource") == "github-releases" or "extractVersion" in one
    ]
    assert of_tags
    for one in of_tags:
        match = expression(one["extractVersion"]).fullmatch(f"v{one['currentValue']}")
        assert match is not None, one
        assert match["version"] == one["currentValue"]

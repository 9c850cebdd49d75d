"""What is sent without pulumi-cloudflare is what pulumi-cloudflare's own classes would send; and it is not imported."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any, cast

import pytest

from components.cloudflare.api import INPUTS
from tests.harness.mocks import Recorded
from tests.harness.program import ROOT
from tests.unit.cloudflare.official import plain
from tests.unit.cloudflare.programs import BASE, FULL, all_of, of, run

pytestmark = pytest.mark.deep(
    unless_changed=(
        "components/cloudflare",
        "requirements",
    )
)

SHARED = {**BASE, "tunnel": {}, "access": {"emails": ["ada@example.com"], "shareLinks": True}}


def snake(value: Any) -> Any:
    """Names as Python has them."""
    if isinstance(value, dict):
        return {
            re.sub("[A-Z]", lambda found: f"_{found.group().lower()}", key): snake(inner)
            for key, inner in cast("dict[str, Any]", value).items()
        }
    if isinstance(value, list):
        return [snake(inner) for inner in cast("list[Any]", value)]
    return value


def unmarked(value: Any) -> Any:
    """Secrets in the clear: the classes put them into envelopes by themselves."""
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        return (
            unmarked(found["secret"])
            if set(found) == {"secret"}
            else {key: unmarked(inner) for key, inner in found.items()}
        )
    if isinstance(value, list):
        return [unmarked(inner) for inner in cast("list[Any]", value)]
    return value


def official(resources: list[Recorded]) -> list[list[Any]]:
    kinds = [one.type.rsplit(":", 1)[-1] for one in resources]
    wanted = [
        [kind, f"r{index}", snake(unmarked(plain(one.props)))]
        for index, (kind, one) in enumerate(zip(kinds, resources, strict=True))
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.cloudflare.official"],
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return cast("list[list[Any]]", json.loads(done.stdout))


def test_the_official_classes_would_send_the_same() -> None:
    resources = [*all_of(run(FULL)), *of(run(SHARED), "ZeroTrustAccessPolicy")]
    assert {one.type.rsplit(":", 1)[-1] for one in resources} == set(INPUTS)
    for ours, (type_, props, secret_outputs) in zip(resources, official(resources), strict=True):
        assert (ours.type, plain(ours.props), list(ours.secret_outputs)) == (type_, props, secret_outputs)


def test_every_input_that_is_known_is_used_somewhere() -> None:
    used: dict[str, set[str]] = {}
    for one in all_of(run(FULL)):
        used.setdefault(one.type.rsplit(":", 1)[-1], set()).update(one.props)
    assert used == {kind: set(names) for kind, names in INPUTS.items()}


IMPORTS = """
import json, sys
from tests.unit.cloudflare.programs import FULL, run
run({section}, hidden={hidden})
print(json.dumps(sorted(name for name in sys.modules if "cloudflare" in name)))
"""


def imported(section: str, hidden: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS.format(section=section, hidden=hidden)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name for name in json.loads(done.stdout) if not name.startswith("tests.")}


def test_a_stack_without_the_section_imports_nothing_of_it() -> None:
    assert imported("None", "{}") == set()


def test_a_stack_with_the_section_does_not_import_the_large_package() -> None:
    modules = imported("FULL", "None")
    assert "components.cloudflare.component" in modules
    assert not [name for name in modules if name.startswith("pulumi_cloudflare")]


@pytest.mark.parametrize("name", ["accountId", "requestsPerPeriod", "audTags"])
def test_names_survive_the_way_to_python_and_back(name: str) -> None:
    (python,) = snake({name: 1})
    assert python == re.sub("[A-Z]", lambda found: f"_{found.group().lower()}", name)

"""What the pack does not see is told in its report, and by the pack of each family."""

from __future__ import annotations

from typing import Any, cast

import pytest
import yaml

from immich_policy.judging import Report
from immich_policy.model import Stack
from immich_policy.pack import REPORT, policies
from immich_policy.reading.unseen import unseen
from immich_policy.rules import FAMILIES
from tests.harness.program import ROOT, Runs, from_file
from tests.policy.case_files import HERE, recorded, resources
from tests.policy.servicer import Servicer

TABLE = cast("list[dict[str, Any]]", yaml.safe_load((HERE / "unseen.yaml").read_text(encoding="utf-8")))
_RUNS = Runs({path.stem: from_file(path) for path in sorted(ROOT.glob("Pulumi.*.yaml"))})


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["about"])
def test_what_is_not_seen_is_told(row: dict[str, Any]) -> None:
    assert sorted(one.name for one, _ in unseen(Stack(resources(row)))) == sorted(row["told"])


@pytest.mark.parametrize("name", [path.stem for path in sorted(ROOT.glob("Pulumi.*.yaml"))])
def test_everything_of_a_stack_of_the_repository_is_seen(name: str) -> None:
    assert list(unseen(Stack(recorded(_RUNS[name])))) == []


def test_the_report_names_the_resource_its_type_and_what_is_not_judged() -> None:
    (one,) = resources({"resources": [TABLE[2]["resources"][0]]})
    lines = Report(unseen=tuple(unseen(Stack([one])))).lines()
    assert lines == ["Not judged:\n- s (docker:index/service:Service): services of Swarm are not judged"]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_pack_of_every_family_tells_it(family: str) -> None:
    said = Servicer(policies(FAMILIES[family])).analyze(TABLE[2]["resources"])
    assert any(one.policy == REPORT and "Not judged" in one.message for one in said)

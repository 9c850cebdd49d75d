"""Every case file of the families whose findings are told by resource and path."""

from __future__ import annotations

import pytest

from tests.policy.case_files import RULES, WITH_CASES, Case, cases, findings, load, resources, unjudged

CASES = [case for family in WITH_CASES for case in cases(family)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_finds_in_a_case_what_the_file_says_and_nothing_else(case: Case) -> None:
    document = load(case.path)
    found = resources(document)
    said = sorted((one.resource.name, one.path) for _, one in findings([case.rule], found))
    expected = sorted((one["resource"], one["path"]) for one in document.get("findings", ()))
    assert said == expected
    assert len(unjudged([case.rule], found)) == document.get("unjudged", 0)
    assert bool(expected) == case.path.stem.startswith("bad-"), "the name of the file says what is in it"


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_a_good_case_and_two_bad_ones(name: str) -> None:
    stems = [case.path.stem for case in CASES if case.path.parent.name == name]
    assert sum(stem.startswith("good-") for stem in stems) >= 1
    assert sum(stem.startswith("bad-") for stem in stems) >= 2

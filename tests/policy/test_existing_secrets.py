"""A stack whose secrets exist in the namespace breaks no rule."""

from __future__ import annotations

from immich_policy import config as configuration
from immich_policy.judging import judge_all
from immich_policy.rules import FAMILIES
from tests.harness.program import Runs, with_secrets
from tests.harness.variants import VARIANTS
from tests.policy.case_files import recorded

_RUNS = Runs({"handed": with_secrets("handed", VARIANTS["handed"].sections, "smtpPassword")})
_MADE_BY_A_CLUSTER = {"podRanges": ["10.244.0.0/16"]}


def test_secrets_that_exist_break_no_rule() -> None:
    read, problems = configuration.read(_MADE_BY_A_CLUSTER, frozenset())
    assert problems == []
    rules = [rule for family in FAMILIES.values() for rule in family]
    verdicts = judge_all(rules, recorded(_RUNS["handed"]), read)
    assert {one.rule.name: one.findings for one in verdicts if one.findings} == {}
    assert [one.failure for one in verdicts if one.failure] == []

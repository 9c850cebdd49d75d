"""Every case file of the families `uploads` and `proxies`: a new case is a new file.

`good-*.yaml` has no finding, `bad-*.yaml` has exactly those of `expect` (the resource, and a part of the message);
`unjudged` counts checks that cannot be made, `config` is the pack's configuration.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from immich_policy import config as configuration
from immich_policy.judging import judge, message
from immich_policy.model import PAGE, Rule, Stack
from immich_policy.rules import FAMILIES
from tests.policy.case_files import HERE, load, resources

RULES: dict[str, Rule] = {rule.name: rule for rule in (*FAMILIES["uploads"], *FAMILIES["proxies"])}
FILES = sorted(
    path for family in ("uploads", "proxies") for path in (HERE / "cases" / family).glob("*/*.yaml")
)


def _named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=_named)
def test_a_rule_says_of_a_case_what_the_file_expects(path: Path) -> None:
    document = load(path)
    rule = RULES[path.parent.name]
    config, problems = configuration.read(document.get("config", {}), frozenset(RULES))
    assert problems == []
    verdict = judge(rule, Stack(resources(document)), config)
    assert verdict.failure == ""
    left = [(one.resource.name, message(one, rule)) for one in verdict.findings]
    for expected in document.get("expect", ()):
        found = [one for one in left if one[0] == expected["resource"] and expected["says"] in one[1]]
        assert found, f"no finding says {expected}; there are {left}"
        left.remove(found[0])
    assert left == [], "findings that the file does not expect"
    assert len(verdict.unjudged) == document.get("unjudged", 0), verdict.unjudged
    assert path.stem.startswith("bad-" if document.get("expect") else "good-"), "the name says what is in it"


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_has_a_good_and_a_bad_case(name: str) -> None:
    stems = [path.stem for path in FILES if path.parent.name == name]
    assert any(stem.startswith("good-") for stem in stems)
    assert sum(stem.startswith("bad-") for stem in stems) >= 2


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_rule_is_described(rule: Rule) -> None:
    assert rule.name.startswith(f"{rule.family}-")
    assert rule.title.endswith(".")
    assert rule.why.endswith(".")
    assert rule.remediation.endswith(".")
    assert rule.link == f"{PAGE}#{rule.name}"

"""`docs/policies.md` says what the rules are, and is up to date."""

from __future__ import annotations

import functools
import re

import pytest

from immich_policy import reference
from immich_policy.model import Rule
from immich_policy.own import SETTINGS
from immich_policy.rules import ALL

MARKDOWN = functools.cache(reference.markdown)


def test_the_page_is_what_the_rules_say_now() -> None:
    told = "make it anew: PYTHONPATH=policy python -m immich_policy.reference"
    assert reference.PAGE.read_text(encoding="utf-8") == MARKDOWN(), told


def test_every_rule_of_the_pack_is_on_the_page() -> None:
    headings = re.findall(r"^### (\S+)$", reference.PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == [rule.name for rule in ALL]


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
def test_a_rule_says_what_it_is_why_it_matters_and_what_to_do(rule: Rule) -> None:
    assert re.fullmatch(rf"{rule.family}-[a-z][a-z0-9-]*", rule.name)
    assert rule.title.endswith(".")
    assert len(rule.why) > 30
    assert len(rule.remediation) > 10
    anchor = rule.link.partition("#")[2]
    assert f"\n### {anchor}\n" in MARKDOWN()


def test_names_of_rules_are_unique() -> None:
    names = [rule.name for rule in ALL]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("rule", "setting"), SETTINGS.items())
def test_a_setting_that_the_page_names_is_one_of_this_project(rule: str, setting: str) -> None:
    assert rule in {one.name for one in ALL}
    settings = (reference.ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    above, _, key = setting.rpartition(".")
    # A whole section is a heading; a setting is a row of a table under the heading of what it is in, or of its kinds.
    level, below = re.split(rf"^(#+) `immich:{re.escape(above or key)}`$", settings, flags=re.MULTILINE)[1:3]
    if above:
        assert f"| `{key}` |" in re.split(rf"^#{{1,{len(level)}}} ", below, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("heading", ["configuration", "report"])
def test_the_pack_s_own_policies_have_a_place_on_the_page(heading: str) -> None:
    assert re.search(rf"^## {heading}$", MARKDOWN(), re.MULTILINE | re.IGNORECASE)

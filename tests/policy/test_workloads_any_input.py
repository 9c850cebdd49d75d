"""No rule of these families raises, whatever is registered."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from immich_policy.config import Config
from immich_policy.model import UNKNOWN, Registered, Stack, registered
from tests.harness.examples import examples
from tests.policy.case_files import RULES, cases, load, resources

DOCUMENTS = [
    load(case.path) for family in ("exposure", "workloads", "data", "secrets") for case in cases(family)
]
TYPES = sorted({one["type"] for document in DOCUMENTS for one in document["resources"]})
ODD: list[Any] = [
    UNKNOWN,
    None,
    "",
    "x",
    -1,
    0,
    1.5,
    True,
    [],
    {},
    [None],
    [UNKNOWN],
    {"name": UNKNOWN},
    [[]],
    {"": [1]},
]
JSON = st.recursive(
    st.sampled_from(ODD) | st.text(max_size=8) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "spec",
                    "metadata",
                    "name",
                    "containers",
                    "ports",
                    "envs",
                    "data",
                    "rules",
                    "config",
                    "labels",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def _judge(found: list[Registered]) -> None:
    stack = Stack(found)
    for rule in RULES.values():
        for said in rule.judge(stack, Config()):
            assert said.resource in found


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(TYPES), JSON), max_size=4))
def test_arbitrary_resources_are_judged(given_resources: list[tuple[str, Any]]) -> None:
    _judge([registered(type_, f"r{index}", props) for index, (type_, props) in enumerate(given_resources)])


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [
            found for key, inner in value.items() for found in [(*path, key), *_places(inner, (*path, key))]
        ]
    if isinstance(value, list):
        return [
            found
            for key, inner in enumerate(value)
            for found in [(*path, key), *_places(inner, (*path, key))]
        ]
    return []


@pytest.mark.parametrize(
    "document",
    DOCUMENTS,
    ids=[str(c) for f in ("exposure", "workloads", "data", "secrets") for c in cases(f)],
)
def test_an_odd_value_at_any_place_of_a_case_is_judged(document: dict[str, Any]) -> None:
    found = resources(document)
    for number, one in enumerate(found):
        for turn, place in enumerate(_places(dict(one.props))):
            for odd in (ODD[turn % len(ODD)], ODD[(turn + 7) % len(ODD)]):
                props = copy.deepcopy(dict(one.props))
                at: Any = props
                for key in place[:-1]:
                    at = at[key]
                at[place[-1]] = odd
                _judge([*found[:number], dataclasses.replace(one, props=props), *found[number + 1 :]])


@pytest.mark.parametrize("document", DOCUMENTS[::7])
def test_a_resource_of_which_nothing_is_known_breaks_no_rule_on_its_values(document: dict[str, Any]) -> None:
    found = [
        registered(one["type"], one["name"], dict.fromkeys(one["props"], UNKNOWN))
        for one in document["resources"]
    ]
    _judge(found)

"""The repository's stacks are clean, and one wrong property breaks one rule: the table is `mutations.yaml`."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, cast

import pytest
import yaml

from immich_policy.model import Registered
from tests.harness.program import ROOT, Runs, from_file
from tests.harness.stacks import REPOSITORY_STACKS
from tests.policy.case_files import HERE, RULES, findings, recorded, unjudged

DOCKER_STACKS = ("heartbeat-dev", "heartbeat", "home", "homelab", "hwc")
SETUP = "exposure-setup"
"""The stack `skylab` has a public door: until its first administrator exists, its setup page is open."""


def _table(name: str) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", yaml.safe_load((HERE / name).read_text(encoding="utf-8")))


TABLE = [*_table("mutations.yaml"), *_table("mutations-docker.yaml")]
_NAMES = ("name", "mountPath", "target", "file")
STACKS = (*REPOSITORY_STACKS, *DOCKER_STACKS, "skylab")
_RUNS = Runs({name: from_file(ROOT / f"Pulumi.{name}.yaml") for name in STACKS})


def _named(row: dict[str, Any]) -> str:
    return f"{row['stack']}-{row['rule']}-{row['kind']}"


def _key(at: Any, key: Any) -> Any:
    """An element of a list may be told by one of its names."""
    if isinstance(at, list) and isinstance(key, str):
        return next(i for i, one in enumerate(at) if key in [one.get(name) for name in _NAMES])
    return key


def _changed(one: Registered, row: dict[str, Any]) -> Registered:
    if "protect" in row:
        assert one.protect
        return dataclasses.replace(one, protect=row["protect"])
    props = copy.deepcopy(dict(one.props))
    at: Any = props
    for key in row["at"][:-1]:
        found = _key(at, key)
        if isinstance(at, dict) and found not in at:
            at[found] = {}
        at = at[found]
    last = _key(at, row["at"][-1])
    if row.get("remove"):
        del at[last]
    else:
        at[last] = row["value"]
    assert props != one.props, "the mutation changes something"
    return dataclasses.replace(one, props=props)


def _is(one: Registered, row: dict[str, Any]) -> bool:
    return (
        one.kind == row["kind"]
        and (bool(one.group) or one.type.startswith(("docker:", "cloudflare:")))
        and one.name.rsplit("/", 1)[-1] == row["name"]
    )


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
@pytest.mark.parametrize("name", [*REPOSITORY_STACKS, *DOCKER_STACKS])
def test_a_stack_of_the_repository_has_no_finding(name: str, preview: bool) -> None:
    run = _RUNS.preview(name) if preview else _RUNS[name]
    assert [(rule.name, said) for rule, said in findings(RULES.values(), recorded(run))] == []


@pytest.mark.parametrize("name", REPOSITORY_STACKS)
def test_what_cannot_be_judged_is_said_and_is_the_backup_of_a_single_database_alone(name: str) -> None:
    for run in (_RUNS[name], _RUNS.preview(name)):
        said = [(rule.name, one.what) for rule, one in unjudged(RULES.values(), recorded(run))]
        assert all(rule == "data-backups" and "is not checked here" in what for rule, what in said)
        assert bool(said) == (name == "dev")


@pytest.mark.parametrize("row", TABLE, ids=_named)
def test_one_wrong_property_breaks_one_rule(row: dict[str, Any]) -> None:
    found = recorded(_RUNS[row["stack"]])
    (target,) = [one for one in found if _is(one, row)]
    mutated = [_changed(one, row) if one is target else one for one in found]
    broken = {rule.name for rule, _ in findings(RULES.values(), mutated)}
    before = {rule.name for rule, _ in findings(RULES.values(), found)}
    assert row["rule"] not in before
    assert broken - before == {row["rule"]}


def test_every_rule_is_in_the_table() -> None:
    assert {row["rule"] for row in TABLE} == set(RULES)


def test_the_stack_with_a_public_door_is_clean_once_its_setup_page_is_closed() -> None:
    found = recorded(_RUNS["skylab"])
    assert {rule.name for rule, _ in findings(RULES.values(), found)} <= {SETUP}
    closed = [
        dataclasses.replace(one, props={**one.props, "envs": ["IMMICH_ALLOW_SETUP=false"]})
        if one.name == "immich-skylab-server"
        else one
        for one in found
    ]
    opened = [
        dataclasses.replace(one, props={**one.props, "envs": ["IMMICH_ALLOW_SETUP=true"]})
        if one.name == "immich-skylab-server"
        else one
        for one in found
    ]
    assert findings(RULES.values(), closed) == []
    assert {rule.name for rule, _ in findings(RULES.values(), opened)} == {SETUP}


_OF_ONE_KIND = {"workloads-gpu-worker"}
"""Rules about split workers, which few stacks have."""
_HOSTS = {*DOCKER_STACKS, "skylab"}


def _elsewhere() -> list[dict[str, Any]]:
    """Each row once more for every other stack that has the same resource with the same value at that place."""
    found: list[dict[str, Any]] = []
    for row in TABLE:
        if row["rule"] in _OF_ONE_KIND:
            continue
        (target,) = [one for one in recorded(_RUNS[row["stack"]]) if _is(one, row)]
        for name in STACKS:
            if name == row["stack"] or (name in _HOSTS) != (row["stack"] in _HOSTS):
                continue
            there = {
                **row,
                "stack": name,
                "name": row["name"].replace(f"immich-{row['stack']}-", f"immich-{name}-"),
            }
            same = [one for one in recorded(_RUNS[name]) if _is(one, there)]
            if len(same) == 1 and _value(same[0], there) == _value(target, row):
                found.append(there)
    return found


_NOWHERE = object()


def _value(one: Registered, row: dict[str, Any]) -> object:
    if "protect" in row:
        return one.protect
    at: Any = one.props
    try:
        for key in row["at"]:
            at = at[_key(at, key)]
    except (KeyError, IndexError, StopIteration, TypeError):
        return _NOWHERE
    return at


@pytest.mark.parametrize("row", _elsewhere(), ids=_named)
def test_the_same_mistake_in_another_stack_breaks_the_same_rule(row: dict[str, Any]) -> None:
    test_one_wrong_property_breaks_one_rule(row)

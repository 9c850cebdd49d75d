"""The repository's stacks are clean, and one wrong property breaks one rule: the table is `mutations.yaml`."""

from __future__ import annotations

import copy
import dataclasses
import functools
from typing import Any, cast

import pytest
import yaml

from immich_policy.model import Registered
from tests.harness.mocks import Run
from tests.harness.program import ROOT, Runs, Stack, from_file, host_stack, with_secrets
from tests.harness.stacks import REPOSITORY_STACKS
from tests.policy.case_files import HERE, RULES, findings, recorded, unjudged

DOCKER_STACKS = ("heartbeat-dev", "heartbeat", "home", "homelab", "hwc")
LEAVE = "data-backups-leave"
STAYS = {
    "dev": "immich/immich-backup",
    "home": "immich-home-backup-dump",
    "heartbeat-dev": "immich-heartbeat-dev-backup-dump",
}
"""Stacks to begin with, which have no target on purpose, and what makes the dumps that stay with their database."""
OF_OTHERS = {"workloads-cluster-rights"}
"""Rules about what no stack of the repository registers: roles of a cluster."""
SETUP, RESTORE = "exposure-setup", "exposure-restore"


def _table(name: str) -> list[dict[str, Any]]:
    return cast(
        "list[dict[str, Any]]", yaml.load((HERE / name).read_text(encoding="utf-8"), yaml.CSafeLoader)
    )


TABLE = [*_table("mutations.yaml"), *_table("mutations-docker.yaml")]
_NAMES = ("name", "mountPath", "target", "file", "label")
STACKS = (*REPOSITORY_STACKS, *DOCKER_STACKS, "skylab")
_FILES = {name: from_file(ROOT / f"Pulumi.{name}.yaml") for name in STACKS}
WITH_TARGET = "home-with-target"
_BUCKET = {"name": "cloud", "kind": "s3", "bucket": "photos", "endpointUrl": "https://s3.example.com"}
_TARGET = host_stack(
    WITH_TARGET, {**_FILES["home"].sections, "backup": {"targets": [_BUCKET], "drill": None}}
)
"""The stack `home` as its owner goes on with it: dumps in a volume of the engine, copied to a bucket."""
OPERATED = "operated-with-targets"
_OPERATED = with_secrets(
    OPERATED,
    {
        "host": {"name": "photos.example.com"},
        "kubernetes": {"target": "render"},
        "database": {"kind": "cloudnative-pg"},
        "backup": {"targets": [_BUCKET]},
    },
    "backupAccessKeyId",
    "backupSecretAccessKey",
)
"""What settings.backup_rules offers for a CloudNativePG database beside an archive."""
OPENED, OPENED_WITH_ADMINISTRATOR = "skylab-opened", "skylab-with-administrator"
OPENED_WITH_SETUP = "skylab-with-setup"


def _opened(name: str, *, allow_setup: bool, setup: bool = False) -> Stack:
    """The stack `skylab`, whose one door is the internet's, with what it refuses there opened."""
    sections = {name: one for name, one in _FILES["skylab"].sections.items() if name != "setup" or setup}
    server = {**sections.get("server", {}), "allowSetup": allow_setup}
    return host_stack(
        name, {**sections, "server": server, "proxy": {**sections["proxy"], "maintenance": "everywhere"}}
    )


_RUNS = Runs(
    {
        **_FILES,
        WITH_TARGET: _TARGET,
        OPERATED: _OPERATED,
        OPENED: _opened(OPENED, allow_setup=True),
        OPENED_WITH_ADMINISTRATOR: _opened(OPENED_WITH_ADMINISTRATOR, allow_setup=False),
        OPENED_WITH_SETUP: _opened(OPENED_WITH_SETUP, allow_setup=True, setup=True),
    }
)


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


def _found(run: Run) -> list[tuple[str, str]]:
    return [(rule.name, said.resource.name) for rule, said in findings(RULES.values(), recorded(run))]


def _open(run: Run) -> list[tuple[str, str]]:
    return [(rule.name, said.resource.name) for rule, said in unjudged(RULES.values(), recorded(run))]


@pytest.mark.parametrize("name", [*REPOSITORY_STACKS, *DOCKER_STACKS])
def test_a_stack_of_the_repository_has_no_finding_but_that_it_has_no_target_on_purpose(name: str) -> None:
    assert _found(_RUNS[name]) == [(LEAVE, STAYS.get(name, ""))] * (name in STAYS)
    in_a_preview = name in STAYS and name in REPOSITORY_STACKS
    assert _found(_RUNS.preview(name)) == [(LEAVE, STAYS.get(name, ""))] * in_a_preview


def test_the_stacks_with_that_finding_are_those_without_a_target() -> None:
    backups = {name: cast("dict[str, Any]", one.sections["backup"]) for name, one in _FILES.items()}
    assert {name for name, one in backups.items() if not one.get("targets")} == set(STAYS)


def test_the_stack_to_begin_with_is_clean_once_it_has_a_target() -> None:
    assert _found(_RUNS[WITH_TARGET]) == []


def test_what_the_settings_offer_for_a_database_of_an_operator_is_clean() -> None:
    assert _found(_RUNS[OPERATED]) == []


@pytest.mark.parametrize("name", REPOSITORY_STACKS)
def test_everything_of_a_cluster_is_judged(name: str) -> None:
    for run in (_RUNS[name], _RUNS.preview(name)):
        assert _open(run) == []


@pytest.mark.parametrize("name", [*DOCKER_STACKS, "skylab"])
def test_of_a_host_a_preview_does_not_know_the_files_that_have_a_password_in_them(name: str) -> None:
    assert _open(_RUNS[name]) == []
    unknown = [("workloads-cache-noeviction", f"immich-{name}-cache-files")]
    unknown += [(LEAVE, STAYS[name])] if name in STAYS else []
    assert _open(_RUNS.preview(name)) == unknown


@pytest.mark.parametrize("name", ["prod", "vanillax"])
def test_a_dump_beside_an_archive_may_be_suspended(name: str) -> None:
    row = {"at": ["spec", "suspend"], "value": True}
    mutated = [_changed(one, row) if one.kind == "CronJob" else one for one in recorded(_RUNS[name])]
    assert mutated != recorded(_RUNS[name])
    assert findings(RULES.values(), mutated) == []


@functools.cache
def _unchanged(stack: str) -> tuple[list[Registered], set[str]]:
    """A stack as it is, and the rules that it breaks."""
    found = recorded(_RUNS[stack])
    return found, {rule.name for rule, _ in findings(RULES.values(), found)}


@pytest.mark.parametrize("row", TABLE, ids=_named)
def test_one_wrong_property_breaks_one_rule(row: dict[str, Any]) -> None:
    found, before = _unchanged(row["stack"])
    (target,) = [one for one in found if _is(one, row)]
    mutated = [_changed(one, row) if one is target else one for one in found]
    broken = {rule.name for rule, _ in findings(RULES.values(), mutated)}
    assert row["rule"] not in before
    assert broken - before == {row["rule"]}


def test_every_rule_is_in_the_table() -> None:
    # No one property breaks the other: where a door opens, the task has made the administrator; it is shown below.
    assert {row["rule"] for row in TABLE} | OF_OTHERS | {SETUP} == set(RULES)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("skylab", set()),
        (OPENED, {SETUP, RESTORE}),
        (OPENED_WITH_ADMINISTRATOR, {RESTORE}),
        (OPENED_WITH_SETUP, {RESTORE}),
    ],
)
def test_a_door_of_the_internet_is_found_where_it_hands_on_what_makes_the_first_administrator(
    name: str, broken: set[str]
) -> None:
    assert {rule for rule, _ in _found(_RUNS[name])} == broken


def test_behind_a_door_that_refuses_it_the_setup_page_may_stay_open() -> None:
    opened = [
        dataclasses.replace(one, props={**one.props, "envs": ["IMMICH_ALLOW_SETUP=true"]})
        if one.name == "immich-skylab-server"
        else one
        for one in recorded(_RUNS["skylab"])
        if not one.name.startswith("immich-skylab-setup")
    ]
    assert findings(RULES.values(), opened) == []


@pytest.mark.parametrize(("task", "broken"), [(False, {SETUP}), (True, set[str]())])
def test_a_router_that_refuses_restores_alone_needs_a_task_that_makes_the_administrator(
    task: bool, broken: set[str]
) -> None:
    rule = "traefik.http.routers.immich-homelab-server-closed.rule"
    restores = (
        "(Host(`photos.patriark.org`)) && Method(`POST`) && "
        "PathRegexp(`(?i)^/api/admin/(database-backups/start-restore/*|maintenance(/.*)?)$`)"
    )
    found: list[Registered] = []
    for one in recorded(_RUNS["homelab"]):
        if one.name == "immich-homelab-server" and one.type.endswith(":Container"):
            row = {"at": ["labels", rule, "value"], "value": restores}
            found.append(_changed(one, row))
        elif task or not one.name.startswith("immich-homelab-setup"):
            found.append(one)
    assert {rule.name for rule, _ in findings(RULES.values(), found)} == broken


_OF_ONE_KIND = {"workloads-gpu-worker"}
"""Rules about split workers, which few stacks have."""
_DUMPED = {"CronJob", "ConfigMap"}
"""What makes dumps on a cluster: of one database in a container the only backup, beside an archive a second one."""
_HOSTS = {*DOCKER_STACKS, "skylab"}


def _elsewhere(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A row once more for every other stack that has the same resource with the same value at that place."""
    if row["rule"] in _OF_ONE_KIND or (row["rule"] == "data-backups" and row["kind"] in _DUMPED):
        return []
    found: list[dict[str, Any]] = []
    (target,) = [one for one in _unchanged(row["stack"])[0] if _is(one, row)]
    for name in STACKS:
        if name == row["stack"] or (name in _HOSTS) != (row["stack"] in _HOSTS):
            continue
        there = {
            **row,
            "stack": name,
            "name": row["name"].replace(f"immich-{row['stack']}-", f"immich-{name}-"),
        }
        same = [one for one in _unchanged(name)[0] if _is(one, there)]
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


@pytest.mark.deep
@pytest.mark.parametrize("row", TABLE, ids=_named)
def test_the_same_mistake_in_another_stack_breaks_the_same_rule(row: dict[str, Any]) -> None:
    for there in _elsewhere(row):
        test_one_wrong_property_breaks_one_rule(there)


def test_most_mistakes_can_be_made_in_more_than_one_stack() -> None:
    assert sum(bool(_elsewhere(row)) for row in TABLE) > len(TABLE) / 2

"""Every setting is changed on a stack that is up: what holds data is left alone, or it is protected and kept.

What a change does is worked out from two runs of the program under mocks and the plugins' rules of replacement. Many
changes are made at once, in as few sets as are accepted together; each one alone is for `make test-all`. The real
engine sees such sets in tests/engine and tests/docker.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests.harness.examples import examples
from tests.harness.going_on import starts
from tests.harness.mocks import Run
from tests.harness.planning import losses
from tests.harness.program import Stack, host_stack, run_stack, unwrapped
from tests.harness.setting_cases import REFUSED, VALUES, change
from tests.harness.setting_leaves import Place, every_setting, of_a_host, places, value_at, written_out
from tests.harness.stacks import data_bearing, needed_secrets
from tests.harness.variants import (
    EVERY_VARIANT,
    HOST_VARIANTS,
    VARIANTS,
    Variant,
    accepted,
    every_app_key,
    refusals,
)

SETTINGS = every_setting()
VOLUME = "docker:index/volume:Volume"
REPLACES = ("name", "driver", "driverOpts")
"""Inputs of a volume whose change makes another one (pulumi-docker: every one of them forces a replacement); the
program leaves changes of labels aside."""
LOSES = REFUSED | {"immich:docker", "Nfs.mountOptions", "Proxy.tls"}
"""Settings that may let go of a volume with data on one host: there also the options of a share, which are part of the
volume, and the certificate that this program keeps."""


@dataclass(frozen=True)
class Loss:
    """A resource with data that the engine would delete or replace."""

    what: str
    kept: bool
    """Whether it is protected, and kept all the same."""


@dataclass(frozen=True)
class Platform:
    """Where stacks run."""

    name: str
    variants: Mapping[str, Variant]
    run: Callable[[Mapping[str, Any]], Run]
    losses: Callable[[Run, Run], list[Loss]]
    loses: frozenset[str]
    """Settings whose change may lose data."""
    owns: Callable[[str], bool]
    """Whether a setting must have a second value on this platform."""

    def __str__(self) -> str:
        return self.name

    @functools.cached_property
    def full(self) -> dict[str, dict[str, Any]]:
        """The variants with every default written out."""
        return {name: written_out(variant.sections) for name, variant in self.variants.items()}

    @functools.cached_property
    def places(self) -> dict[str, dict[str, list[Place]]]:
        """Setting -> variant -> its places there."""
        found: dict[str, dict[str, list[Place]]] = {}
        for name, sections in self.full.items():
            for place in places(sections):
                found.setdefault(place.setting, {}).setdefault(name, []).append(place)
        return found

    @functools.cached_property
    def base(self) -> Callable[[str], Run]:
        """A variant as it is; nobody may change the run."""
        return functools.cache(lambda name: self.run(self.full[name]))

    def changes(self, setting: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Variant and settings after a change, at every place of every variant where another value is accepted."""
        for name, there in self.places.get(setting, {}).items():
            for place in there:
                result = change(self.full[name], place, SETTINGS[setting])
                if result is not None:
                    yield name, result


def _on_a_cluster(sections: Mapping[str, Any]) -> Run:
    return run_stack(Stack("test", sections, needed_secrets(sections)))


def _on_a_host(sections: Mapping[str, Any]) -> Run:
    return run_stack(host_stack("test", sections))


def _lost_on_a_cluster(before: Run, after: Run) -> list[Loss]:
    return [
        Loss(
            f"{step.op} {step.kind} {step.name}",
            one.protect and (one.retain_on_delete or "random:" in one.type),
        )
        for step, one in losses(before, after)
        if data_bearing(step.urn, unwrapped(one.props))
    ]


def _lost_on_a_host(before: Run, after: Run) -> list[Loss]:
    now = {one.urn: one for one in after.of_type(VOLUME)}
    return [
        Loss(one.name, one.protect and one.retain_on_delete)
        for one in before.of_type(VOLUME)
        if data_bearing(one.urn, unwrapped(one.props))
        and (one.urn not in now or any(one.props.get(key) != now[one.urn].props.get(key) for key in REPLACES))
    ]


CLUSTER = Platform(
    "cluster", VARIANTS, _on_a_cluster, _lost_on_a_cluster, REFUSED, lambda setting: not of_a_host(setting)
)
HOST = Platform("host", HOST_VARIANTS, _on_a_host, _lost_on_a_host, LOSES, of_a_host)
on_each_platform = pytest.mark.parametrize("platform", [CLUSTER, HOST], ids=str)


def together(platform: Platform, wanted: Iterable[str]) -> tuple[list[tuple[str, dict[str, Any]]], set[str]]:
    """Sets of changes, each a variant and its settings with as many of the wanted ones changed as are accepted
    together, and the settings that have no second value anywhere.
    """
    sets: list[tuple[str, dict[str, Any]]] = []
    without: set[str] = set()
    for setting in wanted:
        there = platform.places.get(setting, {})
        # Those that were begun first: each more is a run of the program, and so is another variant as it is.
        begun = [name for name in there if any(name == one for one, _ in sets)]
        new = [(name, platform.full[name]) for name in dict.fromkeys([*begun, *there])]
        for index, (name, now) in enumerate([*sets, *new]):
            if result := _add(platform, setting, name, now):
                sets[index : index + 1] = [(name, result)]
                break
        else:
            without.add(setting)
    return sets, without


def _add(platform: Platform, setting: str, name: str, now: dict[str, Any]) -> dict[str, Any] | None:
    full = platform.full[name]
    for place in platform.places.get(setting, {}).get(name, ()):
        untouched = value_at(now, place.path) == value_at(full, place.path)
        if untouched and (result := change(now, place, SETTINGS[setting])):
            return result
    return None


@on_each_platform
def test_changes_of_harmless_settings_leave_data_alone(platform: Platform) -> None:
    harmless = sorted(SETTINGS.keys() - platform.loses)
    sets, without = together(platform, harmless)
    assert [setting for setting in without if platform.owns(setting)] == [], (
        "give them a value in setting_cases.py"
    )
    assert sets
    for name, sections in sets:
        lost = platform.losses(platform.base(name), platform.run(sections))
        assert lost == [], f"`make test-all TIERS=unit` says which setting of {name} loses it"


@on_each_platform
def test_what_changes_of_other_settings_would_lose_is_protected_and_kept(platform: Platform) -> None:
    sets, _ = together(platform, sorted(platform.loses))
    lost = [
        loss
        for name, sections in sets
        for loss in platform.losses(platform.base(name), platform.run(sections))
    ]
    assert lost
    assert [loss for loss in lost if not loss.kept] == []


@pytest.mark.deep
@pytest.mark.parametrize("setting", sorted(SETTINGS))
@on_each_platform
def test_a_change_of_one_setting_leaves_data_alone_or_meets_protection(
    platform: Platform, setting: str
) -> None:
    changes = platform.changes(setting)
    if setting not in platform.loses:
        for name, sections in changes:
            assert platform.losses(platform.base(name), platform.run(sections)) == [], name
            return
        assert not platform.owns(setting), f"{setting} has no second value that is accepted"
        return
    lost = (platform.losses(platform.base(name), platform.run(sections)) for name, sections in changes)
    first = next((found for found in lost if found), [])
    assert all(loss.kept for loss in first), first
    assert first or platform is HOST, f"no change of {setting} would lose data: take it out of REFUSED"


def test_a_stack_on_a_host_that_moves_to_a_cluster_meets_protection() -> None:
    name, sections = next(HOST.changes("immich:docker"))
    lost = HOST.losses(HOST.base(name), HOST.run(sections))
    assert lost
    assert [loss for loss in lost if not loss.kept] == []


@on_each_platform
def test_the_variants_are_accepted(platform: Platform) -> None:
    for name, variant in platform.variants.items():
        assert refusals(variant.sections) == [], name
        assert refusals(platform.full[name]) == [], name


@pytest.mark.parametrize(("platform", "name"), [(CLUSTER, "operated"), (HOST, "hosted")], ids=str)
def test_written_out_a_variant_is_the_same_stack(platform: Platform, name: str) -> None:
    plain, full = platform.run(platform.variants[name].sections), platform.base(name)
    # By name: what does not depend on each other is registered in any order.
    assert {one.urn: _but_the_settings(one.props) for one in plain.resources} == {
        one.urn: _but_the_settings(one.props) for one in full.resources
    }


def _but_the_settings(props: dict[str, Any]) -> dict[str, Any]:
    """Without the copy of the settings that goes with backups, and its hash: they are as somebody wrote them."""
    given = dict(unwrapped(props))
    if "uploads" in given:
        given["uploads"] = [one for one in given["uploads"] if not one["file"].endswith("/Pulumi.test.yaml")]
    if "labels" in given and isinstance(given["labels"], list):
        given["labels"] = [one for one in given["labels"] if one["label"] != "immich.revision-backup-stack"]
    return given


def test_a_variant_says_where_it_runs() -> None:
    for name, variant in EVERY_VARIANT.items():
        assert (variant.platform == "docker") == ("docker" in variant.sections), name
    assert VARIANTS.keys() | HOST_VARIANTS.keys() == EVERY_VARIANT.keys()


def test_every_setting_has_a_place_in_a_variant_and_the_tables_speak_of_settings_that_exist() -> None:
    assert SETTINGS.keys() - (CLUSTER.places.keys() | HOST.places.keys()) == set()
    assert LOSES - SETTINGS.keys() == set()
    assert VALUES.keys() - SETTINGS.keys() == set()


def test_every_key_of_immichs_own_file_may_change() -> None:
    present = dict(VARIANTS["external"].sections)
    assert accepted(present)
    without = {**present, "app": {"passwordLogin": {"enabled": True}}}
    before, after = CLUSTER.run(present), CLUSTER.run(without)
    assert CLUSTER.losses(before, after) == []
    assert CLUSTER.losses(after, before) == []
    keys = every_app_key()
    # What other sections imply is not in this stack's section.
    del keys["machineLearning"]["urls"]
    assert set(_leaves(present["app"])) == set(_leaves(keys))


def _leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key)


CHOICES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=6)


def some_stack(name: str, choices: list[tuple[int, int]]) -> dict[str, Any]:
    """A variant after a few changes, each at some place with an accepted value."""
    sections = CLUSTER.full[name]
    for at, _ in choices:
        there = places(sections)
        place = there[at % len(there)]
        sections = change(sections, place, SETTINGS[place.setting], starts) or sections
    return sections


@settings(
    max_examples=examples(25),
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(
    first=st.sampled_from(sorted(VARIANTS)),
    second=st.sampled_from(sorted(VARIANTS)),
    ways=st.tuples(CHOICES, CHOICES),
)
def test_between_any_two_stacks_nothing_that_holds_data_is_lost_unprotected(
    first: str, second: str, ways: tuple[list[tuple[int, int]], list[tuple[int, int]]]
) -> None:
    before, after = some_stack(first, ways[0]), some_stack(second, ways[1])
    assume(before != after)
    lost = CLUSTER.losses(CLUSTER.run(before), CLUSTER.run(after))
    assert [loss for loss in lost if not loss.kept] == []

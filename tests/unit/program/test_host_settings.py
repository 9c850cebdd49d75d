"""Every setting of a stack on one host is changed once: the engine's volumes with data stay, or are protected."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import pytest

from tests.harness.mocks import Recorded, Run
from tests.harness.program import host_stack, run_stack, unwrapped
from tests.harness.setting_cases import REFUSED, change
from tests.harness.setting_leaves import Place, every_setting, of_a_host, places, written_out
from tests.harness.stacks import data_bearing
from tests.harness.variants import EVERY_VARIANT, HOST_VARIANTS, VARIANTS, refusals

SETTINGS = every_setting()
FULL = {name: written_out(variant.sections) for name, variant in HOST_VARIANTS.items()}
HERE = {place.setting for sections in FULL.values() for place in places(sections)}
VOLUME = "docker:index/volume:Volume"
REPLACES = ("name", "driver", "driverOpts")
"""Inputs of a volume whose change makes another one (pulumi-docker: every one of them forces a replacement); the
program leaves changes of labels aside."""
LOSES = REFUSED | {"immich:docker", "Nfs.mountOptions", "Proxy.tls"}
"""Settings that may let go of a volume with data, so that the engine must refuse it: on one host also the options of a
share, which are part of the volume, and the certificate that this program keeps.
"""


@functools.cache
def base(name: str) -> Run:
    """A variant as it is; nobody may change the run."""
    return run(FULL[name])


def run(sections: Mapping[str, Any]) -> Run:
    return run_stack(host_stack("test", sections))


@functools.cache
def there(name: str) -> list[Place]:
    """Places of a variant."""
    return places(FULL[name])


def lost(before: Run, after: Run) -> list[Recorded]:
    """Volumes with data that the engine would delete or make anew."""
    now = {one.urn: one for one in after.of_type(VOLUME)}
    return [
        one
        for one in before.of_type(VOLUME)
        if data_bearing(one.urn)
        and (one.urn not in now or any(one.props.get(key) != now[one.urn].props.get(key) for key in REPLACES))
    ]


@functools.cache
def change_of(setting: str) -> tuple[str, Place, dict[str, Any]] | None:
    """The first stack on a host and place where a setting can have another value."""
    for name, sections in FULL.items():
        for place in there(name):
            if place.setting == setting:
                result = change(sections, place, SETTINGS[setting])
                if result is not None:
                    return name, place, result
    return None


def test_the_variants_are_accepted_and_written_out_they_are_the_same_stacks() -> None:
    for name, variant in HOST_VARIANTS.items():
        assert refusals(variant.sections) == [], name
        assert refusals(FULL[name]) == [], name
    plain, full = run(HOST_VARIANTS["hosted"].sections), base("hosted")
    assert {one.urn: _but_the_settings(one.props) for one in plain.resources} == {
        one.urn: _but_the_settings(one.props) for one in full.resources
    }


def _but_the_settings(props: dict[str, Any]) -> dict[str, Any]:
    """Without the copy of the settings that goes with backups, and its hash: that is as somebody wrote them."""
    given = dict(unwrapped(props))
    if "uploads" in given:
        given["uploads"] = [one for one in given["uploads"] if not one["file"].endswith("/Pulumi.test.yaml")]
    if "labels" in given:
        given["labels"] = [one for one in given["labels"] if one["label"] != "immich.revision-backup-stack"]
    return given


def test_a_variant_says_where_it_runs() -> None:
    for name, variant in EVERY_VARIANT.items():
        assert (variant.platform == "docker") == ("docker" in variant.sections), name
    assert VARIANTS.keys() | HOST_VARIANTS.keys() == EVERY_VARIANT.keys()


def test_every_setting_has_a_place_in_a_variant() -> None:
    stacks = [written_out(variant.sections) for variant in EVERY_VARIANT.values()]
    assert SETTINGS.keys() - {place.setting for sections in stacks for place in places(sections)} == set()


@pytest.mark.parametrize("setting", sorted(one for one in SETTINGS if of_a_host(one)))
def test_every_setting_that_only_a_host_has_can_be_changed_there(setting: str) -> None:
    assert change_of(setting) is not None


@pytest.mark.parametrize("setting", sorted(HERE))
def test_a_change_of_a_setting_leaves_data_alone_or_meets_protection(setting: str) -> None:
    found = change_of(setting)
    if found is None:
        assert not of_a_host(setting), f"{setting} has no second value that is accepted"
        return
    name, place, sections = found
    gone = lost(base(name), run(sections))
    assert all(one.protect and one.retain_on_delete for one in gone), gone
    assert gone == [] or setting in LOSES, f"a change of {setting} at {place.path} in {name}"


def test_a_stack_that_moves_to_a_cluster_meets_protection() -> None:
    found = change_of("immich:docker")
    assert found is not None
    name, _, sections = found
    assert lost(base(name), run(sections))

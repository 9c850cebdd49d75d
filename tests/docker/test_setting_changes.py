"""Every setting of the single hosts is changed once: what holds data is left alone, or the engine refuses the change.

What a change does is worked out from two runs of the program under mocks and the plugin's rules of replacement;
tests/docker/test_stack_changes.py has a real engine plan the changes of one stack.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests.docker.setting_changes import (
    CONTAINER,
    HOSTS,
    REFUSED,
    SETTINGS,
    VOLUME,
    base,
    batches,
    changes_of,
    holds_data,
    lost,
    lost_data,
    run,
    stacks,
)
from tests.harness.going_on import starts
from tests.harness.setting_cases import change
from tests.harness.setting_leaves import places

PARTS = 6


def test_the_table_speaks_of_settings_that_exist() -> None:
    assert REFUSED - SETTINGS.keys() == set()


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=[] if one == "heartbeat" else [pytest.mark.deep]) for one in HOSTS]
)
def test_changes_of_most_settings_at_once_leave_data_alone(name: str) -> None:
    assert lost_data(base(name), run(next(batches(stacks()[name], REFUSED)))) == []


@pytest.mark.deep
@pytest.mark.parametrize("part", range(PARTS))
def test_a_change_of_a_setting_leaves_data_alone(part: int) -> None:
    changed = 0
    for setting in sorted(SETTINGS.keys() - REFUSED)[part::PARTS]:
        for name, place, sections in changes_of(setting):
            changed += 1
            assert lost_data(base(name), run(sections)) == [], f"{setting} at {place.path} in {name}"
            break
    # Some settings are a cluster's alone; those that are not are spread over the parts by their names.
    assert changed >= 10


@pytest.mark.parametrize("setting", sorted(REFUSED))
def test_a_change_that_would_take_data_out_of_the_program_meets_protection(setting: str) -> None:
    for name, _, sections in changes_of(setting):
        found = lost_data(base(name), run(sections))
        if found:
            assert all(kept for _, kept in found), found
            return
    pytest.fail(f"no change of {setting} would lose data: take it out of REFUSED")


@pytest.mark.parametrize("name", HOSTS)
def test_a_database_container_that_is_replaced_keeps_its_volume(name: str) -> None:
    sections = {**stacks()[name], "database": {**stacks()[name]["database"], "storageType": "HDD"}}
    gone = lost(base(name), run(sections))
    # Copies have the settings beside them.
    copies = {"immich-test-backup-copy", "immich-test-backup-copy-files"}
    expected = {"immich-test-database"} | (copies if stacks()[name]["backup"].get("targets") else set())
    assert {one.name for one in gone if one.type == CONTAINER} == expected
    assert [one.name for one in gone if one.type == VOLUME] == []
    assert any(one.type == VOLUME and holds_data(one) for one in base(name).resources)


CHOICES = st.lists(st.tuples(st.integers(0, 10**6)), min_size=1, max_size=5)


@pytest.mark.deep
@settings(
    max_examples=15,
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(first=st.sampled_from(HOSTS), second=st.sampled_from(HOSTS), choices=CHOICES)
def test_between_any_two_hosts_nothing_that_holds_data_is_lost_unprotected(
    first: str, second: str, choices: list[tuple[int]]
) -> None:
    after = stacks()[second]
    for (at,) in choices:
        there = places(after)
        place = there[at % len(there)]
        after = change(after, place, SETTINGS[place.setting], starts) or after
    assume(after != stacks()[first])
    found = lost_data(base(first), run(after))
    assert [one for one, kept in found if not kept] == []

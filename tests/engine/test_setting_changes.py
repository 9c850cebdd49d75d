"""Every setting is changed once on a stack that is up: what holds data is left alone, or the engine refuses.

What each single change does is worked out from two runs of the program under mocks and the plugin's rules of
replacement; the real engine then sees all harmless changes of a stack together, and one of each kind that it must
refuse.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests.harness.going_on import goes_on, starts
from tests.harness.mocks import Run
from tests.harness.planning import losses
from tests.harness.program import Stack, run_stack
from tests.harness.setting_cases import REFUSED, VALUES, change
from tests.harness.setting_leaves import Path, Place, every_setting, of_a_host, places, written_out
from tests.harness.stacks import Deployment, data_bearing, needed_secrets, require_cli, steps
from tests.harness.variants import VARIANTS, accepted, every_app_key, refusals

pytestmark = pytest.mark.engine

SETTINGS = every_setting()
FULL = {name: written_out(variant.sections) for name, variant in VARIANTS.items()}


def run(sections: Mapping[str, Any]) -> Run:
    return run_stack(Stack("test", sections, needed_secrets(sections)))


@functools.cache
def base(name: str) -> Run:
    """A variant as it is; nobody may change the run."""
    return run(FULL[name])


def lost_data(before: Run, after: Run) -> list[tuple[str, bool]]:
    """Each resource with data that is deleted or replaced, and whether it is protected and kept all the same."""
    return [
        (
            f"{step.op} {step.kind} {step.name}",
            one.protect and (one.retain_on_delete or "random:" in one.type),
        )
        for step, one in losses(before, after)
        if data_bearing(step.urn)
    ]


def change_of(setting: str) -> tuple[str, Place, dict[str, Any]] | None:
    """The first stack and place where a setting can have another value: variant, place, changed settings."""
    for name, sections in FULL.items():
        for place in places(sections):
            if place.setting == setting:
                result = change(sections, place, SETTINGS[setting])
                if result is not None:
                    return name, place, result
    return None


def changes_of(setting: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A change of a setting at every place of every stack."""
    for name, sections in FULL.items():
        for place in places(sections):
            if place.setting == setting:
                result = change(sections, place, SETTINGS[setting])
                if result is not None:
                    yield name, result


def test_the_variants_are_accepted_and_written_out_they_are_the_same_stacks() -> None:
    for name, variant in VARIANTS.items():
        assert refusals(variant.sections) == [], name
    name = "operated"
    plain, full = run(VARIANTS[name].sections), run(FULL[name])
    # By name: what does not depend on each other is registered in any order.
    assert {one.urn: one.props for one in plain.resources} == {one.urn: one.props for one in full.resources}


def test_the_tables_speak_of_settings_that_exist() -> None:
    assert REFUSED - SETTINGS.keys() == set()
    assert VALUES.keys() - SETTINGS.keys() == set()


@pytest.mark.parametrize("setting", sorted(one for one in SETTINGS if not of_a_host(one)))
def test_a_change_of_a_setting_leaves_data_alone_or_meets_protection(setting: str) -> None:
    if setting in REFUSED:
        for name, sections in changes_of(setting):
            lost = lost_data(base(name), run(sections))
            if lost:
                assert all(kept for _, kept in lost), lost
                return
        pytest.fail(f"no change of {setting} would lose data: take it out of REFUSED")
    found = change_of(setting)
    assert found is not None, f"{setting} has no second value that is accepted: give one in setting_cases.py"
    name, place, sections = found
    assert lost_data(base(name), run(sections)) == [], f"a change of {setting} at {place.path} in {name}"


def test_every_key_of_immichs_own_file_may_change() -> None:
    present = dict(VARIANTS["external"].sections)
    assert accepted(present)
    without = {**present, "app": {"passwordLogin": {"enabled": True}}}
    assert lost_data(run(present), run(without)) == []
    assert lost_data(run(without), run(present)) == []
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


NAMES = sorted(FULL)
CHOICES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=6)


def some_stack(name: str, choices: list[tuple[int, int]]) -> dict[str, Any]:
    """A variant after a few changes, each at some place with an accepted value."""
    sections = FULL[name]
    for at, _ in choices:
        there = places(sections)
        place = there[at % len(there)]
        sections = change(sections, place, SETTINGS[place.setting], starts) or sections
    return sections


@settings(
    max_examples=25,
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(first=st.sampled_from(NAMES), second=st.sampled_from(NAMES), ways=st.tuples(CHOICES, CHOICES))
def test_between_any_two_stacks_nothing_that_holds_data_is_lost_unprotected(
    first: str, second: str, ways: tuple[list[tuple[int, int]], list[tuple[int, int]]]
) -> None:
    before, after = some_stack(first, ways[0]), some_stack(second, ways[1])
    assume(before != after)
    lost = lost_data(run(before), run(after))
    assert [one for one, kept in lost if not kept] == []


# The real engine

Up = Callable[[str], Deployment]


@pytest.fixture(scope="module")
def originals_up(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Deployment]:
    return {}


@pytest.fixture
def up(originals_up: dict[str, Deployment], tmp_path_factory: pytest.TempPathFactory) -> Up:
    """A variant that is up, to be changed freely."""

    def get(name: str) -> Deployment:
        if name not in originals_up:
            directory = tmp_path_factory.mktemp(name)
            secrets = needed_secrets(FULL[name])
            made = Deployment.create(directory, require_cli(), name, FULL[name], secrets=secrets)
            made.up()
            originals_up[name] = made
        return originals_up[name].copy(tmp_path_factory.mktemp(f"copy-{name}"))

    return get


def value_at(sections: Mapping[str, Any], path: Path) -> object:
    """The value at a path of settings; GONE where the path leads nowhere."""
    value: Any = sections
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return GONE if step != path[-1] or not isinstance(value, dict) else None
    return value


GONE = object()


def batches(name: str) -> list[dict[str, Any]]:
    """Settings of a variant with every harmless setting changed, in as few sets of changes as are accepted together."""
    on = functools.partial(goes_on, FULL[name])
    waiting = [
        place
        for place in places(FULL[name])
        if place.setting not in REFUSED and change(FULL[name], place, SETTINGS[place.setting], on) is not None
    ]
    found: list[dict[str, Any]] = []
    while waiting:
        sections, left = FULL[name], list[Place]()
        for place in waiting:
            # Keys of a list that another change shortened are not there any more.
            here = value_at(sections, place.path) == value_at(FULL[name], place.path)
            result = change(sections, place, SETTINGS[place.setting], on) if here else None
            if result is None:
                left.append(place)
            else:
                sections = result
        found.append(sections)
        waiting = left
    return found


def set_up(stack: Deployment, sections: Mapping[str, Any]) -> None:
    """Make these the settings, with the secrets that they need."""
    stack.write_settings(sections)
    for key, value in needed_secrets(sections).items():
        if key not in stack.secrets:
            stack.set_secret(key, value)


@pytest.mark.parametrize("name", ["bundled", "operated", "external"])
def test_the_engine_changes_every_harmless_setting_and_leaves_data_alone(up: Up, name: str) -> None:
    stack = up(name)
    data = {one.urn: one.state.get("id") for one in stack.data()}
    assert data
    for number, sections in enumerate(batches(name)):
        set_up(stack, sections)
        found = steps(stack.do("preview"))
        assert found, f"set {number} of changes does nothing"
        assert [step for step in found if step.destroys and data_bearing(step.urn)] == []


MECHANISMS = {
    "a claim gets another class": ("bundled", "Volume.storageClass"),
    "a volume gets another server": ("operated", "Nfs.server"),
    "a claim gets another name": ("bundled", "Volume.claimName"),
    "a folder loses its volume": ("bundled", "Storage.thumbs"),
    "a library goes": ("operated", "Storage.externalLibraries"),
    "the namespace is somebody else's": ("bundled", "Kubernetes.createNamespace"),
    "everything moves to another namespace": ("bundled", "Kubernetes.namespace"),
    "the cluster gets another name": ("operated", "CloudNativePg.clusterName"),
    "the database gets another name": ("operated", "CloudNativePg.name"),
    "the archive goes": ("operated", "immich:backup"),
    "the database is elsewhere": ("bundled", "immich:database"),
    "objects move from files to a cluster": ("bundled", "Kubernetes.target"),
    "passwords come from elsewhere": ("bundled", "immich:secrets"),
}


BY_THE_PROGRAM = {"the database is elsewhere": "immich:database.kind"}
"""What the program refuses itself, with the setting that it names; all else the engine refuses as protected."""


@pytest.mark.parametrize("mechanism", sorted(MECHANISMS))
def test_a_change_that_would_lose_data_is_refused_before_anything_is_done(up: Up, mechanism: str) -> None:
    name, setting = MECHANISMS[mechanism]
    stack = up(name)
    place = next(
        place
        for place in places(FULL[name])
        if place.setting == setting
        and place.value is not None
        and change(FULL[name], place, SETTINGS[setting])
    )
    sections = change(FULL[name], place, SETTINGS[setting])
    assert sections is not None
    files, contents = stack.files(), stack.contents()
    set_up(stack, sections)
    # As `make up` does it: the preview comes first, and nothing is done when it fails.
    refused = stack.run("up", "--yes", check=False)
    assert refused.returncode != 0
    assert BY_THE_PROGRAM.get(mechanism, "protect") in refused.text
    assert stack.files() == files
    assert stack.contents() == contents, "the state changed"

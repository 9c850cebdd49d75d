"""The real engine changes settings of a stack that is up: what holds data is left alone, or the engine refuses.

It sees all harmless changes of a stack together, and one of each kind that it must refuse. What each single change does
is worked out in tests/unit/program/test_setting_changes.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.harness.going_on import goes_on
from tests.harness.setting_cases import REFUSED, change
from tests.harness.setting_leaves import Place, every_setting, places, value_at, written_out
from tests.harness.stacks import Deployment, data_bearing, needed_secrets, require_cli, steps
from tests.harness.variants import VARIANTS

pytestmark = pytest.mark.engine

SETTINGS = every_setting()
FULL = {name: written_out(variant.sections) for name, variant in VARIANTS.items()}
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


@pytest.mark.parametrize(
    "name",
    ["bundled", *(pytest.param(name, marks=pytest.mark.deep) for name in ("operated", "external"))],
)
def test_the_engine_changes_every_harmless_setting_and_leaves_data_alone(up: Up, name: str) -> None:
    stack = up(name)
    data = {one.urn: one.state.get("id") for one in stack.data()}
    assert data
    for number, sections in enumerate(batches(name)):
        set_up(stack, sections)
        found = steps(stack.do("preview"))
        assert found, f"set {number} of changes does nothing"
        assert [step for step in found if step.destroys and data_bearing(step.urn, step.inputs)] == []


MECHANISMS = {
    "a claim gets another class": ("bundled", "Volume.storageClass"),
    "a volume gets another server": ("operated", "Nfs.server"),
    "a claim gets another name": ("bundled", "Volume.claimName"),
    "a folder loses its volume": ("bundled", "Storage.thumbs"),
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


IN_EVERY_RUN = {
    "a claim gets another class",
    "everything moves to another namespace",
    "the database is elsewhere",
    "passwords come from elsewhere",
}


@pytest.mark.parametrize(
    "mechanism",
    [pytest.param(one, marks=() if one in IN_EVERY_RUN else pytest.mark.deep) for one in sorted(MECHANISMS)],
)
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

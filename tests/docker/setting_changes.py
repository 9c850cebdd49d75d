"""What a change of settings on one host would do to data: by the offline plugin's own rules, and as sets of changes."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import yaml

from tests.harness.going_on import goes_on
from tests.harness.mocks import Recorded, Run
from tests.harness.program import ROOT, host_stack, run_stack, unwrapped
from tests.harness.setting_cases import change
from tests.harness.setting_leaves import Place, every_setting, places, written_out
from tests.harness.stacks import REPLACEABLE_NAMES
from toolchain.offline.plugins.docker.plugin import KINDS
from toolchain.offline.plugins.docker.schema import changes
from toolchain.offline.plugins.values import as_object, plain

HOSTS: Final = ("home", "skylab", "hwc", "heartbeat", "homelab")
"""Stacks of this repository on one host."""
VOLUME: Final = "docker:index/volume:Volume"
CONTAINER: Final = "docker:index/container:Container"
_RANDOM: Final = "random:index/randomPassword:RandomPassword"
_AGAIN: Final = frozenset({"machine-learning-cache", "certificates"})
"""Volumes with what can be had again: downloaded models, certificates."""
SETTINGS: Final = every_setting()

REFUSED: Final = frozenset(
    {
        "Backup.volume",
        "BundledDatabase.hostPath",
        "Storage.media",
        "Storage.thumbs",
        "Volume.claimName",
        "immich:backup",
        "immich:cache",
        "immich:database",
        "immich:docker",
    }
)
"""Settings with a change that would take data out of the program, so that the engine must refuse it."""

ELSEWHERE: Final = frozenset({"Docker.host", "Docker.sshOptions", "Docker.tlsFolder"})
"""Settings whose change is about another machine."""


@functools.cache
def stacks() -> Mapping[str, dict[str, Any]]:
    """Name -> sections with every default written out."""
    found: dict[str, dict[str, Any]] = {}
    for name in HOSTS:
        config = cast("dict[str, Any]", yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"])
        sections = {
            key.removeprefix("immich:"): value
            for key, value in config.items()
            if not (isinstance(value, dict) and "secure" in value)
        }
        found[name] = written_out(sections)
    return found


def run(sections: Mapping[str, Any]) -> Run:
    """The program under mocks, always as the same stack."""
    return run_stack(host_stack("test", sections))


@functools.cache
def base(name: str) -> Run:
    """A stack as it is; nobody may change the run."""
    return run(stacks()[name])


def holds_data(one: Recorded) -> bool:
    """Whether a resource holds data. Decided here by what it is, and not by the flags that the program gives it."""
    if one.type == VOLUME:
        labels = {each["label"]: each["value"] for each in one.props["labels"]}
        return "immich.volume" in labels and labels["immich.volume"] not in _AGAIN
    return one.type == _RANDOM and one.name not in REPLACEABLE_NAMES


def lost(before: Run, after: Run) -> list[Recorded]:
    """Resources that the second run deletes or replaces, as the first registered them."""
    now = {one.urn: one for one in after.resources}
    return [one for one in before.resources if one.custom and _goes(one, now.get(one.urn))]


def _goes(old: Recorded, new: Recorded | None) -> bool:
    if new is None:
        return True
    if old.type.startswith("random:"):
        return old.props != new.props
    if old.type not in KINDS:
        return False
    before, after = (as_object(plain(unwrapped(one.props))) for one in (old, new))
    # Volumes ignore a change of their labels (components/platform/docker/platform.py).
    ignored = ["labels"] if old.type == VOLUME else []
    return any(one.replace for one in changes(before, after, KINDS[old.type].fields, ignored).values())


def lost_data(before: Run, after: Run) -> list[tuple[str, bool]]:
    """Each resource with data that is deleted or replaced, and whether the engine refuses or keeps it all the same."""
    return [
        (one.name, one.protect and (one.retain_on_delete or one.type == _RANDOM))
        for one in lost(before, after)
        if holds_data(one)
    ]


def changes_of(setting: str) -> Iterator[tuple[str, Place, dict[str, Any]]]:
    """A change of a setting at every place of every stack where another value is accepted: stack, place, sections."""
    for name, sections in stacks().items():
        for place in places(sections):
            if place.setting == setting:
                result = change(sections, place, SETTINGS[setting])
                if result is not None:
                    yield name, place, result


def batches(sections: Mapping[str, Any], refused: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The settings with each one that is not `refused` changed, in few sets of changes that are accepted together.

    The first set has most of them. What the program refuses to a deployment that is up with these settings, such as an
    older release, is left out.
    """
    on = functools.partial(goes_on, sections)
    waiting = [place for place in places(sections) if place.setting not in refused]
    while waiting:
        result, left = dict(sections), list[Place]()
        for place in waiting:
            there = {one.path: one.value for one in places(result)}
            changed = None
            if there.get(place.path, _GONE) == place.value:
                changed = change(result, place, SETTINGS[place.setting], on)
            if changed is None:
                left.append(place)
            else:
                result = changed
        if len(left) == len(waiting):
            return
        yield result
        waiting = left


_GONE = object()

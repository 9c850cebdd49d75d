"""What the engine would do between two runs of the program under mocks, by the plugin's own rules of replacement."""

from __future__ import annotations

from typing import cast

from tests.harness.mocks import Recorded, Run
from tests.harness.program import unwrapped
from tests.harness.stacks import Step
from toolchain.offline.plugins.kubernetes.replacement import replaces
from toolchain.offline.plugins.kubernetes.settings import Settings, diff_settings
from toolchain.offline.plugins.structural import compare
from toolchain.offline.plugins.values import Object

_MUTABLE = Settings(config_map_mutable=True, secret_mutable=True)


def losses(before: Run, after: Run) -> list[tuple[Step, Recorded]]:
    """Resources that the second run deletes or replaces, as the first registered them."""
    now = {one.urn: one for one in after.resources}
    elsewhere = _another_place(before, after)
    found: list[tuple[Step, Recorded]] = []
    for one in before.resources:
        other = now.get(one.urn)
        if other is None:
            found.append((Step("delete", one.urn), one))
        elif (elsewhere and one.type.startswith("kubernetes:")) or _replaced(one, other):
            found.append((Step("replace", one.urn), one))
    return found


def _another_place(before: Run, after: Run) -> bool:
    """Whether the objects would go to another cluster, or from files to one: the provider itself is replaced."""
    type_ = "pulumi:providers:kubernetes"
    (old,), (new,) = ([one.props for one in run.of_type(type_)] for run in (before, after))
    return any(change.replace for change in diff_settings(old, new).changes.values())


def _replaced(old: Recorded, new: Recorded) -> bool:
    if old.type.startswith("random:"):
        # Any input of a random value makes a new one (pulumi-random: every property forces replacement).
        return old.props != new.props
    if not old.type.startswith("kubernetes:"):
        return False
    before, after = (cast("Object", unwrapped(one.props)) for one in (old, new))
    changes = compare(before, after, replaces(before, after, _MUTABLE))
    return any(change.replace for change in changes.values())

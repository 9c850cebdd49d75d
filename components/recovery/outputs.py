"""What a stack tells about losing things: its copies, what a loss costs, whether the volumes are large enough. Pure."""

from __future__ import annotations

from components.recovery.capacity import warnings as small_volumes
from components.recovery.capacity_layout import capacity as table
from components.recovery.capacity_layout import summary
from components.recovery.capacity_settings import Capacity, expected
from components.recovery.copies import copies, notes, verdicts
from components.recovery.objectives import recoveries
from components.recovery.status import Statuses
from components.settings.model import Settings


def recovery_outputs(
    settings: Settings,
    stack: str,
    *,
    capacity: Capacity | None = None,
    statuses: Statuses | None = None,
    now: int = 0,
) -> dict[str, object]:
    """Outputs `copies`, `rule321`, `recovery`, `runbooks`, and with something expected `capacity`.

    Without `statuses` they follow from the settings alone, so that an update without a change changes none of them.
    """
    wanted = expected(capacity, settings.storage.expected_photos)
    found = copies(settings, stack, statuses, now)
    told: dict[str, object] = {
        "copies": [copy.told() for copy in found],
        "rule321": [*(verdict.told() for verdict in verdicts(found)), *notes(settings, found)],
        "recovery": [one.told() for one in recoveries(settings, stack, expected=wanted, statuses=statuses)],
        "runbooks": f"make runbook STACK={stack} writes what to do, with the names of this stack",
    }
    if wanted is not None:
        told["capacity"] = {
            "for": summary(wanted),
            "volumes": [row.told() for row in table(settings, stack, wanted)],
        }
    return told


def capacity_warnings(settings: Settings, stack: str, capacity: Capacity | None = None) -> list[str]:
    """One sentence for each volume that is too small for what is expected."""
    wanted = expected(capacity, settings.storage.expected_photos)
    return small_volumes(table(settings, stack, wanted)) if wanted is not None else []

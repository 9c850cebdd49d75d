"""Which changes touch what holds photos, the database or the only key to them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from toolchain.pr_report.events import Step
from toolchain.pr_report.grouping import DESTROYS

_HOLDS_DATA: Final = frozenset(
    {
        "kubernetes:core/v1:PersistentVolumeClaim",
        "kubernetes:core/v1:PersistentVolume",
        "kubernetes:core/v1:Namespace",
        "docker:index/volume:Volume",
    }
)
_OPERATOR: Final = re.compile(r"kubernetes:(postgresql\.cnpg\.io|barmancloud\.cnpg\.io)/[^:]+:\w+")
_DATABASE: Final = re.compile(r":index:Database(\$|::)")
_PROGRAMS: Final = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Container", "Cluster"})
_MOUNTS: Final = re.compile(r"\b(volumes|volumeMounts|volumeClaimTemplates|mounts)\b")


@dataclass(frozen=True, slots=True)
class Touch:
    """A change that a person should look at before anything else."""

    step: Step
    why: str
    """What the resource has to do with data."""

    @property
    def loses(self) -> bool:
        """Whether something that holds data would be gone."""
        return self.step.op in DESTROYS


def touches(steps: Iterable[Step]) -> list[Touch]:
    """Changes to what holds data, those that take something away first."""
    found = [Touch(step, why) for step in steps if (why := reason(step))]
    return sorted(found, key=lambda one: not one.loses)


def reason(step: Step) -> str:
    """Why a change touches data; empty when it does not."""
    if step.protected:
        return "protected"
    if step.type in _HOLDS_DATA:
        return "a volume" if "olume" in step.type else "holds data"
    if _OPERATOR.fullmatch(step.type):
        return "database"
    if step.kind in _PROGRAMS and _DATABASE.search(step.urn):
        return "runs the database"
    if step.op in {"update", "replace"} and any(_MOUNTS.search(path) for path in step.paths):
        return "what it mounts changes"
    return ""

"""Changes by the component that they belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from toolchain.pr_report.events import Step

ORDER: Final = ("delete", "replace", "forget", "update", "create", "import")
"""Operations, what takes something away first."""
DESTROYS: Final = frozenset({"delete", "replace", "forget"})
"""Operations after which the resource, or its present incarnation, is gone or no longer known."""

_ROOT: Final = "::pulumi:pulumi:Stack::"


@dataclass(frozen=True, slots=True)
class Group:
    """A component and what changes in it."""

    component: str
    steps: tuple[Step, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Number of resources by operation, in `ORDER`."""
        counted = Counter(step.op for step in self.steps)
        return {op: counted[op] for op in ORDER if op in counted}


def component_of(step: Step) -> str:
    """`Database`, `Proxy`; with the name where the type does not say it. `stack` for what has no component."""
    if step.kind == "Stack" or not step.parent or _ROOT in step.parent:
        return step.kind if step.type.startswith("immich:") else "stack"
    kinds, _, name = step.parent.rpartition("::")
    kind = kinds.rsplit("$", 1)[-1].rsplit(":", 1)[-1]
    same = name.replace("-", "").lower() == kind.lower()
    return kind if same else f"{kind} {name}"


def by_component(steps: Iterable[Step]) -> list[Group]:
    """Groups, those that lose something first, then by name."""
    found: dict[str, list[Step]] = {}
    for step in steps:
        found.setdefault(component_of(step), []).append(step)
    groups = [
        Group(name, tuple(sorted(members, key=lambda one: (ORDER.index(one.op), one.kind, one.name))))
        for name, members in found.items()
    ]
    return sorted(groups, key=lambda group: (not (DESTROYS & set(group.counts)), group.component))


def counts(steps: Sequence[Step]) -> dict[str, int]:
    """Number of resources by operation, over all groups."""
    return Group("", tuple(steps)).counts

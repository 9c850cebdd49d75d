"""An alert and a recorded series, as plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from components.monitoring.plan import MonitoringPlan, Source

Severity = Literal["critical", "warning", "info"]
"""critical: photos are lost or nobody gets in, at any hour. warning: within a day. info: at the next occasion."""

_NAME = re.compile(r"Immich[A-Z][A-Za-z]+")
_FOR = re.compile(r"0s|[1-9]\d*[smhd]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """A rule that tells somebody something."""

    name: str
    """`Immich` and words in capitals."""
    expr: str
    """PromQL; there is an alert for each series that it gives."""
    for_: str
    """How long it must hold, a duration of Prometheus."""
    severity: Severity
    summary: str
    """One line; `{{ $labels.x }}` and `{{ $value }}` as in Prometheus' templates."""
    description: str
    """What it means and what to do, for a person who is woken by it."""
    group: str = ""
    """What it is about; the table of alerts says it."""
    needs: frozenset[Source] = frozenset()
    """Sources without which it is left out."""
    any_of: frozenset[Source] = frozenset()
    """Sources of which one is enough, where they record the same series."""
    source: str = ""
    """Label that tells it from an alert of the same name that another source gives."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name}: a name is Immich and words in capitals")
        if not _FOR.fullmatch(self.for_):
            raise ValueError(f"{self.name}: for {self.for_!r} is no duration such as 0s, 5m or 3d")

    def fits(self, plan: MonitoringPlan) -> bool:
        """Whether the deployment has what it needs."""
        return plan.has(*self.needs) and (not self.any_of or bool(self.any_of & plan.sources))

    @property
    def anchor(self) -> str:
        """Of its section in docs/alerts.md."""
        return self.name.lower()

    def body(self, plan: MonitoringPlan) -> dict[str, Any]:
        """The rule as a rule file and a PrometheusRule have it."""
        source = {"source": self.source} if self.source else {}
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.for_,
            "labels": {"severity": self.severity, "stack": plan.stack, "part": self.group, **source},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{plan.runbooks}#{self.anchor}",
            },
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A series that is computed once for alerts and panels alike, the same whatever the platform."""

    name: str
    """As the convention has it: `immich:what:how`."""
    expr: str
    needs: frozenset[Source]
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def body(self, plan: MonitoringPlan) -> dict[str, Any]:
        """The rule as a rule file and a PrometheusRule have it."""
        return {"record": self.name, "expr": self.expr, "labels": {"stack": plan.stack, **self.labels}}


def needs(*sources: Source) -> frozenset[Source]:
    """A set of sources."""
    return frozenset(sources)

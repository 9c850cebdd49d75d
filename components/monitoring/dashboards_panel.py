"""A panel and a dashboard, as plain data: rendered for Grafana, drawn for a picture, held against promtool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from components.monitoring.plan import MonitoringPlan, Source

Kind = Literal["stat", "bars", "series"]
"""A number (or one for each label), bars of what is now, lines over time."""
Colour = Literal["green", "yellow", "orange", "red", "blue", "text"]
Unit = Literal[
    "none",
    "short",
    "percentunit",
    "s",
    "ms",
    "d",
    "bytes",
    "celsius",
    "reqps",
    "ops",
    "cps",
    "dateTimeFromNow",
]
"""Units of Grafana: `percentunit` is 0 to 1, `s` seconds, `d` days, `reqps` and `ops` are in a second."""


COLUMNS = 24
"""Of a dashboard of Grafana."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One expression of a panel."""

    expr: str
    legend: str = ""
    """Template of Grafana: `{{queue}}`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One picture."""

    title: str
    unit: Unit
    queries: tuple[Query, ...]
    alert: str
    """Alert whose section in docs/alerts.md says what to do when this looks bad."""
    description: str
    """What it shows, for a person who has not seen it before."""
    kind: Kind = "series"
    base: Colour = "green"
    """Below the first threshold."""
    thresholds: tuple[tuple[float, Colour], ...] = ()
    """From which value on there is another colour, ascending."""
    words: Mapping[int, tuple[str, Colour]] = field(default_factory=dict[int, tuple[str, Colour]])
    """Value -> what is written in place of it."""
    name_only: bool = False
    """A number panel that shows its legend, not its value: for versions."""
    width: int = 8
    """Of 24."""
    needs: frozenset[Source] = frozenset()
    any_of: frozenset[Source] = frozenset()

    def fits(self, plan: MonitoringPlan) -> bool:
        """Whether the deployment gives what it shows."""
        return plan.has(*self.needs) and (not self.any_of or bool(self.any_of & plan.sources))


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]

    def lines(self) -> list[list[Panel]]:
        """Panels that lie beside each other, as many as there is room for."""
        found: list[list[Panel]] = []
        for panel in self.panels:
            if not found or sum(one.width for one in found[-1]) + panel.width > COLUMNS:
                found.append([])
            found[-1].append(panel)
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Dashboard:
    """Rows about one subject."""

    name: str
    """Short and constant: `overview`, `server`, ..."""
    title: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All of them, in their order."""
        return tuple(panel for row in self.rows for panel in row.panels)

    def chosen(self, plan: MonitoringPlan) -> Dashboard:
        """Without the panels that the deployment gives nothing for, and without rows that are empty then."""
        rows = tuple(
            Row(title=row.title, panels=tuple(panel for panel in row.panels if panel.fits(plan)))
            for row in self.rows
        )
        return Dashboard(name=self.name, title=self.title, rows=tuple(row for row in rows if row.panels))


UP_OR_DOWN: Mapping[int, tuple[str, Colour]] = {0: ("down", "red"), 1: ("up", "green")}
"""Words for what is there or not."""
GOOD_OR_BAD: Mapping[int, tuple[str, Colour]] = {0: ("failed", "red"), 1: ("good", "green")}
"""Words for what succeeded or not."""

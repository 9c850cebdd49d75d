"""Draws the overview from a running Prometheus: `python -m toolchain.overview_picture URL FILE.png --stack NAME`.

There is no Grafana in it: matplotlib draws the same panels from the same expressions. What the picture shows is what
Prometheus answers; a panel without an answer says so.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.monitoring.dashboards import dashboards
from components.monitoring.dashboards_panel import COLUMNS, Colour, Dashboard, Panel, Unit
from components.monitoring.plan import MonitoringPlan
from toolchain.failure import ToolchainError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS: Final[dict[Colour, str]] = {
    "green": "#37872d",
    "yellow": "#e0b400",
    "orange": "#fa6400",
    "red": "#c4162a",
    "blue": "#1f60c4",
    "text": "#464c54",
}
_NOTHING: Final = "nothing is known"
_HEIGHTS: Final = {"stat": 1.3, "bars": 1.9, "series": 2.3}
"""Inches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """What one series of a query is."""

    label: str
    values: tuple[tuple[float, float], ...]
    """Seconds since 1970, value."""

    @property
    def last(self) -> float:
        """The newest value."""
        return self.values[-1][1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Asker:
    """The HTTP API of a Prometheus."""

    url: str
    """Such as http://127.0.0.1:9090."""
    end: float
    seconds: int
    """How far back lines go."""

    def lines(self, panel: Panel) -> list[Line]:
        """What a panel shows. Raises `ToolchainError` when Prometheus is away or refuses the expression."""
        found: list[Line] = []
        for query in panel.queries:
            if panel.kind == "series":
                step = max(5, self.seconds // 240)
                asked = {"query": query.expr, "start": self.end - self.seconds, "end": self.end, "step": step}
                answer = self._ask("query_range", asked)
            else:
                answer = self._ask("query", {"query": query.expr, "time": self.end})
            for series in answer:
                pairs = series.get("values") or [series["value"]]
                values = tuple((float(at), float(value)) for at, value in pairs)
                known = tuple(pair for pair in values if math.isfinite(pair[1]))
                if known:
                    found.append(Line(label=_legend(query.legend, series["metric"]), values=known))
        return found

    def _ask(self, what: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        address = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  a person gave it
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            told = error.read().decode(errors="replace")
            raise ToolchainError(f"Prometheus refuses {parameters['query']}: {told}") from error
        except (urllib.error.URLError, TimeoutError) as error:
            raise ToolchainError(f"Prometheus at {self.url} does not answer: {error}") from error
        return found["data"]["result"]


def _legend(template: str, labels: dict[str, str]) -> str:
    text = template
    for label, value in labels.items():
        text = text.replace(f"{{{{{label}}}}}", value)
    return text


def draw(dashboard: Dashboard, asker: Asker, path: Path) -> dict[str, int]:
    """Draw a dashboard into a PNG. Gives the number of series of each panel by its title."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure
    from matplotlib.gridspec import GridSpec

    rows = [line for row in dashboard.rows for line in row.lines()]
    titles = {id(row.panels[0]): row.title for row in dashboard.rows}
    heights = [max(_HEIGHTS[panel.kind] for panel in line) for line in rows]
    figure = Figure(figsize=(16, sum(heights) + 0.9 * len(rows)), facecolor="#f4f5f5")
    grid = GridSpec(
        len(rows), COLUMNS, figure=figure, height_ratios=heights, hspace=0.75, wspace=1.2,
        left=0.03, right=0.985, top=0.95, bottom=0.03,
    )  # fmt: skip
    counted: dict[str, int] = {}
    for index, line in enumerate(rows):
        column = 0
        for panel in line:
            axes = figure.add_subplot(grid[index, column : column + panel.width])
            if id(panel) in titles:
                axes.annotate(
                    titles[id(panel)], (0, 1), xytext=(0, 26), xycoords="axes fraction",
                    textcoords="offset points", fontsize=13, fontweight="bold", color=_COLOURS["text"],
                )  # fmt: skip
            column += panel.width
            lines = asker.lines(panel)
            counted[panel.title] = len(lines)
            _panel(axes, panel, lines)
    figure.savefig(path, dpi=90)
    return counted


def _panel(axes: Axes, panel: Panel, lines: list[Line]) -> None:
    axes.set_title(panel.title, loc="left", fontsize=10, color=_COLOURS["text"])
    axes.set_facecolor("white")
    for side in axes.spines.values():
        side.set_color("#d8d9da")
    if not lines:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(
            0.5, 0.5, _NOTHING, ha="center", va="center", color=_COLOURS["text"], transform=axes.transAxes
        )
        return
    {"stat": _stat, "bars": _bars, "series": _series}[panel.kind](axes, panel, lines)


def _stat(axes: Axes, panel: Panel, lines: list[Line]) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlim(0, len(lines))
    axes.set_ylim(0, 1)
    for index, line in enumerate(sorted(lines, key=lambda one: one.label)):
        word = panel.words.get(round(line.last)) if panel.words else None
        colour = word[1] if word else colour_of(panel, line.last)
        axes.axvspan(index + 0.02, index + 0.98, facecolor=_COLOURS[colour])
        text = line.label if panel.name_only else word[0] if word else written(line.last, panel.unit)
        axes.text(index + 0.5, 0.45, text, ha="center", va="center", color="white", fontsize=18)
        if line.label and not panel.name_only:
            axes.text(index + 0.5, 0.85, line.label, ha="center", va="center", color="white", fontsize=9)


def _bars(axes: Axes, panel: Panel, lines: list[Line]) -> None:
    ordered = sorted(lines, key=lambda one: one.label, reverse=True)
    marks = [threshold for threshold, _ in panel.thresholds]
    most = 1.0 if panel.unit == "percentunit" else max(*(line.last for line in ordered), *marks, 1e-9)
    axes.set_xlim(0, most)
    axes.set_xticks([])
    axes.set_yticks(range(len(ordered)), [line.label for line in ordered], fontsize=8)
    axes.tick_params(axis="y", direction="in", pad=-6, length=0)
    for label in axes.get_yticklabels():
        label.set_horizontalalignment("left")
        label.set_zorder(3)
    for index, line in enumerate(ordered):
        axes.barh(index, most, color="#eceff1", height=0.7)
        axes.barh(index, line.last, color=_COLOURS[colour_of(panel, line.last)], height=0.7, alpha=0.6)
        axes.text(most * 0.99, index, written(line.last, panel.unit), ha="right", va="center", fontsize=10)


def _series(axes: Axes, panel: Panel, lines: list[Line]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter

    top = 0.0
    for line in sorted(lines, key=lambda one: one.label):
        times = [at / 86400 for at, _ in line.values]  # days since 1970, which is how matplotlib counts
        axes.plot(times, [value for _, value in line.values], linewidth=1.2, label=line.label or panel.title)
        top = max(top, *(value for _, value in line.values))
    axes.set_ylim(0, top * 1.15 or 1)
    for value, colour in panel.thresholds:
        if value <= top * 1.15:
            axes.axhline(value, color=_COLOURS[colour], linestyle="--", linewidth=0.9)

    def tick(value: float, position: int | None) -> str:
        del position
        return written(value, panel.unit)

    locator = AutoDateLocator(maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.tick_params(labelsize=7, colors=_COLOURS["text"])
    axes.grid(visible=True, color="#eceff1")
    axes.legend(fontsize=7, loc="upper left", frameon=False, ncols=2)


def colour_of(panel: Panel, value: float) -> Colour:
    """The colour of a value, as Grafana chooses it: of the last threshold that it reaches."""
    found = panel.base
    for threshold, colour in panel.thresholds:
        if value >= threshold:
            found = colour
    return found


def written(value: float, unit: Unit) -> str:
    """A value with its unit, short."""
    plain: dict[Unit, Callable[[float], str]] = {
        "percentunit": lambda number: f"{number:.0%}",
        "celsius": lambda number: f"{number:.0f} °C",
        "d": lambda number: f"{number:.0f} d",
        "reqps": lambda number: f"{number:.3g}/s",
        "ops": lambda number: f"{number:.3g}/s",
        "s": _duration,
        "bytes": lambda number: _scaled(number, 1024, ("B", "KiB", "MiB", "GiB", "TiB")),
    }
    return plain.get(unit, lambda number: _scaled(number, 1000, ("", "k", "M", "G")))(value)


def _duration(seconds: float) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:.3g} ms"


def _scaled(number: float, base: int, names: Sequence[str]) -> str:
    for name in names[:-1]:
        if abs(number) < base:
            return f"{number:.3g} {name}".strip()
        number /= base
    return f"{number:.3g} {names[-1]}"


def overview_picture(plan: MonitoringPlan, url: str, path: Path, *, seconds: int = 3600) -> dict[str, int]:
    """Draw the overview of a deployment. Gives the number of series of each panel by its title.

    Raises `ToolchainError` when Prometheus is away, or the deployment has nothing to show.
    """
    found = [dashboard for dashboard in dashboards(plan) if dashboard.name == "overview"]
    if not found:
        raise ToolchainError(f"{plan.stack}: nothing of it is scraped, so there is no overview")
    return draw(found[0], Asker(url=url.rstrip("/"), end=time.time(), seconds=seconds), path)


def plan_of(text: str) -> MonitoringPlan:
    """A plan from JSON: the fields of `MonitoringPlan`, `sources` as a list.

    Raises `ToolchainError` for what is no plan.
    """
    try:
        fields: dict[str, Any] = json.loads(text)
        for name, kind in (("sources", frozenset[str]), ("mountpoints", tuple[str, ...])):
            if name in fields:
                fields[name] = kind(fields[name])
        return MonitoringPlan(**fields)
    except (ValueError, TypeError) as error:
        raise ToolchainError(f"the plan is none: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what a plan file and a Prometheus say."""
    parser = argparse.ArgumentParser(description="Draw the overview from a running Prometheus.")
    parser.add_argument("url", help="of Prometheus, such as http://127.0.0.1:9090")
    parser.add_argument("picture", type=Path, help="PNG to write")
    parser.add_argument("--plan", type=Path, required=True, help="JSON with the fields of MonitoringPlan")
    parser.add_argument("--hours", type=float, default=1, help="how far back (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        plan = plan_of(chosen.plan.read_text(encoding="utf-8"))
        counted = overview_picture(plan, chosen.url, chosen.picture, seconds=round(chosen.hours * 3600))
    except (ToolchainError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    empty = [title for title, number in counted.items() if number == 0]
    print(f"{chosen.picture}: {len(counted)} panels" + (f", nothing for {', '.join(empty)}" if empty else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Draws a dashboard from a running Prometheus: `python -m bench.dashboard_picture URL DASHBOARD.json PICTURE.png`.

There is no Grafana in it: matplotlib draws the panels where they are, with their queries, units and colours. What the
picture shows is what Prometheus answers.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from components.monitoring.dashboard_files import COLUMNS, Dashboard, Panel
from toolchain.failure import ToolchainError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS: Final = {
    "green": "#37872d", "yellow": "#e0b400", "orange": "#fa6400", "red": "#c4162a", "blue": "#1f60c4",
    "text": "#464c54", "border": "#d8d9da", "bar": "#eceff1", "page": "#f4f5f5",
}  # fmt: skip
_UNIT: Final = 0.36
"""Inches of a row of the grid."""
_WIDTH: Final = 16.0
"""Inches of the picture."""


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
        for target in panel["targets"]:
            asked: dict[str, Any] = {"query": target["expr"]}
            if target.get("instant"):
                answer = self._ask("query", {**asked, "time": self.end})
            else:
                step = max(5, self.seconds // 240)
                begin = self.end - self.seconds
                answer = self._ask("query_range", {**asked, "start": begin, "end": self.end, "step": step})
            for series in answer:
                pairs = series.get("values") or [series["value"]]
                values = tuple((float(at), float(value)) for at, value in pairs)
                known = tuple(pair for pair in values if math.isfinite(pair[1]))
                if known:
                    label = re.sub(
                        r"{{(\w+)}}", partial(_label, series["metric"]), target.get("legendFormat", "")
                    )
                    found.append(Line(label=label, values=known))
        return sorted(found, key=lambda line: line.label)

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


def _label(labels: Mapping[str, str], name: re.Match[str]) -> str:
    return labels.get(name[1], "")


def draw(dashboard: Dashboard, asker: Asker, path: Path) -> dict[str, int]:
    """Draw a dashboard into a PNG. Gives the number of series of each panel by its title."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib.figure import Figure

    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    height = (rows + 0.5) * _UNIT
    figure = Figure(figsize=(_WIDTH, height), facecolor=_COLOURS["page"])
    column = (_WIDTH - 0.3) / COLUMNS
    counted: dict[str, int] = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        left, top = 0.2 + place["x"] * column, height - 0.1 - place["y"] * _UNIT
        if panel["type"] == "row":
            at = (left / _WIDTH, (top - 0.27) / height)
            figure.text(*at, panel["title"], fontsize=13, fontweight="bold", color=_COLOURS["text"])
            continue
        wide, high = place["w"] * column - 0.1, place["h"] * _UNIT - 0.1
        axes = figure.add_axes((left / _WIDTH, (top - high) / height, wide / _WIDTH, high / height))
        axes.set(xticks=[], yticks=[], facecolor="white")
        for side in axes.spines.values():
            side.set_color(_COLOURS["border"])
        axes.annotate(
            panel["title"], (0, 1), xytext=(8, -6), xycoords="axes fraction", textcoords="offset points", va="top",
            fontsize=10, color=_COLOURS["text"],
        )  # fmt: skip
        lines = asker.lines(panel)
        counted[panel["title"]] = len(lines)
        # Inside of the card, below the title: inches of the margins, with room for the numbers beside lines.
        margin = (
            (0.6, 0.3, 0.12, 0.38) if panel["type"] == "timeseries" and lines else (0.12, 0.12, 0.12, 0.38)
        )
        inner = axes.inset_axes(
            (
                margin[0] / wide,
                margin[1] / high,
                1 - (margin[0] + margin[2]) / wide,
                1 - (margin[1] + margin[3]) / high,
            )
        )
        _KINDS[panel["type"] if lines else ""](inner, panel, lines)
    figure.savefig(path, dpi=90)
    return counted


def _nothing(axes: Axes, panel: Panel, lines: list[Line]) -> None:
    del lines
    axes.axis("off")
    text = panel["fieldConfig"]["defaults"].get("noValue", "No data")
    axes.text(0.5, 0.5, text, ha="center", va="center", color=_COLOURS["text"], transform=axes.transAxes)


def _stat(axes: Axes, panel: Panel, lines: list[Line]) -> None:
    axes.axis("off")
    axes.set(xlim=(0, len(lines)), ylim=(0, 1))
    mode, gap = panel["options"]["textMode"], 0.01 * len(lines)
    for index, line in enumerate(lines):
        text, colour = told(panel, line.last)
        axes.axvspan(index + gap * (index > 0), index + 1, facecolor=_COLOURS[colour])
        shown = line.label if mode == "name" else text
        axes.text(index + 0.5, 0.45, shown, ha="center", va="center", color="white", fontsize=18)
        if mode == "value_and_name":
            axes.text(index + 0.5, 0.85, line.label, ha="center", va="center", color="white", fontsize=9)


def _bars(axes: Axes, panel: Panel, lines: list[Line]) -> None:
    axes.axis("off")
    defaults = panel["fieldConfig"]["defaults"]
    marks = [step["value"] for step in defaults["thresholds"]["steps"][1:]]
    most = 1.0 if defaults["unit"] == "percentunit" else max(*(line.last for line in lines), *marks)
    axes.set(xlim=(0, most), ylim=(max(len(lines), 3) - 0.5, -0.5))
    for index, line in enumerate(lines):
        text, colour = told(panel, line.last)
        axes.barh(index, most, color=_COLOURS["bar"], height=0.8)
        axes.barh(index, line.last, color=_COLOURS[colour], height=0.8, alpha=0.6)
        axes.text(most * 0.01, index, line.label, ha="left", va="center", fontsize=9)
        axes.text(most * 0.99, index, text, ha="right", va="center", fontsize=10)


def _series(axes: Axes, panel: Panel, lines: list[Line]) -> None:
    from matplotlib.dates import AutoDateLocator, DateFormatter
    from matplotlib.ticker import FuncFormatter

    defaults = panel["fieldConfig"]["defaults"]
    top = max(value for line in lines for _, value in line.values) or 1
    for line in lines:
        times = [at / 86400 for at, _ in line.values]  # days since 1970, which is how matplotlib counts
        axes.plot(
            times, [value for _, value in line.values], linewidth=1.2, label=line.label or panel["title"]
        )
    # Above the lines there is room for their names.
    beside = max(1, panel["gridPos"]["w"] // 3)
    axes.set_ylim(0, top * (1.15 + 0.12 * math.ceil(len(lines) / beside)))
    for step in defaults["thresholds"]["steps"][1:]:
        if step["value"] <= top * 1.15:
            axes.axhline(step["value"], color=_COLOURS[step["color"]], linestyle="--", linewidth=0.9)

    def tick(value: float, position: int | None) -> str:
        del position
        return written(value, defaults["unit"])

    axes.xaxis.set_major_locator(AutoDateLocator(maxticks=6))
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M"))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.locator_params(axis="y", nbins=5)
    axes.tick_params(labelsize=8, colors=_COLOURS["text"], length=0)
    axes.grid(visible=True, color=_COLOURS["bar"])
    for side in axes.spines.values():
        side.set_visible(False)
    axes.legend(
        fontsize=8,
        loc="upper left",
        frameon=False,
        ncols=beside,
        borderaxespad=0,
        labelcolor=_COLOURS["text"],
    )


_KINDS: Final[dict[str, Callable[[Axes, Panel, list[Line]], None]]] = {
    "": _nothing, "stat": _stat, "bargauge": _bars, "timeseries": _series,
}  # fmt: skip


def told(panel: Panel, value: float) -> tuple[str, str]:
    """What is written for a value, and its colour: a word of the panel's, or that of the last threshold it reaches."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults.get("mappings", []):
        if word := mapping["options"].get(f"{value:g}"):
            return word["text"], word["color"]
    first, *steps = defaults["thresholds"]["steps"]
    colour = [first, *(step for step in steps if value >= step["value"])][-1]["color"]
    return written(value, defaults["unit"]), colour


def written(value: float, unit: str) -> str:
    """A value with its unit, short."""
    plain: dict[str, Callable[[float], str]] = {
        "percentunit": "{:.0%}".format,
        "celsius": "{:.0f} °C".format,
        "d": "{:.0f} d".format,
        "reqps": "{:.3g}/s".format,
        "ops": "{:.3g}/s".format,
        "s": _duration,
        "bytes": partial(_scaled, base=1024, names=("B", "KiB", "MiB", "GiB", "TiB")),
    }
    return plain.get(unit, partial(_scaled, base=1000, names=("", "k", "M", "G")))(value)


def _duration(seconds: float) -> str:
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return f"{seconds:.3g} s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:.3g} ms"


def _scaled(number: float, *, base: int, names: Sequence[str]) -> str:
    power = min(int(math.log(abs(number), base)), len(names) - 1) if abs(number) >= 1 else 0
    return f"{number / base**power:.3g} {names[power]}".strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what a dashboard asks of a Prometheus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of Prometheus, such as http://127.0.0.1:9090")
    parser.add_argument("dashboard", type=Path, help="as `make monitoring-files` writes it")
    parser.add_argument("picture", type=Path, help="PNG to write")
    parser.add_argument("--hours", type=float, default=1, help="how far back (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        dashboard = json.loads(chosen.dashboard.read_text(encoding="utf-8"))
        asker = Asker(url=chosen.url.rstrip("/"), end=time.time(), seconds=round(chosen.hours * 3600))
        counted = draw(dashboard, asker, chosen.picture)
    except (ToolchainError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    empty = [title for title, number in counted.items() if number == 0]
    print(f"{chosen.picture}: {len(counted)} panels" + (f", nothing for {', '.join(empty)}" if empty else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())

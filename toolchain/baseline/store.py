"""The runs of before, and this one beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

from toolchain.baseline.measure import Measurement
from toolchain.doors import columns
from toolchain.failure import ToolchainError
from toolchain.paths import TOOLCHAIN

FOLDER: Final = TOOLCHAIN / "baseline"
KEPT: Final = 50
"""Runs that are kept of a stack."""
_SLOWER: Final = 1.5
"""Times the last run from which on a number is worth a look; single runs differ by less."""

Run = dict[str, Any]


def file(stack: str, folder: Path = FOLDER) -> Path:
    """Where the runs of a stack are."""
    return folder / f"{stack}.json"


def read(path: Path) -> list[Run]:
    """The runs, the oldest first. ToolchainError for a file that holds something else."""
    if not path.exists():
        return []
    try:
        found = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
        runs = cast("list[Run]", found["runs"])
        _ = [(run["time"], run["values"].items()) for run in runs]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ToolchainError(f"{path} holds no runs of a baseline: remove it to begin anew") from None
    return runs


def append(path: Path, run: Run) -> None:
    """Add a run. What is there is replaced at once, never half."""
    runs = [*read(path), run][-KEPT:]
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".new")
    written.write_text(json.dumps({"runs": runs}, indent=1) + "\n", encoding="utf-8")
    written.replace(path)


def run_of(time: float, version: str, found: Sequence[Measurement]) -> Run:
    """A run as it is kept."""
    values = {one.name: one.value for one in found if one.value is not None}
    return {"time": int(time), "version": version, "values": values}


def ratio(one: Measurement, before: Mapping[str, Any] | None) -> float | None:
    """This run as a multiple of the last one's time: above 1 is slower. Of a speed it is the other way round."""
    last = (before or {}).get("values", {}).get(one.name)
    if not isinstance(last, int | float) or last <= 0 or not one.value:
        return None
    return last / one.value if one.unit == "MB/s" else one.value / last


def table(found: Sequence[Measurement], before: Mapping[str, Any] | None) -> str:
    """For people."""
    rows = [
        {
            "what": one.name,
            "now": "-" if one.value is None else f"{one.value:.3g} {one.unit}",
            "wanted": "" if one.aim is None else f"{'<' if one.unit == 's' else '>'} {one.aim:g} {one.unit}",
            "time / last run": _shown(ratio(one, before)),
            "": one.what,
        }
        for one in found
    ]
    return columns(rows)


def _shown(found: float | None) -> str:
    if found is None:
        return "-"
    return f"{found:.2f}{'  slower' if found >= _SLOWER else ''}"


def data(stack: str, found: Sequence[Measurement], before: Mapping[str, Any] | None) -> dict[str, object]:
    """For programs."""
    return {
        "stack": stack,
        "previous": before,
        "measurements": [{**asdict(one), "ratio": ratio(one, before)} for one in found],
    }

"""An audit of docs/systems as data: its rows, and what is wrong with them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from typing import Any, cast

import yaml
from pydantic import BaseModel

from components.settings.model import SECRET_KEYS, Settings
from tests.harness.program import ROOT

_HEAD = ["demand", "setting", "resource", "test"]
_WAITS = ("backups", "monitoring", "policies")
_PATH = re.compile(r"([A-Za-z]+(?:\.[A-Za-z]+|\[\d+\])*)(?:: (.+))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One demand of a system's own document."""

    demand: str
    setting: str
    resource: str
    test: str


def rows(system: str) -> list[Row]:
    """Rows of the tables that have the columns of an audit."""
    found: list[Row] = []
    in_table = False
    for line in (ROOT / "docs" / "systems" / f"{system}.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells == _HEAD:
            in_table = True
        elif not cells:
            in_table = False
        elif in_table and set("".join(cells)) - set("- "):
            assert len(cells) == len(_HEAD), f"{system}: a row with {len(cells)} cells: {line}"
            found.append(Row(demand=cells[0], setting=cells[1], resource=cells[2], test=cells[3]))
    assert found, f"{system}: no table with the columns {', '.join(_HEAD)}"
    return found


def faults(system: str, settings: Settings, tests: Collection[str]) -> list[str]:
    """What the audit says that is not so: settings by their effective values, tests by the names that there are."""
    found: list[str] = []
    named: set[str] = set()
    known = _plain(settings)
    for row in rows(system):
        here = set(re.findall(r"`(test_\w+)`", row.test))
        named |= here
        if not here and not row.test:
            found.append(f"{row.demand}: neither a test nor a reason")
        for text in re.findall(r"waits for (\w+)", row.test):
            if text not in _WAITS:
                found.append(f"{row.demand}: waits for {text}, which is none of {', '.join(_WAITS)}")
        found += [f"{row.demand}: {fault}" for fault in _setting_faults(row.setting, known)]
    found += [f"{name} is named and does not exist" for name in sorted(named - set(tests))]
    found += [f"{name} is in no row" for name in sorted(set(tests) - named)]
    return found


def _setting_faults(cell: str, known: dict[str, Any]) -> Iterator[str]:
    for span in re.findall(r"`([^`]+)`", cell):
        if span.startswith("immich:"):
            if span.removeprefix("immich:") not in SECRET_KEYS:
                yield f"{span} is no secret key"
            continue
        match = _PATH.fullmatch(span)
        if match is None:
            yield f"{span} is no setting with a value"
            continue
        try:
            value = _at(known, match[1])
        except (KeyError, IndexError, TypeError):
            yield f"{match[1]} is not in the settings"
            continue
        if match[2] is None and value is None:
            yield f"{match[1]} is not given"
        # `auto` is what the models keep as nothing.
        if match[2] is not None and value != (None if match[2] == "auto" else yaml.safe_load(match[2])):
            yield f"{span}, but it is {json.dumps(value)}"


def _at(known: dict[str, Any], path: str) -> Any:
    value: Any = known
    for name, index in re.findall(r"([A-Za-z]+)|\[(\d+)\]", path):
        value = value[name] if name else value[int(index)]
    return value


def _plain(settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in fields(settings):
        section = getattr(settings, one.name)
        key = re.sub(r"_(\w)", lambda match: match[1].upper(), one.name)
        found[key] = (
            cast("BaseModel", section).model_dump(mode="json", by_alias=True) if section is not None else None
        )
    return found

"""An audit of docs/systems as data: its rows, and what is wrong with them."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel

from components.monitoring import scrapes, setup
from components.monitoring.dashboard_files import dashboards, panels
from components.monitoring.rule_files import alerts
from components.monitoring.settings import BundledMonitoring, NoMonitoring, OperatorMonitoring
from components.settings.model import SECRET_KEYS, Settings
from tests.harness.program import ROOT
from tests.harness.sources import parsed
from toolchain.baseline.measure import QUERIES
from toolchain.status.report import Report

_HEAD = ["demand", "setting", "resource", "test"]
_PATH = re.compile(r"([A-Za-z]+(?:\.[A-Za-z]+|\[\d+\])*)(?:: (.+))?")
_NAMES = r"((?:`[^`]+`(?:, | and )?)+)"
_COMMAND = re.compile(rf"`make (verify|status|baseline)(?: [^`]*)?`: {_NAMES}")
_PANELS = re.compile(rf"\bpanels? {_NAMES}")
_ALERT = re.compile(r"`(Immich[A-Z]\w+)`")
_TEST_ELSEWHERE = re.compile(r"`(tests/[^`]+)::(test_\w+)`")


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
        found += [f"{row.demand}: {fault}" for fault in _setting_faults(row.setting, known)]
    found += [f"{name} is named and does not exist" for name in sorted(named - set(tests))]
    found += [f"{name} is in no row" for name in sorted(set(tests) - named)]
    return found + claims(system, settings)


def claims(system: str, settings: Settings) -> list[str]:
    """What the audit says of checks, alerts, panels and tests elsewhere that is not so of this stack."""
    found: list[str] = []
    answers = {"verify": verify_checks(), "status": _status_parts(), "baseline": _baseline_numbers()}
    watched = not isinstance(settings.monitoring, NoMonitoring)
    ringing, panels = _watching(system, settings)
    for row in rows(system):
        text = f"{row.resource}; {row.test}"
        wrong = [
            f"`make {command}` tells no `{name}`"
            for command, names in _COMMAND.findall(text)
            for name in sorted(_spans(names) - answers[command])
        ]
        named = set(_ALERT.findall(text))
        shown = {name for names in _PANELS.findall(text) for name in _spans(names)}
        wrong += [f"there is no alert `{name}`" for name in sorted(named - ringing)]
        wrong += [f"there is no panel `{name}`" for name in sorted(shown - panels)]
        if (named or shown) and not watched and "`immich:monitoring.kind`" not in text:
            wrong.append("nobody watches this stack, and the row does not say what would")
        wrong += [
            f"{path} has no {name}"
            for path, name in _TEST_ELSEWHERE.findall(row.test)
            if not (ROOT / path).is_file() or f"\ndef {name}(" not in (ROOT / path).read_text()
        ]
        if "waits for" in row.test:
            wrong.append("it waits for something")
        found += [f"{row.demand}: {one}" for one in wrong]
    return found


def verify_checks() -> set[str]:
    """Names of the checks of `make verify`: what their functions are given, written out or by the name `name`."""
    names: set[str] = set()
    for file in (ROOT / "toolchain" / "verify" / "checks").glob("*.py"):
        names |= _first_words(file, {"passed", "failed", "unchecked"})
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.Assign):
                for target, value in _assigned(node):
                    if isinstance(target, ast.Name) and target.id in {"name", "names", "check"}:
                        names |= _words(value)
    return names


def _assigned(node: ast.Assign) -> Iterator[tuple[ast.expr, ast.expr]]:
    for target in node.targets:
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            yield from zip(target.elts, node.value.elts, strict=True)
        else:
            yield target, node.value


def _first_words(file: Path, functions: Collection[str]) -> set[str]:
    calls = [one for one in ast.walk(parsed(file)) if isinstance(one, ast.Call)]
    return {
        word
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in functions and call.args
        for word in _words(call.args[0])
    }


def _words(value: ast.expr) -> set[str]:
    match value:
        case ast.Constant(value=str(word)):
            return {word}
        case ast.IfExp(body=one, orelse=other):
            return _words(one) | _words(other)
        case ast.Tuple(elts=several):
            return {word for one in several for word in _words(one)}
        case _:
            return set()


def _baseline_numbers() -> set[str]:
    written = _first_words(ROOT / "toolchain" / "baseline" / "measure.py", {"_number", "_timed"})
    return written | {f"search-{query}" for query in QUERIES}


def _status_parts() -> set[str]:
    nothing = Report(
        stack="",
        time=0,
        units=(),
        queues=None,
        statuses={},
        runs=(),
        volumes=(),
        fragments=None,
        certificates=(),
        drift=None,
    )
    return set(nothing.data())


def _watching(system: str, settings: Settings) -> tuple[set[str], set[str]]:
    """Alerts and panels of a stack; where nobody watches, those that its platform's own kind would bring."""
    if isinstance(settings.monitoring, NoMonitoring):
        own = (
            OperatorMonitoring(kind="operator")
            if settings.docker is None
            else BundledMonitoring(kind="bundled")
        )
        settings = dataclasses.replace(settings, monitoring=own)
    plan = setup.plan(scrapes.with_numbers(settings), system)
    titles = {panel["title"] for one in dashboards(plan).values() for panel in panels(one)}
    return {alert.name for alert in alerts(plan)}, titles


def _spans(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


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

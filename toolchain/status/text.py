"""A report for people. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from components.proxy.doors import readable
from components.recovery.schedules import duration
from toolchain.deployment import items, mapping
from toolchain.doors import columns
from toolchain.status.queues import waiting
from toolchain.status.report import Report, version
from toolchain.verify.running import Unit


def text(report: Report) -> str:
    """Components, queues with jobs, backups, volumes, certificates, and what could not be asked."""
    parts = [_components(report), _queues(report.queues)]
    if report.runs:
        parts.append(columns([_run(name, report.statuses.get(name), report.time) for name in report.runs]))
    if report.volumes:
        rows = [
            {
                "volume": f"{one.workload}:{one.path}",
                "used": size(one.used),
                "of": size(one.size),
                "full": f"{one.percent} %{'  !' if one.full else ''}",
            }
            for one in report.volumes
        ]
        parts.append(columns(rows))
    if report.fragments is not None and report.fragments.files:
        left = report.fragments
        parts.append(
            f"uploads that were cut off: {left.files} files, {size(left.bytes)}, unknown to the database, such as "
            f"{left.first}  !"
        )
    if report.certificates:
        rows = [
            {
                "certificate": one.subject.removeprefix("door "),
                "": f"{one.found}{'  !' if one.outcome == 'fail' else ''}",
            }
            for one in report.certificates
        ]
        parts.append(columns(rows))
    if report.drift:
        parts.append("\n".join(["differs from immich:setup  !", *(f"  {one}" for one in report.drift)]))
    if report.problems:
        parts.append("\n".join(["could not be asked", *(f"  {one}" for one in report.problems)]))
    return "\n\n".join(parts)


def copies(told: Mapping[str, object]) -> str:
    """The outputs `copies`, `recovery` and `rule321` for people."""
    rows = [mapping(one) for one in items(told.get("copies"))]
    losses = [mapping(one) for one in items(told.get("recovery"))]
    parts = [
        columns([{key: str(row[key]) for key in ("copy", "of", "where", "age", "offsite")} for row in rows]),
        columns(
            [
                {
                    "when lost": str(one["loss"]),
                    "lost at most": str(one["lostAtMost"]),
                    "back in": f"{one['backIn']} ({one['basis']})",
                    "from": str(one["from"]),
                    "": str(one.get("note", "")),
                }
                for one in losses
            ]
        ),
        "\n".join(str(one) for one in items(told.get("rule321"))),
    ]
    return "\n\n".join(parts)


def _components(report: Report) -> str:
    units = [unit for unit in report.units if not unit.task]
    if not units:
        return f"Nothing of the stack {report.stack} runs: make up STACK={report.stack}"
    return columns([_unit(unit, report.time) for unit in units])


def _unit(unit: Unit, now: float) -> dict[str, str]:
    ill = unit.state != "running" or unit.health == "unhealthy"
    return {
        "component": unit.name,
        "state": f"{unit.health or unit.state}{'  !' if ill else ''}"
        if unit.state == "running"
        else f"{unit.state}  !",
        "restarts": str(unit.restarts),
        "for": duration(max(0, int(now - unit.since))) if unit.since and unit.state == "running" else "-",
        "version": version(unit),
    }


def _queues(queues: Mapping[str, Mapping[str, int]] | None) -> str:
    if queues is None:
        return "queues: the cache does not tell"
    busy = {name: queue for name, queue in queues.items() if any(queue.values())}
    if not busy:
        return "queues: no jobs"
    ordered: Sequence[str] = sorted(busy, key=lambda name: -waiting(busy[name]))
    return columns(
        [
            {
                "queue": name,
                "waiting": str(waiting(busy[name])),
                "active": str(busy[name]["active"]),
                "": "paused" if busy[name]["paused"] else "",
            }
            for name in ordered
        ]
    )


def _run(name: str, status: Mapping[str, object] | None, now: float) -> dict[str, str]:
    last = (status or {}).get("lastSuccess")
    age = now - last if isinstance(last, int | float) and last > 0 else math.inf
    result = str((status or {}).get("result", "never ran"))
    detail = str((status or {}).get("message", "")) if result == "failed" else ""
    return {
        "backup": name,
        "last success": "never" if age == math.inf else f"{duration(max(0, int(age)))} ago",
        "last run": f"{result}{'  !' if result in {'failed', 'never ran'} else ''}",
        "": detail,
    }


def size(count: int) -> str:
    """Bytes with two digits that say something."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return readable(count)

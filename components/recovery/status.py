"""What the last runs of backups, checks, drills and restores left behind, read without trusting it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Statuses = Mapping[str, Mapping[str, object]]
"""Name of a status file without `.json` (`dump`, `copy-<target>`, `check-<target>`, `drill`, `restore`) -> its data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The last run of one kind."""

    name: str
    last_success: int | None
    """Seconds since 1970; None where none has succeeded yet."""
    seconds: int | None
    """How long the last run took."""
    bytes: int | None
    """What it handled in all."""
    bytes_added: int | None
    verdict: str

    @property
    def speed(self) -> int | None:
        """Bytes a second; None where the run says too little to tell."""
        if self.bytes is None or not self.seconds or self.bytes <= 0:
            return None
        return max(1, self.bytes // self.seconds)


def run(statuses: Statuses, name: str) -> Run | None:
    """The last run of that name; None where it has left nothing."""
    found = statuses.get(name)
    if found is None:
        return None
    started, finished = _number(found, "started"), _number(found, "finished")
    spent = finished - started if started and finished and finished >= started else None
    seconds = _number(found, "seconds")
    verdict = found.get("verdict")
    return Run(
        name=name,
        last_success=_number(found, "lastSuccess") or None,
        seconds=seconds if seconds is not None else spent,
        bytes=_number(found, "bytes"),
        bytes_added=_number(found, "bytesAdded"),
        verdict=verdict if isinstance(verdict, str) else "unknown",
    )


def succeeded(statuses: Statuses, name: str) -> Run | None:
    """The last run of that name, where it went well: numbers of a failed one measure nothing."""
    found = run(statuses, name)
    return found if found is not None and found.verdict == "ok" else None


def _number(found: Mapping[str, object], key: str) -> int | None:
    value = found.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 10**18:
        return None
    return int(value)

"""What a check says. Plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "not-checked"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One answer."""

    name: str
    """Constant, in kebab case: `forged-headers`."""
    subject: str
    """What it is about: `door lan https://photos.example.com`, `library nas`."""
    outcome: Outcome
    found: str
    """What is there; for `not-checked` why nobody looked."""
    expected: str = ""
    """What should be there; empty where `found` says it all."""
    fix: str = ""
    """What to do; only for `fail`, and for `not-checked` what would make it possible."""


def passed(name: str, subject: str, found: str, expected: str = "") -> Check:
    """It is as it should be."""
    return Check(name=name, subject=subject, outcome="pass", found=found, expected=expected)


def failed(name: str, subject: str, found: str, expected: str, fix: str) -> Check:
    """It is not."""
    return Check(name=name, subject=subject, outcome="fail", found=found, expected=expected, fix=fix)


def unchecked(name: str, subject: str, why: str, fix: str = "") -> Check:
    """It cannot be told."""
    return Check(name=name, subject=subject, outcome="not-checked", found=why, fix=fix)


def exit_code(checks: Sequence[Check]) -> int:
    """0 when nothing failed and something passed; 1 else."""
    outcomes = [check.outcome for check in checks]
    return 0 if "fail" not in outcomes and "pass" in outcomes else 1


def data(stack: str, checks: Sequence[Check]) -> dict[str, object]:
    """For programs."""
    counts = {one: sum(check.outcome == one for check in checks) for one in ("pass", "fail", "not-checked")}
    return {
        "stack": stack,
        "ok": exit_code(checks) == 0,
        "counts": counts,
        "checks": [asdict(check) for check in checks],
    }

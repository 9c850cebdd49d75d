"""Checks for people: grouped by subject, what failed last with what to do. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from toolchain.verify.model import Check, Outcome

_MARKS: dict[Outcome, str] = {"pass": "pass", "fail": "FAIL", "not-checked": "not checked"}
_ORDER: dict[Outcome, int] = {"pass": 0, "not-checked": 1, "fail": 2}
_WIDTH = 110
_MARK = max(len(mark) for mark in _MARKS.values())


def table(checks: Sequence[Check]) -> str:
    """One line a check; subjects with a failure come last, and below all of it each failure with its fix."""
    subjects = list(dict.fromkeys(check.subject for check in checks))
    grouped = {subject: [one for one in checks if one.subject == subject] for subject in subjects}
    ordered = sorted(subjects, key=lambda subject: any(one.outcome == "fail" for one in grouped[subject]))
    names = max((len(check.name) for check in checks), default=0)
    lines: list[str] = []
    for subject in ordered:
        lines += [*([""] if lines else []), subject]
        for check in sorted(grouped[subject], key=lambda one: _ORDER[one.outcome]):
            lines += _row(check, names)
    failures = [check for check in checks if check.outcome == "fail"]
    for check in failures:
        lines += ["", f"{check.subject}: {check.name}"]
        lines += _part("found", check.found)
        lines += _part("expected", check.expected)
        lines += _part("fix", check.fix)
    return "\n".join([*lines, "", summary(checks)])


def summary(checks: Sequence[Check]) -> str:
    """`12 passed, 1 failed, 2 not checked`."""
    count = {one: sum(check.outcome == one for check in checks) for one in _MARKS}
    return f"{count['pass']} passed, {count['fail']} failed, {count['not-checked']} not checked"


def _row(check: Check, names: int) -> list[str]:
    head = f"  {_MARKS[check.outcome]:<{_MARK}}  {check.name:<{names}}  "
    told = check.found + (f". {check.fix}" if check.outcome == "not-checked" and check.fix else "")
    return textwrap.wrap(
        told or "-",
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _part(name: str, text: str) -> list[str]:
    if not text:
        return []
    head = f"  {name + ':':<10}"
    return textwrap.wrap(
        text, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip

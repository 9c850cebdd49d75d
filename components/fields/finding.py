"""A rule between sections, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A rule that is broken; `key` has no `immich:` in front."""

    key: str
    reason: str
    given: str | None = None
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A check and what it needs, in the order of its parameters: sections, or `stack`, the name of the stack."""

    sections: tuple[str, ...]
    check: Callable[..., Iterator[Finding]]

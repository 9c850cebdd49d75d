"""Which series an expression of PromQL asks for."""

from __future__ import annotations

import re
from itertools import product

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_NAMED = re.compile(r'__name__=~"((?:[^"\\]|\\.)*)"')
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()(?![a-zA-Z0-9_:])")
_KEYWORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "inf", "nan"}


def names(expr: str) -> set[str]:
    """Names of series, also those of a matcher of `__name__`, written out."""
    found = {name for pattern in _NAMED.findall(expr) for name in _written_out(pattern)}
    bare = _TEXT.sub("", expr)
    bare = re.sub(r"\{[^}]*\}", "", bare)
    bare = re.sub(r"\[[^\]]*\]", "", bare)
    bare = _LABELS.sub(" ", bare)
    bare = re.sub(r"(?<![a-zA-Z0-9_:.])[0-9][0-9.]*(?:e[+-]?[0-9]+)?[smhdwy]?(?![a-zA-Z0-9_:])", " ", bare)
    return found | {word for word in _WORD.findall(bare) if word.lower() not in _KEYWORDS}


def _written_out(pattern: str) -> set[str]:
    """Every name of a pattern without nested groups; `.*` and `.+` stand for one letter."""
    pieces = re.split(r"\(([^)]*)\)", pattern)
    choices = [piece.split("|") if index % 2 else [piece] for index, piece in enumerate(pieces)]
    return {re.sub(r"\.[*+]", "x", "".join(chosen)) for chosen in product(*choices)}

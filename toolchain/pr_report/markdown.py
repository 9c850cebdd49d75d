"""Pieces of Markdown as GitHub reads it. Whatever text comes in, it stays text: no tag, no mention, no broken table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

LIMIT: Final = 65_536
"""Characters that a comment on GitHub may have."""

_SPECIAL: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", "|": "&#124;", "`": "&#96;"}
_EMPHASIS: Final = re.compile(r"([\\*_\[\]#~])")
_DETAILS: Final = re.compile(r"<(/?)details\b")


def text(value: str) -> str:
    """Text of somebody else on one line, without meaning to Markdown."""
    line = " ".join(value.split())
    escaped = _EMPHASIS.sub(r"\\\1", "".join(_SPECIAL.get(char, char) for char in line))
    return escaped.replace("&\\#", "&#")


def lines(value: str) -> str:
    """Text of somebody else in a table's cell, line by line."""
    return "<br>".join(text(line) for line in value.splitlines() if line.strip())


def code(value: str) -> str:
    """Text as code; a bar would end a table's cell also there."""
    line = " ".join(value.split()).replace("|", "\\|")
    longest = max((len(run) for run in re.findall(r"`+", line)), default=0)
    fence, pad = "`" * (longest + 1), " " if longest else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def block(value: str) -> str:
    """Lines as they are, in a fence longer than any in them."""
    longest = max((len(run) for run in re.findall(r"`+", value)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{value.strip()}\n{fence}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def of_mappings(rows: Sequence[Mapping[str, str]]) -> str:
    """A table of rows with the same keys; cells are Markdown."""
    return table(list(rows[0]), [list(row.values()) for row in rows])


def details(summary: str, content: str) -> str:
    """Something that is folded away. `summary` is Markdown's text, `content` any Markdown."""
    return f"<details><summary>{summary}</summary>\n\n{content}\n\n</details>"


def fit(document: str, sentence: str, limit: int = LIMIT) -> str:
    """The document when it is short enough, else its first lines, with what they open closed, and the sentence."""
    if len(document) <= limit:
        return document
    tail = f"\n\n{sentence}\n"
    kept: list[str] = []
    length, open_details, fence = 0, 0, ""
    best = ""
    for line in document.split("\n"):
        length += len(line) + 1
        kept.append(line)
        if not fence and (opened := re.match(r"`{3,}", line)):
            fence = opened[0]
        elif fence and line == fence:
            fence = ""
        elif not fence:
            open_details += sum(-1 if closing else 1 for closing in _DETAILS.findall(line))
        closing = f"\n{fence}" * bool(fence) + "\n\n</details>" * open_details
        if length + len(closing) + len(tail) > limit:
            break
        best = "\n".join(kept) + closing
    return best + tail

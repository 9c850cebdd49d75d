"""The grammar of Immich's storage template: a path in Handlebars with a fixed set of tokens.

Tokens: storage-template.service.ts of Immich. It renders with Handlebars' strict mode, and a template that
fails to render leaves each new photo where it was uploaded, with nothing but a line in the log.
"""

from __future__ import annotations

import re
from typing import ClassVar

from components.model.values import ParsedStr

DATE_TOKENS: tuple[str, ...] = (
    "y", "yy", "M", "MM", "MMM", "MMMM", "W", "WW", "d", "dd",
    "h", "hh", "H", "HH", "m", "mm", "s", "ss", "SSS",
)  # fmt: skip
"""Parts of the photo's date, as Luxon formats them."""

NAME_TOKENS: tuple[str, ...] = ("filename", "assetId", "assetIdShort")
"""Tokens that tell one photo from another. The file's extension is appended by Immich."""

OTHER_TOKENS: tuple[str, ...] = ("ext", "filetype", "filetypefull", "album", "make", "model", "lensModel")
"""Everything else that is known of a photo."""

TOKENS: frozenset[str] = frozenset(
    {
        *DATE_TOKENS,
        *NAME_TOKENS,
        *OTHER_TOKENS,
        *(f"album-{edge}Date-{token}" for edge in ("start", "end") for token in DATE_TOKENS),
    }
)
"""Every token that a storage template may contain."""

_LONGEST = 1000

_EXPRESSION = re.compile(r"\{\{\{([^{}]*)\}\}\}|\{\{([^{}]*)\}\}")
_BLOCK = re.compile(r"#(if|unless)\s+(\S+)\Z")


class StorageTemplatePath(ParsedStr):
    """Where originals are kept under the user's folder, such as `{{y}}/{{MM}}/{{filename}}`."""

    __slots__ = ()
    accepted: ClassVar[str] = (
        "a path with tokens in double braces such as {{y}}/{{y}}-{{MM}}-{{dd}}/{{filename}}"
    )

    @classmethod
    def check(cls, text: str) -> str:
        if not text.isprintable() or "\\" in text or len(text) > _LONGEST:
            raise ValueError(f"expected {cls.accepted}, in one line, without backslashes")
        rest = _EXPRESSION.sub("", text)
        if "{" in rest or "}" in rest:
            raise ValueError(f"the braces do not match; expected {cls.accepted}")
        if not _tokens(text) & set(NAME_TOKENS):
            raise ValueError(
                "all photos of a folder would get the same name: "
                f"the template needs one of {_listed(NAME_TOKENS)}"
            )
        if ".." in text.split("/"):
            raise ValueError("a template stays in the user's folder: .. is not accepted")
        return text


def _tokens(text: str) -> frozenset[str]:
    """The tokens that a template prints; raises `ValueError` for unknown ones and open blocks."""
    printed: set[str] = set()
    conditions: set[str] = set()
    open_blocks: list[str] = []
    for match in _EXPRESSION.finditer(text):
        expression = (match[1] if match[1] is not None else match[2]).strip()
        block = _BLOCK.match(expression)
        if block:
            open_blocks.append(block[1])
            conditions.add(block[2])
        elif expression.startswith("/"):
            if not open_blocks or open_blocks.pop() != expression[1:].strip():
                raise ValueError(f"{{{{{expression}}}}} closes a block that is not open")
        elif expression == "else":
            if not open_blocks:
                raise ValueError("{{else}} stands outside of {{#if ...}}")
        else:
            printed.add(expression)
    if open_blocks:
        raise ValueError(f"{{{{#{open_blocks[-1]} ...}}}} is not closed by {{{{/{open_blocks[-1]}}}}}")
    unknown = sorted((printed | conditions) - TOKENS)
    if unknown:
        raise ValueError(
            f"Immich has no token {_listed(unknown)}; it has "
            f"{_listed((*NAME_TOKENS, *OTHER_TOKENS, *DATE_TOKENS))} and "
            "{{album-startDate-T}}, {{album-endDate-T}} with T one of the date tokens"
        )
    return frozenset(printed)


def _listed(tokens: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"{{{{{token}}}}}" for token in tokens)

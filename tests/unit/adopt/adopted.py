"""What `make adopt` writes and prints, as the tests of every kind of deployment look at it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from toolchain import stack_file
from toolchain.adopt import __main__ as command
from toolchain.adopt.choices import Adopted
from toolchain.stack_settings import settings_without_secrets


def sections(found: Adopted) -> dict[str, Any]:
    """The sections, once the reader of settings has taken them as they will stand in the file."""
    texts = stack_file.parse(command.stack_text(found, "the file").encode()).texts()
    settings_without_secrets("mine", texts, set())
    return {key: json.loads(value) for key, value in texts.items()}


def commands(page: str) -> list[str]:
    """Commands of a page that was printed."""
    return [line.strip() for line in page.splitlines() if line.startswith("    ")]


def are_in_order(words: Iterable[str], lines: Sequence[str]) -> bool:
    """Whether the first line with each word comes in the order of the words; every word must be there."""
    places = [next(place for place, line in enumerate(lines) if word in line) for word in words]
    return places == sorted(places)

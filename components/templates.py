"""Text files, rendered by pure functions. An unknown name in a template is an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, values: Mapping[str, object]) -> str:
    """The template of this folder with `values`. Raises `jinja2.UndefinedError` for a name that is not given."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    """One for all: it keeps what it has parsed."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(  # noqa: S701 - nginx configuration and scripts, not HTML
        loader=FileSystemLoader(sorted(Path(__file__).parent.rglob("templates"))),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

"""Text files, rendered by pure functions. An unknown name in a template is an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def render(template: str, values: Mapping[str, object]) -> str:
    """The template of this folder with `values`. Raises `jinja2.UndefinedError` for a name that is not given."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - nginx configuration, not HTML
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)

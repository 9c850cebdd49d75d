"""Components that deploy Immich, each usable alone: `import components as immich`, then `immich.Database(...)`.

The public names are those of `__init__.pyi`; each is imported when it is first used.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any


@cache
def _public() -> dict[str, tuple[str, str]]:
    """Public name -> module, and its name there."""
    tree = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    return {
        (alias.asname or alias.name).removeprefix("_"): (node.module, alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }


def __getattr__(name: str) -> Any:
    if name.startswith("_") or name not in _public():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, there = _public()[name]
    return getattr(import_module(module), there)


def __dir__() -> list[str]:
    return sorted(_public())

"""Python sources as syntax trees."""

from __future__ import annotations

import ast
import functools
import gc
from pathlib import Path


@functools.cache
def parsed(file: Path) -> ast.Module:
    """The tree of a file.

    Nothing else may be parsed meanwhile, as a traceback of garbage that is collected is: Python 3.11 then raises
    SystemError ("AST constructor recursion depth mismatch", cpython#106905).
    """
    gc.disable()
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    finally:
        gc.enable()

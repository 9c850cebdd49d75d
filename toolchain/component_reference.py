"""Writes docs/components/, one page a component, from the components themselves.

`python -m toolchain.component_reference`. A page has what the class says, its arguments and outputs with what their
docstrings say, and an example: the shortest program of examples/ that makes one, else the call in `__main__.py`.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from typing import Any, Final

import pulumi

import components
from toolchain.paths import ROOT
from toolchain.settings_reference import attribute_docs, table_cell

FOLDER: Final = ROOT / "docs" / "components"
_WRITTEN_BY: Final = (
    "<!-- Written by `python -m toolchain.component_reference` from the code: change that. -->"
)


def public() -> dict[str, tuple[type[Any], type[Any]]]:
    """The public components by name, each with its arguments."""
    named = {name: getattr(components, name) for name in dir(components)}
    return {
        name: (one, named[f"{name}Args"])
        for name, one in named.items()
        if f"{name}Args" in named and issubclass(one, pulumi.ComponentResource)
    }


def pages() -> dict[str, str]:
    """Name of each file below docs/components/ -> its text."""
    return {
        f"{name}.md": "\n".join(_page(name, component, args)) for name, (component, args) in public().items()
    }


def _page(name: str, component: type[Any], args: type[Any]) -> Iterator[str]:
    yield f"# {name}\n\n{_WRITTEN_BY}\n"
    yield inspect.cleandoc(component.__doc__ or "")
    file, code = _example(name)
    yield f"\n## Example\n\nFrom [{file}](../../{file}):\n\n```python\n{code}\n```"
    yield (
        "\n## Arguments\n\n| `" + args.__name__ + "` | type | default | meaning |\n| --- | --- | --- | --- |"
    )
    docs = attribute_docs(args)
    for key, (kind, default) in _attributes(args).items():
        yield f"| `{key}` | {kind} | {default} | {table_cell(docs[key])} |"
    outputs = {key: text for key, text in attribute_docs(component).items() if not key.startswith("_")}
    if outputs:
        kinds = _attributes(component)
        yield "\n## Outputs\n\n| output | type | meaning |\n| --- | --- | --- |"
        for key, text in outputs.items():
            yield f"| `{key}` | {kinds[key][0]} | {table_cell(text)} |"
    yield ""


def _attributes(one: type[Any]) -> dict[str, tuple[str, str]]:
    """Attributes with their types and defaults as the source has them; an empty default has none."""
    (node,) = ast.parse(inspect.getsource(one)).body
    assert isinstance(node, ast.ClassDef)
    return {
        item.target.id: (_code(ast.unparse(item.annotation)), _code(_default(item.value)))
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }


def _default(value: ast.expr | None) -> str:
    match value:
        case None:
            return ""
        case ast.Call(func=ast.Name(id="field"), keywords=[ast.keyword(value=ast.Lambda(body=body))]):
            return ast.unparse(body)
        case ast.Call(func=ast.Name(id="field"), keywords=[ast.keyword(value=ast.Subscript())]):
            return "{}"
        case ast.Call(func=ast.Name(id="field"), keywords=[ast.keyword(value=factory)]):
            return f"{ast.unparse(factory)}()"
        case _:
            return ast.unparse(value)


def _code(text: str) -> str:
    """`text` of a program in a cell of a table, without the modules of its classes."""
    short = re.sub(r"\b[a-z_]+\.(?=[A-Z])", "", text).replace("|", "\\|")
    return f"`{short}`" if short else "**needed**"


def _example(name: str) -> tuple[str, str]:
    """A file below the root that makes one, and the program, or the call alone."""
    programs = sorted(ROOT.glob("examples/*/__main__.py"), key=lambda path: path.stat().st_size)
    for path in programs:
        text = path.read_text(encoding="utf-8")
        if _calls(text, name):
            return path.relative_to(ROOT).as_posix(), text.strip()
    text = (ROOT / "__main__.py").read_text(encoding="utf-8")
    return "__main__.py", inspect.cleandoc((_calls(text, name) or _calls(text, f"{name.lower()}_of"))[0])


def _calls(text: str, name: str) -> list[str]:
    return [
        ast.get_source_segment(text, node, padded=True) or ""
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name
    ]


def main() -> int:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

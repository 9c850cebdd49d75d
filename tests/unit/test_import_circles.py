"""No module imports itself by way of others; imports for annotations alone do not count."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.harness.sources import parsed

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"bench": ROOT, "components": ROOT, "toolchain": ROOT, "immich_policy": ROOT / "policy"}


def _modules() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for package, root in FOLDERS.items():
        for path in (root / package).rglob("*.py"):
            name = ".".join(path.relative_to(root).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def _only_for_annotations(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imports(path: Path) -> set[str]:
    tree = parsed(path)
    skipped = {id(one) for node in ast.walk(tree) if _only_for_annotations(node) for one in ast.walk(node)}
    return {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None and id(node) not in skipped
        for alias in node.names
        for name in (f"{node.module}.{alias.name}", node.module)
    }


def circle() -> list[str]:
    modules = _modules()
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        found = _imports(path) & modules.keys()
        # `from package import module` is an import of the module.
        graph[name] = {one for one in found if not any(other.startswith(f"{one}.") for other in found)} - {
            name
        }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle() == []


def test_a_circle_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "components").mkdir()
    (tmp_path / "components" / "a.py").write_text("from components.b import x\n")
    (tmp_path / "components" / "b.py").write_text("def f():\n    from components import a\n")
    monkeypatch.setitem(FOLDERS, "components", tmp_path)
    assert set(circle()) == {"components.a", "components.b"}

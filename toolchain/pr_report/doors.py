"""The ways in before and after: `Pulumi.<stack>.yaml` as committed at a base, and as it is in the work tree.

Both are judged by the program of the work tree: what a change of the program itself does to a door shows in both.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from components.proxy.doors import doors, table
from toolchain.failure import ToolchainError
from toolchain.pr_report import markdown
from toolchain.stack_settings import settings_without_secrets, stack_texts

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """The doors of one version of the settings."""

    rows: tuple[Row, ...] = ()
    problem: str = ""
    """Why there are none; empty when there are."""


def of_text(stack: str, content: bytes) -> Table:
    """The doors of a settings file's content; what is wrong with it becomes the table's `problem`."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"Pulumi.{stack}.yaml"
        path.write_bytes(content)
        try:
            settings, _ = settings_without_secrets(stack, *stack_texts(path))
        except ToolchainError as error:
            return Table(problem=str(error))
    found = table(doors(settings.host, settings.proxy, settings.cloudflare))
    return Table(tuple(found), "" if found else "no way in: nothing but the pods themselves reaches Immich")


def committed(stack: str, base: str, root: Path) -> bytes | None:
    """The settings file at a commit; None when it is not there. ToolchainError when there is no such commit."""
    found = commit(base, root)
    if found is None:
        raise ToolchainError(
            f"There is no commit {base!r} to compare with in {root.name}: name one with --base (a branch, a tag or a "
            "commit). A clone with `fetch-depth: 1` has one commit only."
        )
    shown = _git(root, "show", f"{found}:./Pulumi.{stack}.yaml")
    return shown.stdout if shown.returncode == 0 else None


def commit(reference: str, root: Path) -> str | None:
    """The hash of the commit that a name stands for; None when there is none here."""
    found = _git(root, "rev-parse", "--quiet", "--verify", "--end-of-options", f"{reference}^{{commit}}")
    # rev-parse repeats the option.
    return found.stdout.decode().split()[-1] if found.returncode == 0 else None


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)


def section(before: Table | None, after: Table) -> str:
    """Markdown: one table when nothing changed, else both with the changed cells of the second in bold.

    `before` is None when the stack is new.
    """
    if before is None:
        return "\n\n".join(["The stack is new.", _written(after)])
    if before == after:
        return "\n\n".join(["No way in changes.", markdown.details("Ways in", _written(after))])
    known = {_key(row): row for row in before.rows}
    return "\n\n".join(["Before:", _written(before), "After:", _written(after, known)])


def _key(row: Row) -> tuple[str, str]:
    return row["door"], row["url"]


def _written(one: Table, known: Mapping[tuple[str, str], Row] | None = None) -> str:
    if not one.rows:
        return markdown.block(one.problem)
    return markdown.of_mappings([_cells(row, known) for row in one.rows])


def _cells(row: Row, known: Mapping[tuple[str, str], Row] | None) -> Row:
    if known is None:
        return {name: markdown.text(cell) for name, cell in row.items()}
    old: Row = known.get(_key(row), {})
    return {name: _marked(cell, changed=old.get(name) != cell) for name, cell in row.items()}


def _marked(cell: str, *, changed: bool) -> str:
    return f"**{markdown.text(cell)}**" if changed else markdown.text(cell)

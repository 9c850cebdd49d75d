"""Which stacks a change concerns, for the matrix of a workflow.

`python -m toolchain.pr_report.stacks preview|deploy --base REF [--live STACKS] [--fork]` writes a JSON list of
`{"stack": ..., "rendered": ...}`. Live stacks are those that exist somewhere: names with spaces or commas between
them. The others can only be rendered, and that works for those that need no cluster, no host, no account and no secret.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, cast

from toolchain import stack_file
from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import ROOT, settings_file
from toolchain.pr_report import doors
from toolchain.rendered import target_of
from toolchain.stack_settings import settings_without_secrets, stack_texts

FOR_FORKS: Final = "dev"
"""The one stack that a change from a fork is previewed with."""

_CODE: Final = ("__main__.py", "Pulumi.yaml", "components/", "policy/", "requirements/runtime.", "toolchain/")
"""Where a change may change what any stack registers, or how it is judged."""
_SETTINGS: Final = re.compile(r"Pulumi\.([A-Za-z0-9_.-]{1,100})\.yaml")
_NOWHERE: Final = re.compile(r"0+")
"""What GitHub calls the commit before the first of a branch."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A stack of the matrix."""

    stack: str
    rendered: bool
    """Whether to compare the two commits, rendered; else with what is there."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a change is about."""

    code: bool
    """Whether every stack may come out differently."""
    stacks: frozenset[str]
    """Stacks whose settings changed; also those that are gone."""


def change_of(files: Iterable[str]) -> Change:
    """What changed paths are about."""
    listed = list(files)
    named = {found[1] for file in listed if (found := _SETTINGS.fullmatch(file))}
    return Change(any(file.startswith(_CODE) for file in listed), frozenset(named))


def changed_files(base: str, root: Path) -> list[str] | None:
    """Paths, below the project, that differ from where the work tree's commit left the base.

    None when there is no such commit: everything may have changed.
    """
    commit = None if _NOWHERE.fullmatch(base) else doors.commit(base, root)
    if commit is None:
        return None
    listed = subprocess.run(
        ["git", "diff", "--name-only", "--relative", "-z", f"{commit}...HEAD"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        raise ToolchainError(
            f"What changed since {base} could not be read:\n{listed.stderr.strip()}\n"
            "A workflow needs `fetch-depth: 0` for it."
        )
    return [one for one in listed.stdout.split("\0") if one]


def known(root: Path) -> list[str]:
    """Every stack of the repository, by name."""
    return sorted(
        found[1] for path in root.glob("Pulumi.*.yaml") if (found := _SETTINGS.fullmatch(path.name))
    )


def always_renders(stack: str, root: Path) -> bool:
    """Whether the stack is nothing but rendered files."""
    return target_of(stack_file.read(settings_file(stack, root)).values) == "render"


def renderable(stack: str, root: Path) -> bool:
    """Whether a stack can be rendered by anybody: on Kubernetes, nothing of Cloudflare's, no secret to be given."""
    texts, hidden = stack_texts(settings_file(stack, root))
    if {"docker", "cloudflare"} & set(texts) or hidden:
        return False
    try:
        _, missing = settings_without_secrets(stack, texts, hidden)
    except ToolchainError:
        return True  # its settings are wrong, and the preview is what says so
    return not missing


def for_preview(change: Change, live: Sequence[str], root: Path, *, fork: bool) -> list[Choice]:
    """What to preview for a pull request.

    Whatever the merge would bring up, against what is there: live stacks, when their settings or the program changed.
    Beside them what renders: changed stacks, and with changed code all of them. A fork: `dev` alone, since it gets no
    secrets.
    """
    found: list[Choice] = []
    for stack in known(root):
        if stack not in change.stacks and not change.code:
            continue
        if stack in live and not fork and not always_renders(stack, root):
            found.append(Choice(stack, rendered=False))
        elif renderable(stack, root) and (not fork or stack == FOR_FORKS):
            found.append(Choice(stack, rendered=True))
    return found


def for_deploy(change: Change, live: Sequence[str], root: Path) -> list[Choice]:
    """What to bring up after a merge: live stacks, in the order in which they are named."""
    existing = set(known(root))
    return [
        Choice(stack, rendered=False)
        for stack in live
        if stack in existing and (change.code or stack in change.stacks)
    ]


def parse_live(value: str, root: Path) -> list[str]:
    """Names of live stacks. ToolchainError for one that the repository does not have."""
    names = [name for name in re.split(r"[\s,]+", value) if name]
    for name in names:
        settings_file(name, root)
    return list(dict.fromkeys(names))


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write the matrix."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.pr_report.stacks")
    parser.add_argument("purpose", choices=["preview", "deploy"])
    parser.add_argument(
        "--base", required=True, metavar="REF", help="commit that the change is compared with"
    )
    parser.add_argument("--live", default="", metavar="STACKS", help="stacks that exist somewhere")
    parser.add_argument("--fork", action="store_true", help="the change comes from a fork")
    given = parser.parse_args(arguments)
    live = parse_live(cast("str", given.live), root)
    files = changed_files(cast("str", given.base), root)
    change = Change(code=True, stacks=frozenset(known(root))) if files is None else change_of(files)
    if cast("str", given.purpose) == "deploy":
        chosen = for_deploy(change, live, root)
    else:
        chosen = for_preview(change, live, root, fork=cast("bool", given.fork))
        left = sorted((change.stacks & set(known(root))) - {one.stack for one in chosen})
        if left:
            print(
                f"not previewed, as there is nothing to preview them with here: {', '.join(left)}",
                file=sys.stderr,
            )
    print(json.dumps([asdict(one) for one in chosen]))
    return 0


if __name__ == "__main__":
    exit_with(main)

"""`python -m toolchain.adopt FILE STACK [NAMESPACE]`: writes Pulumi.STACK.yaml from a deployment, prints the way there.

FILE is a docker-compose.yml, a .nix file with `services.immich`, or the values of the official chart (`helm get values
RELEASE -a`), whose release is in NAMESPACE.

Nothing of the old deployment is asked or changed. An existing file of the stack is left alone.
"""

from __future__ import annotations

import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import yaml

from components.recovery.runbooks import from_chart, from_compose, from_nixos
from components.settings.model import Settings
from components.settings.reader import PROJECT
from toolchain.adopt import chart, nixos
from toolchain.adopt.choices import Adopted, adopt
from toolchain.adopt.compose import read
from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import ROOT
from toolchain.settings_schema import LINE
from toolchain.stack_file import parse
from toolchain.stack_settings import settings_without_secrets

_USAGE: Final = (
    "usage: python -m toolchain.adopt FILE STACK [NAMESPACE]   (make adopt FROM=path/docker-compose.yml STACK=mine, or "
    "FROM=immich.nix, or FROM=values.yaml NAMESPACE=immich of the official chart)"
)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,38}")


def stack_text(found: Adopted, source: str) -> str:
    """The text of the stack's file."""
    lines = [LINE, f"# Made by `make adopt` from {source}. Every setting: docs/settings.md.", "config:"]
    for section, value in found.sections.items():
        lines += _written(found, (section,), f"{PROJECT}:{section}", value, 1)
    return "\n".join(lines) + "\n"


def _written(found: Adopted, path: tuple[str, ...], key: str, value: object, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if reason := found.reasons.get(path):
        yield from textwrap.wrap(reason, 110, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
    if isinstance(value, Mapping) and value:
        yield f"{indent}{key}:"
        for name, inner in cast("Mapping[str, Any]", value).items():
            yield from _written(found, (*path, name), name, inner, depth + 1)
        return
    text = yaml.safe_dump(
        {key: value}, default_flow_style=False, sort_keys=False, allow_unicode=True, width=1000
    )
    yield from (f"{indent}{line}" for line in text.rstrip().splitlines())


def names_of(found: Adopted, path: Path) -> dict[str, object]:
    """What the page of the move calls things."""
    media = found.media
    external = found.sections.get("database", {})
    return {
        "file": shlex.quote(str(path)),
        "server": " ".join(shlex.quote(name) for name in found.servers),
        "learning": shlex.quote(found.learning) if found.learning else None,
        "database": shlex.quote(found.database) if found.database else None,
        "host": shlex.quote(f"{external.get('host', '')}"),
        "port": external.get("port", 5432),
        "role": shlex.quote(found.role),
        "name": shlex.quote(found.name),
        "upload": shlex.quote(media.source) if media is not None and media.is_folder else None,
        "old_root": found.media is not None and found.media.target != "/data",
    }


def main() -> int:
    """Write the file and print what comes next."""
    if len(sys.argv) not in {3, 4} or not all(sys.argv[1:3]):
        raise ToolchainError(_USAGE)
    source, stack = Path(sys.argv[1]), sys.argv[2]
    namespace = next(iter(sys.argv[3:]), "") or "immich"
    if not _NAME.fullmatch(stack):
        raise ToolchainError(
            f"STACK={stack}: give a name of lower-case letters, digits and hyphens, such as mine"
        )
    target = ROOT / f"Pulumi.{stack}.yaml"
    if target.exists():
        raise ToolchainError(
            f"{target.name} exists already and was left alone: choose another STACK=..., or move it away"
        )
    file = shlex.quote(str(source.resolve()))
    page: Callable[[Settings], str]
    if (options := nixos.read(source)) is not None:
        found = nixos.adopt(source, options)
        page = partial(from_nixos, stack=stack, nixos={"file": file, **names_of(found, source)})
    elif (values := chart.read(source)) is not None:
        found = chart.adopt(source, values, namespace)
        page = partial(from_chart, stack=stack, file=file)
    else:
        compose = read(source)
        found = adopt(compose)
        page = partial(from_compose, stack=stack, compose=names_of(found, compose.path))
    text = stack_text(found, str(source))
    settings, _ = settings_without_secrets(stack, parse(text.encode(), target.name).texts(), set())
    target.write_text(text, encoding="utf-8")
    print(f"wrote {target.name}: look it through, each choice has its reason.\n")
    if found.left:
        print("Not carried over:")
        print("\n".join(f"  - {one}" for one in found.left), end="\n\n")
    print(page(settings))
    return 0


if __name__ == "__main__":
    exit_with(main)

"""`make doors STACK=...`: every way in, what an upload passes there, and the largest that comes through.

Reads `Pulumi.<stack>.yaml` alone: no engine, no cluster, no passphrase. Secrets that are not given yet are named and
do not matter here.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from components.proxy.door_advice import mobile_app, preconditions, split_horizon
from components.proxy.doors import Door, Hop, data, doors, readable, table
from components.settings.problems import key_text
from toolchain.failure import ToolchainError, exit_with
from toolchain.paths import settings_file
from toolchain.stack_settings import settings_without_secrets, stack_texts

if TYPE_CHECKING:
    from components.settings.model import Settings


def report(stack: str, settings: Settings, missing: Sequence[str]) -> dict[str, object]:
    """Everything about the doors of a stack, for programs."""
    found = doors(settings.host, settings.proxy, settings.cloudflare)
    return {
        "stack": stack,
        "doors": data(found),
        "mobileApp": mobile_app(found),
        "splitHorizonDns": split_horizon(settings.host, settings.proxy),
        "preconditions": preconditions(settings.host, settings.proxy, settings.cloudflare),
        "missingSecrets": [key_text(key) for key in missing],
    }


def columns(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as aligned columns with a head."""
    names = list(rows[0])
    lines = [names, *([row[name] for name in names] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(names))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def text(settings: Settings, missing: Sequence[str]) -> str:
    """Everything about the doors of a stack, for people."""
    found = doors(settings.host, settings.proxy, settings.cloudflare)
    parts = [columns(table(found))]
    app = mobile_app(found)
    parts.append("\n".join(["mobile app", *(f"  {key}: {value}" for key, value in app.items())]))
    if records := split_horizon(settings.host, settings.proxy):
        lines = [f"  {one['name']}  {one['type']}  {one['value']}" for one in records]
        parts.append("\n".join(["records for the DNS server of the local network", *lines]))
    if buffering := sorted({hop.name for door in found for hop in door.hops if hop.buffers}):
        parts.append(f"keeps whole uploads before passing them on: {', '.join(buffering)}")
    if needed := preconditions(settings.host, settings.proxy, settings.cloudflare):
        parts.append("\n".join(["must hold elsewhere", *(f"  {one}" for one in needed)]))
    if missing:
        keys = ", ".join(key_text(key) for key in missing)
        parts.append(f"secrets not given yet (`make up` needs them): {keys}")
    return "\n\n".join(parts)


def mermaid(found: Sequence[Door]) -> str:
    """The doors as a diagram that GitHub and others draw: each door, the programs behind it, and their limits."""
    names: dict[str, str] = {}
    edges: dict[str, None] = {}
    for door in found:
        size = (
            "uploads of any size" if door.largest_upload is None else f"up to {readable(door.largest_upload)}"
        )
        chain = [f'(["{door.name}<br/>{door.url}<br/>{size}"])', *(f'["{_told(hop)}"]' for hop in door.hops)]
        for shape in chain:
            names.setdefault(shape, f"n{len(names)}")
        edges |= {f"{names[left]} --> {names[right]}": None for left, right in pairwise(chain)}
    return "\n    ".join(["flowchart LR", *(f"{name}{shape}" for shape, name in names.items()), *edges])


def _told(hop: Hop) -> str:
    limit = "" if hop.limit is None else f"<br/>body up to {readable(hop.limit)}"
    return f"{hop.name}{limit}{'<br/>keeps whole uploads' if hop.buffers else ''}"


def main() -> int:
    """`python -m toolchain.doors STACK [--json | --mermaid]`."""
    arguments = sys.argv[1:]
    forms = [one for one in arguments if one in {"--json", "--mermaid"}]
    names = [one for one in arguments if one not in forms]
    if len(names) != 1 or names[0].startswith("-") or len(forms) > 1:
        raise ToolchainError(
            "usage: python -m toolchain.doors STACK [--json | --mermaid]   (make doors STACK=... FORMAT=json)"
        )
    stack = names[0]
    settings, missing = settings_without_secrets(stack, *stack_texts(settings_file(stack)))
    match forms:
        case ["--json"]:
            print(json.dumps(report(stack, settings, missing), indent=2))
        case ["--mermaid"]:
            print(mermaid(doors(settings.host, settings.proxy, settings.cloudflare)))
        case _:
            print(text(settings, missing))
    return 0


if __name__ == "__main__":
    # `make doors | head` ends quietly.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    exit_with(main)

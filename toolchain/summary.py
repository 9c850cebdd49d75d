"""What a person sees at the end of `make up`: where Immich is, what to do next, what is missing, where the rest is."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from toolchain.deployment import Json, items, mapping, output
from toolchain.paths import ROOT

_CLI: Final = re.compile(r"\bpulumi (stack|config) ")
_MOST: Final = 5
"""Lines of a part; how many more there are is said."""
_ANYWHERE: Final = "192.0.2.1"
"""An address for documentation (RFC 5737): nothing is sent there."""


def show(stack: str, env: Mapping[str, str], *, local: bool, cwd: Path = ROOT) -> str:
    """The screen of a stack that is up; empty where its outputs cannot be read.

    `local`: the stack's published ports are this machine's.
    """
    outputs = output(stack, env, cwd=cwd)
    if outputs is None:
        return ""
    return screen(stack, outputs, own_address() if local else None)


def screen(stack: str, outputs: Json, address: str | None) -> str:
    """The same of outputs; `address` is this machine's on its network, where others reach its published ports.

    No line is broken: commands in it are there to be copied.
    """
    parts = [_head(stack, outputs, address)]
    steps = _texts(outputs, "nextSteps")
    by_cli = any(_CLI.search(step) for step in steps)
    title = 'Next (for pulumi in this shell first: eval "$(make -s env)")' if by_cli else "Next"
    parts += _part(title, steps, stack, "nextSteps", numbered=True)
    unmet = [text for text in _texts(outputs, "rule321") if "is not met" in text]
    parts += _part(
        "Before you rely on it", [*unmet, *_texts(outputs, "preconditions")], stack, "preconditions"
    )
    more = [
        (
            "make status",
            "health, queues, backups, volumes; with ARGS=--copies which copies there are and what a loss costs",
        ),
        ("make verify", "does every door work, is anything open that should not be"),
        ("make doors", "every way in, and what to enter in the mobile app"),
        (f"pulumi stack output -s {stack}", 'all of the rest, after eval "$(make -s env)"'),
    ]
    if "manifests" in outputs:
        more = more[2:]
    commands = [f"{name} STACK={stack}" if name.startswith("make") else name for name, _ in more]
    longest = max(map(len, commands))
    lines = [f"  {command.ljust(longest)}  {told}" for command, (_, told) in zip(commands, more, strict=True)]
    return "\n\n".join([*parts, "\n".join(["More", *lines])])


def own_address() -> str | None:
    """This machine's address on the network that leads elsewhere; None without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_ANYWHERE, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return None


def _head(stack: str, outputs: Json, address: str | None) -> str:
    what = "is in manifests" if "manifests" in outputs else "is up"
    lines = [f"Immich {outputs.get('version')} {what} (stack {stack})."]
    rows: list[tuple[str, str]] = []
    for entry in items(outputs.get("doors")):
        door = mapping(entry)
        url, name = str(door.get("url")), str(door.get("door"))
        largest = str(door.get("largestUpload"))
        told = f"{name}, uploads of {'any size' if largest == 'no limit' else f'up to {largest}'}"
        rows.append((url, told))
        if address is not None and urlsplit(url).hostname == "localhost" and _is_open(outputs):
            port = urlsplit(url).port
            rows.append(
                (f"http://{address}{f':{port}' if port else ''}", "the same for others on this network")
            )
    if "manifests" in outputs:
        rows.append((str(outputs["manifests"]), "what to apply"))
    longest = max((len(url) for url, _ in rows), default=0)
    return "\n".join(
        [*lines, *([""] if rows else []), *(f"  {url.ljust(longest)}  {told}" for url, told in rows)]
    )


def _is_open(outputs: Json) -> bool:
    """Whether a port is published at every address of the machine."""
    return any(text.endswith("of 0.0.0.0") for text in _texts(outputs, "waysIn"))


def _part(title: str, texts: Sequence[str], stack: str, name: str, *, numbered: bool = False) -> list[str]:
    if not texts:
        return []
    marks = [f"{number}." if numbered else "-" for number in range(1, _MOST + 1)]
    lines = [title, *(f"  {mark} {text}" for mark, text in zip(marks, texts, strict=False))]
    if len(texts) > _MOST:
        lines.append(f"  and {len(texts) - _MOST} more: pulumi stack output {name} -s {stack}")
    return ["\n".join(lines)]


def _texts(outputs: Json, name: str) -> list[str]:
    return [str(one) for one in items(outputs.get(name))]

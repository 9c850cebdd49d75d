"""Texts that may be outputs of other resources."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import pulumi


def assignment(name: str, value: pulumi.Input[str]) -> pulumi.Input[str]:
    """`name=value`."""
    return f"{name}={value}" if isinstance(value, str) else pulumi.Output.concat(name, "=", value)


def as_text(number: pulumi.Input[int]) -> pulumi.Input[str]:
    """A number as a variable has it."""
    return str(number) if isinstance(number, int) else pulumi.Output.from_input(number).apply(str)


def digest(files: Mapping[str, pulumi.Input[str]]) -> pulumi.Input[str]:
    """A short hash of texts by name: whatever reads them starts anew when it changes."""
    texts = {name: text for name, text in files.items() if isinstance(text, str)}
    if len(texts) == len(files):
        return _digest(texts)
    return pulumi.Output.all(**files).apply(_digest)


def _digest(files: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()[:16]

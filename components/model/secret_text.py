"""Texts with secrets in them, kept apart from their values until a platform needs either."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretPart:
    """The place of a secret in a text."""

    key: str
    """Config key of the secret, such as `databasePassword`."""
    quoted: bool = False
    """Write it as a JSON string, quotes included."""
    derived: str | None = None
    """Write another secret that follows from this one and from this label; see `derived`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretText:
    """A text with places for secrets."""

    parts: tuple[str | SecretPart, ...]
    base64_prefix: str | None = None
    """When set: the whole text is base64-encoded and this is written in front."""

    @classmethod
    def of(cls, key: str) -> SecretText:
        """Just the secret."""
        return cls(parts=(SecretPart(key=key),))

    @classmethod
    def plain(cls, text: str) -> SecretText:
        """A text without a secret, that belongs beside one (a user name)."""
        return cls(parts=(text,))

    @property
    def keys(self) -> tuple[str, ...]:
        """Config keys of the secrets in it, each once."""
        return tuple(dict.fromkeys(part.key for part in self.parts if isinstance(part, SecretPart)))

    def resolve(self, values: Mapping[str, str]) -> str:
        """The text with the secrets in it."""
        text = "".join(
            part if isinstance(part, str) else _written(part, values[part.key]) for part in self.parts
        )
        if self.base64_prefix is None:
            return text
        return self.base64_prefix + base64.b64encode(text.encode()).decode()

    def external_template(self) -> str:
        """The text as a template of the External Secrets operator (Go templates, engine v2)."""
        if self.base64_prefix is None:
            return "".join(
                _as_text_of_template(part) if isinstance(part, str) else f"{{{{ {_piped(part)} }}}}"
                for part in self.parts
            )
        # A string of Go has no surrogate escapes.
        pieces = [
            json.dumps(part, ensure_ascii=False) if isinstance(part, str) else f"({_piped(part)})"
            for part in self.parts
        ]
        return f"{self.base64_prefix}{{{{ print {' '.join(pieces)} | b64enc }}}}"


def derived(secret: str, label: str) -> str:
    """A secret of 40 hexadecimal digits, which neither tells the one that it is made of nor those of other labels."""
    return hashlib.sha256(f"{secret}:{label}".encode()).hexdigest()[:40]


def _as_text_of_template(text: str) -> str:
    """`text` so that a Go template prints it; a brace at its end would join those of the place that follows."""
    escaped = text.replace("{{", '{{ "{{" }}')
    return escaped[:-1] + '{{ "{" }}' if escaped.endswith("{") else escaped


def _written(part: SecretPart, value: str) -> str:
    if part.derived is not None:
        value = derived(value, part.derived)
    return json.dumps(value, ensure_ascii=False) if part.quoted else value


def _piped(part: SecretPart) -> str:
    value = f".{part.key}"
    if part.derived is not None:
        label = json.dumps(f":{part.derived}", ensure_ascii=False)
        value = f"print {value} {label} | sha256sum | trunc 40"
    return f"{value} | toRawJson" if part.quoted else value


def json_with_secrets(
    document: object, places: Mapping[str, tuple[str, ...]], keys: frozenset[str]
) -> SecretText:
    """`document` as JSON, with the secrets of `keys` at their `places` (config key -> path of object keys)."""
    tree: dict[str, Any] = json.loads(json.dumps(document))
    fence, text = "\x00", json.dumps(tree)
    while json.dumps(fence)[1:-1] in text:
        fence += "\x00"
    marks: dict[str, str] = {}
    for key in sorted(keys):
        *above, last = places[key]
        target = tree
        for name in above:
            target = target.setdefault(name, {})
        mark = f"{fence}{key}{fence}"
        target[last] = mark
        marks[json.dumps(mark)] = key
    parts: list[str | SecretPart] = [json.dumps(tree, indent=2, sort_keys=True) + "\n"]
    for mark, key in marks.items():
        split: list[str | SecretPart] = []
        for part in parts:
            if isinstance(part, SecretPart):
                split.append(part)
                continue
            before, found, after = part.partition(mark)
            split += [before, SecretPart(key=key, quoted=True), after] if found else [part]
        parts = split
    return SecretText(parts=tuple(parts))

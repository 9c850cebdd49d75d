"""`Pulumi.<stack>.yaml` as the Pulumi CLI reads it: the one reader of it for every command.

The CLI reads YAML 1.2 with a few rests of 1.1 (go-yaml v3): `yes` and `on` are text, a key that is given twice is an
error, and a time without quotes becomes Go's text for it. A key without a namespace belongs to the project. What it
would take in silence and nobody reads is an error here.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast

import yaml

from components.settings.reader import PROJECT, unread_key
from toolchain.failure import ToolchainError

KNOWN: Final = ("config", "environment", "secretsprovider", "encryptedkey", "encryptionsalt")
"""Keys of such a file that the CLI reads."""


_TIME: Final = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
    r"| [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?)?\Z"
)


class _Loader(yaml.SafeLoader):
    """go-yaml v3, as far as it differs from PyYAML."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own attribute, made anew

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """An object; raises for a key that is no text or that was there already."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = str(key.value)
            if not isinstance(key, yaml.ScalarNode) or name in seen:
                what = f"the key {name!r} is given twice" if name in seen else "a key must be text"
                raise yaml.constructor.ConstructorError(None, None, what, key.start_mark)
            seen.add(name)
        found = super().construct_mapping(node, deep=deep)
        return {key if isinstance(key, str) else str(key): value for key, value in found.items()}

    def construct_whole_number(self, node: yaml.ScalarNode) -> int:
        """A whole number: 0o17 and 017 are octal."""
        text = str(self.construct_scalar(node)).replace("_", "").lower()
        sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
        if re.fullmatch(r"0[0-7]+", digits):
            digits = f"0o{digits[1:]}"
        return sign * int(digits, 0)

    def construct_time(self, node: yaml.ScalarNode) -> str:
        """A time as Go prints it: `2026-11-20 18:00:00 +0000 UTC`; text that is no time stays as it is."""
        text = str(self.construct_scalar(node))
        try:
            moment = datetime.fromisoformat(text.upper())
        except ValueError:
            return text
        zone = f"{moment:%z} {moment:%z}" if moment.utcoffset() else "+0000 UTC"
        fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
        return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} {zone}"


for tag, pattern, first in (
    ("null", r"(~|null|Null|NULL|)\Z", "~nN\0"),
    ("bool", r"(true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
    ("int", r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z", "-+0123456789"),
    (
        "float",
        r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z",
        "-+0123456789.",
    ),
    ("timestamp", _TIME, "0123456789"),
    ("merge", r"<<\Z", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{tag}", re.compile(pattern), ["" if one == "\0" else one for one in first]
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_whole_number)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _Loader.construct_time)


@dataclass(frozen=True, slots=True)
class StackFile:
    """The settings in a stack's file, by their keys without the project's name in front."""

    values: dict[str, object]
    """As YAML has them; None where something encrypted is in it."""
    hidden: frozenset[str]
    """Keys of what is encrypted, or has an encrypted part."""

    def texts(self) -> dict[str, str]:
        """The texts that Pulumi hands to the program; an encrypted one is empty."""
        return {
            name: "" if name in self.hidden else value if isinstance(value, str) else json.dumps(value)
            for name, value in self.values.items()
        }


def read(path: Path) -> StackFile:
    """The settings of a file. Raises `ToolchainError` with everything that is wrong with the file itself."""
    return parse(path.read_bytes(), path.name)


def parse(content: bytes, name: str = "the stack's file") -> StackFile:
    """The same of its content; `name` is for messages."""
    try:
        document: object = yaml.load(content.decode("utf-8-sig"), _Loader)  # noqa: S506 - a SafeLoader
    except UnicodeDecodeError:
        raise ToolchainError(f"{name} is not UTF-8 text") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ToolchainError(f"{name} is not YAML as Pulumi reads it: {error}") from None
    if not isinstance(document, dict | None):
        raise ToolchainError(f"{name} holds no settings: expected an object with the key `config`.")
    top = cast("dict[str, object]", document or {})
    config = top.get("config")
    if not isinstance(config, dict | None):
        raise ToolchainError(
            f"{name} holds no settings: `config` must be an object with keys such as {PROJECT}:host."
        )
    given = cast("dict[str, object]", config or {})
    problems = [*_problems(top, given)]
    if problems:
        raise ToolchainError("\n".join([f"{name} cannot be used:", *(f"  {one}" for one in problems)]))
    own = {_own(key): value for key, value in given.items() if _namespace(key) == PROJECT}
    hidden = frozenset(key for key, value in own.items() if _encrypted(value))
    return StackFile({key: None if key in hidden else value for key, value in own.items()}, hidden)


def _namespace(key: str) -> str:
    return key.partition(":")[0] if ":" in key else PROJECT


def _own(key: str) -> str:
    """The name after the project's: `immich:host`, `immich:config:host` and `host` are one."""
    return key.removeprefix(f"{PROJECT}:").removeprefix("config:")


def _problems(top: dict[str, object], given: dict[str, object]) -> Iterator[str]:
    for key in top:
        if key not in KNOWN:
            close = difflib.get_close_matches(key.lower(), KNOWN, n=1)
            yield f"nothing reads the key `{key}`" + (f"; did you mean `{close[0]}`?" if close else "")
    names: dict[str, str] = {}
    for key in given:
        if _namespace(key) != PROJECT:
            if (problem := unread_key(key)) is not None:
                yield f"{problem.key}: {problem.reason}" + (f"; {problem.hint}" if problem.hint else "")
            continue
        if _own(key) in names:
            yield f"{key} is given twice: {names[_own(key)]} is the same setting"
        names[_own(key)] = key
    if not names and not top.get("environment"):
        yield (
            "it has no setting; Pulumi would take the default of each, and the cluster of the current context. Write "
            f"at least one, such as `{PROJECT}:host: {{name: photos.example.com}}` below `config:` (docs/settings.md)"
        )


def _encrypted(value: object) -> bool:
    if isinstance(value, dict):
        found = cast("dict[object, object]", value)
        return set(found) == {"secure"} or any(_encrypted(inner) for inner in found.values())
    return isinstance(value, list) and any(_encrypted(inner) for inner in cast("list[object]", value))

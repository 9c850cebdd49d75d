"""From the texts of a stack's config to `Settings`, or to every problem at once."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from components.settings.model import SECRET_KEYS, SECTIONS, SectionSpec, Settings
from components.settings.problems import Problem, closest, key_text, problems_of, shortened, shown
from components.settings.required_secrets import wanted_secrets
from components.settings.rules import RULES
from components.settings.secret_source import PulumiSecrets
from components.settings.setup_rules import closed

__all__ = ["PROJECT", "Problem", "SettingsError", "read_settings", "unread_key"]

PROJECT = "immich"
"""Namespace of this program's keys: the project's name in Pulumi.yaml."""
_READ_BY_OTHERS = ("pulumi:",)
"""Namespaces of the engine."""
_REFUSED_BY_NAME = ("cloudflare:apiKey", "cloudflare:email", "cloudflare:apiUserServiceKey")
"""Keys that components/cloudflare/api.py refuses with its own words."""


class SettingsError(Exception):
    """The configuration cannot be used. `problems` has all of them; the text is the whole report."""

    def __init__(self, stack: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        head = f"the configuration of stack {stack} has {count}; nothing was changed."
        text = "\n\n".join([head, *(str(problem) for problem in self.problems)])
        # Commands can be pasted as they stand, whichever stack is selected.
        super().__init__(text.replace("pulumi config set ", f"pulumi config set -s {stack} "))


def unread_key(key: str) -> Problem | None:
    """What is wrong with a key of another namespace; None where somebody reads it.

    Providers here are explicit: they read nothing of the stack's config.
    """
    if key.startswith(_READ_BY_OTHERS) or key in _REFUSED_BY_NAME:
        return None
    name = key.rpartition(":")[2]
    return Problem(
        key=shortened(key if key.isprintable() else json.dumps(key)[1:-1]),
        given=None,
        reason=f"nothing reads this key: settings are {PROJECT}:<section>",
        hint=closest(name, [*SECTIONS, *SECRET_KEYS], f"{PROJECT}:"),
    )


def read_settings(stack: str, config: Mapping[str, str], secret_keys: Collection[str] = ()) -> Settings:
    """The settings of `stack`.

    `config` has the stack's texts under the project's namespace, without the `immich:` prefix; objects are JSON.
    `secret_keys` names those of them that are encrypted or have an encrypted part.
    Raises `SettingsError` with every problem that was found.
    """
    problems = [*_key_problems(config, secret_keys)]
    sections: dict[str, Any] = {}
    for name, spec in SECTIONS.items():
        if name in config and name in secret_keys:
            continue
        if name not in config:
            if spec.optional:
                sections[_attribute(name)] = None
                continue
            text = "{}"
        else:
            text = config[name]
        try:
            given = json.loads(text)
            json.dumps(given, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            half = "holds half a character (an escape between \\ud800 and \\udfff), which no file can hold"
            problems.append(Problem(key=f"immich:{name}", given=None, reason=half))
            continue
        except (ValueError, RecursionError):
            given = text
        if not isinstance(given, dict):
            problems.append(_not_an_object(name, given))
            continue
        try:
            sections[_attribute(name)] = _adapter(spec).validate_python(given, by_alias=True, by_name=False)
        except ValidationError as error:
            problems += problems_of(name, spec.annotation(), error.errors(include_url=False))
    if "proxy" in sections and sections.get("setup") is not None:
        sections["proxy"] = closed(sections["proxy"], sections["setup"])
    known = {**sections, "stack": stack}
    for rule in RULES:
        if all(_attribute(name) in known for name in rule.sections):
            problems.extend(
                Problem(
                    key=key_text(found.key),
                    given=None if found.given is None else shortened(found.given),
                    reason=found.reason,
                    hint=found.hint,
                )
                for found in rule.check(*(known[_attribute(name)] for name in rule.sections))
            )
    problems += _missing_secrets(config, sections)
    if problems:
        raise SettingsError(stack, problems)
    return Settings(**sections)


@cache
def _adapter(spec: SectionSpec) -> TypeAdapter[Any]:
    return TypeAdapter(spec.annotation())


def _missing_secrets(config: Mapping[str, str], sections: Mapping[str, Any]) -> list[Problem]:
    needed = ("secrets", "database", "cache", "backup", "app", "cloudflare", "proxy", "monitoring", "setup")
    if any(name not in sections for name in needed) or not isinstance(sections["secrets"], PulumiSecrets):
        return []
    wanted = wanted_secrets(*(sections[name] for name in needed[1:]))
    return [
        Problem(
            key=f"immich:{key}",
            given=None,
            reason=f"is needed but not given: the {SECRET_KEYS[key]}",
            hint=f"pulumi config set --secret immich:{key}",
        )
        for key, may_be_random in wanted.items()
        if not may_be_random and key not in config and key not in sections["secrets"].existing
    ]


@cache
def _attribute(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match.group().lower()}", name)


def _key_problems(config: Mapping[str, str], secret_keys: Collection[str]) -> list[Problem]:
    problems: list[Problem] = []
    known = [*SECTIONS, *SECRET_KEYS]
    for name in config:
        if name not in known:
            problems.append(
                Problem(
                    key=key_text(name),
                    given=None,
                    reason=f"unknown key; accepted are {', '.join(known)}",
                    hint=closest(name, known, "immich:"),
                )
            )
        elif name in SECRET_KEYS and name not in secret_keys:
            problems.append(
                Problem(
                    key=f"immich:{name}",
                    given=None,
                    reason=f"the {SECRET_KEYS[name]} stands in the config in the clear",
                    hint=f"pulumi config set --secret immich:{name}, with a new value: this one was readable",
                )
            )
        elif name in SECTIONS and name in secret_keys:
            problems.append(
                Problem(
                    key=f"immich:{name}",
                    given=None,
                    reason="a section holds an encrypted value; sections hold no secrets",
                    hint=f"take it out; secrets have keys of their own: {', '.join(SECRET_KEYS)}",
                )
            )
    return problems


def _not_an_object(name: str, given: object) -> Problem:
    return Problem(
        key=f"immich:{name}",
        given=shown((name,), given),
        reason="expected an object with settings",
        hint=f"pulumi config set --path 'immich:{name}.<setting>' <value>",
    )

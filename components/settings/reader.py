"""From the texts of a stack's config to `Settings`, or to every problem at once."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from components.settings.model import SECRET_KEYS, SECTIONS, Settings
from components.settings.rules import RULES
from components.settings.secret_source import PulumiSecrets
from components.settings.wanted import wanted_secrets

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_SENSITIVE = re.compile(r"pass(word|wd)?|secret|token|credential|private|(access|api)_?key", re.IGNORECASE)
_LONGEST_GIVEN = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong with the configuration."""

    key: str
    """Where: `immich:database.instances`."""
    given: str | None
    """What was given, or None where nothing was or it must not be shown."""
    reason: str
    """What is wrong and what is accepted."""
    hint: str | None = None
    """What to do."""

    def __str__(self) -> str:
        lines = [self.key, f"  {self.reason}"]
        if self.given is not None:
            lines.insert(1, f"  given: {self.given}")
        if self.hint is not None:
            lines.append(f"  to do: {self.hint}")
        return "\n".join(lines)


class SettingsError(Exception):
    """The configuration cannot be used. `problems` has all of them; the text is the whole report."""

    def __init__(self, stack: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        head = f"the configuration of stack {stack} has {count}; nothing was changed."
        super().__init__("\n\n".join([head, *(str(problem) for problem in self.problems)]))


def read_settings(stack: str, config: Mapping[str, str], secret_keys: Collection[str] = ()) -> Settings:
    """The settings of `stack`.

    `config` has the stack's texts under the project's namespace, without the `immich:` prefix; objects are JSON.
    `secret_keys` names those of them that are encrypted or have an encrypted part.
    Raises `SettingsError` with every problem that was found.
    """
    problems = [*_key_problems(config, secret_keys)]
    sections: dict[str, Any] = {}
    for name, spec in SECTIONS.items():
        if name in secret_keys:
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
        except (ValueError, RecursionError):
            given = text
        if not isinstance(given, dict):
            problems.append(_not_an_object(name, given))
            continue
        annotation = spec.annotation()
        try:
            sections[_attribute(name)] = TypeAdapter(annotation).validate_python(
                given, by_alias=True, by_name=False
            )
        except ValidationError as error:
            problems.extend(_problem(name, annotation, detail) for detail in error.errors(include_url=False))
    for rule in RULES:
        if all(_attribute(name) in sections for name in rule.sections):
            problems.extend(
                Problem(key=f"immich:{found.key}", given=found.given, reason=found.reason, hint=found.hint)
                for found in rule.check(*(sections[_attribute(name)] for name in rule.sections))
            )
    problems += _missing_secrets(config, sections)
    if problems:
        raise SettingsError(stack, problems)
    return Settings(**sections)


def _missing_secrets(config: Mapping[str, str], sections: Mapping[str, Any]) -> list[Problem]:
    needed = ("secrets", "database", "cache", "backup", "app")
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
        if not may_be_random and key not in config
    ]


def _attribute(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match.group().lower()}", name)


def _key_problems(config: Mapping[str, str], secret_keys: Collection[str]) -> list[Problem]:
    problems: list[Problem] = []
    known = [*SECTIONS, *SECRET_KEYS]
    for name in config:
        if name not in known:
            problems.append(
                Problem(
                    key=f"immich:{name}",
                    given=None,
                    reason=f"unknown key; accepted are {', '.join(SECTIONS)}",
                    hint=_closest(name, known, "immich:"),
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
        given=_shown((name,), given),
        reason="expected an object with settings",
        hint=f"pulumi config set --path 'immich:{name}.<setting>' <value>",
    )


def _problem(section: str, annotation: Any, error: ErrorDetails) -> Problem:
    location = [part for part in error["loc"] if not (isinstance(part, str) and part in _kinds(annotation))]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    given: str | None = None
    hint: str | None = None
    reason = error["msg"].removeprefix("Value error, ")
    match error["type"]:
        case "missing":
            reason = "is needed but not given"
        case "extra_forbidden":
            accepted = _accepted_keys(annotation, error["loc"][:-1])
            reason = f"is not a setting here; accepted are {', '.join(accepted)}"
            hint = _closest(str(error["loc"][-1]), accepted, "") or _elsewhere(annotation, error["loc"])
        case "union_tag_invalid":
            path = f"{path}.kind"
            given = str(error.get("ctx", {}).get("tag"))
            reason = f"accepted are {error.get('ctx', {}).get('expected_tags')}"
        case "value_error":
            given = _shown(location, error["input"])
        case _:
            given = _shown(location, error["input"])
            reason = reason[0].lower() + reason[1:]
    return Problem(key=f"immich:{section}{path}", given=given, reason=reason, hint=hint)


def _shown(location: Sequence[int | str], value: object) -> str | None:
    """`value` for the report: nothing that could be a secret, nothing longer than a line, no whole section."""
    if isinstance(value, dict | BaseModel) or any(_SENSITIVE.search(str(part)) for part in location):
        return None
    try:
        text = json.dumps(value, default=str)
    except (ValueError, RecursionError):
        return None
    if _SENSITIVE.search(text) or "-----BEGIN" in text:
        return None
    return text if len(text) <= _LONGEST_GIVEN else f"{text[:_LONGEST_GIVEN]}..."


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation can be."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    shape: Any = annotation
    if hasattr(shape, "__metadata__"):
        shape = shape.__origin__
    arguments = getattr(shape, "__args__", ())
    return [model for argument in arguments for model in _models(argument)]


def _kind(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    return None if field is None else str(getattr(field.annotation, "__args__", ("",))[0])


def _kinds(annotation: Any) -> set[str]:
    """Every `kind` below an annotation: pydantic puts them into the location of an error, where they are no keys."""
    found: set[str] = set()
    for model in _models(annotation):
        found |= {kind for kind in [_kind(model)] if kind is not None}
        for field in model.model_fields.values():
            if field.annotation is not model:
                found |= _kinds(field.annotation)
    return found


def _at(annotation: Any, location: Sequence[int | str]) -> list[type[BaseModel]]:
    models = _models(annotation)
    for part in location:
        if isinstance(part, int):
            continue
        chosen = [model for model in models if _kind(model) == part]
        if chosen:
            models = chosen
            continue
        annotations = [
            field.annotation
            for model in models
            for field in model.model_fields.values()
            if field.alias == part
        ]
        models = [found for inner in annotations for found in _models(inner)]
    return models


def _accepted_keys(annotation: Any, location: Sequence[int | str]) -> list[str]:
    return list(
        dict.fromkeys(
            str(field.alias) for model in _at(annotation, location) for field in model.model_fields.values()
        )
    )


def _elsewhere(annotation: Any, location: Sequence[int | str]) -> str | None:
    """The other `kind` that does have the setting."""
    *above, key = location
    if not above:
        return None
    kinds = [
        _kind(model)
        for model in _at(annotation, above[:-1])
        if any(field.alias == key for field in model.model_fields.values())
    ]
    return f"{key} belongs to kind {' or '.join(str(kind) for kind in kinds)}" if kinds else None


def _closest(name: str, known: Sequence[str], prefix: str) -> str | None:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"did you mean {prefix}{close[0]}?" if close else None

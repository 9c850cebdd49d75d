"""Writes the JSON Schema of `Pulumi.<stack>.yaml`: `python -m toolchain.settings_schema [--check]`.

An editor with a YAML language server completes and explains settings by it, and underlines what it can see to be wrong.
What depends on several settings together is judged by the program alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, cast, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from components.fields.base import AUTO
from components.settings.annotations import fields_by_alias
from components.settings.model import SECRET_KEYS, SECTIONS, Settings
from components.settings.reader import PROJECT
from toolchain.paths import ROOT
from toolchain.settings_reference import attribute_docs, meanings, models_within
from toolchain.stack_file import KNOWN

FILE: Final = ROOT / "docs" / "settings.schema.json"
LINE: Final = "# yaml-language-server: $schema=docs/settings.schema.json"
"""The first line of a stack's file, by which an editor finds the schema."""

_ENCRYPTED: Final = {
    "type": "object",
    "properties": {"secure": {"type": "string"}},
    "required": ["secure"],
    "additionalProperties": False,
}
_BOUNDS: Final = {
    "ge": "minimum",
    "le": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
Json = dict[str, Any]


def schema() -> Json:
    """The schema of a stack's file."""
    adapters = [(name, "validation", TypeAdapter(spec.annotation())) for name, spec in SECTIONS.items()]
    sections, shared = TypeAdapter.json_schemas(
        cast("Any", adapters), by_alias=True, ref_template="#/$defs/{model}"
    )
    definitions: dict[str, Json] = shared.get("$defs", {})
    for model in _models():
        _complete(model, definitions[model.__name__])
    about = attribute_docs(Settings)
    config: Json = {}
    for (name, _), found in sections.items():
        described = {"description": about[_attribute(name)], **found}
        config[f"{PROJECT}:{name}"] = _tidy(described)
    for key, meaning in SECRET_KEYS.items():
        config[f"{PROJECT}:{key}"] = {"description": f"Secret: {meaning}.", **_ENCRYPTED}
    own: Json = {
        "type": "object",
        "properties": config,
        # Keys of providers, policies and Pulumi itself; of this project no other is read.
        "patternProperties": {f"^(?!{PROJECT}:)[A-Za-z0-9_-]+:": {}},
        "additionalProperties": False,
    }
    properties: Json = {key: {"type": "string"} for key in KNOWN} | {"config": own, "environment": {}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack of Immich with Pulumi",
        "type": "object",
        "properties": properties,
        "required": ["config"],
        "additionalProperties": False,
        "$defs": {name: _tidy(found) for name, found in sorted(definitions.items())},
    }


def _attribute(section: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in section)


def _models() -> Iterator[type[BaseModel]]:
    """Every model of the settings, each once."""
    seen: set[type[BaseModel]] = set()

    def within(annotation: object) -> Iterator[type[BaseModel]]:
        for model in models_within(annotation):
            if model not in seen:
                seen.add(model)
                yield model
                for field in model.model_fields.values():
                    yield from within(field.annotation)

    for spec in SECTIONS.values():
        yield from within(spec.annotation())


def _complete(model: type[BaseModel], found: Json) -> None:
    """What pydantic leaves out: the meaning of each setting, `auto`, and which `kind` may be left out."""
    meaning = meanings(model)
    for alias, field in fields_by_alias(model).items():
        property_: Json = found["properties"][alias]
        found["properties"][alias] = _described(
            _with_auto(_bounded(property_, field.annotation, field.metadata), field), meaning[alias]
        )


def _described(property_: Json, meaning: str) -> Json:
    accepted = property_.get("description")
    text = " ".join(meaning.split())
    return {**property_, "description": f"{text} Accepted: {accepted}." if accepted else text}


def _bounded(found: Json, annotation: object, metadata: Sequence[Any]) -> Json:
    """With the bounds that pydantic keeps to itself: of whole numbers, and of what may also be left out."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        given = [one for info in more for one in (info.metadata if isinstance(info, FieldInfo) else [info])]
        return _bounded(found, inner, [*given, *metadata])
    is_list = get_origin(annotation) is tuple
    bounds = {
        (key.replace("Length", "Items") if is_list else key): getattr(one, attribute)
        for one in metadata
        for attribute, key in _BOUNDS.items()
        if getattr(one, attribute, None) is not None
    }
    if is_list and "items" in found:
        found = {**found, "items": _bounded(found["items"], get_args(annotation)[0], ())}
    return {**bounds, **found}


def _with_auto(property_: Json, field: FieldInfo) -> Json:
    if AUTO not in field.metadata:
        return property_
    return {**property_, "anyOf": [{"const": "auto"}, *property_.get("anyOf", [])]}


def _tidy(found: object) -> object:
    """Without pydantic's titles, which repeat the key, and with `kind` told apart as the reader does it."""
    if isinstance(found, list):
        return [_tidy(one) for one in cast("list[object]", found)]
    if not isinstance(found, Mapping):
        return found
    told = {
        key: _tidy(value)
        for key, value in cast("Mapping[str, object]", found).items()
        if not (key == "title" and isinstance(value, str))
    }
    told.pop("discriminator", None)
    return told


def text() -> str:
    """The text of the file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """`python -m toolchain.settings_schema [--check]`; 1 where `--check` finds the file to be another."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.settings_schema")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    if parser.parse_args().check:
        return int(not FILE.is_file() or FILE.read_text(encoding="utf-8") != text())
    FILE.write_text(text(), encoding="utf-8")
    print(f"wrote {FILE.relative_to(ROOT)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())

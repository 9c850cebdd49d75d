"""Where a location of a pydantic error leads in the models, in the keys that a person wrote."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_BAD_KEY = "[key]"
"""What pydantic appends where the key itself is refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What stands at a location."""

    path: tuple[str | int, ...]
    """The location without the tags of unions, which pydantic has in it and no configuration has."""
    models: tuple[type[BaseModel], ...]
    """The models that may stand there; none where a plain value does."""
    field: FieldInfo | None
    """The field of the last model on the way."""
    union: tuple[type[BaseModel], ...]
    """The models of the union that the last tag chose from."""


def members(annotation: Any) -> list[Any]:
    """The types that an annotation permits, without `Annotated`, `None` and unions around them."""
    if get_origin(annotation) is Annotated:
        return members(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        return [member for one in get_args(annotation) for member in members(one)]
    return [] if annotation is types.NoneType else [annotation]


def models_of(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models among `members`."""
    return tuple(one for one in members(annotation) if isinstance(one, type) and issubclass(one, BaseModel))


def kind_of(model: type[BaseModel]) -> str | None:
    """The value of `kind` that chooses this model in a union."""
    field = model.model_fields.get("kind")
    if field is None or get_origin(field.annotation) is not Literal:
        return None
    return str(get_args(field.annotation)[0])


def fields_by_alias(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by the key that a configuration has."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def place(annotation: Any, location: Sequence[str | int]) -> Place:
    """Where `location` leads from `annotation`."""
    path: list[str | int] = []
    here, models, union = members(annotation), models_of(annotation), ()
    field: FieldInfo | None = None
    for part in location:
        if part == _BAD_KEY:
            continue
        chosen = tuple(model for model in models if len(models) > 1 and kind_of(model) == part)
        if chosen:
            union, models = models, chosen
            continue
        path.append(part)
        fields = [
            found for model in models for alias, found in fields_by_alias(model).items() if alias == part
        ]
        inner = [one.annotation for one in fields] or [one for kind in here for one in _inside(kind, part)]
        if fields:
            field = fields[0]
        here = [member for one in inner for member in members(one)]
        models, union = tuple(model for one in here for model in models_of(one)), ()
    return Place(path=tuple(path), models=models, field=field, union=union)


def _inside(container: Any, part: str | int) -> list[Any]:
    """The types of what stands at `part` in a list or in an object with free keys."""
    origin, arguments = get_origin(container), get_args(container)
    if isinstance(part, int) and origin in {tuple, list}:
        return [arguments[0]]
    if isinstance(part, str) and isinstance(origin, type) and issubclass(origin, Mapping):
        return [arguments[1]]
    return []

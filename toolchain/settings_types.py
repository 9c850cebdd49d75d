"""What a setting accepts and what it is by default, in words."""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from components.fields.base import AUTO
from components.model.values import ParsedStr


def accepted(field: FieldInfo) -> str:
    """What a setting accepts."""
    return _type(field.annotation, list(field.metadata), field.examples or ())


def default(field: FieldInfo) -> str:
    """What a setting is where it is left out."""
    if field.is_required():
        return "**needed**"
    value: object = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "**needed**"
    if isinstance(value, BaseModel):
        return _kind(value) or "as below"
    if value is None:
        return "auto" if AUTO in field.metadata else "none"
    if isinstance(value, tuple):
        items = [
            _kind(one) if isinstance(one, BaseModel) else str(one)
            for one in cast("tuple[object, ...]", value)
        ]
        if any(item.startswith("`") for item in items):
            return ", ".join(items)
        return f"`[{', '.join(items)}]`" if items else "none"
    if value == {}:
        return "none"
    if value == "":
        return '`""`'
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _kind(value: BaseModel) -> str:
    kind = getattr(value, "kind", None)
    return f"`kind: {kind}`" if isinstance(kind, str) else ""


def _type(annotation: object, metadata: Sequence[Any], examples: Iterable[object]) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner, *more = arguments
        found = [one for info in more for one in (info.metadata if isinstance(info, FieldInfo) else [info])]
        given = [one for info in more if isinstance(info, FieldInfo) for one in info.examples or ()]
        return _type(inner, [*found, *metadata], given or examples)
    if origin in {Union, types.UnionType}:
        plain = [one for one in arguments if one is not types.NoneType]
        text = " or ".join(_type(one, metadata, examples) for one in plain)
        return f"`auto`, or {text}" if AUTO in metadata else text
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if origin is tuple:
        return f"list{_count(metadata)}, each: {_type(arguments[0], [], ())}"
    if origin is dict:
        return f"object, each value: {_type(arguments[1], [], ())}"
    if annotation is types.NoneType:
        return "nothing"
    if isinstance(annotation, type) and issubclass(annotation, ParsedStr):
        return annotation.accepted
    return _plain(cast("object", annotation), metadata, examples)


def _plain(annotation: object, metadata: Sequence[Any], examples: Iterable[object]) -> str:
    if annotation is bool:
        return "`true`, `false`"
    if annotation is int:
        return f"whole number{_range(metadata)}"
    if annotation is float:
        return f"number{_range(metadata)}"
    if annotation is str:
        shown = " or ".join(f"`{one}`" for one in examples)
        return f"text such as {shown}" if shown else "text"
    raise TypeError(f"no words for {annotation!r}")


def _bound(metadata: Sequence[Any], name: str) -> float | None:
    return next((getattr(one, name) for one in metadata if getattr(one, name, None) is not None), None)


def _range(metadata: Sequence[Any]) -> str:
    least, most = _bound(metadata, "ge"), _bound(metadata, "le")
    if least is not None and most is not None and most < 2**31 - 1:
        return f" {least} to {most}"
    return f", {least} or more" if least is not None else ""


def _count(metadata: Sequence[Any]) -> str:
    least, most = _bound(metadata, "min_length"), _bound(metadata, "max_length")
    if least is not None and most is not None:
        return f" of {least} to {most}"
    return f" of at least {least}" if least is not None else ""

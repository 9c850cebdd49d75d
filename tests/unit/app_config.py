"""What the tests of `immich:app` share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from components.server.app.settings import AppConfig

CASES = Path(__file__).parent / "app_cases"
REFUSED = sorted((CASES / "refused").glob("*.json"))
SECRET = "KEEP-THIS-SECRET"


def every_key() -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads((CASES / "every_key.json").read_text()))


def accepted(**sections: object) -> AppConfig:
    return AppConfig.model_validate(sections)


def leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(cast("Mapping[str, Any]", value), f"{path}{key}.")
        else:
            yield f"{path}{key}"


def model_leaves(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        here = f"{path}{field.alias or name}"
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from model_leaves(inner, f"{here}.")
        else:
            yield here


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from models(inner)

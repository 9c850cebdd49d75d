"""The base of every settings model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel


class Section(BaseModel):
    """A part of the stack configuration: unknown keys are refused, values never change after reading.

    Attributes are snake_case in Python and camelCase in `Pulumi.<stack>.yaml`.
    """

    model_config = ConfigDict(
        extra="forbid",
        defer_build=True,
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
    )


def _auto_is_none(value: Any) -> Any:
    return None if value == "auto" else value


def _plain_as_text(value: Any) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) and abs(value) < 10**18 else cast("object", value)


TextValue = Annotated[str, BeforeValidator(_plain_as_text)]
"""Text that YAML or `pulumi config set --path` may have made a whole number or a truth value of.

A fraction stays refused: of `18.10` YAML keeps 18.1.
"""


def _no_truth_value(value: Any) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a whole number")
    return cast("object", value)


WholeNumber = Annotated[int, BeforeValidator(_no_truth_value)]
"""A whole number, also as text; Python would take true for 1."""


AUTO = BeforeValidator(_auto_is_none)
"""For an optional setting: `auto` says the same as leaving it out."""


def default_kind(kind: str) -> BeforeValidator:
    """For a union told apart by `kind`: what is meant where `kind` is left out."""

    def fill(value: Any) -> object:
        if isinstance(value, Mapping) and "kind" not in value:
            return {"kind": kind, **cast("Mapping[str, Any]", value)}
        return cast("object", value)

    return BeforeValidator(fill)

"""The base of every settings model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidatorFunctionWrapHandler, WrapValidator
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


if TYPE_CHECKING:
    from pulumi import Output

    _Checked = TypeVar("_Checked")
    Deferred: TypeAlias = _Checked | Output[Any]
else:

    class Deferred:
        """`Deferred[X]`: what `X` accepts, or in a program of one's own an output of another resource.

        A stack's file has no outputs. One is taken as it is: it is known only during the update.
        """

        def __class_getitem__(cls, accepted: Any) -> Any:
            return Annotated[accepted, WrapValidator(_or_output)]


def written(value: object) -> str:
    """A value of a stack's file. Raises `TypeError` for an output, which a file cannot have."""
    if not isinstance(value, str):
        raise TypeError("expected a value that is known beforehand")
    return value


def _or_output(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    return value if callable(getattr(value, "apply", None)) else check(value)


def _auto_is_none(value: Any) -> Any:
    return None if value == "auto" else value


def _plain_as_text(value: Any) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) and abs(value) < 10**18 else cast("object", value)


TextValue = Annotated[str, BeforeValidator(_plain_as_text, json_schema_input_type=str | int | bool)]
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

"""Property values: what Pulumi's wire format (`google.protobuf.Struct` with envelopes) is in Python.

Objects are dicts, lists are lists, whole numbers are ints. A secret is a `Secret`, a value that is not known
yet (preview) is `UNKNOWN`. Assets, archives and resource references stay the dicts that they are on the wire.
The signatures and the unknown's UUID are those of `sdk/go/common/resource` in pulumi/pulumi.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, cast

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct
    from google.protobuf.struct_pb2 import Value as ProtoValue

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - names an envelope, hides nothing
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_UUIDS: Final = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
DEFAULTED: Final = "__defaults"
"""The input that lists the properties that the plugin filled in, as Pulumi's bridge does."""
BRIDGE_OUTPUTS: Final = ("__meta", "__pulumi_raw_state_delta")
"""Outputs that only a plugin with Pulumi's bridge writes."""


class Unknown:
    """The type of `UNKNOWN`; there is one instance."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | Secret | Unknown | None"
Object: TypeAlias = "dict[str, Value]"


@dataclass(frozen=True)
class Secret:
    """A value that must be stored encrypted; its `repr` does not show it."""

    value: Value

    def __repr__(self) -> str:
        return "Secret(...)"


def from_proto(value: ProtoValue) -> Value:
    """The Python value of one wire value."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        return UNKNOWN if text in UNKNOWN_UUIDS else text
    if kind == "struct_value":
        return _from_envelope({key: from_proto(item) for key, item in value.struct_value.fields.items()})
    if kind == "list_value":
        return [from_proto(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    return None


def _from_envelope(item: Object) -> Value:
    signature = item.get(SIGNATURE)
    if signature == SECRET_SIGNATURE:
        return Secret(reveal(item.get("value")))
    if signature == OUTPUT_SIGNATURE:
        inner = item.get("value", UNKNOWN)
        return Secret(reveal(inner)) if item.get("secret") is True else inner
    return item


def from_struct(struct: Struct) -> Object:
    """The Python object of a wire object."""
    return {key: from_proto(item) for key, item in struct.fields.items()}


def state_from_struct(struct: Struct) -> Object:
    """The Python object of a wire object from a state, without what only the official plugins' bridge reads."""
    return without_bridge_keys(from_struct(struct))


def without_bridge_keys(item: Object) -> Object:
    """The properties without what Pulumi's Terraform bridge adds: `__defaults` at every depth, and in the outputs
    `__meta` and `__pulumi_raw_state_delta`, which describes the outputs beside it and is wrong once they change.

    `__defaults` of the whole object stays where it says that the name was generated. Keys: pulumi-terraform-bridge,
    unstable/reservedkeys.
    """
    return {
        key: _without_defaults(value)
        for key, value in item.items()
        if key not in BRIDGE_OUTPUTS and (key != DEFAULTED or value == ["name"])
    }


def _without_defaults(value: Value) -> Value:
    if isinstance(value, dict):
        return {key: _without_defaults(element) for key, element in value.items() if key != DEFAULTED}
    if isinstance(value, list):
        return [_without_defaults(element) for element in value]
    if isinstance(value, Secret):
        return Secret(_without_defaults(value.value))
    return value


def to_struct(item: Mapping[str, Value]) -> Struct:
    """The wire object of a Python object."""
    from google.protobuf.struct_pb2 import Struct

    struct = Struct()
    for key, value in item.items():
        _fill(struct.fields[key], value)
    return struct


def _fill(target: ProtoValue, value: Value) -> None:
    if value is None:
        target.null_value = 0  # pyright: ignore[reportAttributeAccessIssue] - NULL_VALUE is the enum's 0
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, (int, float)):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, Unknown):
        target.string_value = UNKNOWN_TEXT
    elif isinstance(value, Secret):
        fields = target.struct_value.fields
        fields[SIGNATURE].string_value = SECRET_SIGNATURE
        _fill(fields["value"], value.value)
    elif isinstance(value, list):
        values = target.list_value.values
        target.list_value.SetInParent()
        for element in value:
            _fill(values.add(), element)
    else:
        target.struct_value.SetInParent()
        fields = target.struct_value.fields
        for key, element in value.items():
            _fill(fields[key], element)


def reveal(value: Value) -> Value:
    """The value without any secret envelope, however deep."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, list):
        return [reveal(element) for element in value]
    if isinstance(value, dict):
        return {key: reveal(element) for key, element in value.items()}
    return value


def reveal_object(item: Mapping[str, Value]) -> Object:
    """`reveal` for an object."""
    return {key: reveal(element) for key, element in item.items()}


def contains_secret(value: Value) -> bool:
    """Whether the value or any part of it is secret."""
    return isinstance(value, Secret) or any(contains_secret(part) for part in _parts(value))


def contains_unknown(value: Value) -> bool:
    """Whether the value or any part of it is not known yet."""
    return isinstance(value, Unknown) or any(contains_unknown(part) for part in _parts(value))


def _parts(value: Value) -> Iterable[Value]:
    if isinstance(value, Secret):
        return (value.value,)
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return value.values()
    return ()


def without_nulls(value: Value) -> Value:
    """The value with object fields that are null left out, as an absent field means the same to a provider."""
    if isinstance(value, dict):
        return {key: without_nulls(element) for key, element in value.items() if element is not None}
    if isinstance(value, list):
        return [without_nulls(element) for element in value]
    if isinstance(value, Secret):
        return Secret(without_nulls(value.value))
    return value


def as_object(value: Value) -> Object:
    """The value if it is an object (secret or not), else an empty one."""
    inner = value.value if isinstance(value, Secret) else value
    return inner if isinstance(inner, dict) else {}


def as_text(value: Value, default: str = "") -> str:
    """The value if it is a string (secret or not), else `default`."""
    inner = value.value if isinstance(value, Secret) else value
    return inner if isinstance(inner, str) else default


def mark_secrets(target: Object, source: Mapping[str, Value]) -> Object:
    """`target` with every part secret whose counterpart in `source` is secret.

    Inside a list counterparts cannot be told apart, so a list with a secret in it becomes secret as a whole.
    """
    marked = dict(target)
    for key, value in source.items():
        if key not in marked or isinstance(marked[key], Secret):
            continue
        mine = marked[key]
        if isinstance(value, Secret):
            marked[key] = Secret(mine)
        elif isinstance(value, dict) and isinstance(mine, dict):
            marked[key] = mark_secrets(mine, value)
        elif contains_secret(value):
            marked[key] = Secret(mine)
    return marked


def dig(value: Value, *path: str) -> Value:
    """The part at the path of object keys, or None where there is none."""
    for key in path:
        inner = value.value if isinstance(value, Secret) else value
        value = inner.get(key) if isinstance(inner, dict) else None
    return value


def plain(value: object) -> Value:
    """A decoded JSON or YAML document as a `Value`; it is one already, and this says so to the type checker."""
    return cast("Value", value)

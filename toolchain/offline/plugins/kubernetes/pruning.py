"""A live object reduced to what a program said about it, so that only real drift shows as a difference."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from toolchain.offline.plugins.kubernetes.objects import (
    SERVER_METADATA,
    dashed,
    decoded_text,
    is_secret_object,
    metadata,
    underscored,
)
from toolchain.offline.plugins.values import Object, Secret, Value, as_object, mark_secrets, reveal_object

_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?\d+)?")
_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal(10**3), "M": Decimal(10**6),
    "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18), "Ki": Decimal(2**10),
    "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50), "Ei": Decimal(2**60),
}  # fmt: skip
# Fields whose values (or whose entries' values) the API server rewrites in canonical form: 1024Mi becomes
# 1Gi.
_QUANTITY_FIELDS = frozenset({"capacity", "default", "defaultRequest", "divisor", "hard", "limits", "max", "min"}) | {
    "requests", "sizeLimit", "averageValue", "value", "storage",
}  # fmt: skip


def quantity(text: Value) -> Decimal | None:
    """The number that a Kubernetes quantity says (`500m` is 0.5), None for anything else."""
    matched = _QUANTITY.fullmatch(str(text)) if isinstance(text, (str, int, float)) else None
    if matched is None or isinstance(text, bool):
        return None
    number, suffix = matched.groups()
    try:
        if suffix and suffix[0] in "eE" and len(suffix) > 1 and suffix not in _SUFFIXES:
            return Decimal(number + suffix)
        return Decimal(number) * _SUFFIXES.get(suffix or "", Decimal(1))
    except InvalidOperation:
        return None


def prune(live: Object, inputs: Object) -> Object:
    """The inputs as they would have to be to describe the live object.

    Fields that the inputs do not mention are left out; a field that the server leaves out because it is
    empty, or writes in another form with the same meaning, stays as the inputs have it. Secrets stay secret.
    """
    shown = reveal_object(inputs)
    found = dict(live)
    if is_secret_object(shown) and shown.get("stringData") is not None:
        # The server turns stringData into data; say it back in the program's terms.
        data = as_object(found.get("data"))
        texts = as_object(shown.get("stringData"))
        found["stringData"] = {key: decoded_text(data[key]) for key in texts if key in data}
    pruned = as_object(_pruned(underscored(found), underscored(dashed(shown)), ""))
    return mark_secrets(pruned, inputs)


def _pruned(live: Value, wanted: Value, field: str) -> Value:
    if isinstance(wanted, dict) and isinstance(live, dict):
        kept: Object = {}
        for key, element in wanted.items():
            if key in live:
                # The entries of `requests`, `limits` and the like are named after resources: keep the field's
                # name.
                kept[key] = _pruned(live[key], element, field if field in _QUANTITY_FIELDS else key)
            elif _is_empty(element):
                kept[key] = element
        return kept
    if isinstance(wanted, list) and isinstance(live, list):
        return _pruned_list(live, wanted, field)
    if wanted == live:
        return wanted
    if field in _QUANTITY_FIELDS:
        number = quantity(wanted)
        if number is not None and number == quantity(live):
            return wanted
    return live


def _pruned_list(live: list[Value], wanted: list[Value], field: str) -> Value:
    """Lists are matched by `name` where every entry has one (others may have added entries), else by
    position.
    """
    names = [as_object(element).get("name") for element in wanted]
    if wanted and all(isinstance(name, str) for name in names) and len(set(map(str, names))) == len(names):
        by_name = {as_object(element).get("name"): element for element in live}
        return [
            _pruned(by_name[name], element, field)
            for name, element in zip(names, wanted, strict=True)
            if name in by_name
        ]
    if len(live) == len(wanted):
        return [_pruned(mine, element, field) for mine, element in zip(live, wanted, strict=True)]
    return live


def _is_empty(value: Value) -> bool:
    """A value that Kubernetes leaves out when it returns an object: false, 0, "", {} and []."""
    if isinstance(value, dict):
        return all(_is_empty(element) for element in value.values())
    return (isinstance(value, (bool, int, float, str, list)) and not value) or value is None


_SERVER_ANNOTATIONS = (
    "deployment.kubernetes.io/revision",
    "kubectl.kubernetes.io/last-applied-configuration",
)


def importable_inputs(live: Object) -> Object:
    """Inputs for an object that no program described yet: all but the status and what only the server sets."""
    inputs: Object = {key: value for key, value in live.items() if key != "status"}
    kept: Object = {key: value for key, value in metadata(live).items() if key not in SERVER_METADATA}
    annotations = as_object(kept.get("annotations"))
    remaining: Object = {key: value for key, value in annotations.items() if key not in _SERVER_ANNOTATIONS}
    if annotations:
        kept["annotations"] = remaining
        if not remaining:
            del kept["annotations"]
    inputs["metadata"] = kept
    if is_secret_object(live) and "data" in inputs:
        inputs["data"] = Secret(inputs["data"])
    return underscored(inputs)

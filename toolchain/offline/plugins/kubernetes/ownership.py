"""Field managers: whose a field of a live object is, and how this plugin takes over what it made itself."""

from __future__ import annotations

from toolchain.offline.plugins.kubernetes.objects import metadata
from toolchain.offline.plugins.values import Object, Value, as_object, as_text, dig

# Objects are made by a plain create under this name, as the official plugin does.
CREATE_MANAGER = "pulumi-kubernetes"

# Managers whose fields become ours on the first server-side apply, with the operation that the entry must
# have.
_TAKEN_OVER = frozenset(
    {
        ("kubectl", "Apply"),
        ("kubectl", "Update"),
        ("kubectl-client-side-apply", "Update"),
        ("before-first-apply", "Update"),
        (CREATE_MANAGER, "Update"),
        ("pulumi-kubernetes.exe", "Update"),
        ("pulumi-resource-kubernetes", "Update"),
    }
)


def _entries(live: Object) -> list[Object]:
    listed = metadata(live).get("managedFields")
    return [as_object(entry) for entry in listed] if isinstance(listed, list) else []


def _merged(first: Object, second: Object) -> Object:
    """The union of two field sets (`fieldsV1`), which are nested objects with empty leaves."""
    merged = dict(first)
    for key, value in second.items():
        merged[key] = _merged(as_object(merged.get(key)), as_object(value))
    return merged


def take_over(live: Object, manager: str) -> list[Object]:
    """The JSON patch that gives `manager` the fields that an earlier create of ours, or kubectl, holds; [] if
    none.
    """
    entries = _entries(live)
    taken = [
        entry
        for entry in entries
        if (as_text(entry.get("manager")), as_text(entry.get("operation"))) in _TAKEN_OVER
        and "subresource" not in entry
    ]
    if not taken:
        return []
    mine = [
        entry for entry in entries if entry.get("manager") == manager and entry.get("operation") == "Apply"
    ]
    fields: Object = {}
    for entry in mine + taken:
        fields = _merged(fields, as_object(entry.get("fieldsV1")))
    owned: Object = {**taken[0], "manager": manager, "operation": "Apply", "fieldsV1": fields}
    rest: list[Value] = [entry for entry in entries if entry not in taken and entry not in mine]
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": [*rest, owned]},
        {
            "op": "replace",
            "path": "/metadata/resourceVersion",
            "value": metadata(live).get("resourceVersion"),
        },
    ]


def _owns(entry: Object, path: list[str]) -> bool:
    fields: Value = entry.get("fieldsV1")
    for key in path:
        fields = dig(fields, f"f:{key}")
        if fields is None:
            return False
    return True


def with_ignored(inputs: Object, live: Object, ignored: list[str], manager: str) -> Object:
    """The inputs without the ignored fields that others manage, and with the live value of the other ignored
    ones.
    """
    result = inputs
    for path in ignored:
        keys = path.split(".")
        holders = [entry for entry in _entries(live) if _owns(entry, keys)]
        if holders and all(entry.get("manager") != manager for entry in holders):
            result = _without(result, keys)
        elif (value := dig(live, *keys)) is not None:
            result = _with(result, keys, value)
    return result


def _without(item: Object, keys: list[str]) -> Object:
    if keys[0] not in item:
        return item
    if len(keys) == 1:
        return {key: value for key, value in item.items() if key != keys[0]}
    return {**item, keys[0]: _without(as_object(item[keys[0]]), keys[1:])}


def _with(item: Object, keys: list[str], value: Value) -> Object:
    if len(keys) == 1:
        return {**item, keys[0]: value}
    return {**item, keys[0]: _with(as_object(item.get(keys[0])), keys[1:], value)}

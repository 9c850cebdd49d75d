"""Every setting of the models, where it is in a stack's settings, and that stack with the setting changed.

A setting is named by its model and key: `Nfs.server` is the same setting wherever there is an NFS source. A whole
section that has kinds, or may be absent, is a setting too (`immich:database`), and so is a key that holds a part with
kinds: `kind` itself is changed there. Two sections are left out: `immich:app`, whose settings are keys of Immich's own
file and end in one Secret, and `immich:cloudflare`, whose objects are Cloudflare's and hold no photos.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from pydantic import BaseModel, TypeAdapter

from components.settings.model import SECTIONS

Path = tuple[str | int, ...]
LEFT_OUT = frozenset({"app", "cloudflare"})
ABSENT = object()
"""Instead of a value: the key is left out."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place in a stack's settings where a setting is."""

    setting: str
    """`Model.key`."""
    path: Path
    """Section and keys."""
    value: Any
    """Its present value, as YAML would have it; None where it is not given."""


_OF_A_HOST = frozenset(
    {"Docker", "Logs", "NetworkSettings", "PublishedPort", "Site", "TraefikLabels", "TlsAcme", "TlsFiles"}
)
"""Models that only a stack on one host can have."""


def of_a_host(setting: str) -> bool:
    """Whether no stack on a cluster can have the setting, or another value of it than its default."""
    return setting.partition(".")[0] in _OF_A_HOST or setting in {
        "immich:docker",
        "BundledMachineLearning.niceness",
        "BundledMachineLearning.lockMemory",
        "ScrapeOnly.address",
        "ScrapeOnly.ports",
        "Proxy.sites",
    }


def sections_of_models() -> Mapping[str, Any]:
    """Section -> its model or union of models."""
    return {name: spec.annotation() for name, spec in SECTIONS.items() if name not in LEFT_OUT}


def whole_sections() -> list[str]:
    """Sections that have kinds or may be absent."""
    return [
        name
        for name, spec in SECTIONS.items()
        if name not in LEFT_OUT and (spec.optional or not _is_plain_section(spec.annotation()))
    ]


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation can be, in containers as well."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if hasattr(annotation, "__metadata__"):
        return models_of(annotation.__origin__)
    return [model for argument in get_args(annotation) for model in models_of(argument)]


def every_setting() -> dict[str, Any]:
    """`Model.key` -> its annotation, for every model that is reachable from a section."""
    found: dict[str, Any] = {f"immich:{name}": SECTIONS[name].annotation() for name in whole_sections()}
    waiting = [model for annotation in sections_of_models().values() for model in models_of(annotation)]
    seen: set[type[BaseModel]] = set()
    while waiting:
        model = waiting.pop()
        if model in seen:
            continue
        seen.add(model)
        for field in model.model_fields.values():
            inner = models_of(field.annotation)
            waiting += inner
            if not _is_plain_section(field.annotation) and field.alias != "kind":
                found[f"{model.__name__}.{field.alias}"] = field.annotation
    return found


def _is_plain_section(annotation: Any) -> bool:
    """Whether the key always holds exactly one model: then the settings are those of the model."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def written_out(sections: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings with every default written out; sections that are left out here are as they were.

    One host has no cluster and one machine: what is a cluster's stays unsaid there.
    """
    full: dict[str, Any] = {}
    host = "docker" in sections
    for name, annotation in sections_of_models().items():
        if host and name == "kubernetes":
            continue
        if name in sections or not SECTIONS[name].optional:
            parsed = TypeAdapter(annotation).validate_python(
                sections.get(name, {}), by_alias=True, by_name=False
            )
            full[name] = parsed.model_dump(mode="json", by_alias=True, exclude_none=True)
            if host:
                full[name].pop("placement", None)
    return full | {name: sections[name] for name in sorted(LEFT_OUT & sections.keys())}


def places(sections: Mapping[str, Any]) -> list[Place]:
    """Every place of every setting in a stack. A stack on a cluster has none to become one on a host."""
    found = [
        Place(f"immich:{name}", (name,), sections.get(name))
        for name in whole_sections()
        if name != "docker" or name in sections
    ]
    for name, annotation in sections_of_models().items():
        if name in sections:
            parsed = TypeAdapter(annotation).validate_python(sections[name], by_alias=True, by_name=False)
            found += _places(parsed, (name,))
    return found


def _places(model: BaseModel, path: Path) -> Iterator[Place]:
    dumped = model.model_dump(mode="json", by_alias=True)
    for name, field in type(model).model_fields.items():
        value, here = getattr(model, name), (*path, str(field.alias))
        for step, inner in _inner(value):
            yield from _places(inner, (*here, *step))
        if not _is_plain_section(field.annotation) and field.alias != "kind":
            yield Place(f"{type(model).__name__}.{field.alias}", here, dumped[str(field.alias)])


def _inner(value: object) -> list[tuple[Path, BaseModel]]:
    if isinstance(value, BaseModel):
        return [((), value)]
    if isinstance(value, tuple | list):
        return [
            ((index,), one)
            for index, one in enumerate(cast("Sequence[object]", value))
            if isinstance(one, BaseModel)
        ]
    if isinstance(value, dict):
        return [
            ((str(key),), one)
            for key, one in cast("Mapping[str, object]", value).items()
            if isinstance(one, BaseModel)
        ]
    return []


def changed(sections: Mapping[str, Any], path: Path, value: object) -> dict[str, Any]:
    """A copy of the settings with the value at the path set, or taken out where it is ABSENT."""
    result = copy.deepcopy(dict(sections))
    target: Any = result
    for step in path[:-1]:
        target = target.setdefault(step, {}) if isinstance(target, dict) else target[step]
    if value is ABSENT:
        target.pop(path[-1], None)
    else:
        target[path[-1]] = copy.deepcopy(value)
    return result


GONE = object()
"""What is at a path that leads nowhere."""


def value_at(sections: Mapping[str, Any], path: Path) -> object:
    """The value at a path of settings; GONE where the path leads nowhere."""
    value: Any = sections
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return GONE if step != path[-1] or not isinstance(value, dict) else None
    return value

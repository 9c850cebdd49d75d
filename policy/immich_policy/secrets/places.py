"""Where texts stand in a resource that anybody who may see the resource can read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final, cast

from immich_policy.model import UNKNOWN, Plain, Registered, Stack, join, mapping, mappings, sequence, text


class Place(Enum):
    """A kind of place; each has a rule."""

    ENVIRONMENT = "environment"
    CONFIGURATION = "configuration"
    METADATA = "metadata"
    COMMAND = "command"
    INPUT = "input"


@dataclass(frozen=True, slots=True)
class Written:
    """A text in a resource."""

    resource: Registered
    place: Place
    path: str
    name: str
    """Of the variable, key, label or property; empty for arguments."""
    value: Plain
    """A text, or `UNKNOWN`."""


SECRET_KINDS: Final = frozenset({"Secret", "SealedSecret", "SopsSecret", "SecretPatch"})
"""Kinds that are made for secrets."""

_COMMANDS = frozenset({"args", "command", "entrypoint", "entrypoints", "tests"})
_DOCKER: Final = frozenset({"Container", "Service", "Network", "Volume", "RemoteImage", "ServiceConfig"})
_REFERENCES = frozenset(
    {"key", "secretKey", "remoteRef", "secretStoreRef", "claimName", "secretName", "kind"}
)


def written(stack: Stack) -> list[Written]:
    """Every text of every Kubernetes and Docker resource but Secrets, with its place.

    Other providers encrypt what is marked as a secret, in a state that nobody else reads: of theirs nothing is judged.
    """
    found: list[Written] = []
    for one in stack:
        if one.type.startswith("kubernetes:") and one.kind not in SECRET_KINDS:
            found += _kubernetes(one)
        elif one.type.startswith("docker:") and one.kind in _DOCKER:
            found += _docker(one)
    return found


def _kubernetes(one: Registered) -> Iterator[Written]:
    if one.kind in {"ConfigMap", "ConfigMapPatch"}:
        for field in ("data", "binaryData"):
            for key, value in mapping(one.props, field).items():
                yield Written(one, Place.CONFIGURATION, join(field, key), key, value)
        yield from _below(one, "metadata", mapping(one.props, "metadata"), "metadata")
        return
    for key, value in one.props.items():
        yield from _below(one, key, value, key)


def _below(one: Registered, path: str, value: Plain, name: str) -> Iterator[Written]:
    if isinstance(value, str) or value is UNKNOWN:
        yield Written(one, Place.INPUT, path, name, value)
    elif isinstance(value, list):
        yield from _listed(one, path, cast("list[Plain]", value), name)
    elif isinstance(value, dict):
        inner = cast("dict[str, Plain]", value)
        if name in {"labels", "annotations"}:
            for key, text_ in inner.items():
                yield Written(one, Place.METADATA, join(path, key), key, text_)
        elif name in {"env", "envs", "extraEnv", "environment"}:
            # Charts write variables as a mapping, of texts or of `{value: text}`.
            for key, said in inner.items():
                said_ = mapping(said).get("value") if isinstance(said, dict) else said
                if isinstance(said_, str) or said_ is UNKNOWN:
                    yield Written(one, Place.ENVIRONMENT, join(path, key), key, said_)
        else:
            for key, below in inner.items():
                if key not in _REFERENCES:
                    yield from _below(one, join(path, key), below, key)


def _listed(one: Registered, path: str, values: list[Plain], name: str) -> Iterator[Written]:
    before = ""
    for index, value in enumerate(values):
        here = join(path, index)
        if isinstance(value, dict) and isinstance(value.get("name"), str) and "value" in value:
            place = Place.ENVIRONMENT if name.lower().endswith(("env", "envs")) else Place.INPUT
            yield Written(one, place, f"{here}.value", text(value, "name"), value["value"])
        elif isinstance(value, str) and name in _COMMANDS:
            # `--requirepass` and its value may be two arguments.
            yield Written(one, Place.COMMAND, here, before, value)
            before = value.lstrip("-") if value.startswith("-") and "=" not in value else ""
        else:
            yield from _below(one, here, value, "" if isinstance(value, str) else name)


def _docker(one: Registered) -> Iterator[Written]:
    props = one.props
    for index, variable in enumerate(sequence(props, "envs")):
        name, _, value = variable.partition("=") if isinstance(variable, str) else ("", "", UNKNOWN)
        yield Written(
            one, Place.ENVIRONMENT, join("envs", index), name, value if isinstance(variable, str) else UNKNOWN
        )
    for index, label in mappings(props, "labels"):
        yield Written(one, Place.METADATA, join("labels", index), text(label, "label"), label.get("value"))
    for key in ("command", "entrypoints"):
        yield from _listed(one, key, sequence(props, key), key)
    yield from _listed(one, "healthcheck.tests", sequence(props, "healthcheck", "tests"), "tests")
    for key in ("driverOpts", "logOpts", "options", "sysctls", "storageOpts"):
        for option, value in mapping(props, key).items():
            yield Written(one, Place.INPUT, join(key, option), option, value)

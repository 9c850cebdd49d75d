"""What a docker-compose.yml with Immich and its `.env` say, as Docker Compose reads them.

Layouts of Immich's own file from 1.120 to 3.0: names of services are anybody's, what they are is told by their images,
and by `DB_HOSTNAME` and `REDIS_HOSTNAME` of the server. Nothing of the deployment is asked or changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml

from toolchain.deployment import Json, items, mapping
from toolchain.failure import ToolchainError

_VARIABLE: Final = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:(?P<how>:?[-?+])(?P<other>(?:[^{}]|\{[^{}]*\})*))?\})"
)
_LINE: Final = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<value>.*?)\s*$")
_PORT: Final = re.compile(
    r"(?:(?P<address>\[[^\]]*\]|[0-9.]+):)?(?P<published>\d+):(?P<target>\d+)(?:/tcp)?$"
)
MEDIA: Final = ("/data", "/usr/src/app/upload")
"""Immich's media root in the container: today's, and the one of releases before 2.0 (docker-compose.yml)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """A volume of a service."""

    source: str
    """An absolute folder of the host, or the name of a volume of the engine."""
    target: str
    read_only: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of the host."""
        return self.source.startswith("/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A service, its variables filled in."""

    name: str
    image: str
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    ports: tuple[tuple[str, int, int], ...]
    """Address of the host (empty for every one), its port, the container's."""
    extends: str = ""
    """The service of a `hwaccel` file that it extends."""
    labels: Mapping[str, str]

    @property
    def tag(self) -> str:
        """The image's tag; empty without one."""
        return self.image.partition("@")[0].rpartition("/")[2].partition(":")[2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Compose:
    """A file."""

    path: Path
    services: Mapping[str, Service]
    environment: Mapping[str, str]
    """Of `.env`."""

    def running(self, *images: str) -> Service | None:
        """The first service whose image has one of these in its name."""
        found = (one for one in self.services.values() if any(image in one.image for image in images))
        return next(found, None)


def read(path: Path) -> Compose:
    """The file and the `.env` beside it. ToolchainError for what is not there or no compose file."""
    try:
        text = path.read_text(encoding="utf-8")
        beside = path.parent / ".env"
        environment = variables(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise ToolchainError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        document = mapping(yaml.load(text, _Loader))  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise ToolchainError(f"{path} is not YAML: {error}") from None
    services = mapping(document.get("services"))
    if not services:
        raise ToolchainError(f"{path} has no services: give Immich's docker-compose.yml with FROM=...")
    folder = path.resolve().parent
    return Compose(
        path=path.resolve(),
        services={name: _service(name, mapping(one), environment, folder) for name, one in services.items()},
        environment=environment,
    )


class _Loader(yaml.SafeLoader):
    """Compose's own tags (`!reset`, `!override`) are no reason to stop."""


def _untagged(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(cast("yaml.ScalarNode", node))


_Loader.add_multi_constructor("!", cast("Any", _untagged))


def variables(text: str) -> dict[str, str]:
    """The variables of an env file."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = None if line.lstrip().startswith("#") else _LINE.match(line)
        if match is None:
            continue
        value = match["value"]
        if value[:1] in {"'", '"'} and (end := value.find(value[0], 1)) > 0:
            value = value[1:end]
        else:
            value = re.split(r"\s#", value, maxsplit=1)[0].strip()
        found[match["name"]] = value
    return found


def filled(text: str, environment: Mapping[str, str]) -> str:
    """`text` with the values of `$NAME`, `${NAME}`, `${NAME:-default}` and the like; unknown names are empty."""

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name, how, other = match["plain"] or match["name"], match["how"] or "", match["other"] or ""
        known = environment.get(name)
        is_set = bool(known) if how.startswith(":") else known is not None
        if how.endswith("+"):
            return filled(other, environment) if is_set else ""
        return known or "" if is_set or not how.endswith("-") else filled(other, environment)

    return _VARIABLE.sub(value, text)


def _service(name: str, given: Json, environment: Mapping[str, str], folder: Path) -> Service:
    def text(value: object) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        return filled(str(value), environment) if value is not None else ""

    of_files = mapping(_from_files(given.get("env_file"), folder))
    own = _pairs(given.get("environment"), text)
    extends = given.get("extends")
    return Service(
        name=name,
        image=text(given.get("image")),
        environment={**{key: str(value) for key, value in of_files.items()}, **own},
        mounts=tuple(_mounts(given.get("volumes"), text, folder)),
        ports=tuple(_ports(given.get("ports"), text)),
        extends=text(mapping(extends).get("service")),
        labels=_pairs(given.get("labels"), text),
    )


def _from_files(given: object, folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in [given] if isinstance(given, str) else items(given):
        name = one if isinstance(one, str) else str(mapping(one).get("path", ""))
        path = folder / name
        if path.is_file():
            found |= variables(path.read_text(encoding="utf-8"))
    return found


def _pairs(given: object, text: Callable[[object], str]) -> dict[str, str]:
    if isinstance(given, dict):
        return {str(key): text(value) for key, value in cast("dict[object, object]", given).items()}
    pairs = (text(one).partition("=") for one in items(given))
    return {key: value for key, _, value in pairs}


def _mounts(given: object, text: Callable[[object], str], folder: Path) -> Iterator[Mount]:
    for one in items(given):
        if isinstance(one, str):
            source, _, rest = text(one).partition(":")
            target, _, options = rest.partition(":")
            read_only = "ro" in options.split(",")
        else:
            long = mapping(one)
            source, target = text(long.get("source")), text(long.get("target"))
            read_only = long.get("read_only") is True
        if not target:
            continue
        if source.startswith(("./", "../", "~")) or source == ".":
            source = str((folder / Path(source).expanduser()).resolve())
        yield Mount(source=source, target=target.rstrip("/") or "/", read_only=read_only)


def _ports(given: object, text: Callable[[object], str]) -> Iterator[tuple[str, int, int]]:
    for one in items(given):
        if isinstance(one, dict):
            long = mapping(cast("object", one))
            line = f"{long.get('published')}:{long.get('target')}"
            address = text(long.get("host_ip"))
            line = f"{address}:{line}" if address else line
        else:
            line = text(one)
        if match := _PORT.match(line):
            yield (match["address"] or "").strip("[]"), int(match["published"]), int(match["target"])

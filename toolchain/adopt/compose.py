"""What a docker-compose.yml with Immich and its `.env` say, as Docker Compose reads them.

Layouts of Immich's own file from 1.120 to 3.0: names of services are anybody's, what they are is told by their images,
and by `DB_HOSTNAME` and `REDIS_HOSTNAME` of the server. Nothing of the deployment is asked or changed.
"""

from __future__ import annotations

import os
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
    names: frozenset[str]
    """What other services may call it: its own name, the container's, its host name and aliases."""
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    ports: tuple[tuple[str, int, int], ...]
    """Address of the host (empty for every one), its port, the container's."""
    extends: str = ""
    """The service of a `hwaccel` file that it extends."""
    labels: Mapping[str, str]
    on_host_network: bool = False
    user: str = ""
    devices: tuple[str, ...] = ()

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

    def all_with(self, *images: str) -> list[Service]:
        """The services whose image has one of these in its name."""
        return [one for one in self.services.values() if any(image in one.image for image in images)]

    def running(self, *images: str) -> Service | None:
        """The first of them."""
        return next(iter(self.all_with(*images)), None)

    def named(self, host: str) -> Service | None:
        """The service that answers to this name."""
        return next((one for one in self.services.values() if host in one.names), None)


def read(path: Path) -> Compose:
    """The file and the `.env` beside it, and the process's environment, which comes first as for Docker Compose.

    ToolchainError for what is not there, for no compose file, and for one that is put together from several.
    """
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
    services = {
        name: mapping(one)
        for name, one in mapping(document.get("services")).items()
        if not mapping(one).get("profiles")
    }
    if not services:
        raise ToolchainError(f"{path} has no services: give Immich's docker-compose.yml with FROM=...")
    _refuse_parts(path, document, services)
    folder = path.resolve().parent
    known = {**environment, **os.environ}
    return Compose(
        path=path.resolve(),
        services={
            name: _service(name, one, known, folder, _volumes(document, known, folder))
            for name, one in services.items()
        },
        environment=environment,
    )


def _refuse_parts(path: Path, document: Json, services: Mapping[str, Json]) -> None:
    """What Docker Compose would put together from several files."""
    beside = [
        one for one in path.parent.glob("*compose.override.y*ml") if path.name.startswith(("docker-", "com"))
    ]
    others = [f"{one.name} beside it" for one in beside]
    others += ["include"] if document.get("include") else []
    for name, one in services.items():
        file = mapping(one.get("extends")).get("file")
        if file is not None and not Path(str(file)).name.startswith("hwaccel."):
            others.append(f"extends of {name} from {file}")
    if others:
        raise ToolchainError(
            f"{path} is not all of it ({', '.join(others)}): put it together first. In its folder\n"
            "  docker compose config > full.yml\n"
            "and then run this again with FROM=that folder/full.yml"
        )


def _volumes(document: Json, environment: Mapping[str, str], folder: Path) -> Callable[[str], str]:
    """From the name of a volume in the file to the engine's."""
    project = environment.get("COMPOSE_PROJECT_NAME") or filled(str(document.get("name") or ""), environment)
    project = project or re.sub(r"^[^a-z0-9]+|[^a-z0-9_-]", "", folder.name.lower())

    def real(name: str) -> str:
        given = mapping(mapping(document.get("volumes")).get(name))
        external = given.get("external")
        told = given.get("name") or mapping(external).get("name")
        if told:
            return filled(str(told), environment)
        return name if external else f"{project}_{name}"

    return real


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
        literal = value.startswith("'")
        if value[:1] in {"'", '"'} and (end := value.find(value[0], 1)) > 0:
            value = value[1:end]
        else:
            value = re.split(r"\s#", value, maxsplit=1)[0].strip()
        found[match["name"]] = value if literal else filled(value, {**found, **os.environ})
    return found


def filled(text: str, environment: Mapping[str, str], *, needed: bool = False) -> str:
    """`text` with the values of `$NAME`, `${NAME}`, `${NAME:-default}` and the like; unknown names are empty.

    ToolchainError for an unknown name with `?`, and for every one without a default where the value is `needed`.
    """

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name, how, other = match["plain"] or match["name"], match["how"] or "", match["other"] or ""
        known = environment.get(name)
        is_set = bool(known) if how.startswith(":") else known is not None
        if how.endswith("+"):
            return filled(other, environment, needed=needed) if is_set else ""
        if not is_set and how.endswith("-"):
            return filled(other, environment, needed=needed)
        if not known and (needed or (how.endswith("?") and not is_set)):
            raise ToolchainError(
                f"the variable {name} of {text} has no value: set it in the .env beside the compose file, where Docker "
                "Compose reads it too"
            )
        return known or ""

    return _VARIABLE.sub(value, text)


def _service(
    name: str, given: Json, environment: Mapping[str, str], folder: Path, volume: Callable[[str], str]
) -> Service:
    def text(value: object) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        return filled(str(value), environment) if value is not None else ""

    of_files = mapping(_from_files(given.get("env_file"), folder))
    own = _pairs(given.get("environment"), text)
    extends = given.get("extends")
    names = {name, text(given.get("container_name")), text(given.get("hostname"))}
    for network in mapping(given.get("networks")).values():
        names |= {text(alias) for alias in items(mapping(network).get("aliases"))}
    return Service(
        name=name,
        names=frozenset(names - {""}),
        image=text(given.get("image")),
        environment={**{key: str(value) for key, value in of_files.items()}, **own},
        mounts=tuple(_mounts(given.get("volumes"), environment, folder, volume)),
        ports=tuple(_ports(given.get("ports"), text)),
        extends=text(mapping(extends).get("service")),
        labels=_pairs(given.get("labels"), text),
        on_host_network=given.get("network_mode") == "host",
        user=text(given.get("user")),
        devices=tuple(
            text(one).partition(":")[0] for one in items(given.get("devices")) if isinstance(one, str)
        ),
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


def _mounts(
    given: object, environment: Mapping[str, str], folder: Path, volume: Callable[[str], str]
) -> Iterator[Mount]:
    def text(value: object) -> str:
        return filled(str(value), environment, needed=True) if value is not None else ""

    for one in items(given):
        if isinstance(one, str):
            source, _, rest = text(one).partition(":")
            target, _, options = rest.partition(":")
            read_only = "ro" in options.split(",")
        else:
            long = mapping(one)
            if long.get("type") == "tmpfs":
                continue
            source, target = text(long.get("source")), text(long.get("target"))
            read_only = long.get("read_only") is True
        if not target:
            continue
        if source.startswith(("./", "../", "~")) or source == ".":
            source = str((folder / Path(source).expanduser()).resolve())
        elif not source.startswith("/"):
            source = volume(source)
        yield Mount(source=source, target=target.rstrip("/") or "/", read_only=read_only)


def _ports(given: object, text: Callable[[object], str]) -> Iterator[tuple[str, int, int]]:
    for one in items(given):
        if isinstance(one, dict):
            long = mapping(cast("object", one))
            line = f"{text(long.get('published'))}:{text(long.get('target'))}"
            address = text(long.get("host_ip"))
            line = f"{address}:{line}" if address else line
        else:
            line = text(one)
        if match := _PORT.match(line):
            yield (match["address"] or "").strip("[]"), int(match["published"]), int(match["target"])

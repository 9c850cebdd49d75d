"""From a NixOS `services.immich` block to the sections of a stack; the text is read, and no Nix is run.

The options are those of nixpkgs' module (nixos/modules/services/web-apps/immich.nix of 25.11), and those of modules
that wrap it in the same words under a name of their own, such as `hwc.server.immich`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from components import versions
from components.server.app.secrets import SECRET_FIELDS
from toolchain.adopt.choices import IMPLIED, Adopted
from toolchain.adopt.compose import Mount
from toolchain.deployment import items
from toolchain.failure import ToolchainError

_BLOCK: Final = re.compile(
    r"(?<![\w.-])(?:(?:services|[\w-]+\.server|[\w-]+\.services)\.)?immich((?:\.[\w-]+)*)\s*=(?!=)"
)
_TOKEN: Final = re.compile(
    r"\s+|\#[^\n]*|/\*.*?\*/|(?P<text>\"(?:\\.|[^\"\\])*\"|''.*?'')|(?P<sign>[{}\[\]();=])|(?P<word>[^\s{}\[\]();=\"]+)",
    re.DOTALL,
)
_SOCKETS: Final = ("/", "localhost", "127.0.0.1", "::1")
_FOLDERS: Final = {"thumbs": "thumbs", "encodedVideo": "encodedVideo", "profile": "profile"}
_NUMBERS: Final = {
    ("machineLearning", "modelTTL"): "modelTtl",
    ("machineLearning", "modelTTLPollInterval"): "modelTtlPoll",
    ("machineLearning", "threading", "requestThreads"): "requestThreads",
    ("machineLearning", "threading", "interOpThreads"): "interOpThreads",
    ("machineLearning", "threading", "intraOpThreads"): "intraOpThreads",
    ("machine-learning", "environment", "MACHINE_LEARNING_MODEL_TTL"): "modelTtl",
}
"""Options -> settings of `machineLearning`; null is what auto is here."""
_NEEDED: Final = ("", "mediaLocation", "settings", "settings.mediaLocation", "database", "database.host")
"""Where a wrong guess would lead to other photos, or another database."""
_SECRET: Final = re.compile(r"(password|secret|token|key|url)$", re.IGNORECASE)
"""Options whose value is not shown."""
Path_ = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unknown:
    """An expression that only Nix can evaluate."""

    text: str


def read(path: Path) -> dict[Path_, object] | None:
    """Option below `immich` -> its value, of a .nix file; None for another file.

    ToolchainError for a file that cannot be read, or has no such block.
    """
    if path.suffix != ".nix":
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ToolchainError(f"{path} cannot be read: {error}") from None
    bare = re.sub(
        r"/\*.*?\*/|^\s*#[^\n]*", lambda found: " " * len(found[0]), text, flags=re.DOTALL | re.MULTILINE
    )
    found: dict[Path_, object] = {}
    for block in _BLOCK.finditer(bare):
        value, _ = _value(_tokens(bare[block.end() :]), 0)
        found |= _flat(tuple(block[1].strip(".").split(".")) if block[1] else (), value)
    if not found:
        raise ToolchainError(
            f"{path} has no services.immich = {{ ... }}: give the file that has it with FROM=..."
        )
    return found


def _tokens(text: str) -> list[str]:
    """Up to the end of the first value: its `;` outside all brackets."""
    found: list[str] = []
    depth = 0
    for match in _TOKEN.finditer(text):
        one = match["text"] or match["sign"] or match["word"]
        if not one:
            continue
        if one == ";" and depth == 0:
            break
        depth += _depth(one)
        found.append(one)
    return found


def _depth(one: str) -> int:
    return (one in {"{", "[", "("}) - (one in {"}", "]", ")"})


def _value(tokens: list[str], at: int) -> tuple[object, int]:
    """The value that begins there, and where it ends."""
    start = at
    if at < len(tokens) and tokens[at] == "{":
        attributes: dict[Path_, object] = {}
        at += 1
        while at < len(tokens) and tokens[at] != "}":
            name, at = tokens[at].strip('"'), at + 1
            if at >= len(tokens) or tokens[at] != "=":
                # inherit, or what only Nix knows: up to its end.
                end = _end(tokens, at)
                attributes[name,] = Unknown(text=" ".join(tokens[at:end]))
                at = end + 1
                continue
            value, at = _value(tokens, at + 1)
            attributes |= _flat(tuple(name.split(".")), value)
            at += 1
        value, at = attributes, at + 1
    elif at < len(tokens) and tokens[at] == "[":
        listed: list[object] = []
        at += 1
        while at < len(tokens) and tokens[at] != "]":
            listed.append(_plain(tokens[at]))
            at += 1
        value, at = listed, at + 1
    else:
        value, at = _plain(tokens[at]) if at < len(tokens) else Unknown(text=""), at + 1
    end = _end(tokens, start)
    if end > at or (any(isinstance(one, Unknown) for one in items(value))):
        return Unknown(text=" ".join(tokens[start:end])), end
    return value, at


def _end(tokens: list[str], at: int) -> int:
    depth = 0
    while at < len(tokens):
        if depth == 0 and tokens[at] in {";", "}", "]"}:
            break
        depth += _depth(tokens[at])
        at += 1
    return at


def _plain(token: str) -> object:
    words = {"true": True, "false": False, "null": None}
    if token in words:
        return words[token]
    if token.isdecimal():
        return int(token)
    if token.startswith(('"', "''")) and "${" not in token:
        return token.strip("\"'") if token.startswith("''") else re.sub(r"\\(.)", r"\1", token[1:-1])
    return token if token.startswith("/") else Unknown(text=token)


def _flat(path: Path_, value: object) -> dict[Path_, object]:
    if isinstance(value, dict):
        inner = cast("dict[Path_, object]", value)
        return {(*path, *below): one for below, one in inner.items()}
    return {path: value}


class _Options:
    """What the file says, and which of it was understood."""

    def __init__(self, given: Mapping[Path_, object]) -> None:
        self.given = dict(given)

    def take(self, *names: str) -> object:
        """The value of the first of these options (`a.b`) that is there and a value; None for none."""
        for name in names:
            path = tuple(name.split("."))
            if path in self.given and not isinstance(self.given[path], Unknown):
                return self.given.pop(path)
        return None

    def below(self, name: str) -> Iterator[tuple[Path_, object]]:
        """Every option below it that is a value."""
        for path in [path for path in self.given if path[0] == name]:
            if not isinstance(self.given[path], Unknown):
                yield path[1:], self.given.pop(path)


def adopt(path: Path, given: Mapping[Path_, object]) -> Adopted:
    """The choices. ToolchainError for a database that cannot come over yet."""
    options = _Options(given)
    if options.take("database.enableVectors"):
        raise ToolchainError(
            f"{path} has database.enableVectors: pgvecto.rs, which Immich 3 does not know. Let NixOS move it to "
            "VectorChord, as its release notes say, then set enableVectors = false and run this again"
        )
    for option in _NEEDED:
        if isinstance(value := given.get(tuple(option.split(".")) if option else ()), Unknown):
            raise ToolchainError(
                f"{path} has immich{f'.{option}' if option else ''} = {value.text}, which only Nix can evaluate: write "
                "its value into a copy of the file, then run this again"
            )
    options.take("enable")
    found = Adopted(sections={"docker": {}}, server="immich-server")
    found.say(
        versions.NEWEST,
        "The release is the one of nixpkgs: write what Administration > Server Stats shows; this must not be older.",
        *("server", "version"),
    )
    _way_in(found, options)
    _storage(found, options)
    _learning(found, options)
    _database(found, options)
    _server(found, options)
    _settings(found, options)
    if list(options.below("backup")):
        found.left.append(
            "backup: this stack makes its own (docs/backups.md); dumps of before stay where they are"
        )
    for option, value in sorted(options.given.items()):
        if isinstance(value, Unknown):
            told = "..." if option and _SECRET.search(option[-1]) else value.text
            found.left.append(
                f"{'.'.join(option)} = {told}: only Nix can evaluate it; write its value by hand"
            )
        elif value not in (None, [], False):
            found.left.append(
                f"{'.'.join(option)}: not understood; docs/settings.md says whether a setting is for it"
            )
    return found


def _way_in(found: Adopted, options: _Options) -> None:
    host = str(options.take("host", "settings.host") or "localhost")
    port = options.take("port", "settings.port")
    port = port if isinstance(port, int) else 2283
    options.take("openFirewall")
    address = {"localhost": "127.0.0.1", "::": "0.0.0.0", "::1": "127.0.0.1"}.get(host, host)  # noqa: S104 - read off
    trusted = [str(one) for one in items(options.take("reverseProxy.trustedProxies"))]
    text = options.take("environment.IMMICH_TRUSTED_PROXIES")
    trusted = [*trusted, *(text.split(",") if isinstance(text, str) else [])]
    found.say_published({"address": address, "port": port}, port, trusted, "Where the service listened.")


def _storage(found: Adopted, options: _Options) -> None:
    media = str(options.take("mediaLocation", "settings.mediaLocation") or "/var/lib/immich").rstrip("/")
    found.media = Mount(source=media, target=media, read_only=False)
    found.say(
        {"kind": "hostPath", "path": media},
        "mediaLocation: the photos stay where they are.",
        "storage",
        "media",
    )
    options.take("storage.enable")
    options.take("storage.basePath")
    for option, value in options.below("storage"):
        folder = {"library": "library", "encodedVideo": "encoded-video"}.get(option[-1], option[-1])
        if str(value).rstrip("/") == f"{media}/{folder}":
            continue
        if option[-1] in _FOLDERS:
            found.say({"kind": "hostPath", "path": value}, "", "storage", _FOLDERS[option[-1]])
        else:
            found.left.append(
                f"storage.{'.'.join(option)} {value}: put it below {media}, on the same file system"
            )


def _learning(found: Adopted, options: _Options) -> None:
    if options.take("machine-learning.enable", "machineLearning.enable") is False:
        found.sections["machineLearning"] = {"kind": "off"}
        list(options.below("machine-learning"))
        list(options.below("machineLearning"))
    for option, setting in _NUMBERS.items():
        value = options.take(".".join(option))
        if str(value).isdecimal():
            found.say(int(str(value)), "", "machineLearning", setting)
    devices = items(options.take("accelerationDevices"))
    if options.take("gpu.enable"):
        found.say(
            "nvenc", "gpu.enable: an NVIDIA GPU; another kind has another word.", "server", "acceleration"
        )
        found.say("cuda", "gpu.enable.", "machineLearning", "backend")
    elif any(str(one).startswith("/dev/dri") for one in devices):
        found.say("vaapi", "accelerationDevices; qsv is for Intel.", "server", "acceleration")


def _database(found: Adopted, options: _Options) -> None:
    host = str(options.take("database.host") or "/run/postgresql")
    found.role = str(options.take("database.user") or "immich")
    found.name = str(options.take("database.name") or "immich")
    port = options.take("database.port")
    for option in ("database.enable", "database.createDB", "database.enableVectorChord"):
        options.take(option)
    if host.startswith(_SOCKETS):
        found.database = "postgresql"
        if found.name not in {"postgres", "immich"}:
            found.say(found.name, "database.name.", "database", "name")
        found.say_dumps()
        found.left.append(
            "PostgreSQL's own files: the database is moved by a dump, into a PostgreSQL with VectorChord"
        )
    else:
        found.say_database_elsewhere(host, port or 5432)
    for option, value in options.below("redis"):
        if option[-1] == "host" and not str(value).startswith(_SOCKETS):
            found.left.append(
                f"the cache at {value}: this stack has one of its own; jobs that wait there are lost"
            )


def _server(found: Adopted, options: _Options) -> None:
    if timezone := options.take("environment.TZ", "observability.timezone"):
        found.say(timezone, "", "server", "timezone")
    if level := options.take("environment.IMMICH_LOG_LEVEL", "observability.logLevel"):
        found.say(level, "", "server", "logLevel")
    if options.take("observability.metrics.enable") or options.take("environment.IMMICH_TELEMETRY_INCLUDE"):
        found.say(True, "", "server", "metrics", "enabled")
    for option, setting in (("apiPort", "apiPort"), ("microservicesPort", "microservicesPort")):
        if (port := options.take(f"observability.metrics.{option}")) is not None:
            found.say(port, "", "server", "metrics", setting)
    for option in ("user", "group"):
        if value := options.take(option):
            found.left.append(
                f"{option} {value}: immich:server.{option} is a number (id {value}), and 1000 here"
            )
    if secrets := options.take("secretsFile"):
        found.left.append(
            f"secretsFile {secrets}: passwords are made anew, or set with pulumi config set --secret"
        )


def _settings(found: Adopted, options: _Options) -> None:
    """Immich's own configuration."""
    paths = {path: key for key, path in SECRET_FIELDS.items()}
    for option, value in options.below("settings"):
        if option in paths or any(option[: len(path)] == path for path in paths):
            key = next(key for path, key in paths.items() if option[: len(path)] == path)
            found.left.append(f"settings.{'.'.join(option)}: pulumi config set --secret immich:{key}")
        elif option[:2] in IMPLIED:
            found.left.append(f"settings.{'.'.join(option)}: follows from immich:{IMPLIED[option[:2]]}")
        else:
            found.say(value, "", "app", *option)

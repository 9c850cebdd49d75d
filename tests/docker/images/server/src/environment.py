"""The variables of Immich's server, checked as its zod schema does: all problems at once.

Source: env.dto.ts, config.repository.ts.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on", "y", "enabled"), True),
    **dict.fromkeys(("false", "0", "no", "off", "n", "disabled"), False),
}
CHOICES = {
    "IMMICH_ENV": ("production", "development", "testing"),
    "IMMICH_LOG_LEVEL": ("verbose", "debug", "log", "warn", "error", "fatal"),
    "IMMICH_LOG_FORMAT": ("console", "json"),
    "DB_SSL_MODE": ("disable", "allow", "prefer", "require", "verify-full"),
    "DB_VECTOR_EXTENSION": ("vectorchord", "pgvector"),
}
INTEGERS = {
    "IMMICH_PORT": 2283,
    "IMMICH_API_METRICS_PORT": 8081,
    "IMMICH_MICROSERVICES_METRICS_PORT": 8082,
    "DB_PORT": 5432,
    "REDIS_PORT": 6379,
    "REDIS_DBINDEX": 0,
}
FLAGS = {
    "IMMICH_IGNORE_MOUNT_CHECK_ERRORS": False,
    "IMMICH_ALLOW_SETUP": True,
    "IMMICH_ALLOW_EXTERNAL_PLUGINS": False,
    "DB_SKIP_MIGRATIONS": False,
}
WORKERS = ("api", "microservices")
TELEMETRY = ("host", "api", "io", "repo", "job")
FOLDERS = ("upload", "library", "thumbs", "encoded-video", "profile", "backups")


class InvalidEnvironmentError(Exception):
    """Each line names a variable and what is wrong with it, without its value: it may be a secret."""


@dataclass
class Environment:
    """What the server goes by."""

    variables: Mapping[str, str]
    problems: list[str] = field(default_factory=list)
    integers: dict[str, int] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)
    choices: dict[str, str] = field(default_factory=dict)
    trusted_proxies: tuple[str, ...] = ()
    workers: tuple[str, ...] = WORKERS
    telemetry: tuple[str, ...] = ()
    configuration: Mapping[str, Any] = field(default_factory=dict)

    @property
    def media(self) -> Path:
        """The media folder: as given, or the one of two that exists."""
        given = self.variables.get("IMMICH_MEDIA_LOCATION")
        return Path(given) if given else Path("/data")

    @property
    def log_level(self) -> str:
        """The variable wins over the configuration file."""
        logging: Any = self.configuration.get("logging") or {}
        return self.choices.get("IMMICH_LOG_LEVEL") or str(logging.get("level") or "log")

    def database(self) -> dict[str, Any]:
        """Keyword arguments of `psycopg2.connect`."""
        if url := self.variables.get("DB_URL"):
            return {"dsn": url}
        found: dict[str, Any] = {
            "host": self.variables.get("DB_HOSTNAME", "database"),
            "port": self.integers["DB_PORT"],
            "user": self.variables.get("DB_USERNAME", "postgres"),
            "password": self.variables.get("DB_PASSWORD", "postgres"),
            "dbname": self.variables.get("DB_DATABASE_NAME", "immich"),
        }
        if mode := self.choices.get("DB_SSL_MODE"):
            found["sslmode"] = mode
            if authorities := self.variables.get("NODE_EXTRA_CA_CERTS"):
                found["sslrootcert"] = authorities
        return found

    def cache(self) -> dict[str, Any]:
        """Keyword arguments of `redis.Redis`. REDIS_URL is read with ioredis:// only, as Immich does."""
        url = self.variables.get("REDIS_URL", "")
        if url.startswith("ioredis://"):
            options = json.loads(base64.b64decode(url.removeprefix("ioredis://")))
            found = {
                "host": options.get("host", "localhost"),
                "port": options.get("port", 6379),
                "db": options.get("db", 0),
                "username": options.get("username"),
                "password": options.get("password"),
            }
            return (
                {**found, "ssl": True, "ssl_ca_certs": self._authorities()} if options.get("tls") else found
            )
        found = {
            "host": self.variables.get("REDIS_HOSTNAME", "redis"),
            "port": self.integers["REDIS_PORT"],
            "db": self.integers["REDIS_DBINDEX"],
            "username": self.variables.get("REDIS_USERNAME") or None,
            "password": self.variables.get("REDIS_PASSWORD") or None,
        }
        if path := self.variables.get("REDIS_SOCKET"):
            return {"unix_socket_path": path, **{key: found[key] for key in ("db", "username", "password")}}
        return found

    def _authorities(self) -> str | None:
        return self.variables.get("NODE_EXTRA_CA_CERTS")


def read(variables: Mapping[str, str]) -> Environment:
    """The environment, or InvalidEnvironmentError with every problem."""
    found = Environment(variables)
    problems = found.problems
    for name, accepted in CHOICES.items():
        value = variables.get(name)
        if value is not None and value not in accepted:
            problems.append(f"{name}: expected one of {'|'.join(accepted)}")
        elif value is not None:
            found.choices[name] = value
    for name, default in INTEGERS.items():
        text = variables.get(name, str(default)).strip()
        if re.fullmatch(r"[+-]?\d+", text):
            found.integers[name] = int(text)
        else:
            problems.append(f"{name}: expected int, received NaN")
    for name, default in FLAGS.items():
        text = variables.get(name, str(default)).lower()
        if text in BOOLEANS:
            found.flags[name] = BOOLEANS[text]
        else:
            problems.append(f"{name}: expected one of {'|'.join(BOOLEANS)}")
    for name in ("IMMICH_MEDIA_LOCATION", "IMMICH_PLUGINS_INSTALL_FOLDER"):
        if variables.get(name) and not variables[name].startswith("/"):
            problems.append(f"{name}: must be an absolute path")
    found.trusted_proxies = _checked(
        found, "IMMICH_TRUSTED_PROXIES", _is_network, "must be an ip address or ip range"
    )
    _workers(found)
    _telemetry(found)
    _files(found)
    if problems:
        raise InvalidEnvironmentError("\n".join(problems))
    return found


def _listed(variables: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in variables.get(name, "").split(",") if part.strip())


def _checked(found: Environment, name: str, accept: Callable[[str], bool], what: str) -> tuple[str, ...]:
    values = _listed(found.variables, name)
    for value in values:
        if not accept(value):
            found.problems.append(f"{name}: {value!r} {what}")
    return values


def _is_network(value: str) -> bool:
    address, slash, prefix = value.partition("/")
    if slash and not re.fullmatch(r"0|[1-9]\d{0,2}", prefix):
        return False  # a netmask, or a leading zero
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return bool(address)


def _workers(found: Environment) -> None:
    def known(value: str) -> bool:
        return value in WORKERS

    included = _checked(found, "IMMICH_WORKERS_INCLUDE", known, "is no worker") or WORKERS
    excluded = _checked(found, "IMMICH_WORKERS_EXCLUDE", known, "is no worker")
    found.workers = tuple(worker for worker in WORKERS if worker in included and worker not in excluded)


def _telemetry(found: Environment) -> None:
    def known(value: str) -> bool:
        return value in TELEMETRY or value == "all"

    what = f"is none of all, {', '.join(TELEMETRY)}"
    included = _checked(found, "IMMICH_TELEMETRY_INCLUDE", known, what)
    excluded = _checked(found, "IMMICH_TELEMETRY_EXCLUDE", known, what)
    chosen = TELEMETRY if "all" in included else included
    found.telemetry = tuple(name for name in chosen if name not in excluded)


def _files(found: Environment) -> None:
    helmet = found.variables.get("IMMICH_HELMET_FILE", "")
    if helmet not in {"", "true", "false"} and _json_object(helmet) is None:
        found.problems.append(f"IMMICH_HELMET_FILE: {helmet} cannot be read as JSON")
    given = found.variables.get("IMMICH_CONFIG_FILE", "")
    if given:
        content = _json_object(given)
        if content is None:
            found.problems.append(
                f"IMMICH_CONFIG_FILE: {given} cannot be read (this stand-in reads JSON, the server YAML too)"
            )
        else:
            found.configuration = content


def _json_object(path: str) -> Mapping[str, Any] | None:
    try:
        content: Any = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None

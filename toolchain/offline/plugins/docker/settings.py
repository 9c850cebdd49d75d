"""The provider's own settings: names, environment variables and precedence as in pulumi-docker 5."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from toolchain.offline.plugins.provider import Failure, ProviderError
from toolchain.offline.plugins.values import (
    Object,
    Unknown,
    Value,
    as_object,
    as_text,
    contains_unknown,
    plain,
    reveal,
)

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
SCHEMES: Final = ("unix://", "tcp://", "http://", "https://", "ssh://")
KNOWN: Final = frozenset(
    {
        "host",
        "context",
        "certPath",
        "caMaterial",
        "certMaterial",
        "keyMaterial",
        "sshOpts",
        "registryAuth",
        "disableDockerDaemonCheck",
    }
)


@dataclass(frozen=True, kw_only=True)
class RegistryAuth:
    """How to sign in at one registry. `config` is the contents of a Docker `config.json`, "" for none."""

    address: str
    username: str = ""
    password: str = field(default="", repr=False)
    config: str = field(default="", repr=False)
    config_file: str = ""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the provider was configured with. The certificates are PEM text."""

    host: str = DEFAULT_HOST
    context: str = ""
    cert_path: str = ""
    ca: str = ""
    cert: str = ""
    key: str = field(default="", repr=False)
    ssh_options: tuple[str, ...] = ()
    registries: tuple[RegistryAuth, ...] = ()
    skip_check: bool = False
    unknown: bool = False
    """Whether a setting is not known yet, in a preview."""

    @classmethod
    def read(cls, given: Mapping[str, Value]) -> Settings:
        """The settings as the engine sends them: what is not a string arrives as its JSON."""
        return cls(
            host=_text(given, "host") or os.environ.get("DOCKER_HOST") or DEFAULT_HOST,
            context=_text(given, "context") or os.environ.get("DOCKER_CONTEXT", ""),
            cert_path=_text(given, "certPath") or os.environ.get("DOCKER_CERT_PATH", ""),
            ca=_text(given, "caMaterial") or os.environ.get("DOCKER_CA_MATERIAL", ""),
            cert=_text(given, "certMaterial") or os.environ.get("DOCKER_CERT_MATERIAL", ""),
            key=_text(given, "keyMaterial") or os.environ.get("DOCKER_KEY_MATERIAL", ""),
            ssh_options=tuple(as_text(option) for option in _list(given, "sshOpts")),
            registries=tuple(_registry(as_object(item)) for item in _list(given, "registryAuth")),
            skip_check=_decoded(given, "disableDockerDaemonCheck") is True,
            unknown=any(contains_unknown(value) for value in given.values()),
        )


def _decoded(given: Mapping[str, Value], key: str) -> Value:
    value = reveal(given.get(key))
    if not isinstance(value, str):
        return value
    try:
        return plain(json.loads(value))
    except json.JSONDecodeError:
        raise ProviderError(f"docker provider: {key} is not JSON") from None


def _text(given: Mapping[str, Value], key: str) -> str:
    value = reveal(given.get(key))
    return value if isinstance(value, str) and not isinstance(value, Unknown) else ""


def _list(given: Mapping[str, Value], key: str) -> list[Value]:
    value = _decoded(given, key)
    if value is None or isinstance(value, Unknown):
        return []
    if not isinstance(value, list):
        raise ProviderError(f"docker provider: {key} must be a list")
    return value


def _registry(item: Object) -> RegistryAuth:
    if item.get("authDisabled") is True:
        return RegistryAuth(address=as_text(item.get("address")))
    return RegistryAuth(
        address=as_text(item.get("address")),
        username=as_text(item.get("username")),
        password=as_text(item.get("password")),
        config=as_text(item.get("configFileContent")),
        config_file=as_text(item.get("configFile")),
    )


def check_settings(given: Object) -> list[Failure]:
    """Settings that cannot be used, each with what is accepted."""
    found = [
        Failure(
            property=key,
            reason=f"{key} is not a setting of the docker provider: accepted are {', '.join(sorted(KNOWN))}",
        )
        for key in given
        if key not in KNOWN and key not in ("version", "pluginDownloadURL")
    ]
    settings = Settings.read(given)
    if settings.unknown:
        return found
    if settings.host.startswith("npipe:"):
        found.append(
            Failure(property="host", reason=f"host {settings.host} is Windows' kind of address: {_ACCEPTED}")
        )
    elif not settings.host.startswith(SCHEMES):
        found.append(
            Failure(property="host", reason=f"host {settings.host!r} is not an engine's address: {_ACCEPTED}")
        )
    if bool(settings.cert) != bool(settings.key):
        found.append(
            Failure(property="certMaterial", reason="certMaterial and keyMaterial must be given together")
        )
    elif settings.cert and settings.cert_path:
        found.append(
            Failure(property="certPath", reason="certPath must not be given together with certMaterial")
        )
    return found


_ACCEPTED: Final = "give unix:///path, tcp://host:port or ssh://user@host"

"""Signing in at registries for pulls."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast

from toolchain.offline.plugins.docker.settings import RegistryAuth
from toolchain.offline.plugins.provider import ProviderError


def registry_header(registries: Iterable[RegistryAuth], registry: str) -> dict[str, str]:
    """The header that signs a pull in at `registry`, empty when no settings are for it.

    An address may be written with or without https://. Username and password win over a config file, whose
    credential helpers are asked too.
    """
    for auth in registries:
        if _hostname(auth.address) not in (registry, *_ALIASES.get(registry, ())):
            continue
        credentials = _credentials(auth)
        if credentials:
            encoded = base64.urlsafe_b64encode(json.dumps(credentials).encode()).decode()
            return {"X-Registry-Auth": encoded}
    return {}


_ALIASES: Final = {"registry-1.docker.io": ("docker.io", "index.docker.io")}


def _hostname(address: str) -> str:
    return address.removeprefix("https://").removeprefix("http://").split("/", 1)[0]


def _credentials(auth: RegistryAuth) -> dict[str, str]:
    if auth.username:
        return {"username": auth.username, "password": auth.password, "serveraddress": auth.address}
    from docker.auth import AuthConfig
    from docker.errors import DockerException

    configuration = _configuration(auth)
    signed_in: dict[str, Any] = {
        **configuration,
        "auths": AuthConfig.parse_auth(configuration.get("auths", {})),
    }
    try:
        found = cast(
            "dict[str, Any] | None", AuthConfig(signed_in).resolve_authconfig(_hostname(auth.address))
        )
    except DockerException as error:
        raise ProviderError(f"docker provider: no credentials for {auth.address}: {error}") from None
    return {key: str(value) for key, value in found.items() if value} if found else {}


def _configuration(auth: RegistryAuth) -> dict[str, Any]:
    path = Path(auth.config_file or "~/.docker/config.json").expanduser()
    try:
        return json.loads(auth.config or path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, json.JSONDecodeError):
        where = "configFileContent" if auth.config else str(path)
        raise ProviderError(
            f"docker provider: registryAuth for {auth.address}: {where} is not readable JSON"
        ) from None

"""The part of cloudflared's command line that a deployment uses; anything else is refused, as cloudflared does."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_WITH_VALUE = {
    "": ("loglevel", "logfile"),
    "tunnel": (
        "metrics", "config", "loglevel", "logfile", "transport-loglevel", "protocol", "grace-period", "retries",
        "edge-ip-version", "edge-bind-address", "region", "url", "origincert", "ha-connections", "tag",
    ),
    "run": ("token", "token-file", "credentials-file", "credentials-contents", "protocol", "url"),
    "ready": (),
}  # fmt: skip
_WITHOUT_VALUE = {
    "": ("no-autoupdate",),
    "tunnel": ("no-autoupdate", "management-diagnostics", "post-quantum", "no-tls-verify"),
    "run": ("post-quantum",),
    "ready": (),
}


class UsageError(Exception):
    """What is wrong with the arguments or the files that they name."""


@dataclass
class CommandLine:
    """Flags by the command that they stand behind."""

    commands: list[str] = field(default_factory=list)
    flags: dict[str, str] = field(default_factory=dict)
    tunnel: str = ""


def parse(arguments: Sequence[str]) -> CommandLine:
    """UsageError for a flag that does not belong where it stands."""
    found, command = CommandLine(), ""
    rest = list(arguments)
    while rest:
        given = rest.pop(0)
        if not given.startswith("-"):
            if given in _WITH_VALUE and command in {"", "tunnel"}:
                command = given
                found.commands.append(given)
            elif command == "run" and not found.tunnel:
                found.tunnel = given
            elif given == "version":
                found.commands.append(given)
            else:
                raise UsageError(f"unknown command {given!r}")
            continue
        name, equals, value = given.lstrip("-").partition("=")
        if name in _WITHOUT_VALUE[command]:
            found.flags[name] = value or "true"
        elif name in _WITH_VALUE[command]:
            if not equals and not rest:
                raise UsageError(f"flag needs an argument: -{name}")
            found.flags[name] = value if equals else rest.pop(0)
        else:
            raise UsageError(f"flag provided but not defined: -{name}")
    return found


def credentials(line: CommandLine) -> str:
    """Read the token or the credentials file; gives the tunnel's id. UsageError, without a secret in it."""
    if path := line.flags.get("token-file"):
        return _token(_read(path).strip())
    if token := line.flags.get("token"):
        return _token(token)
    if path := line.flags.get("credentials-file"):
        try:
            content: Any = json.loads(_read(path))
            secret = base64.b64decode(content["TunnelSecret"], validate=True)
            tunnel = str(uuid.UUID(content["TunnelID"]))
            account = content["AccountTag"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"Invalid JSON when parsing tunnel credentials file {path}") from error
        if len(secret) < 32 or not account:
            raise UsageError(
                f"tunnel credentials file {path}: AccountTag is empty or TunnelSecret under 32 bytes"
            )
        if line.tunnel and line.tunnel != tunnel:
            raise UsageError(f"the credentials file is for tunnel {tunnel}, not {line.tunnel}")
        return tunnel
    raise UsageError('"cloudflared tunnel run" requires the ID or name of the tunnel, or a token')


def _token(token: str) -> str:
    try:
        content: Any = json.loads(base64.b64decode(token, validate=True))
        secret = base64.b64decode(content["s"], validate=True)
        tunnel = str(uuid.UUID(content["t"]))
        account = content["a"]
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise UsageError("Provided Tunnel token is not valid.") from error
    if len(secret) < 32 or not account:
        raise UsageError("Provided Tunnel token is not valid.")
    return tunnel


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Failed to read {path}: {error}") from error


def services(line: CommandLine) -> list[str]:
    """Services of the rules in the configuration file, in order. The last rule must be for every host name."""
    path = line.flags.get("config")
    if path is None:
        return []
    try:
        rules: Any = json.loads(_read(path)).get("ingress", [])
    except ValueError as error:
        raise UsageError(f"{path}: this stand-in reads JSON, cloudflared YAML too: {error}") from error
    if not rules or rules[-1].get("hostname") or rules[-1].get("path"):
        raise UsageError(
            "The last ingress rule must match all URLs (i.e. it should not have a hostname or path filter)"
        )
    return [str(rule["service"]) for rule in rules]

"""Why the value of a secret cannot be right, told before anything is registered. No reason shows any of it. Pure."""

from __future__ import annotations

import json
import re

_PUBLIC_KEY = re.compile(r"\s*(ssh-[a-z0-9-]+|ecdsa-sha2-\S+|sk-\S+@openssh\.com) ")
_FOREIGN_KEY = re.compile(r"\s*(PuTTY-User-Key-File|---- BEGIN SSH2)")
_OF_SEVERAL_LINES = frozenset({"backupSshKey", "backupRcloneConfig", "cloudflareTunnelCredentials"})
"""Secrets that are files."""
_TUNNEL = ("AccountTag", "TunnelID", "TunnelSecret")


def secret_problem(key: str, value: str) -> str | None:
    """Why `value` cannot be the secret `immich:<key>`; None where nothing is known against it."""
    if not value.strip():
        return "is empty"
    if key not in _OF_SEVERAL_LINES and ("\n" in value or "\r" in value):
        return "has a line break, as a file that was read has at its end; give the text alone"
    if key == "backupSshKey":
        if _PUBLIC_KEY.match(value):
            return "is a public key; give the private one: pulumi config set --secret immich:backupSshKey < id_ed25519"
        if _FOREIGN_KEY.match(value):
            return "is no key in OpenSSH's format: convert it (puttygen KEY -O private-openssh, or ssh-keygen -i)"
    return _tunnel_problem(value) if key == "cloudflareTunnelCredentials" else None


def _tunnel_problem(value: str) -> str | None:
    try:
        given: object = json.loads(value)
    except (ValueError, RecursionError):
        given = None
    missing = [name for name in _TUNNEL if not isinstance(given, dict) or not given.get(name)]
    if missing:
        return (
            f"is not the file that cloudflared tunnel create writes: an object with {', '.join(_TUNNEL)}; "
            f"missing {', '.join(missing)}"
        )
    return None

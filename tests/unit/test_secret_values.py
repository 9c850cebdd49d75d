"""Values of secrets that can only be a mistake are refused before anything is registered, and are never shown."""

from __future__ import annotations

import json

import pulumi
import pytest
from pulumi.runtime import config as runtime_config

from components.secrets.component import refuse_wrong
from components.secrets.values import secret_problem
from components.settings.model import SECRET_KEYS

TUNNEL = {"AccountTag": "a", "TunnelID": "b", "TunnelSecret": "hunter2hunter2"}
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2hunter2\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_value_is_no_secret(key: str, value: str) -> None:
    assert secret_problem(key, value) == "is empty"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("databasePassword", "hunter2hunter2\n", "has a line break"),
        ("backupSshKey", "ssh-ed25519 AAAAhunter2hunter2 me@here\n", "is a public key"),
        ("backupSshKey", "ecdsa-sha2-nistp256 AAAAhunter2hunter2\n", "is a public key"),
        ("backupSshKey", "PuTTY-User-Key-File-3: hunter2hunter2", "no key in OpenSSH's format"),
        ("cloudflareTunnelCredentials", "not json hunter2hunter2", "cloudflared tunnel create"),
        ("cloudflareTunnelCredentials", '["hunter2hunter2"]', "cloudflared tunnel create"),
        ("cloudflareTunnelCredentials", json.dumps({**TUNNEL, "TunnelID": ""}), "missing TunnelID"),
    ],
)
def test_what_can_only_be_a_mistake_is_told_and_not_shown(key: str, value: str, words: str) -> None:
    problem = secret_problem(key, value)
    assert problem is not None
    assert words in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("databasePassword", "a b'\"\\é"),
        ("backupSshKey", PRIVATE),
        ("backupRcloneConfig", "[drive]\ntype = drive\n"),
        ("cloudflareTunnelCredentials", json.dumps(TUNNEL)),
    ],
)
def test_what_may_be_right_passes(key: str, value: str) -> None:
    assert secret_problem(key, value) is None


def test_every_wrong_secret_is_told_at_once() -> None:
    runtime_config.set_all_config({"immich:databasePassword": "", "immich:backupSshKey": "ssh-rsa AAAA me"})
    try:
        with pytest.raises(pulumi.RunError) as caught:
            refuse_wrong(["databasePassword", "cachePassword", "backupSshKey"])
    finally:
        runtime_config.set_all_config({})
    first, second = str(caught.value).splitlines()
    assert first == "immich:databasePassword is empty"
    assert second.startswith(
        "immich:backupSshKey is a public key; give the private one: pulumi config set --secret"
    )

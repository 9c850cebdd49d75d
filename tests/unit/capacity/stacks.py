"""Settings of the repository's stacks, and of small ones that a test describes."""

from __future__ import annotations

import functools
import json
from typing import Any

from components.settings.model import Settings
from tests.harness.program import ROOT
from toolchain.paths import settings_file
from toolchain.stack_settings import settings_without_secrets, stack_texts

STACKS = sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))
USB = {"name": "usb", "kind": "local", "source": {"kind": "hostPath", "path": "/mnt/usb/immich"}}
AWAY = {
    "name": "away",
    "kind": "sftp",
    "host": "backup.example.net",
    "port": 2222,
    "user": "backup",
    "path": "/srv/immich",
    "knownHosts": "backup.example.net ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
}
BUCKET = {"name": "bucket", "kind": "s3", "bucket": "photos", "endpointUrl": "https://s3.example.net"}


@functools.cache
def of_stack(stack: str) -> Settings:
    """The settings of a stack of the repository."""
    return settings_without_secrets(stack, *stack_texts(settings_file(stack)))[0]


def described(**sections: Any) -> Settings:
    """Settings with these sections; secrets are taken to be given."""
    texts = {key: json.dumps(value) for key, value in sections.items()}
    return settings_without_secrets("some", texts, set())[0]


def host(backup: dict[str, Any] | None = None, **sections: Any) -> Settings:
    """One host with volumes of the engine."""
    told = {"backup": backup} if backup is not None else {}
    proxy = {"expose": [{"kind": "publishedPort", "address": "127.0.0.1"}]}
    return described(
        docker={},
        host={"name": "localhost", "https": False, "port": 2283},
        proxy=proxy,
        **told,
        **sections,
    )


def cluster(backup: dict[str, Any] | None = None, **sections: Any) -> Settings:
    """A cluster."""
    told = {"backup": backup} if backup is not None else {}
    return described(host={"name": "photos.example.com"}, kubernetes={}, **told, **sections)

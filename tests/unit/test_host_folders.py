"""Folders of a host that are missing: found before anything is planned, and told with the commands that make them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from components.settings.model import Settings
from components.settings.reader import read_settings
from tests.harness.stacks import ROOT
from toolchain import host_folders


def host(media: str, **docker: Any) -> Settings:
    library = {
        "name": "old",
        "mountPath": "/mnt/old",
        "source": {"kind": "hostPath", "path": "/srv/no/old one"},
    }
    sections = {
        "docker": docker,
        "proxy": {"expose": [{"kind": "publishedPort", "address": "127.0.0.1"}]},
        "host": {"name": "localhost", "https": False, "port": 2283},
        "database": {"kind": "bundled", "hostPath": "/srv/no/database"},
        "storage": {"media": {"kind": "hostPath", "path": media}, "externalLibraries": [library]},
    }
    return read_settings("some", {name: json.dumps(value) for name, value in sections.items()})


def absent(settings: Settings, **env: str) -> list[str]:
    return [place.name for place in host_folders.missing(settings, "some", env)]


def test_what_is_not_there_is_told_with_its_owner() -> None:
    settings = host("/srv/no/photos")
    found = host_folders.missing(settings, "some", {})
    assert host_folders.told(settings, found).splitlines()[1:] == [
        "  sudo install -d -o 1000 -g 1000 -m 0750 /srv/no/photos",
        "  # /srv/no/old one: the external library old",
        "  sudo install -d -o 1000 -g 1000 -m 0750 '/srv/no/old one'",
        "  sudo install -d -o 999 -g 999 -m 0750 /srv/no/database",
    ]


def test_what_is_there_is_not_told() -> None:
    assert absent(host(str(ROOT))) == ["library-old", "database"]


def test_containers_of_a_podman_user_have_numbers_of_their_own() -> None:
    settings = host("/srv/no/photos", engine="podman")
    told = host_folders.told(settings, host_folders.missing(settings, "some", {}))
    assert "  podman unshare chown 1000:1000 /srv/no/photos" in told.splitlines()


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for ssh: it runs the command here, as a machine behind it would."""
    stub = tmp_path / "ssh"
    stub.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return stub


@pytest.mark.usefixtures("ssh")
def test_a_host_behind_ssh_is_asked_itself() -> None:
    settings = host(str(ROOT), host="ssh://me@nas.lan")
    assert absent(settings) == ["library-old", "database"]
    assert absent(host(str(ROOT)), DOCKER_HOST="ssh://me@nas.lan") == ["library-old", "database"]


def test_where_nobody_can_look_nothing_is_missing(ssh: Path) -> None:
    ssh.write_text("#!/bin/sh\necho /srv/no/database\nexit 255\n")
    assert absent(host(str(ROOT), host="ssh://me@nas.lan")) == []
    assert absent(host(str(ROOT)), DOCKER_HOST="tcp://nas.lan:2376") == []

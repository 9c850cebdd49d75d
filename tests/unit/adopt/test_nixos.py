"""From a NixOS block of Immich to a stack: nixpkgs' own options, and those of a module around them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from components.backup.restore_plan import DUMP_FILE
from components.versions import NEWEST
from tests.unit.adopt.adopted import are_in_order, commands, sections
from toolchain.adopt import __main__ as command
from toolchain.adopt.choices import Adopted
from toolchain.adopt.nixos import Unknown, adopt, read
from toolchain.failure import ToolchainError

OFFICIAL = """
{ config, lib, pkgs, ... }:
let port = 2283; in
{
  # services.immich.port = 1;
  users.users.immich.extraGroups = [ "video" "render" ];
  services.immich = {
    enable = true;
    host = "0.0.0.0";    # every address
    inherit port;
    openFirewall = true;
    mediaLocation = "/mnt/photos";
    accelerationDevices = [ "/dev/dri/renderD128" ];
    secretsFile = config.sops.secrets.immich.path;
    environment = {
      TZ = "Europe/Berlin";
      IMMICH_LOG_LEVEL = "warn";
      IMMICH_TRUSTED_PROXIES = "127.0.0.1,100.64.0.0/10";
      DB_PASSWORD = lib.mkForce "only-in-the-file";
      NODE_OPTIONS = "--max-old-space-size=4096";
    };
    settings = {
      trash = { enabled = true; days = 60; };
      server.externalDomain = "https://photos.example.com";
      ffmpeg = { accel = "qsv"; crf = 25; };
      oauth.clientSecret = "only-in-the-file";
    };
    machine-learning.environment.MACHINE_LEARNING_MODEL_TTL = "600";
    database.name = lib.mkForce "photos";
  };
  services.immich.database.user = "app";
  services.nginx.virtualHosts."photos.example.com".locations."/".proxyPass = "http://localhost:2283";
}
"""
AROUND = """
hwc.server.immich = {
  enable = true;
  settings = { host = "127.0.0.1"; port = 2284; mediaLocation = "/mnt/photos"; };
  storage = {
    enable = true;
    locations = { library = "/mnt/photos/library"; encodedVideo = "/mnt/photos/encoded-video"; };
    locations.thumbs = "/mnt/fast/thumbs";
  };
  gpu.enable = true;
  observability = { timezone = "America/Denver"; logLevel = "log"; metrics = { enable = true; apiPort = 8091; }; };
  machineLearning = { cpuCores = null; modelTTL = 600; threading.requestThreads = null; };
  reverseProxy.trustedProxies = [];
  database = { createDB = false; host = "db.lan"; name = "immich"; user = "immich"; };
  redis.enable = true;
  backup = { enable = true; databaseBackupPath = "/var/backup/immich-db"; };
};
"""


def adopted(folder: Path, text: str) -> Adopted:
    path = folder / "immich.nix"
    path.write_text(text, encoding="utf-8")
    options = read(path)
    assert options is not None
    return adopt(path, options)


def test_the_official_module_becomes_a_stack(tmp_path: Path) -> None:
    found = adopted(tmp_path, OFFICIAL)
    assert sections(found) == {
        "docker": {},
        "server": {
            "version": NEWEST,
            "acceleration": "vaapi",
            "timezone": "Europe/Berlin",
            "logLevel": "warn",
        },
        "host": {"name": "localhost", "https": False, "port": 2283},
        "proxy": {
            "expose": [
                {
                    "kind": "publishedPort",
                    "address": "0.0.0.0",  # noqa: S104
                    "port": 2283,
                    "trustedSources": ["127.0.0.1/32", "100.64.0.0/10"],
                }
            ]
        },
        "storage": {"media": {"kind": "hostPath", "path": "/mnt/photos"}},
        "machineLearning": {"modelTtl": 600},
        "backup": {},
        "app": {"trash": {"enabled": True, "days": 60}, "ffmpeg": {"crf": 25}},
    }
    told = "\n".join(found.left)
    assert 'database.name = lib.mkForce "photos": only Nix can evaluate it' in told
    assert "secretsFile = config.sops.secrets.immich.path: only Nix" in told
    assert "port = inherit port" in told or "inherit = port: only Nix" in told
    assert "environment.NODE_OPTIONS: not understood" in told
    assert "immich:oauthClientSecret" in told
    assert "only-in-the-file" not in command.stack_text(found, "immich.nix") + told


def test_a_module_around_it_in_the_same_words_is_read_too(tmp_path: Path) -> None:
    found = adopted(tmp_path, AROUND)
    read_back = sections(found)
    assert read_back["storage"] == {
        "media": {"kind": "hostPath", "path": "/mnt/photos"},
        "thumbs": {"kind": "hostPath", "path": "/mnt/fast/thumbs"},
    }
    assert read_back["server"] == {
        "version": NEWEST,
        "acceleration": "nvenc",
        "timezone": "America/Denver",
        "logLevel": "log",
        "metrics": {"enabled": True, "apiPort": 8091},
    }
    assert read_back["machineLearning"] == {"modelTtl": 600, "backend": "cuda"}
    assert read_back["database"]["host"] == "db.lan"
    assert read_back["proxy"]["expose"][0]["address"] == "127.0.0.1"
    assert [one for one in found.left if one.startswith("backup")] != []


def test_values_are_those_that_need_no_nix(tmp_path: Path) -> None:
    path = tmp_path / "a.nix"
    path.write_text(
        "services = { immich = { a = ''two\nlines''; b = \"${x}\"; c = x ++ [ 1 ]; d.e = /srv; f = [ y ]; g = null; "
        'h = (1 + 2); i = "q\\"r"; j = if a then { b = 1; } else { }; k = 3; }; };',
        encoding="utf-8",
    )
    options = read(path)
    assert options is not None
    known = {".".join(option): value for option, value in options.items() if not isinstance(value, Unknown)}
    assert known == {"a": "two\nlines", "d.e": "/srv", "g": None, "i": 'q"r', "k": 3}
    assert options["j",] == Unknown(text="if a then { b = 1 ; } else { }")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("services.immich = { database.enableVectors = true; };", "pgvecto.rs"),
        ("services.immich = lib.mkIf cfg.enable { enable = true; };", "immich = lib.mkIf cfg.enable"),
        ("services.immich = { mediaLocation = cfg.photos; };", "immich.mediaLocation = cfg.photos"),
        ('services.immich.database.host = "${db}";', "immich.database.host"),
        ("services.nextcloud.enable = true;", "has no services.immich"),
    ],
)
def test_what_cannot_be_adopted_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ToolchainError, match=re.escape(told)):
        adopted(tmp_path, text)


def test_the_page_loads_the_dump_by_the_settings_before_the_server_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "immich.nix"
    source.write_text(OFFICIAL, encoding="utf-8")
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["adopt", str(source), "mine"])
    assert command.main() == 0
    told = capsys.readouterr().out
    lines = commands(told)
    words = (
        "stop immich-server",
        "grep -x vectors",
        "pg_dump",
        "nixos-rebuild",
        "chown -R 1000",
        "immich:restore.from",
        "make up",
    )
    assert are_in_order(words, lines)
    (dump,) = set(re.findall(r"/backups/(\S+\.sql\.gz)", told))
    assert DUMP_FILE.fullmatch(dump)
    assert f"immich:restore.from {dump}" in told

"""skylab: one test a demand of the system's own document; docs/systems/skylab.md is the table."""

from __future__ import annotations

import functools
import json
import re
from typing import Any, cast

import pytest
import yaml

from tests.harness.program import ROOT
from tests.unit.systems.audit import faults
from tests.unit.systems.backups import (
    Times,
    copied,
    is_drilled,
    is_dumped_and_read_back,
    kept,
    page,
    targets,
    times,
)
from tests.unit.systems.host import TASKS, VOLUME, Host, believed, find, host, limits, of_uploads

TUNNEL = "00000000-0000-4000-8000-000000000000"
TUNNEL_SECRET = "c2t5bGFiLXR1bm5lbC1zZWNyZXQtb2YtMzItYnl0ZXM="
CREDENTIALS = json.dumps({"AccountTag": "0" * 32, "TunnelSecret": TUNNEL_SECRET, "TunnelID": TUNNEL})
PASSWORD = 'what sops held: "strong" \\ é'
SECRETS = {"cloudflareTunnelCredentials": CREDENTIALS, "databasePassword": PASSWORD}
LAN = "192.168.1.10"
PICTURES = "/home/zipang/Pictures/Digicam"


@functools.cache
def _host() -> Host:
    return host("skylab", secrets=SECRETS)


@functools.cache
def _with_lan_door() -> Host:
    """What the head of the stack file says for the local network."""
    text = (ROOT / "Pulumi.skylab.yaml").read_text()
    lines = re.findall(r"^#   ((?:expose|tls|maxUpload): .+)$", text, re.MULTILINE)
    assert len(lines) == 3
    proxy = cast("dict[str, Any]", yaml.safe_load("\n".join(lines)))
    return host("skylab", secrets={**SECRETS, "acmeDnsToken": "token-for-dns"}, proxy=proxy)


def test_no_port_of_the_host_is_open() -> None:
    assert _host().ports() == {}
    assert _host().run.outputs["waysIn"] == ["Cloudflare tunnel; it opens no port"]


def test_nginx_alone_leads_to_the_server() -> None:
    assert _host().members("server") - TASKS == {"server", "proxy"}
    upstream = find(_host().nginx, "http", "upstream", "server")
    assert [one["args"][0] for one in upstream] == ["immich-server:2283"]
    assert _host().container("proxy")["memory"] == 256


def test_the_tunnel_leads_to_nginx_and_nowhere_else() -> None:
    rules = json.loads(_host().files("cloudflared")["/etc/immich/config.yaml"])["ingress"]
    assert rules == [
        {"hostname": "photos.example.com", "service": "http://immich-proxy:8082"},
        {"service": "http_status:404"},
    ]
    assert _host().networks("cloudflared") == {"proxy", "cloudflared-outside"}
    assert _host().network("proxy")["internal"] is True


def test_the_tunnel_is_the_existing_one_with_its_credentials() -> None:
    command = _host().container("cloudflared")["command"]
    assert command[-3:] == ["--credentials-file", "/run/secrets/cloudflared/credentials.json", TUNNEL]
    assert _host().files("cloudflared")["/run/secrets/cloudflared/credentials.json"] == CREDENTIALS
    assert not [one for one in _host().run.resources if "ZeroTrustTunnel" in one.type]
    (record,) = _host().run.of_type("cloudflare:index/dnsRecord:DnsRecord")
    assert record.props["content"] == f"{TUNNEL}.cfargotunnel.com"
    assert record.props["proxied"] is True


def test_the_database_has_the_password_of_the_config() -> None:
    assert _host().password("database", "database") == PASSWORD
    assert _host().password("server", "database") == PASSWORD


def test_no_secret_is_seen_by_docker_inspect() -> None:
    assert _host().told(TUNNEL_SECRET) == []
    assert TUNNEL_SECRET in _host().files("cloudflared")["/run/secrets/cloudflared/credentials.json"]


def test_only_the_sub_folder_of_the_pictures_is_mounted_and_read_only() -> None:
    assert _host().mounts("server")["/media/immich"] == (PICTURES, True)
    assert _host().folders() == {
        "/var/lib/immich", PICTURES, "/var/lib/immich-backup", "/mnt/medias/immich-backup",
    }  # fmt: skip
    assert "/media/immich" not in _host().mounts("machine-learning")


def test_managed_data_stays_on_the_system_drive() -> None:
    assert _host().mounts("server")["/data"] == ("/var/lib/immich", False)
    volume = _host().recorded(VOLUME, "database")
    assert (volume.protect, volume.retain_on_delete) == (True, True)
    assert "driverOpts" not in volume.props
    assert _host().mounts("database")["/var/lib/postgresql/data"] == ("immich-skylab-database", False)


def test_the_pictures_are_an_external_library_of_immichs_without_a_click() -> None:
    (library,) = json.loads(_host().files("setup")["/etc/immich-setup/plan.json"])["libraries"]
    assert library["importPaths"] == ["/media/immich"]
    assert "/media/immich" in _host().mounts("server")
    assert not any("/media/immich" in str(step) for step in _host().run.outputs["nextSteps"])


def test_postgres_has_vectorchord_and_nobody_but_immich() -> None:
    assert re.fullmatch(
        r"ghcr\.io/immich-app/postgres:18-vectorchord1\.1\.1@sha256:[0-9a-f]{64}", _host().image("database")
    )
    assert _host().members("database") - TASKS == {"server", "database"}
    assert _host().network("database")["internal"] is True


def test_the_cache_is_a_valkey_with_a_password_that_evicts_nothing() -> None:
    text = _host().files("cache")["/run/secrets/cache/valkey.conf"]
    assert "maxmemory-policy noeviction" in text
    assert f'requirepass "{_host().hidden["cache-password"]}"' in text
    assert _host().members("cache") == {"server", "cache"}


def test_the_server_starts_after_database_and_cache_and_nginx_after_the_server() -> None:
    assert {"database", "cache"} <= _host().starts_after("server")
    assert "server" in _host().starts_after("proxy")
    assert "proxy" in _host().starts_after("cloudflared")


def test_the_upload_limit_is_what_the_tunnel_lets_through() -> None:
    assert of_uploads(limits(_host().server(8082))) == str(100 * 10**6)
    (door,) = _host().run.outputs["doors"]
    assert (door["largestUpload"], door["limitedBy"]) == ("100 MB", 'cloudflare plan "free"')


def test_the_client_is_who_cloudflare_says_and_only_the_connectors_are_believed() -> None:
    listener = _host().server(8082)
    assert believed(listener) == {_host().subnet("proxy")}
    assert find(listener, "real_ip_header")[0]["args"] == ["CF-Connecting-IP"]
    assert _host().members("proxy") == {"proxy", "cloudflared", "cloudflared-2"}
    assert _host().env("server")["IMMICH_TRUSTED_PROXIES"] == _host().subnet("server")


def test_a_lan_door_with_a_certificate_by_dns_is_what_the_file_says() -> None:
    with_lan = _with_lan_door()
    assert {at: workload for at, (workload, _) in with_lan.ports().items()} == {
        (LAN, 443): "proxy",
        (LAN, 80): "proxy",
    }
    assert "--dns-cloudflare" in with_lan.files("certificates")["/etc/immich-certificates/keep.sh"]
    assert (
        with_lan.files("certificates")["/run/secrets/acme/cloudflare.ini"]
        == "dns_cloudflare_api_token = token-for-dns\n"
    )
    assert of_uploads(limits(with_lan.server(8443))) == str(50 * 2**30)
    assert with_lan.told() == []


@pytest.mark.parametrize(
    "workload", ["server", "machine-learning", "database", "cache", "proxy", "cloudflared"]
)
def test_containers_have_no_rights_and_a_read_only_root(workload: str) -> None:
    inputs = _host().container(workload)
    assert inputs["readOnly"] is True
    assert inputs["capabilities"] == {"drops": ["ALL"]}
    assert inputs["securityOpts"] == ["no-new-privileges:true"]
    assert not inputs["user"].startswith("0:")


def test_copies_go_to_the_drive_that_is_snapshot() -> None:
    is_dumped_and_read_back(_host(), "/var/lib/immich-backup", keep=14)
    when = times(_host(), "backup-dump")
    assert when == Times(minutes=[0], hours=[2], weekdays=[*range(7)], zone="Etc/UTC")
    assert targets(_host()) == ["medias"]
    assert _host().mounts("backup-copy")["/targets/medias"] == ("/mnt/medias/immich-backup", False)
    # The pictures are on that drive themselves.
    assert "/media/immich" not in _host().mounts("backup-copy")
    assert "/media/immich" not in copied(_host())
    assert _host().mounts("backup-copy")["/data"] == ("/var/lib/immich", True)
    assert kept(_host()) == {"daily": 7, "weekly": 5, "monthly": 12, "yearly": 3}
    is_drilled(_host(), sample=200)


def test_the_outputs_name_what_to_snapshot_and_what_a_loss_costs() -> None:
    assert {"/var/lib/immich", PICTURES} <= set(_host().run.outputs["dataVolumes"])
    lost = {one["loss"]: one["lostAtMost"] for one in _host().run.outputs["recovery"]}
    assert lost == {"photo": "1 d 1 h", "database": "1 d 1 h", "disk": "1 d 1 h", "host": "everything"}
    assert any("in another place missing" in one for one in _host().run.outputs["rule321"])
    assert any("library digicam is not copied" in one for one in _host().run.outputs["rule321"])
    assert "make restore STACK=skylab FILE=" in page(_host(), "photo-deleted")


def test_pictures_that_are_copied_elsewhere_come_back_with_a_restore() -> None:
    away = {"name": "away", "kind": "rest", "url": "https://backup.example.net/immich"}
    backup = {"targets": [away], "files": {"externalLibraries": ["digicam"]}}
    found = host("skylab", secrets=SECRETS, backup=backup, restore={"what": "both"})
    assert found.mounts("restore-media")["/media/immich"] == (PICTURES, False)


def test_what_the_audit_names_exists() -> None:
    tests = {name for name in globals() if name.startswith("test_")} - {"test_what_the_audit_names_exists"}
    assert faults("skylab", _host().settings, tests) == []

"""homelab: one test a demand of the system's own document; docs/systems/homelab.md is the table."""

from __future__ import annotations

import functools
import re

import pytest
import yaml

from components.model.exposure import BEGINS
from tests.policy.case_files import RULES, findings, recorded
from tests.unit.systems.audit import faults
from tests.unit.systems.backups import (
    Times,
    copied,
    in_order,
    is_drilled,
    is_dumped_and_read_back,
    kept,
    page,
    targets,
    times,
)
from tests.unit.systems.host import TASKS, VOLUME, WATCHING, Host, host
from toolchain.runbook import stack_pages

NAME = "photos.patriark.org"
ROUTERS = "traefik.http.routers.immich-homelab-server"
MIDDLEWARES = "traefik.http.middlewares.immich-homelab-server"
EVERY = ["server", "microservices", "machine-learning", "database", "cache"]
PHOTOS = "/mnt/btrfs-pool/subvol8-photos"
POSTGRES = "/mnt/btrfs-pool/subvol7-containers/postgresql"


@functools.cache
def _host() -> Host:
    return host("homelab")


def _chain(router: str) -> list[str]:
    given = _host().labels("server")[f"{ROUTERS}{router}.middlewares"]
    return [one.removeprefix("immich-homelab-server-") for one in given.split(",")]


def test_the_engine_is_the_users_podman() -> None:
    (provider,) = _host().run.of_type("pulumi:providers:docker")
    assert provider.props["host"] == "unix:///run/user/1000/podman/podman.sock"


def test_the_containers_are_those_that_immich_still_has() -> None:
    assert _host().workloads() - TASKS - WATCHING == set(EVERY)


def test_the_database_network_has_the_addresses_of_the_document() -> None:
    network = _host().network("database")
    assert network["ipamConfigs"] == [{"subnet": "10.89.5.0/24", "gateway": "10.89.5.1"}]
    assert network["internal"] is True
    assert _host().members("database") - TASKS - WATCHING == {"server", "microservices", "database"}


@pytest.mark.parametrize("workload", EVERY)
def test_containers_ask_the_name_server_of_the_document(workload: str) -> None:
    assert _host().container(workload)["dns"] == ["192.168.1.69"]


def test_only_the_server_is_in_traefiks_network() -> None:
    assert _host().members("systemd-reverse_proxy") == {"server"}
    assert _host().ports() == {}


def test_machine_learning_and_microservices_are_reached_by_the_server_alone() -> None:
    members = _host().members("machine-learning") - {"door-exporter"}
    assert members == {"server", "microservices", "machine-learning"}
    assert _host().network("machine-learning")["internal"] is True
    for workload in ("machine-learning", "microservices"):
        assert _host().members(f"{workload}-outside") == {workload}
        assert "traefik.enable" not in _host().labels(workload)


def test_postgres_and_valkey_have_exporters_that_a_prometheus_in_a_container_reaches() -> None:
    scrape = yaml.safe_load(str(_host().run.outputs["scrape"]))
    found = {one["job_name"]: one["static_configs"][0]["targets"] for one in scrape["scrape_configs"]}
    assert found["immich-postgres"] == ["immich-homelab-postgres-exporter:9187"]
    assert found["immich-valkey"] == ["immich-homelab-valkey-exporter:9121"]
    assert {"server", "microservices", "postgres-exporter", "valkey-exporter"} <= _host().members(
        "monitoring"
    )
    assert "database" not in _host().members("monitoring")
    assert _host().network("monitoring")["internal"] is True


def test_cache_and_database_have_no_way_out() -> None:
    assert _host().networks("database") == {"database"}
    assert _host().networks("cache") == {"cache"}
    assert _host().network("cache")["internal"] is True


def test_postgres_is_16_with_vectorchord() -> None:
    assert re.fullmatch(
        r"ghcr\.io/immich-app/postgres:16-vectorchord0\.4\.3-pgvectors0\.2\.0@sha256:[0-9a-f]{64}",
        _host().image("database"),
    )
    env = _host().env("database")
    assert env["POSTGRES_DB"] == "immich"
    assert "pg_isready" in " ".join(_host().container("database")["healthcheck"]["tests"])


def test_postgres_data_is_in_the_folder_without_copy_on_write() -> None:
    assert _host().mounts("database")["/var/lib/postgresql/data"] == (POSTGRES, False)
    assert any(POSTGRES in note and "chattr +C" in note for note in _host().run.outputs["hostNotes"])


def test_the_cache_is_append_only_and_evicts_nothing_below_its_limit() -> None:
    text = _host().files("cache")["/run/secrets/cache/valkey.conf"]
    assert "appendonly yes" in text
    assert "maxmemory-policy noeviction" in text
    assert f"maxmemory {400 * 2**20}" in text
    volume = _host().recorded(VOLUME, "cache")
    assert (volume.protect, volume.retain_on_delete) == (True, True)


@pytest.mark.parametrize(
    ("workload", "mebibytes"),
    [
        ("database", 1024),
        ("cache", 512),
        ("server", 2048),
        ("microservices", 2048),
        ("machine-learning", 4096),
    ],
)
def test_memory_is_limited_as_the_document_says(workload: str, mebibytes: int) -> None:
    inputs = _host().container(workload)
    assert (inputs["memory"], inputs["memorySwap"]) == (mebibytes, mebibytes)


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        ("database", ("10s", "5s", 3)),
        ("cache", ("10s", "3s", 3)),
        ("server", ("30s", "10s", 3)),
        ("machine-learning", ("30s", "10s", 3)),
    ],
)
def test_health_is_asked_as_often_as_the_document_says(workload: str, expected: tuple[str, str, int]) -> None:
    assert _host().health(workload) == expected


@pytest.mark.parametrize(
    ("workload", "seconds"),
    [("database", 300), ("cache", 60), ("server", 300), ("microservices", 300), ("machine-learning", 300)],
)
def test_a_start_may_take_at_least_as_long_as_in_the_document(workload: str, seconds: int) -> None:
    assert _host().container(workload)["waitTimeout"] >= seconds


def test_the_server_starts_after_database_and_cache_and_microservices_after_the_server() -> None:
    assert _host().starts_after("server") >= {"database", "cache"}
    assert _host().starts_after("microservices") >= {"database", "cache", "server"}


@pytest.mark.parametrize("workload", EVERY)
def test_containers_come_back_with_the_host(workload: str) -> None:
    assert _host().container(workload)["restart"] == "always"
    assert any("podman-restart.service" in note for note in _host().run.outputs["hostNotes"])


def test_the_workers_are_split_as_in_the_document() -> None:
    assert _host().env("server")["IMMICH_WORKERS_INCLUDE"] == "api"
    assert _host().env("microservices")["IMMICH_WORKERS_INCLUDE"] == "microservices"
    assert _host().container("server")["image"] == _host().container("microservices")["image"]
    assert "command" not in _host().container("microservices")


@pytest.mark.parametrize("workload", ["server", "microservices"])
def test_photos_are_in_the_subvolume(workload: str) -> None:
    assert _host().mounts(workload)["/data"] == (PHOTOS, False)
    assert not [path for path in _host().mounts(workload) if path.startswith("/data/")]


@pytest.mark.parametrize("workload", ["server", "microservices", "database"])
def test_folders_have_the_label_that_lets_containers_in(workload: str) -> None:
    (folder,) = _host().container(workload)["volumes"]
    assert folder["selinuxRelabel"] == "z"
    (loaded,) = _host().container(f"{workload}-files")["volumes"]
    assert (loaded["hostPath"], loaded["selinuxRelabel"]) == (folder["hostPath"], "z")


def test_models_have_a_volume_at_cache() -> None:
    assert _host().mounts("machine-learning")["/cache"] == ("immich-homelab-machine-learning-cache", False)
    assert _host().env("machine-learning")["MACHINE_LEARNING_CACHE_FOLDER"] == "/cache"


def test_the_time_is_the_hosts() -> None:
    assert _host().env("server")["TZ"] == "Europe/Oslo"


def test_variables_are_those_that_immich_reads() -> None:
    env = _host().env("server")
    assert env["DB_HOSTNAME"] == "immich-database"
    assert (env["DB_PORT"], env["REDIS_PORT"]) == ("5432", "6379")
    assert env["REDIS_HOSTNAME"] == "immich-cache"
    assert _host().app()["machineLearning"]["urls"] == ["http://immich-machine-learning:3003"]
    assert env["IMMICH_PORT"] == "2283"
    assert not {"UPLOAD_LOCATION", "DB_PASSWORD", "REDIS_PASSWORD"} & env.keys()


def test_passwords_are_files_as_podman_secrets_are() -> None:
    assert _host().told() == []
    assert _host().password("microservices", "database") == _host().password("database", "database")
    assert _host().env("database")["POSTGRES_PASSWORD_FILE"] == "/run/secrets/database/password"


def test_the_gpu_is_where_videos_are_transcoded() -> None:
    (device,) = _host().container("microservices")["devices"]
    assert (device["hostPath"], device["containerPath"]) == ("/dev/dri", "/dev/dri")
    assert _host().container("microservices")["groupAdds"] == ["39", "105"]
    assert _host().app()["ffmpeg"]["accel"] == "vaapi"
    assert "devices" not in _host().container("server")


def test_traefik_leads_the_name_to_the_server() -> None:
    labels = _host().labels("server")
    assert labels["traefik.enable"] == "true"
    assert labels["traefik.docker.network"] == "systemd-reverse_proxy"
    assert labels[f"{ROUTERS}.rule"] == f"Host(`{NAME}`)"
    assert labels[f"{ROUTERS}.entrypoints"] == "websecure"
    assert labels[f"{ROUTERS}.tls.certresolver"] == "letsencrypt"
    assert labels["traefik.http.services.immich-homelab-server.loadbalancer.server.port"] == "2283"


def test_middlewares_come_in_the_order_of_the_document() -> None:
    assert _chain("-sign-in") == ["bouncer", "sign-in-rate", "headers"]
    assert _chain("") == ["bouncer", "headers"]


def test_crowdsec_judges_every_address() -> None:
    plugin = f"{MIDDLEWARES}-bouncer.plugin.crowdsec-bouncer-traefik-plugin"
    labels = _host().labels("server")
    assert labels[f"{plugin}.enabled"] == "true"
    assert labels[f"{plugin}.crowdsecLapiHost"] == "crowdsec:8080"
    assert labels[f"{plugin}.crowdsecLapiKeyFile"] == "/etc/traefik/crowdsec/lapi-key"


def test_signing_in_is_limited_and_thumbnails_are_not() -> None:
    labels = _host().labels("server")
    assert labels[f"{MIDDLEWARES}-sign-in-rate.rateLimit.average"] == "10"
    assert labels[f"{MIDDLEWARES}-sign-in-rate.rateLimit.period"] == "1m"
    assert "PathRegexp(`(?i)^/api/(auth/login/" in labels[f"{ROUTERS}-sign-in.rule"]


def test_from_the_internet_nobody_makes_the_first_administrator_or_begins_a_restore() -> None:
    labels = _host().labels("server")
    assert f"Method(`POST`) && PathRegexp(`{BEGINS}`)" in labels[f"{ROUTERS}-closed.rule"]
    assert labels[f"{ROUTERS}-closed.priority"] == "100000"
    assert "immich-homelab-server-closed" in labels[f"{ROUTERS}-closed.middlewares"].split(",")
    assert labels[f"{MIDDLEWARES}-closed.ipAllowList.sourceRange"] == "255.255.255.255/32"


def test_security_headers_are_set() -> None:
    labels = _host().labels("server")
    assert labels[f"{MIDDLEWARES}-headers.headers.contentTypeNosniff"] == "true"
    assert labels[f"{MIDDLEWARES}-headers.headers.customFrameOptionsValue"] == "SAMEORIGIN"


def test_only_traefiks_network_is_believed_about_the_client() -> None:
    assert _host().env("server")["IMMICH_TRUSTED_PROXIES"] == "10.89.2.0/24"


def test_sign_in_is_by_openid_connect_with_authelia() -> None:
    sign_in = _host().app()["oauth"]
    assert sign_in["enabled"] is True
    assert sign_in["issuerUrl"] == "https://auth.patriark.org/.well-known/openid-configuration"
    assert sign_in["clientSecret"] == _host().hidden["oauthClientSecret"]
    assert f"https://{NAME}/auth/login" in _host().run.outputs["oauthRedirectUris"]
    assert "app.immich:///oauth-callback" in _host().run.outputs["oauthRedirectUris"]
    assert not [one for one in _host().labels("server") if "forwardAuth" in one]


def test_the_phone_gets_the_address_and_no_limit_of_size() -> None:
    assert _host().run.outputs["mobileApp"]["serverUrl"] == f"https://{NAME}"
    (door,) = _host().run.outputs["doors"]
    assert door["largestUpload"] == "no limit"
    assert any("readTimeout 0s" in one for one in _host().run.outputs["preconditions"])


def test_copies_go_to_the_external_drive_each_night_at_three() -> None:
    when = times(_host(), "backup-dump")
    assert when == Times(minutes=[0], hours=[3], weekdays=[*range(7)], zone="Europe/Oslo")
    assert targets(_host()) == ["external"]
    assert _host().mounts("backup-copy")["/targets/external"] == ("/run/media/immich-backup/immich", False)
    assert _host().mounts("backup-copy")["/data"] == (PHOTOS, True)
    assert copied(_host())[:3] == ["/data/upload", "/data/library", "/data/profile"]
    assert kept(_host()) == {"daily": 7, "weekly": 5, "monthly": 12, "yearly": 3}


def test_the_dump_is_a_dated_file_in_the_containers_subvolume() -> None:
    is_dumped_and_read_back(_host(), "/mnt/btrfs-pool/subvol7-containers/immich-backup", keep=14)


def test_one_file_and_the_whole_come_back_by_the_pages() -> None:
    assert "make restore STACK=homelab FILE=IMG_1234.jpg" in page(_host(), "photo-deleted")
    assert _host().files("backup-copy")["/etc/immich-scripts/restore-one.sh"].startswith("#!/bin/sh")
    assert in_order(page(_host(), "disk-lost"), PHOTOS, "immich:restore.what both", "make up STACK=homelab")
    assert in_order(page(_host(), "database-lost"), "immich:restore.what database", "make up STACK=homelab")


def test_a_drill_restores_the_newest_copy_to_nowhere_each_sunday() -> None:
    is_drilled(_host(), sample=200)


def test_the_audit_of_the_policies_finds_nothing() -> None:
    assert findings(RULES.values(), recorded(_host().run)) == []


def test_the_guides_have_the_names_of_this_stack() -> None:
    assert POSTGRES in page(_host(), "disk-lost")
    assert all("homelab" in text for text in stack_pages("homelab").values())


def test_what_the_audit_names_exists() -> None:
    tests = {name for name in globals() if name.startswith("test_")} - {"test_what_the_audit_names_exists"}
    assert faults("homelab", _host().settings, tests) == []

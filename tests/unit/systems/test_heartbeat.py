"""heartbeat: one test a demand of the system's own document; docs/systems/heartbeat.md is the table."""

from __future__ import annotations

import dataclasses
import functools
import re

import pytest

from components.model.values import Quantity
from components.upgrade.assessment import judge
from components.upgrade.component import backup_name
from components.upgrade.deployed import Last, wanted
from components.upgrade.gate import backed_up
from tests.policy.case_files import RULES, findings, recorded
from tests.unit.systems.audit import faults
from tests.unit.systems.backups import (
    Times,
    copied,
    in_order,
    is_drilled,
    is_dumped_and_read_back,
    page,
    targets,
    times,
)
from tests.unit.systems.host import (
    NETWORK,
    TASKS,
    VOLUME,
    Directive,
    Host,
    believed,
    find,
    headers,
    host,
    limits,
    of_uploads,
)
from toolchain.runbook import stack_pages

EVERYWHERE = "0.0.0.0"  # noqa: S104 - an address that is expected, not bound
HTTPS = 8446
HTTP = 8085
HTTPS_OF_THE_TWIN = 8443


@functools.cache
def _host(name: str = "heartbeat") -> Host:
    return host(name)


def _dev() -> Host:
    return _host("heartbeat-dev")


def _map(found: Host, name: str) -> list[Directive]:
    (block,) = [one["block"] for one in find(found.nginx, "http", "map") if one["args"][-1] == name]
    return block


def test_the_containers_are_those_that_immich_still_has() -> None:
    assert _host().workloads() - TASKS == {
        "server", "machine-learning", "database", "cache", "proxy", "certificates", "backup-rclone",
    }  # fmt: skip
    assert not {one for one in _host().env("server") if "TYPESENSE" in one or "JWT" in one or "MAPBOX" in one}


def test_server_and_machine_learning_have_the_one_version() -> None:
    pinned = re.compile(
        r"ghcr\.io/immich-app/immich-(?:server|machine-learning):v3\.3\.1@sha256:[0-9a-f]{64}"
    )
    assert pinned.fullmatch(_host().image("server"))
    assert pinned.fullmatch(_host().image("machine-learning"))
    assert str(_host().stack.sections).count("3.3.1") == 1


def test_ports_are_those_of_the_document() -> None:
    assert _host().env("server")["IMMICH_PORT"] == "2283"
    assert _host().env("machine-learning")["IMMICH_PORT"] == "3003"
    assert _host().env("server")["DB_HOSTNAME"] == "immich-database"


def test_only_nginx_listens_at_80_and_443() -> None:
    assert _host().ports() == {(EVERYWHERE, 443): ("proxy", HTTPS), (EVERYWHERE, 80): ("proxy", HTTP)}


def test_nginx_reaches_immich_by_a_network_and_nothing_else_does() -> None:
    assert _host().members("server") - TASKS == {"server", "proxy"}
    assert _host().network("server")["internal"] is True
    upstream = find(_host().nginx, "http", "upstream", "server")
    assert [one["args"][0] for one in upstream] == ["immich-server:2283"]


def test_database_and_cache_are_in_networks_without_a_way_out() -> None:
    for name in ("database", "cache"):
        assert _host().members(name) - TASKS == {"server", name}
        assert _host().network(name)["internal"] is True
        assert _host().networks(name) == {name}
    assert "heartbeat-backend-net" not in {one.props["name"] for one in _host().run.of_type(NETWORK)}


def test_the_server_starts_after_database_and_cache_and_nginx_after_all() -> None:
    assert _host().starts_after("server") >= {"database", "cache"}
    assert _host().starts_after("proxy") >= {"server", "certificates"}


def test_the_certificate_is_lets_encrypts_for_the_name() -> None:
    script = _host().files("certificates")["/etc/immich-certificates/keep.sh"]
    assert "https://acme-v02.api.letsencrypt.org/directory" in script
    assert "-d photos.heartbeatacic.org;" in script
    assert find(_host().server(HTTPS), "ssl_certificate")[0]["args"] == ["$certificate"]
    challenge = [
        one["block"]
        for one in find(_host().server(HTTP), "location")
        if one["args"][-1] == "/.well-known/acme-challenge/"
    ]
    assert find(challenge[0], "root")[0]["args"] == ["/etc/immich-tls/webroot"]
    certificates = _host().mounts("certificates")["/certificates"]
    assert certificates == ("immich-heartbeat-certificates", False)
    assert _host().mounts("proxy")["/etc/immich-tls"] == ("immich-heartbeat-certificates", True)


def test_plain_http_leads_to_https() -> None:
    (root,) = [one["block"] for one in find(_host().server(HTTP), "location") if one["args"] == ["/"]]
    assert find(root, "return")[0]["args"] == ["308", "https://$host$request_uri"]
    promise = {one["directive"]: one["args"] for one in _map(_host(), "$strict_transport_security")}
    assert promise["https"] == ["max-age=31536000"]


def test_the_twin_has_a_certificate_of_its_own() -> None:
    script = _dev().files("certificates")["/etc/immich-certificates/keep.sh"]
    assert "subjectAltName=DNS:photos.dev.heartbeat.local,DNS:localhost" in script
    assert "certbot" not in script
    assert set(_dev().ports()) == {("127.0.0.1", 443), ("127.0.0.1", 80)}
    assert _dev().run.outputs["url"] == "https://photos.dev.heartbeat.local"


def test_the_twin_is_like_production_but_for_names_data_and_certificate() -> None:
    assert _dev().workloads() - TASKS == _host().workloads() - TASKS - {"backup-rclone"}
    assert _dev().image("server") == _host().image("server")
    assert limits(_dev().server(HTTPS_OF_THE_TWIN)) == limits(_host().server(HTTPS))
    assert headers(_dev().server(HTTPS_OF_THE_TWIN), "proxy_set_header") == headers(
        _host().server(HTTPS), "proxy_set_header"
    )
    assert _dev().folders() == set()


def test_the_twin_does_not_bind_browsers_to_a_certificate_that_they_do_not_know() -> None:
    promise = {one["directive"]: one["args"] for one in _map(_dev(), "$strict_transport_security")}
    assert promise == {"default": [""]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Real-IP", "$client"),
        ("X-Forwarded-For", "$client"),
        ("X-Forwarded-Proto", "$client_scheme"),
        ("Upgrade", "$upgrade"),
        ("Connection", "$connection_upgrade"),
    ],
)
def test_immich_gets_the_headers_of_the_document(name: str, value: str) -> None:
    assert (name, value) in headers(_host().server(HTTPS), "proxy_set_header")
    assert believed(_host().server(HTTPS)) == set()


def test_browsers_get_frame_options() -> None:
    assert ("X-Frame-Options", "SAMEORIGIN") in headers(_host().server(HTTPS), "add_header")


def test_web_sockets_are_upgraded() -> None:
    connection = {one["directive"]: one["args"] for one in _map(_host(), "$connection_upgrade")}
    assert connection == {"default": [""], "websocket": ["upgrade"]}


def test_an_upload_may_have_one_gigabyte() -> None:
    assert of_uploads(limits(_host().server(HTTPS))) == str(2**30)
    (door,) = _host().run.outputs["doors"]
    assert (door["largestUpload"], door["limitedBy"]) == ("1 GiB", "immich:proxy.maxUpload")


def test_library_and_import_folder_are_the_hosts() -> None:
    mounts = _host().mounts("server")
    assert mounts["/data"] == ("/srv/immich", False)
    assert mounts["/mnt/import"] == ("/srv/immich/import", True)
    assert any("/mnt/import" in str(step) for step in _host().run.outputs["nextSteps"])


def test_originals_come_to_the_folder_library() -> None:
    assert _host().app()["storageTemplate"]["enabled"] is True


@pytest.mark.parametrize("name", ["database", "cache", "thumbs"])
def test_database_cache_and_thumbnails_are_volumes_of_their_own(name: str) -> None:
    volume = _host().recorded(VOLUME, name)
    assert volume.props["name"] == f"immich-heartbeat-{name}"
    assert (volume.protect, volume.retain_on_delete) == (True, True)
    used = {source for one in _host().workloads() for source, _ in _host().mounts(one).values()}
    assert volume.props["name"] in used


def test_secrets_are_files_and_not_in_an_env_file() -> None:
    assert _host().told() == []
    assert _host().env("server")["DB_PASSWORD_FILE"] == "/run/secrets/database/password"
    assert _host().env("server")["REDIS_PASSWORD_FILE"] == "/run/secrets/cache/password"
    assert _host().env("server")["DB_USERNAME"] == "immich"


def test_no_gpu_is_asked_for() -> None:
    assert not [one for one in _host().workloads() if {"gpus", "devices"} & _host().container(one).keys()]
    assert _host().image("machine-learning").partition("@")[0].endswith(":v3.3.1")


@pytest.mark.parametrize("workload", ["server", "machine-learning", "database", "cache"])
def test_a_task_that_runs_away_meets_a_limit(workload: str) -> None:
    inputs = _host().container(workload)
    assert 0 < inputs["memory"] == inputs["memorySwap"]


@pytest.mark.parametrize(
    "workload", ["server", "machine-learning", "database", "cache", "proxy", "certificates"]
)
def test_containers_come_back_after_a_restart(workload: str) -> None:
    assert _host().container(workload)["restart"] == "always"


def test_the_headroom_asked_for_is_twice_the_photos() -> None:
    told = _host().run.outputs["diskHeadroom"]
    assert told["expectedPhotos"] == "100Gi"
    assert told["needed"] == "200 GiB"
    assert Quantity("200Gi").amount == 2 * Quantity(told["expectedPhotos"]).amount
    assert told["check"] == "on the host: df -h /srv/immich"


def test_the_app_is_told_the_https_address() -> None:
    assert _host().run.outputs["mobileApp"]["serverUrl"] == "https://photos.heartbeatacic.org"
    assert _host().app()["server"]["externalDomain"] == "https://photos.heartbeatacic.org"


def test_the_vps_is_reached_by_ssh() -> None:
    (provider,) = _host().run.of_type("pulumi:providers:docker")
    assert provider.props["host"] == "ssh://deploy@photos.heartbeatacic.org"


def test_an_nginx_that_keeps_the_ports_can_stay_in_front() -> None:
    way = {
        "kind": "publishedPort",
        "door": "internet",
        "address": "172.20.0.1",
        "port": 2283,
        "trustedSources": ["172.20.0.0/16"],
    }
    behind = host("heartbeat", proxy={"expose": [way], "tls": None, "hsts": False})
    ((at, (workload, port)),) = behind.ports().items()
    assert (at, workload) == (("172.20.0.1", 2283), "proxy")
    assert "172.20.0.0/16" in believed(behind.server(port))
    assert "certificates" not in behind.workloads()


def test_the_database_is_dumped_at_night_and_goes_off_site_with_the_library() -> None:
    is_dumped_and_read_back(_host(), "/srv/immich-backup", keep=14)
    when = times(_host(), "backup-dump")
    assert when == Times(minutes=[0], hours=[2], weekdays=[*range(7)], zone="Etc/UTC")
    assert targets(_host()) == ["offsite"]
    assert copied(_host())[:3] == ["/data/upload", "/data/library", "/data/profile"]
    assert _host().mounts("backup-copy")["/data"] == ("/srv/immich", True)
    rclone = _host().files("backup-rclone")
    configuration = rclone["/etc/immich-backup-rclone/start.sh"]
    assert in_order(configuration, "type = sftp", "host = backup.heartbeatacic.org", "user = immich")
    assert rclone["/run/secrets/rclone/ssh-key"].rstrip("\n") == _host().hidden["backupSshKey"]
    assert any("backup.heartbeatacic.org ssh-ed25519 " in one for one in rclone.values())


def test_a_restore_is_tried_where_nothing_can_be_lost() -> None:
    is_drilled(_host(), sample=200)
    assert in_order(page(_host(), "host-lost"), "immich:restore.what both", "make up STACK=heartbeat")
    lost = {one["loss"]: one["lostAtMost"] for one in _host().run.outputs["recovery"]}
    assert set(lost.values()) == {"1 d 1 h"}


def test_an_upgrade_begins_with_a_backup_and_says_how_to_go_back() -> None:
    settings = _host().settings
    before = dataclasses.replace(wanted(settings, settings.upgrade), immich="3.2.0", machine_learning="3.2.0")
    judged = judge(
        Last(finished=before, reached=before),
        wanted(settings, settings.upgrade),
        settings.upgrade,
        backed_up=backed_up(settings),
    )
    assert (judged.problems, judged.backs_up) == ((), True)
    assert backup_name(judged) == "backup-3-2-0-to-3-3-1"
    assert "make rollback-plan STACK=heartbeat" in page(_host(), "upgrade-went-wrong")


def test_the_runbook_is_written_for_this_stack() -> None:
    assert len(stack_pages("heartbeat")) == 10
    assert "/srv/immich" in page(_host(), "disk-lost")
    assert "make backup STACK=heartbeat" in page(_host(), "from-docker-compose")


def test_the_policies_keep_ports_and_secrets_where_they_are() -> None:
    found = recorded(_host().run)

    def broken(**changes: object) -> set[str]:
        mutated = [
            dataclasses.replace(one, props={**one.props, **changes})
            if one.kind == "Container" and one.name == "immich-heartbeat-database"
            else one
            for one in found
        ]
        return {rule.name for rule, _ in findings(RULES.values(), mutated)}

    assert broken() == set()
    assert broken(ports=[{"internal": 5432, "external": 5432}]) == {"exposure-port"}
    assert broken(envs=["POSTGRES_PASSWORD=hunter22"]) == {"secrets-environment"}


def test_what_the_audit_names_exists() -> None:
    tests = {name for name in globals() if name.startswith("test_")} - {"test_what_the_audit_names_exists"}
    assert faults("heartbeat", _host().settings, tests) == []

"""What is read in a stack, and what alerts and dashboards may rely on."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.model.values import Duration, Hostname
from components.monitoring import prometheus, scrapes, setup
from components.monitoring.plan import JOBS
from components.monitoring.rule_files import alerts, rule_file
from components.monitoring.settings import BundledMonitoring, Notify
from components.stack.outputs_monitoring import outputs, scrape_file
from tests.unit.monitoring_component.stacks import (
    BEHIND_TRAEFIK,
    CLUSTER,
    HOST,
    OPERATED,
    settings,
    watched_by,
)

TUNNEL: dict[str, Any] = {
    "accountId": "a" * 32,
    "zone": "example.com",
    "zoneId": "b" * 32,
    "tunnel": {
        "existing": {
            "id": "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415",
            "credentials": "token",
            "configuration": "replace",
        }
    },
}


def read(sections: dict[str, Any]) -> set[tuple[str, str, int, int]]:
    """Job, workload, port and copies of what is read."""
    return {
        (one.job, one.workload, one.port.number, one.copies) for one in scrapes.targets(settings(sections))
    }


def test_nobody_reads_a_stack_that_nobody_watches() -> None:
    one = settings(HOST)
    assert scrapes.targets(one) == ()
    assert scrapes.probes(one) == ()
    assert setup.parts(one) == ()
    assert setup.sources(one) == frozenset()
    assert outputs(one, "home") == {}
    assert scrapes.with_numbers(one) is one


def test_every_part_of_a_host_is_read() -> None:
    assert read(watched_by(HOST, "bundled")) == {
        ("api", "server", 8081, 1),
        ("microservices", "server", 8082, 1),
        ("nginx", "proxy", 9113, 1),
        ("postgres", "postgres-exporter", 9187, 1),
        ("valkey", "valkey-exporter", 9121, 1),
        ("node", "volume-exporter", 9100, 1),
        ("backup", "volume-exporter", 9100, 1),
    }


def test_each_copy_of_a_cluster_is_read() -> None:
    found = read(watched_by(CLUSTER, "bundled"))
    assert ("api", "server", 8081, 2) in found
    assert ("microservices", "microservices", 8082, 1) in found
    assert ("nginx", "proxy", 9113, 2) in found


def test_watching_turns_the_numbers_on() -> None:
    one = settings(watched_by(HOST, "bundled"))
    assert one.server.metrics.enabled
    assert one.proxy.metrics
    assert settings(OPERATED).database.pod_monitor  # pyright: ignore[reportAttributeAccessIssue] - an operator's


@pytest.mark.parametrize(
    "sections", [watched_by(HOST, "bundled"), watched_by(CLUSTER, "scrape-only"), OPERATED]
)
def test_of_immichs_thousands_of_series_those_of_machine_learning_are_read(sections: dict[str, Any]) -> None:
    one = settings(sections)
    assert "repo" in one.server.metrics.include
    jobs = {it["job_name"]: it for it in yaml.safe_load(scrape_file(one, "test"))["scrape_configs"]}
    for job in ("immich-api", "immich-microservices"):
        (rule,) = jobs[job]["metric_relabel_configs"]
        assert (rule["source_labels"], rule["action"]) == (["__name__"], "drop")
        left = [
            name
            for name in (
                "access",
                "map",
                "maintenance",
                "media",
                "machine_learning",
                "metadata",
                "user",
                "x_machine",
            )
            if not re.fullmatch(rule["regex"], f"immich_{name}_repository_get_duration_bucket")
        ]
        assert left == ["machine_learning"]
        assert not re.fullmatch(rule["regex"], "immich_queues_library_active")
    assert "metric_relabel_configs" not in jobs["immich-valkey"]


def test_connectors_that_cannot_share_a_port_are_not_promised() -> None:
    sections = {**HOST, "cloudflare": TUNNEL, "proxy": {"expose": [], "maxUpload": "100M"}}
    there = settings(watched_by(sections, "bundled"))
    assert {one.copies for one in scrapes.targets(there) if one.job == "cloudflared"} == {2}
    published = settings(watched_by(sections, "scrape-only", address="127.0.0.1"))
    assert "cloudflared" not in {one.job for one in scrapes.targets(published)}
    assert "cloudflared" not in setup.sources(published)


def test_a_door_behind_a_sign_in_is_asked_for_less() -> None:
    guarded = {**TUNNEL, "access": {"emails": ["me@example.com"]}}
    sections = {**HOST, "proxy": {"expose": [], "maxUpload": "100M"}, "cloudflare": guarded}
    doors = [one for one in scrapes.probes(settings(watched_by(sections, "bundled"))) if one.job == "doors"]
    assert [(one.url, one.module) for one in doors] == [
        ("https://photos.example.com/api/server/ping", "guarded")
    ]


def test_a_door_of_this_machine_alone_is_not_asked() -> None:
    sections = {**HOST, "host": {"name": "localhost", "https": False, "port": 2283}, "proxy": {
        "expose": [{"kind": "publishedPort", "address": "127.0.0.1", "port": 2283}]}}  # fmt: skip
    assert {one.job for one in scrapes.probes(settings(watched_by(sections, "bundled")))} == {
        "machine-learning"
    }


def test_gpus_are_read_where_the_settings_use_one() -> None:
    used = {**HOST, "server": {"acceleration": "nvenc", "gpu": {"ids": ["0"]}}}
    assert scrapes.gpus(settings(watched_by(used, "bundled"))) == ("0",)
    assert scrapes.gpus(settings(watched_by(used, "bundled", gpu=False))) is None
    assert scrapes.gpus(settings(watched_by(HOST, "bundled"))) is None
    assert "dcgm" not in setup.sources(settings(OPERATED))
    assert "dcgm" in setup.sources(settings(watched_by(OPERATED, "operator", gpu=True)))
    amd = settings(watched_by({**HOST, "server": {"acceleration": "vaapi"}}, "bundled"))
    assert {"hwmon", "node"} <= setup.sources(amd)


def test_status_files_on_a_volume_of_one_node_are_left_alone() -> None:
    backed_up = {**CLUSTER, "backup": {"targets": []}}
    assert scrapes.watching(settings(watched_by(backed_up, "operator"))) is None
    shared = {"volume": {"kind": "nfs", "server": "10.0.0.9", "path": "/b"}, "targets": []}
    looked = scrapes.watching(settings(watched_by({**CLUSTER, "backup": shared}, "operator")))
    assert looked is not None
    assert (looked.volumes, looked.statuses) == ((), "backup")


def test_the_plan_is_that_of_the_stack() -> None:
    one = setup.plan(settings(OPERATED), "prod")
    assert (one.platform, one.instances) == ("kubernetes", 3)
    assert (one.namespace, one.database_namespace) == ("immich", "databases")
    home = setup.plan(
        settings(watched_by(HOST, "bundled", thresholds={"down": "90s", "storagePercent": 97})), "home"
    )
    assert (home.namespace, home.database_namespace) == ("", "")
    assert home.backups == {"dump": 36 * 3600, "copy-disk": 36 * 3600}
    assert home.drill_days == 14
    assert home.thresholds.down == "90s"
    assert home.thresholds.storage_critical_percent == 98.5
    assert home.mountpoints == ("/volumes/media", "/volumes/database", "/volumes/cache", "/volumes/backup")


def test_failed_uploads_by_traefiks_routers_are_told_where_it_is_read() -> None:
    one = settings(watched_by(BEHIND_TRAEFIK, "scrape-only", traefik=True, jobs={"traefik": "edge"}))
    (told,) = [alert for alert in alerts(setup.plan(one, "home")) if alert.name == "ImmichUploadErrors"]
    assert 'traefik_router_requests_total{job="edge",router=~".*immich.*"' in told.expr
    unread = settings(watched_by(BEHIND_TRAEFIK, "scrape-only"))
    assert "ImmichUploadErrors" not in {alert.name for alert in alerts(setup.plan(unread, "home"))}


def test_the_end_of_the_phones_token_is_watched_once_it_is_known() -> None:
    guarded = {**TUNNEL, "access": {"emails": ["me@example.com"], "serviceToken": {}}}
    sections = {**HOST, "proxy": {"expose": [], "maxUpload": "100M"}, "cloudflare": guarded}
    watched, ends = settings(watched_by(sections, "bundled")), 1_801_353_600
    names = {one.name for one in alerts(setup.plan(watched, "home", token_ends=ends))}
    assert "ImmichServiceTokenExpires" in names
    for plan in (setup.plan(watched, "home"), setup.plan(settings(OPERATED), "prod", token_ends=ends)):
        assert plan.service_tokens == {}
        assert "ImmichServiceTokenExpires" not in {one.name for one in alerts(plan)}


def test_durations_have_one_number_and_one_unit() -> None:
    assert [scrapes.duration(Duration(text)) for text in ("30s", "90s", "5m", "2h", "24h")] == [
        "30s", "90s", "5m", "2h", "1d",
    ]  # fmt: skip


def test_a_scrape_file_names_the_published_ports_and_the_jobs_of_its_reader() -> None:
    more = {"ports": {"volumes": 9101}, "jobs": {"microservices": "immich-workers"}}
    one = settings(watched_by(HOST, "scrape-only", address="100.64.0.1", **more))
    found = {job["job_name"]: job for job in yaml.safe_load(scrape_file(one, "hwc"))["scrape_configs"]}
    assert found["immich-workers"]["static_configs"][0]["targets"] == ["100.64.0.1:8082"]
    assert found["immich-node"]["static_configs"][0]["targets"] == ["100.64.0.1:9101"]
    assert found["immich-node"]["params"]["collect[]"][0] == "filesystem"
    assert found["immich-backup"]["params"]["collect[]"] == ["textfile"]
    assert setup.plan(one, "hwc").jobs["microservices"] == "immich-workers"


def test_a_scrape_file_of_a_cluster_finds_the_instances_of_the_database() -> None:
    one = settings(watched_by(OPERATED, "scrape-only"))
    found = {job["job_name"]: job for job in yaml.safe_load(scrape_file(one, "prod"))["scrape_configs"]}
    assert found["databases/immich-database"]["kubernetes_sd_configs"][0]["namespaces"] == {
        "names": ["databases"]
    }
    assert found["immich-valkey"]["static_configs"][0] == {
        "targets": ["immich-valkey-exporter.immich.svc.cluster.local:9121"],
        "labels": {"stack": "prod", "namespace": "immich"},
    }


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize(
    "sections",
    [watched_by(HOST, "bundled"), watched_by(HOST, "scrape-only", address="127.0.0.1"), watched_by(CLUSTER, "bundled"),
     OPERATED, watched_by(CLUSTER, "scrape-only")],
    ids=["host", "published", "cluster", "operator", "elsewhere"],
)  # fmt: skip
def test_promtool_accepts_configuration_and_rules(sections: dict[str, Any], tmp_path: Path) -> None:
    one = settings(sections)
    (tmp_path / "rules.yml").write_text(rule_file(setup.plan(one, "test")), encoding="utf-8")
    # Debian's is built without what finds pods.
    jobs = yaml.safe_load(scrape_file(one, "test"))["scrape_configs"]
    known = [job for job in jobs if "kubernetes_sd_configs" not in job]
    assert known
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": known}), encoding="utf-8")
    for command in (["check", "rules", "rules.yml"], ["check", "config", "--syntax-only", "prometheus.yml"]):
        done = subprocess.run(
            ["promtool", *command], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout


def test_messages_that_keep_others_quiet_are_alerts_that_there_are() -> None:
    one = settings(watched_by(HOST, "bundled", accessLog=True))
    names = {alert.name for alert in alerts(setup.plan(one, "home"))}
    mentioned = {name for louder, quieter, _ in prometheus.FOLLOWS for name in (louder, *quieter)}
    assert mentioned <= names


def test_the_address_of_messages_is_a_place_for_a_secret() -> None:
    notify = Notify(hosts=(Hostname("ntfy.sh"),))
    text = prometheus.alertmanager_configuration(notify)
    assert text.keys == ("alertWebhookUrl",)
    written = yaml.safe_load(text.resolve({"alertWebhookUrl": 'https://ntfy.sh/a"b: #c'}))
    assert written["receivers"][0]["webhook_configs"][0]["url"] == 'https://ntfy.sh/a"b: #c'
    assert yaml.safe_load(prometheus.alertmanager_configuration(None).resolve({}))["receivers"] == [
        {"name": "person"}
    ]


def test_prometheus_gives_back_a_fifth_of_its_volume() -> None:
    one = settings(watched_by(HOST, "bundled", size="10Gi")).monitoring
    assert isinstance(one, BundledMonitoring)
    args = prometheus.prometheus_workload(one, {}, ()).args
    assert f"--storage.tsdb.retention.size={8 * 2**30}B" in args


def test_every_job_of_a_target_has_a_label() -> None:
    assert {one.job for one in scrapes.targets(settings(watched_by(HOST, "bundled")))} <= JOBS.keys()

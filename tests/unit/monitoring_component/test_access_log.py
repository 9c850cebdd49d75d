"""The exporter that counts nginx's access log: where it is made, what it is told, who reads it, what follows."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from components import versions
from components.monitoring import scrapes, setup
from components.monitoring.rule_files import alerts
from components.proxy import access_log
from components.stack.outputs_monitoring import scrape_file
from tests.harness.program import unwrapped
from tests.unit.monitoring_component.stacks import (
    CLUSTER,
    HOST,
    configuration,
    objects,
    refused,
    run,
    settings,
    watched_by,
)

IMAGE = "quay.io/martinhelmich/prometheus-nginxlog-exporter:v1.11.0"
PINNED = f"registry.example.com/log-exporter:1@sha256:{'a' * 64}"
ON_HOST = watched_by(HOST, "bundled", accessLog=True)
OPERATOR = watched_by(CLUSTER, "operator", accessLog=True)
WATCHED = [
    watched_by(base, kind, accessLog=True)
    for base, kinds in ((HOST, ("bundled", "scrape-only")), (CLUSTER, ("bundled", "scrape-only", "operator")))
    for kind in kinds
]


def nginx_files(sections: dict[str, Any]) -> dict[str, str]:
    """nginx's files of a cluster."""
    data: dict[str, str] = objects(sections, "ConfigMap")["immich-proxy"]["data"]
    return data


def containers(sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Containers of nginx's pod by name."""
    spec = objects(sections, "Deployment")["immich-proxy"]["spec"]["template"]["spec"]
    return {one["name"]: one for one in spec["containers"]}


@pytest.mark.parametrize("sections", WATCHED)
def test_every_kind_that_watches_may_count_it(sections: dict[str, Any]) -> None:
    one = settings(sections)
    assert "access-log" in setup.sources(one)
    assert "access-log" in setup.parts(one)
    copies = sections["proxy"].get("replicas", 1)
    found = [
        (it.workload, it.port.number, it.copies) for it in scrapes.targets(one) if it.job == "access-log"
    ]
    assert found == [("proxy", 4040, copies)]
    assert ("ImmichUploadErrors", "proxy") in {
        (it.name, it.body["labels"].get("source")) for it in alerts(setup.plan(one, "test"))
    }


@pytest.mark.parametrize("base", [HOST, CLUSTER])
def test_it_is_off_where_nobody_asks_for_it(base: dict[str, Any]) -> None:
    one = settings(watched_by(base, "scrape-only"))
    assert "access-log" not in {*setup.sources(one), *setup.parts(one)}
    assert "access-log" not in {it.job for it in scrapes.targets(one)}
    assert scrapes.seen(one).access_log is None
    assert "ImmichUploadErrors" not in {it.name for it in alerts(setup.plan(one, "test"))}


@pytest.mark.parametrize("base", [HOST, CLUSTER])
@pytest.mark.parametrize(
    ("given", "counts"),
    [
        ({"images": {"access-log": PINNED}}, True),
        ({"images": {"access-log": PINNED}, "accessLog": "auto"}, True),
        ({"images": {"access-log": PINNED}, "accessLog": False}, False),
        ({"images": {"access-log": PINNED.partition("@")[0]}}, False),
        ({"images": {"valkey": PINNED}}, False),
    ],
)
def test_its_image_with_a_digest_is_enough_to_ask_for_it(
    base: dict[str, Any], given: dict[str, Any], counts: bool
) -> None:
    one = settings(watched_by(base, "scrape-only", **given))
    assert ("access-log" in setup.sources(one)) is counts
    assert ("access-log" in setup.parts(one)) is counts
    assert (scrapes.seen(one).access_log is not None) is counts
    assert ("ImmichUploadErrors" in {it.name for it in alerts(setup.plan(one, "test"))}) is counts


def test_nginx_sends_nothing_where_nobody_counts() -> None:
    off = nginx_files(watched_by(CLUSTER, "operator"))
    assert off.keys() == {"nginx.conf", "locations.conf", "proxied.conf"}
    assert not [text for text in off.values() if "syslog" in text or "$counted_status" in text]
    assert containers(watched_by(CLUSTER, "operator")).keys() == {"proxy", "exporter"}


def test_nginx_sends_to_where_the_exporter_listens_with_the_tag_that_it_takes() -> None:
    files = nginx_files(OPERATOR)
    (namespace,) = yaml.safe_load(files["access-log.yaml"])["namespaces"]
    syslog = namespace["source"]["syslog"]
    address = syslog["listen_address"].removeprefix("udp://")
    assert (
        f"access_log syslog:server={address},nohostname,tag={syslog['tags'][0]} counted;"
        in files["nginx.conf"]
    )
    assert address.startswith("127.0.0.1:")
    assert "access_log /dev/stdout access;" in files["nginx.conf"]


def test_nothing_but_door_method_status_and_seconds_leaves_nginx() -> None:
    (text,) = re.findall(
        r"log_format counted escape=json\n(.*?);", nginx_files(OPERATOR)["nginx.conf"], re.DOTALL
    )
    fields = json.loads("".join(line.strip().strip("'") for line in text.splitlines()))
    assert fields == {
        "listener": "$listener",
        "method": "$request_method",
        "status": "$counted_status",
        "upstream_response_time": "$counted_seconds",
    }


def test_what_somebody_sends_makes_no_label() -> None:
    (namespace,) = yaml.safe_load(access_log.configuration())["namespaces"]
    labels = {one["target_label"]: one for one in namespace["relabel_configs"]}
    assert labels.keys() == {"listener", "method"}
    assert labels["method"]["whitelist"] == ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    assert (namespace["name"], namespace["parser"]) == ("immich_proxy", "json")


def test_the_exporter_is_beside_nginx_with_its_file_and_cannot_close_the_doors() -> None:
    found = containers(OPERATOR)
    assert found.keys() == {"proxy", "exporter", "access-log"}
    one = found["access-log"]
    assert one["image"] == IMAGE
    assert one["args"] == ["-config-file", "/etc/immich/access-log.yaml"]
    assert [mount["mountPath"] for mount in one["volumeMounts"]] == ["/etc/immich"]
    assert one["ports"] == [{"name": "metrics-log", "containerPort": 4040, "protocol": "TCP"}]
    assert one["securityContext"] == found["proxy"]["securityContext"]
    assert "readinessProbe" not in one
    assert "volumeMounts" not in found["exporter"]


def test_on_a_host_it_is_in_the_network_of_nginx_and_has_nginx_s_files() -> None:
    made = {
        one.name.removeprefix("immich-test-"): unwrapped(one.props)
        for one in run(ON_HOST).of_type("docker:index/container:Container")
    }
    proxy, beside = made["proxy"], made["proxy-access-log"]
    assert beside["networkMode"].startswith("container:")
    assert beside["command"] == ["-config-file", "/etc/immich/access-log.yaml"]
    (mount,) = [one for one in proxy["mounts"] if one["target"] == "/etc/immich"]
    assert beside["mounts"] == [mount]
    (loader,) = [one for name, one in made.items() if name == "proxy-files"]
    assert [one["file"] for one in loader["uploads"] if one["file"].endswith("access-log.yaml")]
    assert "mounts" not in made["proxy-exporter"]


def test_its_port_is_published_where_the_settings_say() -> None:
    one = settings(
        watched_by(HOST, "scrape-only", accessLog=True, address="127.0.0.1", ports={"access-log": 14040})
    )
    (job,) = [
        it
        for it in yaml.safe_load(scrape_file(one, "hwc"))["scrape_configs"]
        if it["job_name"] == "immich-access-log"
    ]
    assert job["static_configs"][0]["targets"] == ["127.0.0.1:14040"]
    assert (4040, 14040) in {(way.port, way.listen) for way in scrapes.seen(one).of("proxy")}


def test_whoever_reads_reaches_each_copy_and_the_job_of_the_counters() -> None:
    found = {
        one["job_name"]: one
        for one in configuration(watched_by(CLUSTER, "bundled", accessLog=True))["scrape_configs"]
    }
    assert found["immich-access-log"]["dns_sd_configs"] == [
        {"names": ["immich-proxy-metrics-log"], "type": "A", "port": 4040}
    ]
    assert found["immich-nginx"]["dns_sd_configs"][0]["names"] == ["immich-proxy-metrics"]
    endpoints = objects(OPERATOR, "PodMonitor")["immich-proxy"]["spec"]["podMetricsEndpoints"]
    assert [one["port"] for one in endpoints] == ["metrics", "metrics-log"]


def test_network_policies_let_whoever_reads_in_and_nobody_to_the_lines() -> None:
    for sections in (OPERATOR, watched_by(CLUSTER, "scrape-only", accessLog=True)):
        rules = objects(sections, "NetworkPolicy")["immich-proxy"]["spec"]["ingress"]
        opened = {port["port"] for rule in rules for port in rule["ports"]}
        assert {9113, 4040} <= opened
        assert 8514 not in opened
    inside = objects(watched_by(CLUSTER, "bundled", accessLog=True), "NetworkPolicy")["immich-proxy"]["spec"][
        "ingress"
    ]
    assert 4040 in {port["port"] for rule in inside for port in rule["ports"]}
    off = objects(watched_by(CLUSTER, "operator"), "NetworkPolicy")["immich-proxy"]["spec"]["ingress"]
    assert 4040 not in {port["port"] for rule in off for port in rule["ports"]}


def test_an_image_without_a_digest_is_taken_from_the_table_and_another_one_where_it_is_given() -> None:
    assert versions.current("access-log-exporter").digest is None
    given = watched_by(CLUSTER, "operator", accessLog=True)
    assert containers(given)["access-log"]["image"] == IMAGE
    sections = watched_by(CLUSTER, "operator", accessLog=True, images={"access-log": PINNED})
    assert containers(sections)["access-log"]["image"] == PINNED


def test_a_refusal_says_what_is_there_instead() -> None:
    assert refused(watched_by({**CLUSTER, "proxy": {"kind": "none"}}, "scrape-only", accessLog=True)) == [
        "immich:monitoring.accessLog"
    ]

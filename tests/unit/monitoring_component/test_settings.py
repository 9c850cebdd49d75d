"""Who may watch what: rules between sections, and the secrets that follow."""

from __future__ import annotations

from typing import Any

import pytest

from components.settings.required_secrets import wanted_secrets
from tests.unit.monitoring_component.stacks import (
    BEHIND_TRAEFIK,
    CLUSTER,
    HOST,
    OPERATED,
    refused,
    settings,
    watched_by,
)

LOOPBACK = "127.0.0.1"
NO_NGINX = {**CLUSTER, "proxy": {"kind": "none"}}
NOBODY_LET_IN = {**CLUSTER, "kubernetes": {"target": "render"}}

REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("an operator on a host", watched_by(HOST, "operator"), "immich:monitoring.kind"),
    ("an address on a cluster", watched_by(CLUSTER, "scrape-only", address=LOOPBACK), "immich:monitoring.address"),
    ("ports without an address", watched_by(HOST, "scrape-only", ports={"valkey": 9999}), "immich:monitoring.ports"),
    ("an operator that nobody lets in", watched_by(NOBODY_LET_IN, "operator"), "immich:kubernetes.monitoringNamespace"),
    ("a reader that nobody lets in", watched_by(NOBODY_LET_IN, "scrape-only"), "immich:kubernetes.monitoringNamespace"),
    ("our own Prometheus with an operator's database", watched_by(OPERATED, "bundled"), "immich:monitoring.kind"),
    ("numbers at every address", watched_by(HOST, "scrape-only", address="0.0.0.0"), "immich:monitoring.address"),  # noqa: S104
    ("numbers at a public address", watched_by(HOST, "scrape-only", address="203.0.113.9"), ""),
    ("numbers on the internet", watched_by(HOST, "scrape-only", address="8.8.8.8"), "immich:monitoring.address"),
    ("Grafana on the internet", watched_by(HOST, "bundled", grafana={"address": "8.8.8.8"}),
     "immich:monitoring.grafana.address"),
    ("one port for two", watched_by(HOST, "scrape-only", address=LOOPBACK, ports={"valkey": 9187}),
     "immich:monitoring.ports.valkey"),
    ("Immich's port for an exporter", watched_by(HOST, "scrape-only", address=LOOPBACK, ports={"gpu": 8081}),
     "immich:monitoring.ports.gpu"),
    ("no access log of nginx's", watched_by(NO_NGINX, "operator", accessLog=True), "immich:monitoring.accessLog"),
    ("an access log that nobody counts", watched_by(CLUSTER, "none", accessLog=True), "immich:monitoring"),
    ("an access log of a host", watched_by(HOST, "scrape-only", accessLog=True), ""),
    ("an access log of a cluster", watched_by(CLUSTER, "operator", accessLog=True), ""),
    ("the access log's port for another", watched_by(HOST, "scrape-only", address=LOOPBACK, ports={"valkey": 4040}),
     "immich:monitoring.ports.access-log"),
    ("a Traefik that is no way in", watched_by(HOST, "scrape-only", traefik=True), "immich:monitoring.traefik"),
    ("a Traefik that leads here", watched_by(BEHIND_TRAEFIK, "scrape-only", traefik=True), ""),
    ("a Traefik for our own Prometheus", watched_by(BEHIND_TRAEFIK, "bundled", traefik=True), "immich:monitoring"),
    ("an interval of an hour", watched_by(HOST, "bundled", interval="1h"), "immich:monitoring"),
    ("a kind that nobody knows", watched_by(HOST, "datadog"), "immich:monitoring"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sections", "key"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
def test_what_cannot_be_is_refused_by_its_key(sections: dict[str, Any], key: str) -> None:
    found = refused(sections)
    assert (not found) if not key else any(one.startswith(key) for one in found), found


def test_isolation_that_is_off_needs_no_name_of_a_reader() -> None:
    sections = {**CLUSTER, "kubernetes": {"target": "render", "networkPolicies": "none"}}
    assert refused(watched_by(sections, "operator")) == []


@pytest.mark.parametrize(
    ("sections", "wanted"),
    [
        (HOST, set[str]()),
        (watched_by(HOST, "scrape-only"), {"metricsPassword"}),
        (watched_by(HOST, "bundled"), {"metricsPassword", "grafanaPassword"}),
        (watched_by(HOST, "bundled", grafana=None), {"metricsPassword"}),
        (watched_by(HOST, "bundled", notify={"hosts": ["ntfy.sh"]}),
         {"metricsPassword", "grafanaPassword", "alertWebhookUrl"}),
        (OPERATED, set[str]()),
    ],
)  # fmt: skip
def test_secrets_are_wanted_by_whoever_uses_them(sections: dict[str, Any], wanted: set[str]) -> None:
    one = settings(sections)
    found = wanted_secrets(
        one.database, one.cache, one.backup, one.app, one.cloudflare, one.proxy, one.monitoring
    )
    of_ours = {"metricsPassword", "grafanaPassword", "alertWebhookUrl"}
    assert found.keys() & of_ours == wanted
    assert {key for key in wanted if not found[key]} == wanted & {"alertWebhookUrl"}

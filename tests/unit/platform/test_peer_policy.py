"""Who may read a database cluster's metrics."""

from __future__ import annotations

from typing import Any

from components.model.specs import Peer
from components.platform.kubernetes.network_policies import peer_policy

PEER = Peer(namespace="databases", labels={"cnpg.io/cluster": "immich-database"})


def _policy(monitoring: str | None = None) -> Any:
    return peer_policy(
        PEER,
        [("server", 5432)],
        namespace="immich",
        operator_namespace="cnpg-system",
        archive_ports=[],
        monitoring_namespace=monitoring,
    )


def _readers(monitoring: str | None) -> list[Any]:
    rules = _policy(monitoring)["spec"]["ingress"]
    return [rule["from"] for rule in rules if {"port": 9187, "protocol": "TCP"} in rule["ports"]]


def test_a_clusters_metrics_are_let_to_the_namespace_that_reads_them() -> None:
    label = {"kubernetes.io/metadata.name": "monitoring"}
    assert _readers("monitoring") == [[{"namespaceSelector": {"matchLabels": label}}]]


def test_a_clusters_metrics_are_let_to_nobody_without_one() -> None:
    assert _readers(None) == []


def test_a_cluster_reaches_the_api_server_anywhere_but_no_metadata_service() -> None:
    (rule,) = [
        one
        for one in _policy()["spec"]["egress"]
        if {"port": 6443, "protocol": "TCP"} in one.get("ports", [])
    ]
    blocks = {one["ipBlock"]["cidr"]: one["ipBlock"]["except"] for one in rule["to"]}
    assert blocks == {"0.0.0.0/0": ["169.254.0.0/16"], "::/0": ["fe80::/10", "fd00:ec2::254/128"]}

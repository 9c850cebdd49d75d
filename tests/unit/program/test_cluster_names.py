"""Whatever a database cluster is called, links to it open no workload of that name, and no object is made twice."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.model.naming import selector
from tests.harness.objects import kind_of
from tests.harness.policy_eval import Pod, open_between
from tests.harness.program import Stack, manifests, run_stack, without_defaults

NAMESPACE = "immich"
USB = {"kind": "existingClaim", "claimName": "usb"}


def stack(cluster: str, **more: Any) -> Stack:
    sections = {
        "host": {"name": "photos.example.com"},
        "kubernetes": {"target": "render", "monitoringNamespace": "monitoring"},
        "database": {"kind": "cloudnative-pg", "clusterName": cluster},
        "monitoring": {"kind": "scrape-only"},
        "backup": {"targets": [{"name": "usb", "kind": "local", "source": USB}]},
        **more,
    }
    return Stack("test", sections, dict.fromkeys(without_defaults(sections), "a long enough password"))


@pytest.mark.parametrize("name", ["valkey-exporter", "drill", "server", "cache"])
def test_a_cluster_called_like_a_workload_opens_5432_of_the_cluster_alone(name: str) -> None:
    made = manifests(run_stack(stack(name)))
    policies = [one for one in made if kind_of(one) == "NetworkPolicy"]
    server = Pod(NAMESPACE, selector("server"))
    assert open_between(policies, server, Pod(NAMESPACE, {"cnpg.io/cluster": name}), 5432)
    (own,) = [one for one in policies if one["metadata"]["name"] == f"immich-{name}"]
    assert 5432 not in {port["port"] for rule in own["spec"].get("ingress", []) for port in rule["ports"]}


def test_a_cluster_whose_objects_have_names_of_ours_is_refused_in_words() -> None:
    with pytest.raises(pulumi.RunError, match="NetworkPolicy immich/immich-server would be made twice"):
        run_stack(stack("immich-server"))

"""What the whole program registers: providers, parents, protection, order, time limits."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.harness.mocks import Recorded, Run
from tests.harness.program import RANDOM_PASSWORD, REMOTE_IMAGE, needs, unwrapped
from tests.harness.stacks import data_bearing
from tests.unit.program.stacks import CLUSTERS, EVERY, RUNS, STACKS

DATA = {
    "kubernetes:core/v1:PersistentVolumeClaim",
    "kubernetes:core/v1:PersistentVolume",
    "kubernetes:core/v1:Namespace",
    "kubernetes:postgresql.cnpg.io/v1:Cluster",
    "kubernetes:postgresql.cnpg.io/v1:Database",
    "kubernetes:barmancloud.cnpg.io/v1:ObjectStore",
    RANDOM_PASSWORD,
    "docker:index/volume:Volume",
}
"""Kinds whose loss loses data, or the way to it."""

REMADE = {
    "kubernetes:core/v1:ServiceAccount",
    "kubernetes:core/v1:Secret",
    "kubernetes:core/v1:ConfigMap",
    "kubernetes:core/v1:Service",
    "kubernetes:apps/v1:Deployment",
    "kubernetes:apps/v1:StatefulSet",
    "kubernetes:policy/v1:PodDisruptionBudget",
    "kubernetes:networking.k8s.io/v1:NetworkPolicy",
    "kubernetes:networking.k8s.io/v1:Ingress",
    "kubernetes:cilium.io/v2:CiliumNetworkPolicy",
    "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute",
    "kubernetes:external-secrets.io/v1:ExternalSecret",
    "kubernetes:batch/v1:CronJob",
    "pulumi:index:Stash",
    "kubernetes:batch/v1:Job",
    "kubernetes:postgresql.cnpg.io/v1:ScheduledBackup",
    "kubernetes:monitoring.coreos.com/v1:PodMonitor",
    "kubernetes:monitoring.coreos.com/v1:PrometheusRule",
    "kubernetes:monitoring.coreos.com/v1:ServiceMonitor",
    "docker:index/container:Container",
    "docker:index/network:Network",
    REMOTE_IMAGE,
    "cloudflare:index/dnsRecord:DnsRecord",
    "cloudflare:index/zoneSetting:ZoneSetting",
}
"""Kinds that an `up` makes again, with nothing lost."""

REMADE_NAMES = {
    "immich-machine-learning-cache",
    "immich-ml-cache",
    "fingerprint-key",
    "metrics-password",
    "grafana-password",
    "administrator-password",
    "setup-api-key",
}
"""Of the kinds with data: models are downloaded again; without the key of the fingerprints, pods restart once; the
passwords of those who watch are set anew."""

CONTROLLERS = ("kubernetes:apps/v1:Deployment", "kubernetes:apps/v1:StatefulSet")


def name_of(one: Recorded) -> str:
    metadata: dict[str, Any] = one.props.get("metadata", {})
    return str(metadata.get("name", one.name))


def remade(one: Recorded) -> bool:
    """Whether nothing is lost with it; decided by what it is, not by the flags that the program gives it."""
    if one.type.endswith((":Volume", ":PersistentVolume", ":PersistentVolumeClaim")):
        return not data_bearing(one.urn, unwrapped(one.props))
    return one.type in REMADE or name_of(one) in REMADE_NAMES


def find(run: Run, type_: str, name: str) -> Recorded:
    (found,) = [one for one in run.of_type(type_) if name_of(one) == name]
    return found


def controllers(run: Run) -> dict[str, Recorded]:
    return {name_of(one): one for one in run.of_type(*CONTROLLERS)}


def seconds(text: str) -> int:
    assert text.endswith("s")
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("stack", EVERY)
def test_every_custom_resource_has_an_explicit_provider_of_its_own_package(stack: str) -> None:
    run = RUNS[stack]
    providers = {one.urn: one.type.rpartition(":")[2] for one in run.resources if ":providers:" in one.type}
    builtin = "pulumi:index:Stash"
    custom = [one for one in run.resources if one.custom and one.urn not in providers and one.type != builtin]
    assert len(custom) > 10
    for one in custom:
        urn = one.provider.rpartition("::")[0]
        assert providers.get(urn) == one.type.partition(":")[0], (
            f"{one.urn} uses the provider {one.provider!r}"
        )


@pytest.mark.parametrize("stack", EVERY)
def test_every_child_hangs_below_the_component_or_the_platform(stack: str) -> None:
    run = RUNS[stack]
    roots = {"immich:index:Immich", "immich:kubernetes:Platform", "immich:docker:Platform"}
    for one in run.resources:
        if ":providers:" in one.type or one.type in roots:
            continue
        above = one
        while above.type not in roots:
            assert above.parent, f"{one.urn} hangs in the air"
            assert "pulumi:pulumi:Stack" not in above.parent, f"{one.urn} hangs below the stack"
            above = run.by_urn(above.parent)


@pytest.mark.parametrize("stack", EVERY)
def test_a_component_is_not_itself_a_child_of_a_kubernetes_object(stack: str) -> None:
    run = RUNS[stack]
    customs = {one.urn for one in run.resources if one.custom}
    assert not [one.urn for one in run.resources if one.parent in customs]


@pytest.mark.parametrize("stack", EVERY)
def test_it_is_decided_for_every_kind_whether_it_holds_data(stack: str) -> None:
    types = {one.type for one in RUNS[stack].resources if one.custom and ":providers:" not in one.type}
    assert types - DATA - REMADE == set(), "add it to DATA (then it must be protected) or to REMADE"


@pytest.mark.parametrize("stack", EVERY)
def test_everything_that_holds_data_is_protected_and_kept_by_itself(stack: str) -> None:
    held = [one for one in RUNS[stack].of_type(*DATA) if not remade(one)]
    assert held
    for one in held:
        assert one.protect, f"{one.urn} is not protected"
        # A random value that leaves the program has nothing outside that could be kept.
        assert one.retain_on_delete or one.type == RANDOM_PASSWORD, f"{one.urn} is not retained"


@pytest.mark.parametrize("stack", EVERY)
def test_what_can_be_made_again_is_not_protected_and_kept_only_where_making_it_is_rationed(
    stack: str,
) -> None:
    for one in RUNS[stack].resources:
        if remade(one):
            assert not one.protect, one.urn
            # An ACME server does not issue the same certificate as often as one likes.
            rationed = one.type == "docker:index/volume:Volume" and one.name == f"immich-{stack}-certificates"
            assert bool(one.retain_on_delete) == rationed, one.urn


@pytest.mark.parametrize("stack", CLUSTERS)
def test_a_volume_is_kept_where_its_claim_is_kept(stack: str) -> None:
    run = RUNS[stack]
    volumes = {name_of(one): one for one in run.of_type("kubernetes:core/v1:PersistentVolume")}
    for claim in run.of_type("kubernetes:core/v1:PersistentVolumeClaim"):
        wanted = claim.props["spec"].get("volumeName")
        if wanted is not None:
            assert volumes[wanted].retain_on_delete == claim.retain_on_delete
            assert volumes[wanted].urn in claim.dependencies


@pytest.mark.parametrize("stack", CLUSTERS)
def test_nothing_is_deleted_before_its_replacement_exists_on_purpose(stack: str) -> None:
    assert not [one.urn for one in RUNS[stack].resources if one.delete_before_replace]


@pytest.mark.parametrize("stack", CLUSTERS)
def test_everything_in_the_namespace_is_made_after_it(stack: str) -> None:
    run = RUNS[stack]
    for namespace in run.of_type("kubernetes:core/v1:Namespace"):
        for one in run.resources:
            if one.custom and one.props.get("metadata", {}).get("namespace") == name_of(namespace):
                assert namespace.urn in needs(run, one), one.urn


@pytest.mark.parametrize("stack", CLUSTERS)
def test_every_server_pod_is_made_after_the_database_and_the_cache_of_its_stack(stack: str) -> None:
    run = RUNS[stack]
    before = [one for name, one in controllers(run).items() if name in {"immich-database", "immich-cache"}]
    before += run.of_type(
        "kubernetes:postgresql.cnpg.io/v1:Cluster", "kubernetes:postgresql.cnpg.io/v1:Database"
    )
    found = [
        one for name, one in controllers(run).items() if name in {"immich-server", "immich-microservices"}
    ]
    assert found
    for pod in found:
        assert {one.urn for one in before} <= needs(run, pod)
    assert before or stack == "external"


@pytest.mark.parametrize(
    "stack", [name for name in CLUSTERS if STACKS[name].sections.get("proxy", {}).get("kind") != "none"]
)
def test_the_proxy_is_made_after_the_servers_service(stack: str) -> None:
    run = RUNS[stack]
    service = find(run, "kubernetes:core/v1:Service", "immich-server")
    assert service.urn in needs(run, controllers(run)["immich-proxy"])


@pytest.mark.parametrize("stack", CLUSTERS)
def test_ways_in_are_made_after_what_they_lead_to(stack: str) -> None:
    run = RUNS[stack]
    ways = run.of_type(
        "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute", "kubernetes:networking.k8s.io/v1:Ingress"
    )
    for way in ways:
        assert controllers(run)["immich-server"].urn in needs(run, way)


@pytest.mark.parametrize("stack", CLUSTERS)
def test_a_service_is_made_after_the_pods_that_it_waits_for(stack: str) -> None:
    run = RUNS[stack]
    for service in run.of_type("kubernetes:core/v1:Service"):
        component = service.props["spec"]["selector"]["app.kubernetes.io/component"]
        assert controllers(run)[f"immich-{component}"].urn in needs(run, service), service.urn


@pytest.mark.parametrize("stack", CLUSTERS)
def test_a_pod_is_made_after_the_secrets_and_files_that_it_mounts(stack: str) -> None:
    run = RUNS[stack]
    kinds = ("core/v1:Secret", "core/v1:ConfigMap", "external-secrets.io/v1:ExternalSecret")
    made = {
        (one.type.rpartition(":")[2], name_of(one)): one.urn
        for one in run.of_type(*(f"kubernetes:{kind}" for kind in kinds))
    }
    for pod in controllers(run).values():
        for volume in pod.props["spec"]["template"]["spec"]["volumes"]:
            if "secret" in volume:
                name = volume["secret"]["secretName"]
                urn = made.get(("Secret", name)) or made[("ExternalSecret", name)]
                assert urn in needs(run, pod)
            if "configMap" in volume:
                assert made[("ConfigMap", volume["configMap"]["name"])] in needs(run, pod)


@pytest.mark.parametrize("stack", CLUSTERS)
def test_the_engine_waits_longer_than_a_start_and_an_end_may_take(stack: str) -> None:
    for one in controllers(RUNS[stack]).values():
        pod = one.props["spec"]["template"]["spec"]
        probe = pod["containers"][0]["startupProbe"]
        budget = probe["periodSeconds"] * probe["failureThreshold"]
        needed = budget + pod["terminationGracePeriodSeconds"]
        for operation in ("create", "update", "delete"):
            assert seconds(one.timeouts[operation]) >= needed, f"{one.urn} {operation}"
        if one.type.endswith(":Deployment"):
            deadline = one.props["spec"]["progressDeadlineSeconds"]
            assert needed <= deadline <= seconds(one.timeouts["create"]), one.urn


def test_a_load_balancer_that_gets_no_address_is_told_after_five_minutes() -> None:
    found = [one for stack in CLUSTERS for one in RUNS[stack].of_type("kubernetes:core/v1:Service")]
    balancers = [one for one in found if one.props["spec"].get("type") == "LoadBalancer"]
    assert balancers
    assert {seconds(one.timeouts["create"]) for one in balancers} == {300}


@pytest.mark.parametrize("stack", CLUSTERS)
def test_what_an_operator_makes_ready_is_waited_for(stack: str) -> None:
    wanted = {
        "kubernetes:postgresql.cnpg.io/v1:Cluster": "condition=Ready",
        "kubernetes:postgresql.cnpg.io/v1:Database": "jsonpath={.status.applied}=true",
        "kubernetes:external-secrets.io/v1:ExternalSecret": "condition=Ready",
    }
    for one in RUNS[stack].of_type(*wanted):
        assert one.props["metadata"]["annotations"]["pulumi.com/waitFor"] == wanted[one.type]


@pytest.mark.parametrize("stack", CLUSTERS)
def test_the_provider_never_replaces_what_it_can_change_in_place(stack: str) -> None:
    (provider,) = RUNS[stack].of_type("pulumi:providers:kubernetes")
    assert provider.props["enableConfigMapMutable"] == "true"
    assert provider.props["enableSecretMutable"] == "true"
    if provider.props.get("renderYamlToDirectory") is None:
        assert provider.props["clusterIdentifier"] == stack
    else:
        assert provider.props["renderYamlToDirectory"] == f"rendered/{stack}"
        assert "context" not in provider.props


BASE = Counter(
    {
        "ServiceAccount": 1, "Namespace": 1, "PersistentVolumeClaim": 4, "Secret": 2, "StatefulSet": 2, "Deployment": 3,
        "Service": 5, "ConfigMap": 2, "NetworkPolicy": 6, "RandomPassword": 3, "Stash": 1,
    }
)  # fmt: skip
"""What a stack of defaults has."""

EXPECTED = {
    "dev": BASE + Counter({"CronJob": 1, "ConfigMap": 1, "NetworkPolicy": 1, "PersistentVolumeClaim": 1}),
    "operated": Counter(
        {
            "ServiceAccount": 1, "Namespace": 1, "PersistentVolume": 1, "PersistentVolumeClaim": 3, "Secret": 5,
            "StatefulSet": 1, "Deployment": 4, "Service": 5, "ConfigMap": 1, "NetworkPolicy": 7, "RandomPassword": 3,
            "Cluster": 1, "Database": 1, "ObjectStore": 1, "ScheduledBackup": 1, "PodMonitor": 1, "HTTPRoute": 1,
            "PodDisruptionBudget": 3, "Stash": 1,
        }
    ),
    "external": Counter(
        {
            "ServiceAccount": 1, "PersistentVolumeClaim": 1, "Secret": 2, "Deployment": 1, "Service": 1, "ConfigMap": 1,
            "NetworkPolicy": 2, "RandomPassword": 1, "Ingress": 1, "Stash": 1,
        }
    ),
    "fetched": BASE
    - Counter({"RandomPassword": 3, "Secret": 2, "NetworkPolicy": 6})
    + Counter({"ExternalSecret": 3, "CiliumNetworkPolicy": 7}),
    "stored": BASE
    - Counter({"Deployment": 1, "Service": 1, "NetworkPolicy": 1})
    + Counter({"PersistentVolume": 5, "PersistentVolumeClaim": 5}),
    "devices": BASE
    - Counter({"NetworkPolicy": 6, "StatefulSet": 1, "Service": 1, "PersistentVolumeClaim": 1, "Secret": 1})
    - Counter({"RandomPassword": 1}),
}  # fmt: skip


@pytest.mark.parametrize("stack", sorted(EXPECTED))
def test_a_stack_is_exactly_these_objects(stack: str) -> None:
    custom = [one for one in RUNS[stack].resources if one.custom and ":providers:" not in one.type]
    assert Counter(one.type.rpartition(":")[2] for one in custom) == EXPECTED[stack]


DEPLOYED: dict[str, list[str]] = json.loads(Path(__file__).with_name("data-urns.json").read_text())
"""Stack -> URNs, without stack and project, of what holds data in deployments of version 0."""


@pytest.mark.parametrize("stack", sorted(DEPLOYED))
def test_what_holds_data_keeps_its_urn_so_that_no_update_replaces_or_drops_it(stack: str) -> None:
    kept = {
        one.urn.split("::", 2)[2]: one.protect or one.retain_on_delete or remade(one)
        for one in RUNS[stack].resources
    }
    assert [urn for urn in DEPLOYED[stack] if not kept.get(urn)] == []

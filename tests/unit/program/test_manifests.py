"""The manifests of whole stacks: valid, complete, isolated, and hardened."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, cast

import kubernetes_validate
import pytest
from kubernetes_validate import utils

from components.platform.kubernetes.network_policies import PRIVATE_IPV4
from tests.harness import references
from tests.harness.mocks import UNKNOWN
from tests.harness.objects import Manifest, Pods, at, items, kind_of, name_of, of_kind, pods_of, title
from tests.harness.policy_eval import DNS, Outside, Pod, open_between
from tests.harness.program import manifests
from tests.unit.program.stacks import CLUSTERS, RUNS, STACKS

KUBERNETES = "1.36"
CUSTOM = (
    "postgresql.cnpg.io/",
    "barmancloud.cnpg.io/",
    "external-secrets.io/",
    "gateway.networking.k8s.io/",
    "cilium.io/",
    "monitoring.coreos.com/",
)
"""API groups of CRDs; the cluster tier judges these objects."""

PROVIDED: dict[str, set[str]] = {
    "operated": {"Namespace databases"},
    "external": {"Namespace media"},
    "fetched": {"ClusterSecretStore vault"},
    "stored": {"StorageClass fast", "Secret immich/nas", "PersistentVolumeClaim immich/profiles"},
    "prod": {"StorageClass local-path"},
    "vanillax": {
        "Namespace cloudnative-pg",
        "StorageClass longhorn",
        "StorageClass nfs-immich-photos",
        "ClusterSecretStore 1password",
    },
}
"""What each stack's settings say that the cluster has already."""

ISOLATED = [
    name for name in CLUSTERS if STACKS[name].sections.get("kubernetes", {}).get("networkPolicies") != "none"
]


def pods(stack: str) -> list[tuple[str, Pods]]:
    """Short name -> pods of a stack."""
    return [
        (one.owner.rpartition("/")[2], one)
        for document in manifests(RUNS[stack])
        for one in pods_of(document)
    ]


def end(one: Pods, address: str = "10.244.1.1") -> Pod:
    return Pod(one.namespace, one.labels, address)


def policies(stack: str) -> list[Manifest]:
    return of_kind(manifests(RUNS[stack]), "NetworkPolicy", "CiliumNetworkPolicy")


@pytest.fixture(scope="module")
def schemas() -> Iterator[None]:
    """The library would read every definition of Kubernetes anew for each object."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))
        yield


@pytest.mark.usefixtures("schemas")
@pytest.mark.parametrize("stack", CLUSTERS)
def test_every_manifest_of_a_built_in_kind_is_strictly_valid(stack: str) -> None:
    judged = 0
    for document in manifests(RUNS[stack]):
        if str(document["apiVersion"]).startswith(CUSTOM):
            continue
        try:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{title(document)}: {error}")
        judged += 1
    assert judged > 8


@pytest.mark.parametrize("stack", CLUSTERS)
def test_every_name_refers_to_something_and_every_pod_is_hardened(stack: str) -> None:
    known = PROVIDED.get(stack, set())
    found = [one for one in references.problems(manifests(RUNS[stack]), known) if "is not pinned" not in one]
    assert found == []


@pytest.mark.parametrize("stack", CLUSTERS)
def test_an_image_without_a_digest_is_named_in_the_outputs(stack: str) -> None:
    run = RUNS[stack]
    images = {str(container["image"]) for _, one in pods(stack) for container in one.containers}
    images |= {str(one["spec"]["imageName"]) for one in of_kind(manifests(run), "Cluster")}
    unpinned = sorted(image for image in images if "@sha256:" not in image)
    assert sorted(run.outputs.get("unpinnedImages", [])) == unpinned


@pytest.mark.parametrize("stack", CLUSTERS)
def test_nothing_is_unknown_once_the_program_ran(stack: str) -> None:
    def known(value: Any) -> bool:
        if isinstance(value, dict):
            return all(map(known, cast("dict[str, Any]", value).values()))
        if isinstance(value, list):
            return all(map(known, cast("list[Any]", value)))
        return value is not UNKNOWN

    assert all(map(known, manifests(RUNS[stack])))


@pytest.mark.parametrize("stack", CLUSTERS)
def test_pods_have_no_token_no_service_links_and_search_few_domains(stack: str) -> None:
    accounts = of_kind(manifests(RUNS[stack]), "ServiceAccount")
    assert [one["automountServiceAccountToken"] for one in accounts] == [False]
    for name, one in pods(stack):
        if not one.spec:
            continue  # an operator makes these
        assert one.spec["automountServiceAccountToken"] is False, name
        assert one.spec["enableServiceLinks"] is False, name
        assert one.spec["serviceAccountName"] == name_of(accounts[0])
        assert one.spec["dnsConfig"] == {"options": [{"name": "ndots", "value": "2"}]}


@pytest.mark.parametrize("stack", CLUSTERS)
def test_no_object_has_the_plain_name_that_would_set_immich_port(stack: str) -> None:
    services = [name_of(one) for one in of_kind(manifests(RUNS[stack]), "Service")]
    assert services
    assert not {"immich", "redis", "db"} & set(services)


@pytest.mark.parametrize("stack", CLUSTERS)
def test_the_namespace_enforces_the_strictest_level_that_its_pods_permit(stack: str) -> None:
    found = [one for _, one in pods(stack)]
    privileged = any(
        at(container, "securityContext", "privileged") is True
        for one in found
        for container in one.containers
    )
    assert privileged == any("hostPath" in volume for one in found for volume in items(one.spec, "volumes"))
    assert privileged == (stack == "devices")
    for namespace in of_kind(manifests(RUNS[stack]), "Namespace"):
        level = "privileged" if privileged else "restricted"
        for mode in ("enforce", "audit", "warn"):
            assert namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == level


def test_a_step_back_from_the_hardened_default_states_its_reason_on_the_pod() -> None:
    found = {
        name: one for name, one in pods("devices") if any("relaxation" in key for key in one.annotations)
    }
    assert found.keys() == {"immich-server", "immich-machine-learning"}
    assert (
        found["immich-server"].annotations["relaxation.immich/privileged"]
        == "vaapi opens /dev/dri of the host"
    )


LINKS = {
    ("immich-server", "immich-cache", 6379),
    ("immich-server", "immich-database", 5432),
    ("immich-server", "immich-machine-learning", 3003),
    ("immich-microservices", "immich-cache", 6379),
    ("immich-microservices", "immich-database", 5432),
    ("immich-microservices", "immich-machine-learning", 3003),
    ("immich-proxy", "immich-server", 2283),
    ("immich-backup", "immich-database", 5432),
    ("immich-drill", "immich-database", 5432),
    ("immich-metrics-role", "immich-database", 5432),
    ("immich-setup", "immich-database", 5432),
    ("immich-setup", "immich-server", 2283),
    ("immich-valkey-exporter", "immich-cache", 6379),
    ("immich-door-exporter", "immich-machine-learning", 3003),
}
"""Who talks to whom in Immich."""

WATCHING = {"immich-metrics-role", "immich-valkey-exporter", "immich-door-exporter"}
"""They look up names, of ours or of the ways in."""
TASKS = {"immich-backup", "immich-drill", "immich-setup"}

MEMBERS = {("immich-database", "immich-database", port) for port in (5432, 8000)}
"""Members of a database cluster talk to each other."""


@pytest.mark.parametrize("stack", ISOLATED)
def test_pods_reach_each_other_exactly_where_immich_needs_it(stack: str) -> None:
    found, made = pods(stack), policies(stack)
    names = {name for name, _ in found}
    clustered = bool(of_kind(manifests(RUNS[stack]), "Cluster"))
    open_ = {
        (source, target, port)
        for source, one in found
        for target, other in found
        for port in (22, 80, 443, 9187, *sorted(other.port_numbers), 8000)
        if (one is not other) and open_between(made, end(one), end(other, "10.244.2.2"), port)
    }
    expected = {link for link in LINKS if link[0] in names and link[1] in names}
    # A database cluster's pods are allowed the API server's ports wherever that is; Immich's own pods let none in.
    assert open_ - MEMBERS - {("immich-database", "immich-database", 443)} == expected
    assert (open_ >= MEMBERS) == clustered


@pytest.mark.parametrize("stack", ISOLATED)
def test_no_stranger_reaches_the_database_the_cache_or_machine_learning(stack: str) -> None:
    made = policies(stack)
    strangers = [
        Pod("default", {}, "10.244.9.9"),
        Pod("gateway", {"app": "envoy"}, "10.244.9.8"),
        Pod("immich", {"app": "by-hand"}, "10.244.9.7"),
        Outside("203.0.113.7"),
        Outside("192.168.1.7"),
        Outside("10.244.0.1", entity="remote-node"),
    ]
    for name, one in pods(stack):
        if name in {"immich-database", "immich-cache", "immich-machine-learning", "immich-microservices"}:
            for port in (*sorted(one.port_numbers), 443):
                for stranger in strangers:
                    assert not open_between(made, stranger, end(one), port), (
                        f"{stranger} reaches {name}:{port}"
                    )


@pytest.mark.parametrize("stack", ISOLATED)
def test_only_those_who_need_the_internet_reach_it_and_by_https_only(stack: str) -> None:
    made = policies(stack)
    public = Outside("93.184.216.34", "huggingface.co")
    version = Outside("93.184.216.34", "version.immich.cloud")
    for name, one in pods(stack):
        if name == "immich-database" and not one.spec:
            continue  # a database cluster reaches its object store
        wanted = name in {"immich-server", "immich-microservices", "immich-machine-learning"}
        # Copies of prod go to a bucket on the internet.
        wanted = wanted or (name in TASKS and stack == "prod")
        # It asks the ways in as a visitor does, wherever they lead.
        asks_doors = name == "immich-door-exporter"
        wanted = wanted or asks_doors
        either = [open_between(made, end(one), place, 443) for place in (public, version)]
        assert any(either) == wanted, name
        assert not open_between(made, end(one), public, 80)
        assert open_between(made, end(one), DNS, 53, "UDP") == (
            wanted or name in {"immich-proxy", *TASKS, *WATCHING}
        )
        assert not open_between(made, end(one), Outside("169.254.169.254"), 443), f"{name} reaches metadata"
        # A plain NetworkPolicy knows no names: a sign-in server that may be on the LAN opens its port to all of it.
        for network in (
            set(PRIVATE_IPV4) - {"169.254.0.0/16"} if stack not in {"operated", "external"} else ()
        ):
            address = network.partition("/")[0]
            reached = open_between(made, end(one), Outside(address), 443)
            assert reached == asks_doors, f"{name} reaches {address}"


def test_each_way_in_reaches_the_port_that_it_leads_to_and_no_other() -> None:
    documents, made = manifests(RUNS["operated"]), policies("operated")
    (route,), (lan,) = (
        of_kind(documents, "HTTPRoute"),
        [one for one in of_kind(documents, "Service") if one["spec"]["type"] == "LoadBalancer"],
    )
    by_gateway = route["spec"]["rules"][0]["backendRefs"][0]["port"]
    by_lan = lan["spec"]["ports"][0]["targetPort"]
    (found,) = [one for name, one in pods("operated") if name == "immich-proxy"]
    proxy = end(found)
    gateway, neighbour = (
        Pod("gateway", {"app": "envoy"}, "10.244.9.8"),
        Pod("gateway", {"app": "other"}, "10.244.9.8"),
    )
    person, stranger = Outside("192.168.1.7"), Outside("203.0.113.7")
    for port in found.port_numbers:
        assert open_between(made, gateway, proxy, port) == (port == by_gateway)
        assert open_between(made, person, proxy, port) == (port == by_lan)
        assert not open_between(made, neighbour, proxy, port)
        assert not open_between(made, stranger, proxy, port)


def test_without_nginx_the_ingress_controllers_namespace_reaches_the_server() -> None:
    made = policies("external")
    server = next(end(one) for name, one in pods("external") if name == "immich-server")
    assert open_between(made, Pod("ingress-nginx", {"app": "any"}, "10.244.9.8"), server, 2283)
    assert not open_between(made, Pod("default", {}, "10.244.9.8"), server, 2283)
    assert open_between(made, server, Outside("192.168.7.10"), 5433)
    assert open_between(made, server, Outside("fd00::7"), 3003)
    assert open_between(made, server, Outside("203.0.113.1", "cache.example.com"), 6379)


@pytest.mark.parametrize("stack", ISOLATED)
def test_every_namespace_with_our_pods_denies_by_default(stack: str) -> None:
    made = policies(stack)
    denying = [one for one in made if name_of(one) == "immich-default-deny"]
    assert len(denying) == 1
    spec = denying[0]["spec"]
    if kind_of(denying[0]) == "NetworkPolicy":
        assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    else:
        assert spec == {"endpointSelector": {}, "ingress": [{}], "egress": [{}]}


def test_without_isolation_there_are_no_policies() -> None:
    assert policies("devices") == []

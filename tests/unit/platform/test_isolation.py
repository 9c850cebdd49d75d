"""Isolation as a property: from random workloads and links, exactly the links are open."""

from __future__ import annotations

import types
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.model.naming import selector
from components.model.specs import LanAllowance, Peer
from components.model.values import ImageRef, Quantity
from components.model.workload import Egress, Ingress, Link, Resources, Workload
from components.platform.kubernetes import cilium, network_policies
from tests.harness.examples import examples
from tests.harness.policy_eval import DNS, Outside, Pod, open_between

FLAVOURS = [network_policies, cilium]
IMMICH = "immich"
PORTS = (1000, 2000, 3000)
NAMES = ("server", "database", "cache", "proxy", "other")
PEER = "pg"
PUBLIC = Outside("93.184.216.34", "public.example.com")
METADATA = Outside("169.254.169.254", "metadata.example.com")
LAN = Outside("192.168.1.77", "nas.example.com")
AMOUNTS = Resources(
    cpu_request=Quantity("1"), memory_request=Quantity("1Gi"), cpu_limit=Quantity("1"), memory_limit=Quantity("1Gi")
)  # fmt: skip


def workload(name: str, **more: Any) -> Workload:
    return Workload(
        name=name, image=ImageRef("example.com/a:1"), resources=AMOUNTS, user=1000, group=1000, **more
    )


def pod(name: str, namespace: str = IMMICH) -> Pod:
    return Pod(namespace, selector(name), f"10.244.0.{20 + NAMES.index(name)}")


def database_pod(namespace: str | None) -> Pod:
    return Pod(namespace or IMMICH, {"cnpg.io/cluster": PEER}, "10.244.3.3")


def policies(
    flavour: types.ModuleType, workloads: list[Workload], peer_namespace: str | None = None
) -> list[dict[str, Any]]:
    """Everything that the platform makes for these workloads, in place."""
    peer = Peer(namespace=peer_namespace, labels={"cnpg.io/cluster": PEER})
    made = [flavour.default_deny()]
    made += [flavour.workload_policy(one, workloads, {PEER: peer}) for one in workloads]
    found = [{**one, "metadata": {"namespace": IMMICH}} for one in made]
    clients = [(one.name, link.port) for one in workloads for link in one.links if link.to == PEER]
    of_peer = network_policies.peer_policy(
        peer, clients, namespace=IMMICH, operator_namespace="cnpg-system", archive_ports=[9000]
    )
    return [*found, {**of_peer, "metadata": {"namespace": peer_namespace or IMMICH}}]


@st.composite
def deployments(draw: st.DrawFn) -> list[Workload]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=len(NAMES), unique=True))
    link = st.builds(Link, to=st.sampled_from([*names, PEER]), port=st.sampled_from(PORTS))
    rule = st.sampled_from(
        [
            Egress(reason="names", names=("public.example.com",)),
            Egress(reason="wildcard", names=("*.example.com",), ports=(443, 1000)),
            Egress(reason="lan", cidrs=("192.168.1.77/32",), ports=(2000,)),
            Egress.to_host("private name", "nas.example.com", 3000),
        ]
    )
    gateway = st.sampled_from(
        [
            Ingress(reason="gateway", port=1000, namespace="gateway", pods={"app": "envoy"}),
            Ingress(reason="whole namespace", port=2000, namespace="gateway"),
            Ingress(reason="nodes", port=3000, cidrs=("192.168.1.0/24",), nodes=True),
        ]
    )
    return [
        workload(
            name,
            links=tuple(
                draw(st.lists(link.filter(lambda one, own=name: one.to != own), max_size=3, unique=True))
            ),
            egress=tuple(draw(st.lists(rule, max_size=2))),
            ingress=tuple(draw(st.lists(gateway, max_size=2))),
        )
        for name in names
    ]


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda one: one.__name__.rpartition(".")[2])
@given(deployment=deployments())
@settings(max_examples=examples(60), deadline=None)
def test_a_workload_reaches_another_exactly_where_a_link_says_so(
    flavour: types.ModuleType, deployment: list[Workload]
) -> None:
    made = policies(flavour, deployment)
    for one in deployment:
        for other in deployment:
            for port in PORTS if one is not other else ():
                linked = any(link.to == other.name and link.port == port for link in one.links)
                assert open_between(made, pod(one.name), pod(other.name), port) == linked
                assert not open_between(made, pod(one.name), pod(other.name), port, "UDP")


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda one: one.__name__.rpartition(".")[2])
@pytest.mark.parametrize("namespace", [None, "databases"])
@given(deployment=deployments())
@settings(max_examples=examples(30), deadline=None)
def test_a_database_cluster_is_reached_by_those_who_link_to_it_wherever_it_is(
    flavour: types.ModuleType, namespace: str | None, deployment: list[Workload]
) -> None:
    made = policies(flavour, deployment, namespace)
    for one in deployment:
        for port in PORTS:
            linked = any(link.to == PEER and link.port == port for link in one.links)
            assert open_between(made, pod(one.name), database_pod(namespace), port) == linked
            assert not open_between(made, database_pod(namespace), pod(one.name), port)


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda one: one.__name__.rpartition(".")[2])
@given(deployment=deployments())
@settings(max_examples=examples(30), deadline=None)
def test_names_are_resolved_by_those_who_talk_to_names_and_by_nobody_else(
    flavour: types.ModuleType, deployment: list[Workload]
) -> None:
    made = policies(flavour, deployment)
    for one in deployment:
        needed = bool(one.links) or any(rule.names for rule in one.egress)
        assert open_between(made, pod(one.name), DNS, 53, "UDP") == needed
        assert open_between(made, pod(one.name), DNS, 53, "TCP") == needed
        assert not open_between(made, pod(one.name), Pod("kube-system", {"k8s-app": "other"}), 53, "UDP")


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda one: one.__name__.rpartition(".")[2])
@given(deployment=deployments())
@settings(max_examples=examples(30), deadline=None)
def test_strangers_reach_nothing_but_what_an_ingress_rule_names(
    flavour: types.ModuleType, deployment: list[Workload]
) -> None:
    made = policies(flavour, deployment)
    envoy = Pod("gateway", {"app": "envoy"}, "10.244.9.1")
    neighbour = Pod("gateway", {"app": "other"}, "10.244.9.2")
    node = Outside("192.168.1.4", entity="remote-node")
    for one in deployment:
        target = pod(one.name)
        reasons = {rule.reason for rule in one.ingress}
        for port in PORTS:
            assert not open_between(made, Pod("default", {}, "10.244.9.9"), target, port)
            assert not open_between(made, Outside("203.0.113.9"), target, port)
            assert not open_between(made, Pod(IMMICH, {"app": "intruder"}, "10.244.9.8"), target, port)
            assert not open_between(made, pod(one.name, "elsewhere"), target, port)
        assert open_between(made, envoy, target, 1000) == ("gateway" in reasons)
        assert not open_between(made, neighbour, target, 1000)
        assert open_between(made, neighbour, target, 2000) == ("whole namespace" in reasons)
        assert open_between(made, node, target, 3000) == ("nodes" in reasons)


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_a_pod_without_links_reaches_nothing_and_nobody_reaches_it(flavour: types.ModuleType) -> None:
    made = policies(flavour, [workload("cache")])
    for port in (53, 80, 443, 6379):
        for protocol in ("TCP", "UDP"):
            for end in (PUBLIC, LAN, METADATA, DNS, Pod(IMMICH, {"app": "other"})):
                assert not open_between(made, pod("cache"), end, port, protocol)
                assert not open_between(made, end, pod("cache"), port, protocol)


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_a_pod_that_no_workload_policy_knows_is_shut_in_both_directions(flavour: types.ModuleType) -> None:
    made = policies(flavour, [workload("server")])
    stranger = Pod(IMMICH, {"app": "added-by-hand"}, "10.244.7.7")
    assert not open_between(made, stranger, PUBLIC, 443)
    assert not open_between(made, Pod("default", {}), stranger, 80)


def test_a_public_name_opens_no_private_network_and_no_metadata_service() -> None:
    made = policies(
        network_policies, [workload("server", egress=(Egress(reason="x", names=("a.example.com",)),))]
    )
    assert open_between(made, pod("server"), PUBLIC, 443)
    assert open_between(made, pod("server"), Outside("2606:2800:220:1::1"), 443)
    assert not open_between(made, pod("server"), PUBLIC, 80)
    for address in (
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.31.0.1",
        "192.168.1.1",
        "fd00::1",
        "fe80::1",
    ):
        assert not open_between(made, pod("server"), Outside(address), 443)


def test_a_name_that_may_be_private_opens_its_port_only_and_no_metadata_service() -> None:
    made = policies(
        network_policies, [workload("server", egress=(Egress.to_host("sign-in", "id.lan", 8443),))]
    )
    assert open_between(made, pod("server"), LAN, 8443)
    assert open_between(made, pod("server"), PUBLIC, 8443)
    assert not open_between(made, pod("server"), LAN, 443)
    assert not open_between(made, pod("server"), Outside("169.254.169.254"), 8443)


def test_an_address_outside_opens_that_address_only() -> None:
    for flavour in FLAVOURS:
        made = policies(flavour, [workload("server", egress=(Egress.to_host("nas", "192.168.1.77", 5432),))])
        assert open_between(made, pod("server"), LAN, 5432)
        assert not open_between(made, pod("server"), Outside("192.168.1.78"), 5432)
        assert not open_between(made, pod("server"), PUBLIC, 5432)


def test_cilium_checks_names_and_every_depth_below_a_wildcard() -> None:
    made = policies(cilium, [workload("server", egress=(Egress(reason="x", names=("*.hf.co", "hf.co")),))])
    for name in ("hf.co", "cdn.hf.co", "us.cdn.hf.co", "us.aws.cdn.hf.co"):
        assert open_between(made, pod("server"), Outside("1.2.3.4", name), 443), name
    for name in ("evil.co", "evilhf.co", "hf.co.evil.org", None):
        assert not open_between(made, pod("server"), Outside("1.2.3.4", name), 443), name


def test_cilium_lets_pods_of_immich_reach_allowed_machines_by_address_or_name() -> None:
    allowed = cilium.lan_allowances(
        [LanAllowance(address="192.168.1.5", port=2049), LanAllowance(address="nas.lan", port=445)]
    )
    made = [{**one, "metadata": {"namespace": IMMICH}} for one in (cilium.default_deny(), allowed)]
    assert open_between(made, pod("server"), Outside("192.168.1.5"), 2049)
    assert not open_between(made, pod("server"), Outside("192.168.1.6"), 2049)
    assert not open_between(made, pod("server"), Outside("192.168.1.5"), 22)
    assert open_between(made, pod("server"), Outside("192.168.1.9", "nas.lan"), 445)
    assert not open_between(made, pod("cache"), DNS, 53, "UDP"), (
        "whoever talks to names has DNS by a rule of its own"
    )


def test_cilium_knows_a_gateway_on_the_nodes_by_identity() -> None:
    rule = Ingress(reason="gateway", port=8080, cidrs=("10.244.0.0/16",), nodes=True)
    made = policies(cilium, [workload("proxy", ingress=(rule,))])
    for entity in ("ingress", "host", "remote-node"):
        assert open_between(made, Outside("10.244.1.1", entity=entity), pod("proxy"), 8080)
    assert not open_between(made, Outside("203.0.113.1"), pod("proxy"), 8080)


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_a_load_balancer_lets_in_whom_it_names_or_everybody(flavour: types.ModuleType) -> None:
    lan_only = Ingress(reason="lan", port=8080, cidrs=("192.168.1.0/24",))
    made = policies(flavour, [workload("proxy", ingress=(lan_only,))])
    assert open_between(made, LAN, pod("proxy"), 8080)
    assert not open_between(made, PUBLIC, pod("proxy"), 8080)
    made = policies(flavour, [workload("proxy", ingress=(Ingress(reason="all", port=8080, anyone=True),))])
    assert open_between(made, PUBLIC, pod("proxy"), 8080)
    assert not open_between(made, PUBLIC, pod("proxy"), 8081)


def test_the_operator_and_the_members_reach_a_database_cluster() -> None:
    made = policies(network_policies, [workload("server", links=(Link(to=PEER, port=5432),))], "databases")
    database, operator = database_pod("databases"), Pod("cnpg-system", {"app": "operator"}, "10.244.5.5")
    for port in (5432, 8000):
        assert open_between(made, operator, database, port)
        assert open_between(made, database, database, port)
        assert not open_between(made, Pod("databases", {"app": "other"}), database, port)
    assert open_between(made, database, operator, 9443)
    for port in (443, 6443, 9000):
        assert open_between(made, database, Outside("10.96.0.1"), port)
    assert not open_between(made, database, PUBLIC, 80)


@pytest.mark.parametrize("given_", [{}, {"names": ("a",), "cidrs": ("10.0.0.1/32",)}])
def test_egress_without_a_destination_or_with_two_kinds_of_them_is_refused(given_: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give names or cidrs"):
        Egress(reason="nothing", **given_)


@pytest.mark.parametrize("given_", [{}, {"nodes": True}, {"pods": {"app": "envoy"}}])
def test_ingress_from_nobody_is_refused_since_it_would_mean_everybody(given_: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give a namespace, networks or anyone"):
        Ingress(reason="nothing", port=80, **given_)

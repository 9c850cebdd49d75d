"""Networks from links: who shares one with whom, which have a way out, and which addresses they have."""

from __future__ import annotations

import ipaddress
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.model.exposure import PublishedPortSpec, TraefikSpec
from components.model.workload import Egress, Link, Workload
from components.platform.docker import networks
from components.settings.docker import NETWORKS, Docker, NetworkName
from components.stack.host_networks import own_subnet, subnets
from tests.harness.examples import examples
from tests.unit.docker.parts import LINKED, OPTIONS, options, workload

PORT = PublishedPortSpec(name="immich-proxy-lan", to="proxy", port=8080, address="127.0.0.1", listen=2283)
OUT = Egress(reason="models", names=("huggingface.co",))
NAMES = (
    "server",
    "microservices",
    "database",
    "cache",
    "machine-learning",
    "proxy",
    "cloudflared",
    "certificates",
)
ADDRESSED = frozenset(NETWORKS)


def traefik(network: str | None) -> TraefikSpec:
    return TraefikSpec(
        name="immich-server", to="server", port=2283, hostnames=("photos.example.com",), entry_points=("websecure",),
        cert_resolver=None, tls_secret=None, proxies=(), bouncer=None, attempts=None, security_headers=False,
        hsts=False,
        sign_in_page=None, network=network,
    )  # fmt: skip


@st.composite
def deployments(draw: st.DrawFn) -> list[Workload]:
    """Workloads with links to those that may have a network."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    found: list[Workload] = []
    for name in names:
        targets = [one for one in names if one in LINKED and one != name]
        chosen = draw(st.lists(st.sampled_from(targets), unique=True)) if targets else []
        outside = (OUT,) if f"{name}-outside" in ADDRESSED and draw(st.booleans()) else ()
        ways = (PORT,) if name == "proxy" and draw(st.booleans()) else ()
        links = tuple(Link(to=to, port=1000) for to in chosen)
        found.append(workload(name=name, links=links, egress=outside, ways=ways))
    return found


@given(deployments())
@settings(max_examples=examples(200), deadline=None)
def test_two_meet_exactly_where_one_is_linked_to_the_other_or_both_to_a_third(found: list[Workload]) -> None:
    joined = {one.name: set(networks.joined_by(one, OPTIONS)) for one in found}
    links = {one.name: {link.to for link in one.links} for one in found}
    for first, second in itertools.combinations(links, 2):
        linked = second in links[first] or first in links[second]
        together = bool(links[first] & links[second])
        assert bool(joined[first] & joined[second]) == (linked or together), (first, second)


@given(deployments())
@settings(max_examples=examples(100), deadline=None)
def test_a_way_out_is_one_workloads_own_and_only_for_what_talks_outside_or_is_reached_from_there(
    found: list[Workload],
) -> None:
    for one in found:
        out = [name for name in networks.joined_by(one, OPTIONS) if name.endswith(networks.OUTSIDE)]
        assert out == ([f"{one.name}-outside"] if one.egress or one.ways else [])


@given(deployments())
@settings(max_examples=examples(100), deadline=None)
def test_every_network_that_is_joined_has_addresses_and_is_internal_unless_it_is_a_way_out(
    found: list[Workload],
) -> None:
    for name in {name for one in found for name in networks.joined_by(one, OPTIONS)}:
        made = networks.network(name, OPTIONS)
        assert made["internal"] == (not name.endswith("-outside")), name
        assert made["name"] == f"immich-home-{name}"
        (ipam,) = made["ipamConfigs"]
        hosts = list(ipaddress.ip_network(ipam["subnet"]).hosts())
        assert ipam["gateway"] == str(hosts[0])


def test_a_network_is_joined_once_however_many_links_lead_there() -> None:
    both = (Link(to="database", port=5432), Link(to="database", port=8432))
    assert networks.joined_by(workload(name="microservices", links=both), OPTIONS) == ["database"]


def test_what_nobody_is_linked_to_has_no_network_of_its_own() -> None:
    assert networks.joined_by(workload(), options(joined=frozenset[str]())) == []
    assert networks.joined_by(workload(), OPTIONS) == ["server"]


def test_a_label_of_traefik_joins_its_network_and_opens_no_way_out() -> None:
    way = workload(ways=(traefik("reverse_proxy"), traefik("reverse_proxy"), traefik(None)))
    assert networks.foreign(way) == ["reverse_proxy"]
    assert networks.joined_by(way, OPTIONS) == ["server"]
    assert networks.published(way) == []


def test_a_network_without_addresses_is_an_error_of_this_program() -> None:
    with pytest.raises(ValueError, match="the network backup has no addresses"):
        networks.network("backup", OPTIONS)


# Addresses


def parsed(stack: str, docker: Docker) -> dict[str, Any]:
    return {name: ipaddress.ip_network(text) for name, text in subnets(stack, docker).items()}


@given(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=40))
@settings(max_examples=examples(100), deadline=None)
def test_the_networks_of_a_stack_are_disjoint_private_and_the_same_each_time(stack: str) -> None:
    found = parsed(stack, Docker())
    assert tuple(found) == NETWORKS
    assert found == parsed(stack, Docker())
    for one, other in itertools.combinations(found.values(), 2):
        assert not one.overlaps(other)
    first, last = ipaddress.ip_address("10.200.0.0"), ipaddress.ip_address("10.249.255.255")
    for one in found.values():
        assert first <= one.network_address <= last
        assert one.prefixlen == 28
        assert one.is_private


def test_two_stacks_have_other_addresses() -> None:
    named = ["home", "skylab", "hwc", "heartbeat", "heartbeat-dev", "homelab", "dev", "prod"]
    assert len({own_subnet(name) for name in named}) == len(named)


def test_a_subnet_of_the_settings_is_cut_in_the_order_of_the_table() -> None:
    found = parsed("home", Docker.model_validate({"subnet": "192.168.77.0/24"}))
    assert [str(found[name]) for name in NETWORKS[:2]] == ["192.168.77.0/28", "192.168.77.16/28"]
    assert all(one.subnet_of(ipaddress.ip_network("192.168.77.0/24")) for one in found.values())
    assert len(NETWORKS) <= 16, "a /24 has sixteen parts"


def test_a_network_of_the_settings_has_its_own_addresses_and_all_others_those_of_the_table() -> None:
    given_ = Docker.model_validate({"networks": {"database": {"subnet": "10.89.5.0/24"}}})
    before, after = subnets("homelab", Docker()), subnets("homelab", given_)
    assert {name for name in before if before[name] != after[name]} == {"database"}
    assert after["database"] == "10.89.5.0/24"
    assert networks.gateway(after["database"]) == "10.89.5.1"


def test_the_names_of_the_settings_are_those_of_the_table() -> None:
    assert NetworkName.__args__ == NETWORKS


@pytest.mark.parametrize("name", NAMES)
def test_every_workload_that_may_talk_outside_has_addresses_for_its_way_out(name: str) -> None:
    talks = name not in {"database", "cache"}
    assert (f"{name}-outside" in ADDRESSED) == talks

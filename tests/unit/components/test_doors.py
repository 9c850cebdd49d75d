"""Doors: what an upload passes, what limits it, and what a person is told about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.cloudflare.settings import Cloudflare
from components.fields.finding import Finding
from components.proxy.doors import Door, Hop, carries, data, doors, readable, table, too_narrow, widest
from components.proxy.settings import Proxy
from components.settings import door_rules
from tests.unit.components.edge import (
    CLUSTER_IP,
    GATEWAY,
    LAN,
    NAME,
    OPEN,
    PLAIN,
    PLANS,
    TRAEFIK,
    edge,
    host,
    proxy,
    record,
)

CERTIFICATE = {"kind": "secret", "name": "photos-tls"}
NO_LIMIT: dict[str, object] = {"limit": None, "limitedBy": "", "timeout": None, "buffers": False}


def names(door: Door) -> list[str]:
    return [hop.name for hop in door.hops]


def test_the_table_says_what_the_two_common_doors_carry() -> None:
    found = doors(host(), proxy(LAN, maxUpload="50G", tls=CERTIFICATE), edge("free", tunnel=True))
    assert table(found) == [
        {
            "door": "internet",
            "url": "https://photos.example.com",
            "hops": "cloudflare(free) > cloudflared > nginx > immich",
            "largest upload": "100 MB",
            "limited by": 'cloudflare plan "free"',
            "idle/read timeout": "120 s (cloudflare)",
        },
        {
            "door": "lan",
            "url": "https://photos.example.com",
            "hops": "nginx > immich",
            "largest upload": "50 GB",
            "limited by": "immich:proxy.maxUpload",
            "idle/read timeout": "600 s (nginx)",
        },
    ]


@pytest.mark.parametrize(("plan", "limit"), PLANS.items())
def test_a_plan_limits_its_door(plan: str, limit: int) -> None:
    (door, _) = doors(host(), proxy(CLUSTER_IP), edge(plan, tunnel=True))
    assert door.largest_upload == limit


def test_nginx_limits_a_door_that_is_wider_than_it() -> None:
    (door, _) = doors(host(), proxy(CLUSTER_IP, maxUpload="200M"), edge("enterprise", tunnel=True))
    assert door.narrowest == Hop(
        name="nginx", limit=200 * 10**6, limited_by="immich:proxy.maxUpload", timeout=600, peer="its pod"
    )


def test_a_proxied_name_passes_cloudflare_and_another_name_of_the_same_way_does_not() -> None:
    records = [record(), record("upload.example.com", proxied=False)]
    both = doors(host(aliases=("upload.example.com",)), proxy(OPEN), edge("pro", records=records))
    assert [(door.url, names(door)) for door in both] == [
        ("https://photos.example.com", ["cloudflare(pro)", "nginx", "immich"]),
        ("https://upload.example.com", ["nginx", "immich"]),
    ]


def test_a_proxied_record_without_a_tunnel_stands_before_a_gateway() -> None:
    (door,) = doors(host(), proxy(GATEWAY, kind="none", maintenance="everywhere"), edge(records=[record()]))
    assert names(door) == ["cloudflare(free)", "gateway public", "immich"]
    assert door.hops[0].peer == "an address of Cloudflare's"


def test_a_record_of_another_name_stands_before_nothing() -> None:
    (door,) = doors(host(), proxy(GATEWAY), edge(records=[record("other.example.com")]))
    assert names(door) == ["gateway public", "nginx", "immich"]


def test_a_name_of_the_tunnel_reaches_no_other_door_from_the_internet() -> None:
    found = doors(
        host(aliases=("upload.example.com",)),
        proxy(OPEN),
        edge(tunnel=True, records=[record("upload.example.com", proxied=False)]),
    )
    assert [(door.url, names(door)) for door in found] == [
        ("https://photos.example.com", ["cloudflare(free)", "cloudflared", "nginx", "immich"]),
        ("https://upload.example.com", ["nginx", "immich"]),
    ]


def test_a_tunnel_that_no_name_of_immich_leads_into_is_no_door() -> None:
    (door,) = doors(host(), proxy(OPEN), edge(tunnel=True, records=[record(proxied=False)]))
    assert names(door) == ["nginx", "immich"]


def test_a_door_of_the_local_network_never_passes_cloudflare() -> None:
    (door,) = doors(host(), proxy({**GATEWAY, "door": "lan"}), edge(records=[record()]))
    assert (door.name, names(door)) == ("lan", ["gateway public", "nginx", "immich"])


@pytest.mark.parametrize(
    ("way", "more", "url"),
    [
        (LAN, {}, "http://192.168.1.20"),
        ({**LAN, "address": "fd00::20"}, {}, "http://[fd00::20]"),
        ({"kind": "loadBalancer"}, {}, "http://photos.example.com"),
        (LAN, {"tls": CERTIFICATE}, "https://photos.example.com"),
        ({**GATEWAY, "door": "lan", "hostnames": ["home.example.com"]}, {}, "https://home.example.com"),
        (CLUSTER_IP, {}, "http://localhost:8080"),
        (CLUSTER_IP, {"kind": "none"}, "http://localhost:2283"),
    ],
)
def test_the_address_is_one_that_answers(way: dict[str, Any], more: dict[str, Any], url: str) -> None:
    (door,) = doors(host(), proxy(way, **more), None)
    assert door.url == url


def test_a_port_is_part_of_a_public_address() -> None:
    (door,) = doors(host(port=8443), proxy(OPEN), None)
    assert door.url == "https://photos.example.com:8443"


@pytest.mark.parametrize(
    ("way", "hop"),
    [
        (GATEWAY, Hop(name="gateway public", peer="its pod")),
        (
            {**GATEWAY, "fromNodes": True, "sourceRanges": ["10.0.0.0/24"]},
            Hop(name="gateway public", peer="its node"),
        ),
        (
            {**GATEWAY, "implementation": "envoy-gateway"},
            Hop(name="gateway public", timeout=300, peer="its pod"),
        ),
        (
            {**GATEWAY, "implementation": "nginx-gateway-fabric"},
            Hop(name="gateway public", buffers=True, peer="its pod"),
        ),
        (PLAIN, Hop(name="ingress haproxy", timeout=50, peer="its pod")),
        ({**PLAIN, "className": "nginx"}, Hop(name="ingress nginx", buffers=True, peer="its pod")),
        (
            {**PLAIN, "className": "nginx", "controller": "ingress-nginx"},
            Hop(name="ingress nginx", peer="its pod"),
        ),
        (TRAEFIK, Hop(name="traefik websecure", peer="its pod")),
        (
            {**TRAEFIK, "entryPointReadTimeout": "15m", "entryPoints": ["web", "tls"]},
            Hop(name="traefik web+tls", timeout=900, peer="its pod"),
        ),
        (
            {**OPEN, "proxyProtocol": True, "trustedSources": ["10.0.0.0/24"]},
            Hop(name="load balancer", peer="its address"),
        ),
    ],
)
def test_what_stands_before_nginx_is_known(way: dict[str, Any], hop: Hop) -> None:
    (door,) = doors(host(), proxy(way), None)
    assert door.hops[0] == hop


def test_sizes_are_told_in_the_unit_that_is_whole() -> None:
    told = [readable(size) for size in (None, 1, 1500, 100 * 10**6, 2**30, 50 * 2**30, 1_234_500_000)]
    assert told == ["no limit", "1 B", "1.5 kB", "100 MB", "1 GiB", "50 GiB", "1.2345 GB"]


def test_programs_get_bytes_and_seconds() -> None:
    (door,) = data(doors(host(), proxy(GATEWAY, kind="none", maintenance="everywhere"), None))
    assert door == {
        "door": "internet",
        "url": "https://photos.example.com",
        "address": None,
        "largestUpload": None,
        "limitedBy": None,
        "timeout": None,
        "hops": [
            {**NO_LIMIT, "name": "gateway public", "peer": "its pod"},
            {**NO_LIMIT, "name": "immich", "peer": ""},
        ],
    }


# The rule


def found_by_the_rule(ways: Proxy, cloudflare: Any) -> list[Finding]:
    return list(door_rules.some_door_carries_uploads(host(), ways, cloudflare))


def test_a_tunnel_alone_cannot_carry_the_uploads_that_were_promised() -> None:
    (finding,) = found_by_the_rule(proxy(CLUSTER_IP), edge("business", tunnel=True))
    assert finding.key == "proxy.maxUpload"
    assert finding.given == "50Gi"
    assert "https://photos.example.com" in finding.reason
    assert 'cloudflare plan "business" ends a request at 200 MB' in finding.reason
    for way_out in ("loadBalancer", "own DNS", "not proxied", "WARP", "'immich:proxy.maxUpload' 200M"):
        assert way_out in str(finding.hint)


@pytest.mark.parametrize(
    "ways",
    [
        pytest.param(proxy(LAN), id="a LAN door carries it"),
        pytest.param(proxy(CLUSTER_IP, maxUpload="100M"), id="nothing larger was promised"),
        pytest.param(
            proxy({**GATEWAY, "hostnames": ["upload.example.com"]}), id="a second name is not proxied"
        ),
    ],
)
def test_a_way_out_satisfies_the_rule(ways: Proxy) -> None:
    assert found_by_the_rule(ways, edge("free", tunnel=True)) == []


def test_the_limit_that_the_rule_proposes_satisfies_it() -> None:
    (finding,) = found_by_the_rule(proxy(CLUSTER_IP), edge("free", tunnel=True))
    proposed = str(finding.hint).rsplit(" ", 1)[1]
    assert found_by_the_rule(proxy(CLUSTER_IP, maxUpload=proposed), edge("free", tunnel=True)) == []


def test_a_deployment_without_a_door_to_the_internet_is_not_judged() -> None:
    assert found_by_the_rule(proxy(LAN), edge("free", records=[record()])) == []
    assert found_by_the_rule(proxy(CLUSTER_IP), None) == []


# Names


@pytest.mark.parametrize(
    ("ways", "cloudflare", "keys"),
    [
        pytest.param(
            proxy(OPEN), edge(tunnel=True), ["proxy.expose[0].door"], id="the name leads into the tunnel"
        ),
        pytest.param(
            proxy({**GATEWAY, "door": "lan"}), edge(tunnel=True), [], id="a LAN door has its own DNS"
        ),
        pytest.param(proxy(OPEN), edge(tunnel=True, records=[record()]), [], id="the name has a record"),
        pytest.param(proxy(OPEN), None, [], id="no Cloudflare"),
        pytest.param(
            proxy(LAN), edge(records=[record()]), ["cloudflare.records[0].name"], id="nobody at the address"
        ),
        pytest.param(
            proxy({**GATEWAY, "hostnames": ["home.example.com"]}),
            edge(records=[record("home.example.com"), record()]),
            ["cloudflare.records[1].name"],
            id="the route has another name",
        ),
        pytest.param(
            proxy(LAN),
            edge(records=[record(proxied=False, content="192.168.1.20")]),
            [],
            id="a private address",
        ),
        pytest.param(
            proxy(CLUSTER_IP),
            edge(records=[record("home.example.com", proxied=False, content="192.168.1.20")]),
            ["cloudflare.records[0].name"],
            id="nobody at the private address",
        ),
    ],
)
def test_a_name_leads_to_a_door(ways: Proxy, cloudflare: Cloudflare | None, keys: list[str]) -> None:
    assert [one.key for one in door_rules.names_lead_to_doors(host(), ways, cloudflare)] == keys


# Properties

sizes = st.none() | st.integers(1, 2**50)
hops = st.builds(Hop, name=st.sampled_from("abc"), limit=sizes, timeout=st.none() | st.integers(1, 10**6))
door_lists = st.builds(
    Door,
    name=st.sampled_from(["internet", "lan", "cluster"]),
    url=st.just(""),
    hops=st.lists(hops, min_size=1).map(tuple),
)


@given(door_lists)
def test_the_limit_of_a_door_is_the_smallest_of_its_hops(door: Door) -> None:
    limits = [hop.limit for hop in door.hops if hop.limit is not None]
    assert door.largest_upload == (min(limits) if limits else None)
    timeouts = [hop.timeout for hop in door.hops if hop.timeout is not None]
    assert (door.impatient.timeout if door.impatient else None) == (min(timeouts) if timeouts else None)


@given(door_lists, hops, st.integers(0, 20), st.integers(0, 2**50))
def test_another_hop_never_lets_more_through(door: Door, hop: Hop, place: int, upload: int) -> None:
    longer = replace(door, hops=(*door.hops[:place], hop, *door.hops[place:]))
    assert door.carries(upload) or not longer.carries(upload)


@given(st.lists(door_lists), st.integers(0, 2**50))
def test_the_widest_door_carries_whatever_some_door_carries(found: list[Door], upload: int) -> None:
    best = widest(found)
    assert carries(found, upload) == (best is not None and best.carries(upload))
    narrow = too_narrow(found, upload)
    assert narrow is None or not narrow.carries(upload)


ways_in = st.sampled_from([CLUSTER_IP, LAN, OPEN, GATEWAY, {**GATEWAY, "door": "lan"}, PLAIN, TRAEFIK])
records = st.lists(
    st.builds(record, st.sampled_from([NAME, "other.example.com"]), proxied=st.booleans()),
    max_size=2,
    unique_by=lambda one: one["name"],
)
clouds = st.none() | st.builds(
    lambda plan, tunnel, found: edge(plan, tunnel=tunnel or not found, records=found),
    st.sampled_from(sorted(PLANS)),
    st.booleans(),
    records,
)


@given(st.lists(ways_in, min_size=1, max_size=8), clouds, st.sampled_from(["100M", "1Gi", "50Gi"]))
def test_every_combination_has_a_door_and_none_is_wider_than_nginx(
    expose: list[dict[str, Any]], cloudflare: Cloudflare | None, most: str
) -> None:
    settings = proxy(*expose, maxUpload=most)
    found = doors(host(), settings, cloudflare)
    inside = [
        way
        for way in expose
        if way.get("door") != "internet" and way["kind"] in {"clusterIp", "loadBalancer"}
    ]
    assert len(found) >= max(1, len(inside))
    for door in found:
        assert door.hops[-1].name == "immich"
        assert door.largest_upload is not None
        assert door.largest_upload <= settings.max_upload.amount
        passes_the_edge = door.hops[0].name.startswith("cloudflare(")
        assert not passes_the_edge or (cloudflare and door.largest_upload <= cloudflare.upload_limit)
    assert len(table(found)) == len(data(found)) == len(found)

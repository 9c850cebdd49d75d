"""Whatever headers a client invents, Immich logs the client's true address; on every listener, through every hop.

The hops in front of nginx are functions here, and do with headers what the real ones do: Cloudflare's edge and
gateways. Their addresses are loopback addresses that nginx is told to trust; the client's can be any.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from components.proxy.listeners import CLOUDFLARE_RANGES
from tests.edge.client import Headers, request
from tests.edge.proxy_addr import immich_logs
from tests.edge.running import BALANCER, GATEWAY, LAN, PUBLIC, Nginx, proxy
from tests.edge.upstream import Seen, Upstream
from tests.harness.examples import examples
from tests.harness.objects import of_kind
from tests.harness.program import Stack, manifests, run_stack

pytestmark = pytest.mark.edge

CONNECTOR, GATEWAY_POD, BALANCER_HOST, EDGE_HOST = "127.0.1.5", "127.0.1.6", "127.0.3.1", "127.0.4.7"
STRANGER = "127.0.9.9"
"""Somebody who reaches a port that is not meant for him."""
CLUSTER_PODS = ["10.42.0.0/16", "fd00:42::/56"]
NGINX_PODS = ("10.42.0.9", "::ffff:10.42.0.9", "fd00:42::9", "127.0.0.1")
WORKER = "2a06:98c0:3600::103"
"""What Cloudflare gives as the client of a request that a Worker of another zone makes."""
NUMBERS = itertools.count()

# Addresses that a connection can come from: below multicast.
v4 = st.integers(1 << 24, (224 << 24) - 1).map(lambda number: str(ipaddress.IPv4Address(number)))
v6 = st.integers(1, (0xFF << 120) - 1).map(lambda number: str(ipaddress.IPv6Address(number)))
notable = st.sampled_from(
    (
        *("10.42.0.7", "10.42.0.9", "127.0.0.1", "127.0.1.5", "127.0.1.6", "127.0.4.7", "192.168.1.4", "::1"),
        *("173.245.48.9", "2606:4700::7", "fd00:42::9", "169.254.1.1", "100.64.0.3", WORKER),
    )
)
address = st.one_of(v4, v6, notable)
junk = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30)
element = st.one_of(
    address,
    st.builds("{}:{}".format, v4, st.integers(0, 70000)),
    st.builds("[{}]:{}".format, v6, st.integers(0, 70000)),
    st.builds('for="{}";proto=https'.format, address),
    junk,
)
names = st.sampled_from(
    (
        *("X-Forwarded-For", "x-forwarded-for", "X_Forwarded_For", "X-Real-IP", "Forwarded", "X-Forwarded"),
        *("CF-Connecting-IP", "cf-connecting-ip", "CF_Connecting_IP", "CF-Connecting-IPv6", "CF-Pseudo-IPv4"),
        *(
            "True-Client-IP",
            "X-Client-IP",
            "X-Cluster-Client-IP",
            "X-Forwarded-Proto",
            "X-Forwarded-Host",
            "Via",
        ),
    )
)
values = st.lists(element, max_size=4).flatmap(
    lambda parts: st.sampled_from([", ", ",", " , ", ",,"]).map(lambda comma: comma.join(parts))
)
forged = st.lists(st.tuples(names, values), max_size=6)


def header(headers: Headers, name: str) -> list[str]:
    return [value for known, value in headers if known.lower() == name]


def without(headers: Headers, *gone: str) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in gone]


def cloudflare(client: str, headers: Headers) -> list[tuple[str, str]]:
    """The edge: overwrites CF-Connecting-IP and X-Forwarded-Proto, appends to X-Forwarded-For."""
    told = [*header(headers, "x-forwarded-for"), client]
    kept = without(headers, "cf-connecting-ip", "x-forwarded-for", "x-forwarded-proto", "true-client-ip")
    return [
        *kept,
        ("X-Forwarded-For", ", ".join(told)),
        ("CF-Connecting-IP", client),
        ("X-Forwarded-Proto", "https"),
    ]


def gateway(client: str, headers: Headers, style: str) -> list[tuple[str, str]]:
    """A gateway: adds its peer to X-Forwarded-For, in the ways that there are."""
    kept = without(headers, "x-forwarded-for", "x-forwarded-proto")
    told = header(headers, "x-forwarded-for")
    added = {
        "append": [("X-Forwarded-For", ", ".join([*told, client]))],
        "own line": [*(("X-Forwarded-For", one) for one in told), ("X-Forwarded-For", client)],
        "overwrite": [("X-Forwarded-For", client)],
    }[style]
    return [*kept, *added, ("X-Forwarded-Proto", "https")]


styles = st.sampled_from(["append", "own line", "overwrite"])


def trusted_proxies() -> str:
    """IMMICH_TRUSTED_PROXIES as the program renders it."""
    stack = Stack(
        "edge",
        {
            "host": {"name": "photos.example.com"},
            "kubernetes": {"target": "render", "podCidrs": CLUSTER_PODS},
            "proxy": {"expose": [GATEWAY]},
        },
    )
    (server,) = [
        one
        for one in of_kind(manifests(run_stack(stack)), "Deployment")
        if one["metadata"]["name"] == "immich-server"
    ]
    env = {one["name"]: one["value"] for one in server["spec"]["template"]["spec"]["containers"][0]["env"]}
    return str(env["IMMICH_TRUSTED_PROXIES"])


class Setting:
    """Two nginx in front of one server: one whose name Cloudflare proxies, one where it does not."""

    def __init__(self, upstream: Upstream, plain: Nginx, proxied: Nginx) -> None:
        self.upstream = upstream
        self.plain = plain
        self.proxied = proxied
        self.trusted = trusted_proxies()

    def ask(
        self, nginx: Nginx, listener: str, source: str, headers: Headers, *, preamble: bytes = b""
    ) -> Seen:
        """What the server sees of a request."""
        path = f"/api/server/ping?{next(NUMBERS)}"
        answer = request(nginx.ports[listener], "GET", path, headers, source=source, preamble=preamble)
        assert answer.status == 200, answer.body
        return self.upstream.wait_for(path)


@pytest.fixture(scope="module")
def edge(nginx_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    def folder(name: str) -> Path:
        return tmp_path_factory.mktemp(name)

    ways = (LAN, GATEWAY, BALANCER, PUBLIC)
    internet = (LAN, GATEWAY, {**BALANCER, "door": "internet"}, PUBLIC)
    with (
        Upstream() as upstream,
        Nginx(proxy(*ways), f"127.0.0.1:{upstream.port}", folder("plain"), tunnel=True) as plain,
        Nginx(
            proxy(*internet), f"127.0.0.1:{upstream.port}", folder("proxied"), cloudflare_in_front=True
        ) as proxied,
    ):
        yield Setting(upstream, plain, proxied)


def assert_true(edge: Setting, seen: Seen, truth: str, scheme: str) -> None:
    """Immich takes the client for `truth`, and nothing else that it might read says otherwise."""
    told = seen.one("x-forwarded-for")
    for pod in NGINX_PODS:
        logged = immich_logs(pod, told, edge.trusted)
        assert ipaddress.ip_address(logged) == ipaddress.ip_address(truth)
    assert seen.one("x-real-ip") == told
    assert seen.all("forwarded") == []
    assert seen.one("x-forwarded-proto") == scheme
    assert seen.one("x-forwarded-host") == seen.one("host") == "photos.example.com"


def in_cloudflare(text: str) -> bool:
    one = ipaddress.ip_address(text)
    networks = [ipaddress.ip_network(network) for network in CLOUDFLARE_RANGES]
    return any(one.version == network.version and one in network for network in networks)


edge_address = st.sampled_from(["173.245.48.9", "172.64.3.3", "2606:4700::7", WORKER])


def balancer_line(client: str) -> bytes:
    family = "TCP6" if ":" in client else "TCP4"
    mine = "::1" if ":" in client else "127.0.0.1"
    return f"PROXY {family} {client} {mine} 40000 443\r\n".encode()


many = settings(max_examples=examples(150), deadline=None, derandomize=True)


@many
@given(headers=forged, source=st.sampled_from(["127.0.0.1", "127.0.1.5", "127.0.4.7", STRANGER]))
def test_on_the_lan_nobody_is_believed(edge: Setting, headers: Headers, source: str) -> None:
    assert_true(edge, edge.ask(edge.plain, "lan", source, headers), source, "http")


@many
@given(headers=forged, client=address)
def test_through_the_tunnel_the_edge_is_believed(edge: Setting, headers: Headers, client: str) -> None:
    seen = edge.ask(edge.plain, "tunnel", CONNECTOR, cloudflare(client, headers))
    assert_true(edge, seen, client, "https")


@many
@given(headers=forged)
def test_on_the_tunnels_listener_a_stranger_is_himself(edge: Setting, headers: Headers) -> None:
    assert_true(edge, edge.ask(edge.plain, "tunnel", STRANGER, headers), STRANGER, "https")


@many
@given(headers=forged, client=address, style=styles)
def test_through_a_gateway_its_own_peer_is_the_client(
    edge: Setting, headers: Headers, client: str, style: str
) -> None:
    seen = edge.ask(edge.plain, "gateway", GATEWAY_POD, gateway(client, headers, style))
    assert_true(edge, seen, client, "https")


@many
@given(headers=forged)
def test_on_the_gateways_listener_a_stranger_is_himself(edge: Setting, headers: Headers) -> None:
    assert_true(edge, edge.ask(edge.plain, "gateway", STRANGER, headers), STRANGER, "http")


@many
@given(headers=forged, client=address, style=styles, at=edge_address)
def test_through_cloudflare_and_a_gateway_the_edge_is_asked(
    edge: Setting, headers: Headers, client: str, style: str, at: str
) -> None:
    seen = edge.ask(edge.proxied, "gateway", GATEWAY_POD, gateway(at, cloudflare(client, headers), style))
    assert_true(edge, seen, client, "https")


@many
@given(headers=forged, client=address, style=styles)
def test_past_cloudflare_straight_to_the_gateway_nobody_passes_for_the_edge(
    edge: Setting, headers: Headers, client: str, style: str
) -> None:
    assume(not in_cloudflare(client))
    seen = edge.ask(edge.proxied, "gateway", GATEWAY_POD, gateway(client, headers, style))
    assert_true(edge, seen, client, "https")


@many
@given(headers=forged, client=address)
def test_from_cloudflare_itself_its_header_is_believed(edge: Setting, headers: Headers, client: str) -> None:
    seen = edge.ask(edge.proxied, "cloudflare", EDGE_HOST, cloudflare(client, headers))
    assert_true(edge, seen, client, "https")


@many
@given(headers=forged)
def test_past_cloudflare_straight_to_nginx_a_stranger_is_himself(edge: Setting, headers: Headers) -> None:
    assert_true(edge, edge.ask(edge.proxied, "cloudflare", STRANGER, headers), STRANGER, "http")


@many
@given(headers=forged, client=address)
def test_a_balancer_says_who_the_client_is_by_the_proxy_protocol(
    edge: Setting, headers: Headers, client: str
) -> None:
    seen = edge.ask(edge.plain, "lb", BALANCER_HOST, headers, preamble=balancer_line(client))
    assert_true(edge, seen, client, "http")


@many
@given(headers=forged, claimed=address)
def test_a_stranger_who_speaks_the_proxy_protocol_is_himself(
    edge: Setting, headers: Headers, claimed: str
) -> None:
    seen = edge.ask(edge.plain, "lb", STRANGER, headers, preamble=balancer_line(claimed))
    assert_true(edge, seen, STRANGER, "http")


@many
@given(headers=forged, client=address, at=edge_address)
def test_through_cloudflare_and_a_balancer_the_edge_is_asked(
    edge: Setting, headers: Headers, client: str, at: str
) -> None:
    told = cloudflare(client, headers)
    seen = edge.ask(edge.proxied, "lb", BALANCER_HOST, told, preamble=balancer_line(at))
    assert_true(edge, seen, client, "http")


@pytest.mark.parametrize("told", ["not an address", "1.2.3.4, 5.6.7.8", "", "1.2.3.4 x", "zz::1"])
def test_an_edge_that_tells_no_address_leaves_its_own(edge: Setting, told: str) -> None:
    headers = gateway("173.245.48.9", [("CF-Connecting-IP", told)], "append")
    assert_true(edge, edge.ask(edge.proxied, "gateway", GATEWAY_POD, headers), "173.245.48.9", "https")


@pytest.mark.parametrize("proto", ["http", "https"])
def test_a_gateway_says_how_the_client_came(edge: Setting, proto: str) -> None:
    headers = [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", proto)]
    assert edge.ask(edge.plain, "gateway", GATEWAY_POD, headers).one("x-forwarded-proto") == proto


# The matrix of the facts, column by column, for the design that was chosen.


def test_the_matrix_of_forgeries(edge: Setting) -> None:
    real, forged_ = "198.51.100.7", "1.2.3.4"
    columns = {
        "genuine": (CONNECTOR, cloudflare(real, []), real),
        "client forged X-Forwarded-For": (
            CONNECTOR,
            cloudflare(real, [("X-Forwarded-For", forged_), ("X-Real-IP", forged_)]),
            real,
        ),
        "client forged CF-Connecting-IP": (
            CONNECTOR,
            cloudflare(real, [("CF-Connecting-IP", forged_)]),
            real,
        ),
        "worker of another zone": (CONNECTOR, cloudflare(WORKER, [("X-Forwarded-For", forged_)]), WORKER),
        "peer that is no pod": (STRANGER, cloudflare(forged_, []), STRANGER),
    }
    for name, (source, headers, truth) in columns.items():
        seen = edge.ask(edge.plain, "tunnel", source, headers)
        assert seen.one("x-forwarded-for") == truth, name

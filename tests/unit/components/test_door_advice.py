"""What a person is told to do: addresses for the app, DNS at home, what proxies of others must allow."""

from __future__ import annotations

from typing import Any

import pytest

from components.proxy.door_advice import mobile_app, preconditions, split_horizon
from components.proxy.doors import doors
from tests.unit.components.edge import (
    CLUSTER_IP,
    GATEWAY,
    LAN,
    NAME,
    OPEN,
    PLAIN,
    TRAEFIK,
    edge,
    host,
    proxy,
    record,
)

CERTIFICATE = {"kind": "secret", "name": "photos-tls"}


def test_one_address_serves_at_home_and_away_where_nginx_has_the_certificate() -> None:
    settings = proxy(LAN, tls=CERTIFICATE)
    app = mobile_app(doors(host(), settings, edge(tunnel=True)))
    assert app["serverUrl"] == "https://photos.example.com"
    assert "localUrl" not in app
    assert "splitHorizonDns" in app["hint"]
    assert split_horizon(host(), settings) == [{"name": NAME, "type": "A", "value": "192.168.1.20"}]


def test_the_app_switches_between_two_addresses_where_the_lan_door_has_no_certificate() -> None:
    settings = proxy(LAN)
    app = mobile_app(doors(host(), settings, edge(tunnel=True)))
    assert (app["externalUrl"], app["localUrl"]) == ("https://photos.example.com", "http://192.168.1.20")
    assert "Automatic URL switching" in app["hint"]
    # A record would lead browsers that come by https to a port where nobody answers.
    assert split_horizon(host(), settings) == []
    assert any("plain http" in one for one in preconditions(host(), settings, None))


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ({"kind": "publishedPort", "address": "0.0.0.0", "door": "lan"}, "http://ADDRESS:2283"),  # noqa: S104
        ({"kind": "publishedPort", "address": "192.168.1.9", "door": "lan"}, "http://192.168.1.9:2283"),
        ({"kind": "loadBalancer"}, "http://ADDRESS"),
    ],
)
def test_at_home_the_app_is_not_sent_to_the_name_that_leads_to_cloudflare(
    way: dict[str, Any], expected: str
) -> None:
    app = mobile_app(doors(host(), proxy(way), edge(tunnel=True)))
    assert (app["externalUrl"], app["localUrl"]) == ("https://photos.example.com", expected)
    assert ("instead of ADDRESS write" in app["hint"]) is ("ADDRESS" in expected)


def test_one_door_is_the_address_to_enter() -> None:
    assert mobile_app(doors(host(), proxy(GATEWAY), None)) == {"serverUrl": "https://photos.example.com"}
    assert mobile_app(doors(host(), proxy(LAN), None)) == {"serverUrl": "http://192.168.1.20"}


def test_without_a_door_for_people_that_is_said() -> None:
    assert "immich:proxy.expose" in mobile_app(doors(host(), proxy(CLUSTER_IP), None))["hint"]


def test_every_name_gets_a_record_at_home() -> None:
    settings = proxy({**LAN, "address": "fd00::20"}, tls=CERTIFICATE)
    assert split_horizon(host(aliases=("fotos.example.com",)), settings) == [
        {"name": "photos.example.com", "type": "AAAA", "value": "fd00::20"},
        {"name": "fotos.example.com", "type": "AAAA", "value": "fd00::20"},
    ]


@pytest.mark.parametrize(
    ("way", "where"),
    [
        ({**GATEWAY, "door": "lan"}, "gateway/public"),
        ({**PLAIN, "door": "lan"}, "haproxy"),
        ({**TRAEFIK, "door": "lan"}, "traefik"),
    ],
)
def test_an_address_that_is_not_known_here_is_described(way: dict[str, Any], where: str) -> None:
    (record,) = split_horizon(host(), proxy(way))
    assert where in record["value"]
    assert record["type"] == "A or AAAA"
    assert split_horizon(host(), proxy({**way, "door": "internet"})) == []


def test_a_name_that_is_this_machine_gets_no_record() -> None:
    assert split_horizon(host("localhost", https=False), proxy(LAN)) == []


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ({**GATEWAY, "implementation": "envoy-gateway"}, "requestReceivedTimeout"),
        ({**GATEWAY, "implementation": "nginx-gateway-fabric"}, "its own disk"),
        ({**GATEWAY, "implementation": "traefik"}, "readTimeout 0s or at least 10m"),
        (GATEWAY, "has no limit for bodies"),
        ({**PLAIN, "className": "nginx"}, "its own disk"),
        (PLAIN, "timeout-client"),
        ({**PLAIN, "className": "traefik"}, "writeTimeout 0s"),
        ({**PLAIN, "className": "contour"}, "1 MiB"),
        ({**TRAEFIK, "entryPointReadTimeout": "15m"}, "readTimeout 15m, writeTimeout 0s"),
        (OPEN, "plain http"),
        ({**TRAEFIK, "crowdSec": {}}, "experimental.plugins.bouncer"),
    ],
)
def test_what_must_hold_elsewhere_is_said(way: dict[str, Any], words: str) -> None:
    assert any(words in one for one in preconditions(host(), proxy(way), None))


def test_a_gateway_of_cilium_and_an_open_door_of_ours_need_nothing() -> None:
    assert (
        preconditions(host(), proxy({**GATEWAY, "implementation": "cilium"}, OPEN, tls=CERTIFICATE), None)
        == []
    )


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ({**GATEWAY, "implementation": "cilium"}, True),
        ({**GATEWAY, "implementation": "nginx-gateway-fabric"}, True),
        (PLAIN, True),
        ({**GATEWAY, "implementation": "envoy-gateway"}, False),
        (TRAEFIK, False),
    ],
)
def test_a_way_without_nginx_that_cannot_limit_what_begins_a_restore_is_named(
    way: dict[str, Any], said: bool
) -> None:
    def limits(**more: Any) -> bool:
        told = preconditions(host(), proxy({**way, "door": "lan"}, **more), None)
        return any("limits neither how often" in one for one in told)

    assert limits(kind="none") is said
    assert not limits()


@pytest.mark.parametrize("way", [GATEWAY, PLAIN, TRAEFIK])
def test_a_gateway_behind_cloudflare_must_trust_cloudflare_and_nobody_else(way: dict[str, Any]) -> None:
    behind = edge(records=[record()])
    assert any("only Cloudflare's networks" in one for one in preconditions(host(), proxy(way), behind))
    for other in (edge(records=[record(proxied=False)]), edge(tunnel=True), None):
        assert not any("Cloudflare" in one for one in preconditions(host(), proxy(way), other))


def test_traefik_is_told_whom_to_trust() -> None:
    found = preconditions(host(), proxy(TRAEFIK), edge(records=[record()]))
    assert any(
        "forwardedHeaders.trustedIPs 173.245.48.0/20, " in one and "never insecure" in one for one in found
    )

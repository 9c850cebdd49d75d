"""Ways in: who may connect, where a way leads, what Traefik is asked for, what its settings refuse."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from components.model.exposure import BouncerSpec, RouteSpec, SignInPageSpec, TraefikSpec
from components.proxy import exposure
from components.proxy.listeners import CLOUDFLARE_RANGES, EVERYBODY, LOCAL_NETWORKS, listeners
from components.proxy.settings import PlainIngress, TraefikRoute
from components.proxy.traefik_settings import PUBLIC_PATHS
from components.settings import door_rules, rules
from components.settings.docker import Docker
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

PODS = ("10.244.0.0/16",)
CROWD_SEC: dict[str, Any] = {"lapiHost": "crowdsec.security:8080"}


def traefik(**more: Any) -> TraefikRoute:
    way = proxy({**TRAEFIK, **more}).expose[0]
    assert isinstance(way, TraefikRoute)
    return way


def refused(section: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        proxy(section)
    return str(caught.value)


# Listeners and who may connect


@pytest.mark.parametrize("way", [GATEWAY, PLAIN, TRAEFIK])
def test_a_way_through_another_proxy_leads_to_the_listener_that_believes_it(way: dict[str, Any]) -> None:
    settings = proxy(way)
    found = listeners(settings, pods=PODS, tunnel=False, cloudflare_in_front=False)
    assert [(one.name, one.client, one.trust) for one in found] == [("gateway", "x-forwarded-for", PODS)]
    number = exposure.port(settings, settings.expose[0], found, cloudflare_in_front=False)
    assert number == found[0].port


def begins(*ways: dict[str, Any], hides_clients: bool = False, **more: Any) -> dict[str, tuple[str, ...]]:
    """The networks that may begin what only an administrator shall, by listener."""
    found = listeners(
        proxy(*ways, **more), pods=PODS, tunnel=False, cloudflare_in_front=False, hides_clients=hides_clients
    )
    return {one.name: one.begins for one in found}


def test_who_may_begin_is_the_local_network_with_what_the_way_in_is_for_and_nobody_of_the_internet() -> None:
    assert begins({**LAN, "sourceRanges": ["198.51.100.0/24"]}) == {
        "lan": (*LOCAL_NETWORKS, "198.51.100.0/24")
    }
    assert begins({**GATEWAY, "door": "lan"}) == {"gateway": (*LOCAL_NETWORKS, *PODS)}
    assert begins(CLUSTER_IP) == {"lan": LOCAL_NETWORKS}
    assert begins(LAN, OPEN, GATEWAY) == {"lan": LOCAL_NETWORKS, "internet": (), "gateway": ()}
    assert (
        begins(GATEWAY, {**GATEWAY, "door": "lan"})
        == begins({**GATEWAY, "door": "lan"}, GATEWAY)
        == {"gateway": ()}
    )
    assert begins(OPEN, GATEWAY, maintenance="everywhere") == {"internet": EVERYBODY, "gateway": EVERYBODY}


@pytest.mark.parametrize(
    ("address", "hides_clients", "open_to"),
    [
        ("0.0.0.0", False, LOCAL_NETWORKS),  # noqa: S104
        ("0.0.0.0", True, ()),  # noqa: S104
        ("93.184.215.14", True, ()),
        ("192.168.1.20", True, LOCAL_NETWORKS),
        ("127.0.0.1", True, LOCAL_NETWORKS),
        ("::", False, ()),
        ("fd12::5", False, LOCAL_NETWORKS),
    ],
)
def test_a_port_where_everybody_looks_like_a_neighbour_begins_nothing(
    address: str, hides_clients: bool, open_to: tuple[str, ...]
) -> None:
    way = {"kind": "publishedPort", "address": address}
    assert begins(way, hides_clients=hides_clients) == {"lan": open_to}
    # Behind a proxy of the host's anybody could be that proxy there, and say who he is.
    behind = begins({**way, "trustedSources": ["127.0.0.1/32"]}, hides_clients=hides_clients)
    assert behind == {"gateway": (*open_to, *(["127.0.0.1/32"] if open_to else []))}


@pytest.mark.parametrize(
    ("section", "hides"),
    [
        ({}, False),
        ({"engine": "podman"}, True),
        ({"host": "unix:///run/user/1000/docker.sock"}, True),
        ({"host": "ssh://me@machine"}, False),
    ],
)
def test_engines_without_root_hide_clients(section: dict[str, Any], hides: bool) -> None:
    assert Docker.model_validate(section, by_alias=True, by_name=False).hides_clients is hides


def test_the_networks_of_traefik_can_be_said() -> None:
    settings = proxy({**TRAEFIK, "trustedSources": ["10.9.0.0/24"]})
    (listener,) = listeners(settings, pods=PODS, tunnel=False, cloudflare_in_front=False)
    assert listener.trust == ("10.9.0.0/24",)


def test_without_nginx_every_way_leads_to_the_server() -> None:
    settings = proxy(TRAEFIK, GATEWAY, CLUSTER_IP, kind="none", maintenance="everywhere")
    assert exposure.front(settings) == "server"
    numbers = [exposure.port(settings, way, (), cloudflare_in_front=False) for way in settings.expose]
    assert numbers == [2283, 2283, 2283]


@pytest.mark.parametrize(
    ("more", "way", "begins"),
    [
        ({}, {"door": "lan"}, "passed"),
        ({"kind": "none"}, {"door": "lan"}, "limited"),
        ({"kind": "none"}, {"door": "internet"}, "refused"),
        ({"kind": "none", "maintenance": "nowhere"}, {"door": "lan"}, "refused"),
        ({"kind": "none", "maintenance": "everywhere"}, {"door": "internet"}, "limited"),
    ],
)
@pytest.mark.parametrize("kind", [TRAEFIK, {**GATEWAY, "implementation": "envoy-gateway"}])
def test_a_way_without_nginx_refuses_or_limits_itself_what_begins_maintenance(
    kind: dict[str, Any], more: dict[str, Any], way: dict[str, Any], begins: str
) -> None:
    settings = proxy({**kind, **way}, loginRate=7, **more)
    (spec,) = exposure.specs(
        settings,
        listeners(settings, pods=PODS, tunnel=False, cloudflare_in_front=False),
        hostnames=(NAME,),
        cloudflare_in_front=False,
    )
    assert isinstance(spec, TraefikSpec | RouteSpec)
    assert (spec.begins, spec.attempts) == (begins, 7)


def test_each_way_lets_in_whom_it_names_and_nobody_else() -> None:
    settings = proxy(
        CLUSTER_IP,
        {**GATEWAY, "gatewayPods": {"app": "envoy"}},
        PLAIN,
        {**TRAEFIK, "controllerPods": {"app": "traefik"}},
        {**LAN, "sourceRanges": ["192.168.1.0/24"]},
    )
    found = listeners(settings, pods=PODS, tunnel=False, cloudflare_in_front=False)
    rules_ = exposure.ingress(settings, found, cloudflare_in_front=False)
    assert [
        (one.reason, one.port, one.namespace, dict(one.pods), one.cidrs, one.anyone) for one in rules_
    ] == [
        ("gateway public", 8081, "gateway", {"app": "envoy"}, (), False),
        ("ingress class haproxy", 8081, "haproxy", {}, (), False),
        ("Traefik", 8081, "traefik", {"app": "traefik"}, (), False),
        ("load balancer", 8080, None, {}, ("192.168.1.0/24",), False),
    ]


def test_a_load_balancer_without_networks_lets_everybody_in() -> None:
    settings = proxy(OPEN)
    found = listeners(settings, pods=PODS, tunnel=False, cloudflare_in_front=False)
    (rule,) = exposure.ingress(settings, found, cloudflare_in_front=False)
    assert rule.anyone


def test_a_gateway_on_the_nodes_is_let_in_by_its_networks_as_well() -> None:
    settings = proxy(
        {**GATEWAY, "door": "lan", "fromNodes": True, "sourceRanges": ["10.0.0.0/24"]}, kind="none"
    )
    found = exposure.ingress(settings, (), cloudflare_in_front=False)
    assert [(one.namespace, one.cidrs, one.nodes) for one in found] == [
        ("gateway", (), False),
        (None, ("10.0.0.0/24",), True),
    ]


# What Traefik is asked for


def spec(way: TraefikRoute, *, cloudflare: bool = False, **more: Any) -> Any:
    return exposure.traefik_spec(
        proxy(TRAEFIK, **more),
        way,
        to="proxy",
        name="immich-proxy",
        number=8081,
        hostnames=(NAME,),
        cloudflare_in_front=cloudflare,
    )


def test_traefik_limits_signing_in_as_nginx_does_and_nothing_when_told_so() -> None:
    assert spec(traefik(), loginRate=7).attempts == 7
    assert spec(traefik(rateLimit=False)).attempts is None


def test_traefik_gets_every_setting_of_its_way() -> None:
    way = traefik(
        entryPoints=["tls"],
        certResolver="letsencrypt",
        hostnames=["a.example.com"],
        securityHeaders=False,
        crowdSec={**CROWD_SEC, "neverBlocked": ["192.168.1.0/24"]},
        forwardAuth={"address": "http://authelia.authelia:9091/api/authz/forward-auth", "paths": ["/admin"]},
    )
    found = spec(way, hsts=True)
    assert (found.to, found.port, found.hostnames) == ("proxy", 8081, ("a.example.com",))
    assert (found.entry_points, found.cert_resolver, found.tls_secret) == (("tls",), "letsencrypt", None)
    assert (found.security_headers, found.hsts) == (False, True)
    assert found.bouncer == BouncerSpec(
        plugin="bouncer",
        mode="stream",
        lapi_scheme="http",
        lapi_host="crowdsec.security:8080",
        lapi_key_file="/etc/traefik/crowdsec/lapi-key",
        never_blocked=("192.168.1.0/24",),
    )
    assert found.sign_in_page == SignInPageSpec(
        address="http://authelia.authelia:9091/api/authz/forward-auth",
        paths=("/admin",),
        response_headers=("Remote-User", "Remote-Groups", "Remote-Name", "Remote-Email"),
    )


@pytest.mark.parametrize(
    ("more", "cloudflare", "proxies"),
    [
        ({}, False, ()),
        ({}, True, CLOUDFLARE_RANGES),
        ({"door": "lan"}, True, ()),
        ({"frontProxies": ["10.1.0.0/16"]}, True, ("10.1.0.0/16",)),
        ({"frontProxies": "auto"}, True, CLOUDFLARE_RANGES),
        ({"frontProxies": []}, True, ()),
    ],
)
def test_the_proxies_before_traefik_are_known(
    more: dict[str, Any], cloudflare: bool, proxies: tuple[str, ...]
) -> None:
    assert spec(traefik(**more), cloudflare=cloudflare).proxies == proxies


# What is refused


@pytest.mark.parametrize("time", ["60s", "1s", "9m59s"])
def test_an_entry_point_that_cuts_uploads_is_refused(time: str) -> None:
    words = refused({**TRAEFIK, "entryPointReadTimeout": time})
    assert time in words
    assert "0s or at least 10m" in words


@pytest.mark.parametrize("time", ["0s", "10m", "24h"])
def test_an_entry_point_that_lets_uploads_through_is_accepted(time: str) -> None:
    assert traefik(entryPointReadTimeout=time).entry_point_read_timeout == time


def test_the_read_timeout_must_be_stated() -> None:
    assert "entryPointReadTimeout" in refused({"kind": "traefik", "controllerNamespace": "traefik"})


BEFORE_THE_APP = ["/", "/a", "/ap", "/api", "/api/", "/api/assets", "/.well-known/immich"]
BEFORE_LINKS = ["/s", "/share", "/share/x", "/_app", "/auth/login"]


@pytest.mark.parametrize("path", [*BEFORE_THE_APP, *BEFORE_LINKS])
def test_no_sign_in_page_stands_before_what_the_app_and_shared_links_need(path: str) -> None:
    words = refused(
        {**TRAEFIK, "forwardAuth": {"address": "http://authelia:9091/", "paths": ["/admin", path]}}
    )
    assert f"paths: {path} would put a sign-in page before" in words
    assert "mobile app" in words
    assert "immich:app.oauth" in words


@pytest.mark.parametrize("path", ["/admin", "/user-settings", "/search", "/apple"])
def test_a_sign_in_page_may_stand_before_other_pages(path: str) -> None:
    way = traefik(forwardAuth={"address": "http://authelia:9091/", "paths": [path]})
    assert way.forward_auth is not None
    # As Traefik's PathPrefix compares.
    assert not any(f"{public}/x".startswith(path) or public.startswith(path) for public in PUBLIC_PATHS)


def test_a_sign_in_page_before_everything_by_default_is_impossible() -> None:
    assert "paths" in refused({**TRAEFIK, "forwardAuth": {"address": "http://authelia:9091/"}})
    assert "paths" in refused({**TRAEFIK, "forwardAuth": {"address": "http://authelia:9091/", "paths": []}})


def test_an_exception_for_a_proxy_is_refused() -> None:
    words = refused(
        {**TRAEFIK, "frontProxies": ["10.1.0.0/16"], "crowdSec": {"neverBlocked": ["10.1.2.0/24"]}}
    )
    assert "10.1.2.0/24" in words
    assert "would pass unjudged" in words


@pytest.mark.parametrize(
    ("network", "count"), [("104.16.0.0/13", 1), ("2606:4700::/48", 1), ("192.168.1.0/24", 0)]
)
def test_an_exception_for_cloudflare_is_refused_where_it_stands_in_front(network: str, count: int) -> None:
    ways = proxy({**TRAEFIK, "crowdSec": {"neverBlocked": [network]}})
    behind = edge(records=[record()])
    found = list(door_rules.proxies_are_judged_by_their_clients(host(), ways, behind))
    assert [one.key for one in found] == ["proxy.expose[0].crowdSec.neverBlocked"] * count
    assert list(door_rules.proxies_are_judged_by_their_clients(host(), ways, None)) == []


def test_two_certificates_are_refused() -> None:
    assert "give one" in refused({**TRAEFIK, "certResolver": "le", "tlsSecret": "photos-tls"})


def test_a_promise_of_https_may_be_traefiks_where_there_is_no_nginx() -> None:
    assert proxy(TRAEFIK, kind="none", hsts=True).hsts
    with pytest.raises(ValidationError, match="hsts"):
        proxy(GATEWAY, kind="none", hsts=True)


@pytest.mark.parametrize("way", [GATEWAY, PLAIN, TRAEFIK])
def test_a_route_needs_a_name(way: dict[str, Any]) -> None:
    (finding,) = rules.routes_have_names(host("localhost"), proxy(way))
    assert finding.key == "proxy.expose[0].hostnames"
    assert list(rules.routes_have_names(host(), proxy(way))) == []


@pytest.mark.parametrize(
    ("section", "controllers"),
    [
        ({"className": "nginx"}, ("nginx.org", "ingress-nginx")),
        ({"className": "nginx", "controller": "nginx.org"}, ("nginx.org",)),
        ({"className": "haproxy", "controller": "auto"}, ("haproxy",)),
        ({"className": "traefik"}, ("traefik",)),
        ({"className": "contour"}, ("other",)),
        ({"className": "inside", "controller": "haproxy"}, ("haproxy",)),
    ],
)
def test_the_controller_follows_from_the_class_unless_it_is_said(
    section: dict[str, Any], controllers: tuple[str, ...]
) -> None:
    way = proxy({**PLAIN, **section}).expose[0]
    assert isinstance(way, PlainIngress)
    assert way.controllers == controllers

"""Objects of the ways in: HTTPRoute and its policies, Ingress, load balancer, Traefik's route and middlewares."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from components.model.exposure import (
    BouncerSpec,
    IngressSpec,
    LoadBalancerSpec,
    RouteSpec,
    SignInPageSpec,
    TraefikSpec,
)
from components.model.values import ImageRef, Quantity
from components.model.workload import Port, Resources, Workload
from components.platform.docker.traefik import labels
from components.platform.kubernetes import gateway_policies, routes, traefik, workloads
from components.proxy.traefik_settings import PUBLIC_PATHS

ROUTE = RouteSpec(
    name="immich-proxy",
    to="proxy",
    port=8081,
    gateway="public",
    gateway_namespace="gateway",
    section_name="https",
    hostnames=("photos.example.com", "fotos.example.com"),
)
INGRESS = IngressSpec(
    name="immich-proxy",
    to="proxy",
    port=8081,
    class_name="inside",
    hostnames=("photos.example.com",),
    tls_secret="photos-tls",
    annotations={},
)
TRAEFIK = TraefikSpec(
    name="immich-proxy",
    to="proxy",
    port=8081,
    hostnames=("photos.example.com", "fotos.example.com"),
    entry_points=("websecure",),
    cert_resolver="letsencrypt",
    tls_secret=None,
    proxies=("10.1.0.0/16",),
    bouncer=BouncerSpec(
        plugin="bouncer",
        mode="stream",
        lapi_scheme="http",
        lapi_host="crowdsec:8080",
        lapi_key_file="/etc/traefik/crowdsec/lapi-key",
        never_blocked=("192.168.1.0/24",),
    ),
    attempts=10,
    security_headers=True,
    hsts=False,
    sign_in_page=SignInPageSpec(
        address="http://authelia:9091/api/authz/forward-auth",
        paths=("/admin",),
        response_headers=("Remote-User",),
    ),
)
BARE = replace(
    TRAEFIK,
    proxies=(),
    bouncer=None,
    attempts=None,
    security_headers=False,
    sign_in_page=None,
    cert_resolver=None,
)


# Gateway API


def test_a_route_ends_no_request_and_names_its_listener() -> None:
    spec = routes.http_route(ROUTE)["spec"]
    assert spec["hostnames"] == ["photos.example.com", "fotos.example.com"]
    assert spec["parentRefs"] == [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "name": "public",
            "namespace": "gateway",
            "sectionName": "https",
        }
    ]
    (rule,) = spec["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert [(one["name"], one["port"]) for one in rule["backendRefs"]] == [("immich-proxy", 8081)]


def test_a_route_without_a_listener_names_none() -> None:
    (parent,) = routes.http_route(replace(ROUTE, section_name=None))["spec"]["parentRefs"]
    assert "sectionName" not in parent


def test_a_service_says_that_its_port_speaks_websocket() -> None:
    amount = Quantity("1")
    workload = Workload(
        name="proxy",
        image=ImageRef("example.com/nginx:1"),
        resources=Resources(cpu_request=amount, memory_request=amount, cpu_limit=amount, memory_limit=amount),
        user=101,
        group=101,
        ports=(
            Port(name="gateway", number=8081, app_protocol="kubernetes.io/ws"),
            Port(name="status", number=8090),
        ),
    )
    ports = workloads.service(workload)["spec"]["ports"]
    assert [(one["name"], one.get("appProtocol")) for one in ports] == [
        ("gateway", "kubernetes.io/ws"),
        ("status", None),
    ]


@pytest.mark.parametrize("implementation", ["other", "cilium", "traefik"])
def test_most_gateways_need_no_policy(implementation: str) -> None:
    assert gateway_policies.policies(replace(ROUTE, implementation=implementation)) == []


TARGET = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "immich-proxy"}


def test_envoy_gateway_is_told_to_wait_and_not_to_buffer() -> None:
    (policy,) = gateway_policies.policies(replace(ROUTE, implementation="envoy-gateway"))
    assert (policy["apiVersion"], policy["kind"]) == (
        "gateway.envoyproxy.io/v1alpha1",
        "BackendTrafficPolicy",
    )
    assert policy["spec"] == {"targetRefs": [TARGET], "timeout": {"http": {"requestTimeout": "0s"}}}


def test_nginx_gateway_fabric_is_told_sizes_and_times() -> None:
    client, server = gateway_policies.policies(
        replace(ROUTE, implementation="nginx-gateway-fabric", timeout=900)
    )
    assert (client["apiVersion"], client["kind"]) == ("gateway.nginx.org/v1alpha1", "ClientSettingsPolicy")
    assert client["spec"] == {"targetRef": TARGET, "body": {"maxSize": "0", "timeout": "900s"}}
    assert (server["apiVersion"], server["kind"]) == ("gateway.nginx.org/v1alpha1", "ProxySettingsPolicy")
    assert server["spec"] == {"targetRefs": [TARGET], "timeout": {"read": "900s", "send": "900s"}}


# Ingress


def written(*controllers: str, **more: str) -> dict[str, str]:
    found = routes.ingress(replace(INGRESS, controllers=controllers, timeout=900, annotations=more))
    return {
        key: value for key, value in found["metadata"]["annotations"].items() if not key.startswith("pulumi")
    }


def test_a_controller_gets_its_own_annotations_and_no_other() -> None:
    assert written("nginx.org") == {
        "nginx.org/client-max-body-size": "0",
        "nginx.org/proxy-read-timeout": "900s",
        "nginx.org/proxy-send-timeout": "900s",
        "nginx.org/websocket-services": "immich-proxy",
    }
    assert written("haproxy") == {"haproxy.org/timeout-server": "900s"}
    assert written("ingress-nginx") == {
        "nginx.ingress.kubernetes.io/proxy-body-size": "0",
        "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "900",
        "nginx.ingress.kubernetes.io/proxy-send-timeout": "900",
    }
    assert written("traefik") == written("other") == {}


def test_a_class_that_two_controllers_have_gets_both() -> None:
    assert written("nginx.org", "ingress-nginx") == written("nginx.org") | written("ingress-nginx")


def test_an_annotation_that_is_given_wins() -> None:
    found = routes.ingress(
        replace(INGRESS, controllers=("haproxy",), annotations={"haproxy.org/timeout-server": "2h"})
    )
    assert found["metadata"]["annotations"]["haproxy.org/timeout-server"] == "2h"


def test_an_ingress_has_each_name_with_its_certificate() -> None:
    spec = routes.ingress(replace(INGRESS, hostnames=("a.example.com", "b.example.com")))["spec"]
    assert spec["ingressClassName"] == "inside"
    assert [one["host"] for one in spec["rules"]] == ["a.example.com", "b.example.com"]
    assert spec["tls"] == [{"hosts": ["a.example.com", "b.example.com"], "secretName": "photos-tls"}]
    assert "tls" not in routes.ingress(replace(INGRESS, tls_secret=None))["spec"]


def test_a_load_balancer_keeps_the_clients_address() -> None:
    balancer = LoadBalancerSpec(
        name="immich-proxy-lan",
        to="proxy",
        port=8443,
        listen=443,
        redirect=8080,
        address="192.168.1.20",
        load_balancer_class=None,
        source_ranges=("192.168.1.0/24",),
        annotations={},
    )
    spec = routes.load_balancer(balancer)["spec"]
    assert (spec["type"], spec["externalTrafficPolicy"]) == ("LoadBalancer", "Local")
    assert spec["loadBalancerSourceRanges"] == ["192.168.1.0/24"]
    assert [(one["port"], one["targetPort"]) for one in spec["ports"]] == [(443, 8443), (80, 8080)]


# Traefik


def chains(spec: TraefikSpec) -> list[list[str]]:
    rules = traefik.ingress_route(spec)["spec"]["routes"]
    return [
        [one["name"].removeprefix(f"{spec.name}-") for one in rule.get("middlewares", [])] for rule in rules
    ]


def middleware(spec: TraefikSpec, name: str) -> dict[str, Any]:
    return dict(traefik.named_objects(spec))[f"{spec.name}-{name}"]["spec"]


def test_requests_pass_block_list_then_rate_then_page_then_headers() -> None:
    assert chains(TRAEFIK) == [
        ["bouncer", "headers"],
        ["bouncer", "sign-in-rate", "headers"],
        ["bouncer", "sign-in-page", "headers"],
    ]
    assert chains(BARE) == [[]]


def test_every_middleware_and_transport_that_is_named_exists_and_none_besides() -> None:
    for spec in (TRAEFIK, BARE, replace(TRAEFIK, bouncer=None), replace(TRAEFIK, attempts=None)):
        made = dict(traefik.named_objects(spec))
        rules = traefik.ingress_route(spec)["spec"]["routes"]
        named = {one["name"] for rule in rules for one in rule.get("middlewares", [])}
        named |= {service["serversTransport"] for rule in rules for service in rule["services"]}
        assert named == set(made)
    assert len(list(traefik.named_objects(TRAEFIK))) == len(dict(traefik.named_objects(TRAEFIK)))


def test_no_upload_is_taken_in_whole_and_nothing_sends_again_or_breaks_the_circuit() -> None:
    kinds = {
        key
        for _, made in traefik.named_objects(TRAEFIK)
        if made["kind"] == "Middleware"
        for key in made["spec"]
    }
    assert kinds == {"plugin", "rateLimit", "forwardAuth", "headers"}
    forward = middleware(TRAEFIK, "sign-in-page")["forwardAuth"]
    assert "forwardBody" not in forward
    assert forward["trustForwardHeader"] is False


def matching(
    spec: TraefikSpec, path: str, host: str = "photos.example.com", method: str = "POST"
) -> list[str]:
    """The middlewares that Traefik runs for a request: those of the rule of the highest priority that matches it."""
    rules = sorted(
        traefik.ingress_route(spec)["spec"]["routes"],
        key=lambda rule: -rule.get("priority", len(rule["match"])),
    )
    matchers: dict[str, Callable[[str], bool]] = {
        "Host": lambda value: value == host,
        "Method": lambda value: value == method,
        "PathRegexp": lambda value: re.search(value, path) is not None,
        "PathPrefix": path.startswith,
    }
    for rule in rules:
        text = re.sub(r"(\w+)\(`([^`]*)`\)", lambda found: str(matchers[found[1]](found[2])), rule["match"])
        assert re.fullmatch(r"(?:True|False|\|\||&&|[() ])+", text), text
        if eval(text.replace("||", "or").replace("&&", "and")):  # noqa: S307  only what the line above lets through
            return [one["name"] for one in rule.get("middlewares", [])]
    return ["nothing matches"]


GUESSES = [
    "/api/auth/login",
    "/api/shared-links/login",
    "/api/oauth/authorize",
    "/api/oauth/callback",
    # Express answers these as well.
    "/API/Auth/Login/",
    "/Api/OAuth/Callback/",
]
BROWSING = [
    "/",
    "/api/assets",
    "/api/assets/1/thumbnail",
    "/api/people/1/thumbnail",
    "/api/socket.io",
    "/_app/immutable/x.js",
    "/api/auth/logout",
    "/api/shared-links/me",
    "/api/oauthx",
    "/auth/login",
]


BEGINNINGS = [
    "/api/auth/admin-sign-up",
    "/api/admin/database-backups/start-restore",
    "/api/admin/database-backups/upload",
    "/api/admin/maintenance",
    "/api/admin/maintenance/login",
    # Express answers these as well.
    "/API/Auth/Admin-Sign-Up",
    "/api/auth/admin-sign-up/",
    "/Api/Admin/Database-Backups/START-RESTORE/",
    "/api/admin/maintenance/",
]


@pytest.mark.parametrize("path", [*GUESSES, *BEGINNINGS])
def test_attempts_to_sign_in_and_to_begin_maintenance_are_limited(path: str) -> None:
    for host in TRAEFIK.hostnames:
        assert "immich-proxy-sign-in-rate" in matching(TRAEFIK, path, host)


@pytest.mark.parametrize("path", BROWSING)
def test_nothing_else_is_limited(path: str) -> None:
    for spec in (TRAEFIK, replace(TRAEFIK, begins="refused"), replace(TRAEFIK, begins="limited")):
        assert matching(spec, path) == ["immich-proxy-bouncer", "immich-proxy-headers"]
        assert "immich-proxy-sign-in-rate" not in matching(
            spec, "/api/admin/maintenance/status", method="GET"
        )


@pytest.mark.parametrize("path", BEGINNINGS)
@pytest.mark.parametrize("spec", [TRAEFIK, BARE])
def test_where_it_is_closed_nobody_begins_maintenance(spec: TraefikSpec, path: str) -> None:
    closed = replace(spec, begins="refused")
    for host in closed.hostnames:
        assert "immich-proxy-closed" in matching(closed, path, host)
        assert "immich-proxy-closed" not in matching(closed, path, host, method="GET")
        assert "immich-proxy-closed" not in matching(spec, path, host)
    assert middleware(closed, "closed") == {"ipAllowList": {"sourceRange": ["255.255.255.255/32"]}}


@pytest.mark.parametrize("path", BEGINNINGS)
def test_a_route_that_is_closed_has_no_backend_for_what_begins_maintenance(path: str) -> None:
    refusing, everything = routes.http_route(replace(ROUTE, begins="refused"))["spec"]["rules"]
    (match,) = refusing["matches"]
    assert match["method"] == "POST"
    assert match["path"]["type"] == "RegularExpression"
    # Envoy compares with the whole path.
    assert re.fullmatch(match["path"]["value"], path)
    assert "backendRefs" not in refusing
    assert [everything] == routes.http_route(ROUTE)["spec"]["rules"]


@pytest.mark.parametrize("path", BEGINNINGS)
@pytest.mark.parametrize("spec", [TRAEFIK, BARE])
def test_where_it_is_limited_what_begins_maintenance_has_a_small_body_and_a_dump_any(
    spec: TraefikSpec, path: str
) -> None:
    limited = replace(spec, begins="limited")
    passed = matching(limited, path)
    assert ("immich-proxy-small" in passed) is ("upload" not in path)
    assert ("immich-proxy-sign-in-rate" in passed) is (spec.attempts is not None)
    assert "immich-proxy-small" not in matching(limited, path, method="GET")
    assert "immich-proxy-small" not in matching(spec, path)
    assert middleware(limited, "small") == {
        "buffering": {"maxRequestBodyBytes": 65536, "memRequestBodyBytes": 65536}
    }


def test_envoy_gateway_limits_what_begins_maintenance_on_a_route_of_its_own() -> None:
    spec = replace(ROUTE, implementation="envoy-gateway", begins="limited", attempts=7)
    route, policy = gateway_policies.limited(spec, "immich-proxy-begin")
    (everything,) = routes.http_route(spec)["spec"]["rules"]
    (rule,) = route["spec"]["rules"]
    assert rule["backendRefs"] == everything["backendRefs"]
    assert {key: route["spec"][key] for key in ("hostnames", "parentRefs")} == {
        key: routes.http_route(spec)["spec"][key] for key in ("hostnames", "parentRefs")
    }
    (match,) = rule["matches"]
    taken = [path for path in (*BEGINNINGS, *BROWSING) if re.fullmatch(match["path"]["value"], path)]
    assert taken == [path for path in BEGINNINGS if "upload" not in path]
    assert match["method"] == "POST"
    assert policy["spec"] == {
        "targetRefs": [{**TARGET, "name": "immich-proxy-begin"}],
        "timeout": {"http": {"requestTimeout": "0s"}},
        "rateLimit": {"type": "Local", "local": {"rules": [{"limit": {"requests": 7, "unit": "Minute"}}]}},
        "requestBuffer": {"limit": "64Ki"},
    }


@pytest.mark.parametrize(
    "spec",
    [
        replace(ROUTE, implementation="envoy-gateway"),
        replace(ROUTE, implementation="envoy-gateway", begins="refused"),
        replace(ROUTE, implementation="nginx-gateway-fabric", begins="limited"),
        replace(ROUTE, implementation="cilium", begins="limited"),
    ],
)
def test_no_route_of_its_own_where_nothing_is_limited_there(spec: RouteSpec) -> None:
    assert gateway_policies.limited(spec, "immich-proxy-begin") == []


def test_a_way_that_only_the_local_network_comes_in_by_says_so() -> None:
    said = {"immich/door": "lan"}
    assert routes.http_route(replace(ROUTE, lan=True))["metadata"]["annotations"] == said
    assert traefik.ingress_route(replace(TRAEFIK, lan=True))["metadata"]["annotations"] == said
    assert routes.ingress(replace(INGRESS, lan=True))["metadata"]["annotations"].items() >= said.items()
    assert labels(replace(TRAEFIK, lan=True), "immich-home")["immich.door"] == "lan"
    for made in (routes.http_route(ROUTE), traefik.ingress_route(TRAEFIK), routes.ingress(INGRESS)):
        assert "immich/door" not in made["metadata"].get("annotations", {})
    assert "immich.door" not in labels(TRAEFIK, "immich-home")


def test_the_page_stands_before_its_paths_and_never_before_what_the_app_needs() -> None:
    assert "immich-proxy-sign-in-page" in matching(TRAEFIK, "/admin/users")
    for public in PUBLIC_PATHS:
        assert "immich-proxy-sign-in-page" not in matching(TRAEFIK, f"{public}/x")


def test_a_name_of_somebody_else_is_not_answered() -> None:
    assert matching(TRAEFIK, "/api/auth/login", "other.example.com") == ["nothing matches"]


def test_the_block_list_trusts_proxies_about_the_client_and_spares_only_clients() -> None:
    options = middleware(TRAEFIK, "bouncer")["plugin"]["bouncer"]
    assert options["forwardedHeadersTrustedIPs"] == ["10.1.0.0/16"]
    assert options["clientTrustedIPs"] == ["192.168.1.0/24"]
    assert "forwardedHeadersCustomName" not in options
    assert not [key for key in options if key.lower().endswith("key")]


def test_the_rate_is_counted_for_the_client_behind_the_proxies() -> None:
    assert middleware(TRAEFIK, "sign-in-rate")["rateLimit"] == {
        "average": 10,
        "period": "1m",
        "burst": 10,
        "sourceCriterion": {"ipStrategy": {"excludedIPs": ["10.1.0.0/16"]}},
    }
    assert "sourceCriterion" not in middleware(replace(TRAEFIK, proxies=()), "sign-in-rate")["rateLimit"]


def test_headers_break_neither_map_nor_workers_and_promise_https_only_when_told() -> None:
    headers = middleware(TRAEFIK, "headers")["headers"]
    assert "contentSecurityPolicy" not in headers
    assert "geolocation=(self)" in headers["permissionsPolicy"]
    assert "stsSeconds" not in headers
    promised = middleware(replace(TRAEFIK, hsts=True), "headers")["headers"]
    assert promised["stsSeconds"] == 31536000
    assert not promised["stsIncludeSubdomains"]
    assert not promised["stsPreload"]


def test_the_transport_waits_for_an_answer_and_forgets_connections_before_nginx_does() -> None:
    transport = dict(traefik.named_objects(BARE))["immich-proxy"]
    assert transport["kind"] == "ServersTransport"
    times = transport["spec"]["forwardingTimeouts"]
    assert times["responseHeaderTimeout"] == "0s"
    assert int(times["idleConnTimeout"].removesuffix("s")) < 75


@pytest.mark.parametrize(
    ("more", "tls"),
    [
        ({}, {"certResolver": "letsencrypt"}),
        ({"cert_resolver": None, "tls_secret": "photos-tls"}, {"secretName": "photos-tls"}),
        ({"cert_resolver": None}, {}),
    ],
)
def test_the_route_is_always_one_of_tls(more: dict[str, Any], tls: dict[str, str]) -> None:
    spec = traefik.ingress_route(replace(TRAEFIK, **more))["spec"]
    assert spec["tls"] == tls
    assert spec["entryPoints"] == ["websecure"]
    for rule in spec["routes"]:
        (service,) = rule["services"]
        assert (service["name"], service["port"], service["passHostHeader"]) == ("immich-proxy", 8081, True)

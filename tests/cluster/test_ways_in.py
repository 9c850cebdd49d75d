"""Every way in, as the whole program makes it, is accepted by a real API server that checks every field."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.cluster.stand_in_policies import POLICIES
from tests.harness import routing
from tests.harness.kube import Kube
from tests.harness.manifests import apply_strict, changed_by_second_apply
from tests.harness.objects import Manifest
from tests.harness.program import Stack, manifests, run_stack
from toolchain.offline.cluster.crd_loading import load_crds

pytestmark = pytest.mark.cluster

OUTSIDE = {"controllerNamespace": "traefik", "entryPointReadTimeout": "0s"}
GATEWAY = {"kind": "httpRoute", "gateway": "public", "gatewayNamespace": "gateway", "sectionName": "https"}
EVERYTHING = {
    "kind": "traefik",
    **OUTSIDE,
    "entryPoints": ["websecure"],
    "certResolver": "letsencrypt",
    "controllerPods": {"app.kubernetes.io/name": "traefik"},
    "frontProxies": ["10.1.0.0/16"],
    "crowdSec": {"neverBlocked": ["192.168.1.0/24"]},
    "forwardAuth": {"address": "http://authelia.authelia:9091/api/authz/forward-auth", "paths": ["/admin"]},
}
WAYS: dict[str, dict[str, Any]] = {
    "a route": {"expose": [GATEWAY]},
    "a route of Envoy Gateway": {"expose": [{**GATEWAY, "implementation": "envoy-gateway"}]},
    "a route of NGINX Gateway Fabric": {"expose": [{**GATEWAY, "implementation": "nginx-gateway-fabric"}]},
    "a route to the server": {"kind": "none", "expose": [{**GATEWAY, "implementation": "envoy-gateway"}]},
    "an ingress": {
        "expose": [
            {"kind": "ingress", "className": "nginx", "controllerNamespace": "nginx", "tlsSecret": "photos"}
        ]
    },
    "an ingress of haproxy": {
        "expose": [{"kind": "ingress", "className": "haproxy", "controllerNamespace": "haproxy"}]
    },
    "Traefik with what must be given": {"expose": [{"kind": "traefik", **OUTSIDE}]},
    "Traefik with everything": {"expose": [EVERYTHING], "kind": "none", "hsts": True},
    "several": {
        "expose": [
            GATEWAY,
            {
                "kind": "traefik",
                **OUTSIDE,
                "door": "lan",
                "hostnames": ["home.example.com"],
                "tlsSecret": "home",
            },
            {"kind": "loadBalancer", "address": "192.168.1.20", "sourceRanges": ["192.168.1.0/24"]},
        ]
    },
}
KINDS = {
    "HTTPRoute",
    "Ingress",
    "IngressRoute",
    "Middleware",
    "ServersTransport",
    "BackendTrafficPolicy",
    "ClientSettingsPolicy",
    "ProxySettingsPolicy",
    "Service",
    "NetworkPolicy",
}


def made(namespace: str, proxy: dict[str, Any]) -> list[Manifest]:
    """What the program makes for these ways in."""
    sections = {
        "host": {"name": "photos.example.com"},
        "kubernetes": {"target": "render", "namespace": namespace, "createNamespace": False},
        "proxy": proxy,
    }
    return manifests(run_stack(Stack("ways", sections)))


@pytest.fixture(scope="module")
def policies(kube: Kube) -> Kube:
    """The cluster with the stand-in policies."""
    with kube.exclusive():
        load_crds(kube.api, POLICIES)
    return kube


@pytest.mark.parametrize("name", WAYS)
def test_a_way_in_is_accepted_field_by_field_and_again(policies: Kube, name: str) -> None:
    documents = made(policies.new_namespace("ways"), WAYS[name])
    assert routing.problems(documents) == []
    chosen = [one for one in documents if one["kind"] in KINDS]
    first = apply_strict(policies.api, chosen)
    assert first.errors == ()
    assert first.warnings == ()
    assert changed_by_second_apply(policies.api, chosen, first) == []


def test_every_kind_of_object_that_a_way_needs_was_judged() -> None:
    seen = {one["kind"] for proxy in WAYS.values() for one in made("ways", proxy)}
    assert seen >= KINDS


@pytest.mark.parametrize(
    ("name", "kind", "path", "value"),
    [
        ("Traefik with everything", "IngressRoute", ("routes", 0, "servicess"), []),
        ("Traefik with everything", "IngressRoute", ("routes", 0, "services", 0, "strategy"), "random"),
        ("Traefik with everything", "Middleware", ("rateLimits",), {}),
        ("Traefik with everything", "ServersTransport", ("forwardingTimeouts", "idleConnTimeout"), "soon"),
        ("a route", "HTTPRoute", ("rules", 0, "timeouts", "request"), "forever"),
        ("a route", "HTTPRoute", ("parentRefs", 0, "section"), "https"),
        ("a route of Envoy Gateway", "BackendTrafficPolicy", ("timeout", "http", "request"), "0s"),
        ("a route of NGINX Gateway Fabric", "ClientSettingsPolicy", ("body", "maxSize"), "50Gi"),
        ("a route of NGINX Gateway Fabric", "ProxySettingsPolicy", ("timeout", "read"), "10 minutes"),
        ("an ingress", "Ingress", ("rules", 0, "http", "paths", 0, "pathType"), "Whatever"),
    ],
)
def test_a_wrong_field_would_be_noticed(
    policies: Kube, name: str, kind: str, path: tuple[str | int, ...], value: object
) -> None:
    documents = made(policies.new_namespace("wrong"), WAYS[name])
    wrong = copy.deepcopy(next(one for one in documents if one["kind"] == kind))
    place: Any = wrong["spec"]
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    errors = apply_strict(policies.api, [wrong], dry_run=True).errors
    assert len(errors) == 1
    assert str(path[-1]) in errors[0]

"""nginx's certificate: where it comes from, where it is mounted, which ways in lead to it."""

from __future__ import annotations

from typing import Any

import pytest

from components.model.values import ImageRef
from components.model.workload import SecretFiles
from components.platform.kubernetes.certificates import manifests
from components.proxy import exposure
from components.proxy.certificates import certificate
from components.proxy.listeners import listeners
from components.proxy.nginx import CERTIFICATE, nginx_version, workload
from tests.harness.objects import of_kind
from tests.harness.program import Stack, run_stack
from tests.harness.program import manifests as stack_manifests
from tests.unit.components.edge import GATEWAY, LAN, NAME, OPEN, proxy

SECRET = {"kind": "secret", "name": "photos-tls"}
ISSUED = {"kind": "certManager", "issuer": "letsencrypt"}
SELF_SIGNED = {"kind": "selfSigned"}


def made(tls: dict[str, Any]) -> list[dict[str, Any]]:
    spec = certificate(proxy(LAN, tls=tls), [NAME, "p.example.com"])
    assert spec is not None
    return manifests(spec)


def test_without_tls_there_is_no_certificate() -> None:
    assert certificate(proxy(LAN), [NAME]) is None


def test_a_secret_that_exists_is_used_as_it_is() -> None:
    spec = certificate(proxy(LAN, tls=SECRET), [NAME])
    assert spec is not None
    assert (spec.secret, manifests(spec)) == ("photos-tls", [])


@pytest.mark.parametrize("kind", ["ClusterIssuer", "Issuer"])
def test_cert_manager_is_asked_for_a_certificate_of_every_name(kind: str) -> None:
    (asked,) = made({**ISSUED, "issuerKind": kind})
    assert (asked["apiVersion"], asked["kind"]) == ("cert-manager.io/v1", "Certificate")
    assert asked["spec"]["dnsNames"] == [NAME, "p.example.com"]
    assert asked["spec"]["issuerRef"] == {"group": "cert-manager.io", "kind": kind, "name": "letsencrypt"}
    assert asked["spec"]["secretName"] == "immich-tls"


def test_a_self_signed_certificate_has_an_issuer_of_its_own() -> None:
    issuer, asked = made(SELF_SIGNED)
    assert (issuer["kind"], issuer["spec"]) == ("Issuer", {"selfSigned": {}})
    assert asked["spec"]["issuerRef"] == {
        "group": "cert-manager.io",
        "kind": "Issuer",
        "name": asked["spec"]["secretName"],
    }


@pytest.mark.parametrize("tls", [SECRET, ISSUED, SELF_SIGNED])
def test_a_stack_mounts_its_certificate_and_leads_plain_http_to_it(tls: dict[str, Any]) -> None:
    stack = Stack(
        "secure",
        {
            "host": {"name": NAME},
            "kubernetes": {"target": "render"},
            "proxy": {"expose": [{**LAN, "sourceRanges": ["192.168.1.0/24"]}], "tls": tls},
        },
    )
    found = stack_manifests(run_stack(stack))
    (proxy_pod,) = [one for one in of_kind(found, "Deployment") if one["metadata"]["name"] == "immich-proxy"]
    pod = proxy_pod["spec"]["template"]["spec"]
    (volume,) = [one for one in pod["volumes"] if "secret" in one]
    name = "photos-tls" if tls is SECRET else "immich-tls"
    assert volume["secret"]["secretName"] == name
    assert {item["path"] for item in volume["secret"]["items"]} == {"tls.crt", "tls.key"}
    (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == volume["name"]]
    # With a subPath a renewed certificate would never arrive.
    assert mount == {"name": volume["name"], "mountPath": "/etc/immich-tls", "readOnly": True}
    assert len(of_kind(found, "Certificate")) == (tls is not SECRET)
    (balancer,) = [one for one in of_kind(found, "Service") if one["spec"]["type"] == "LoadBalancer"]
    assert {one["port"]: one["targetPort"] for one in balancer["spec"]["ports"]} == {443: 8443, 80: 8080}
    (policy,) = [one for one in of_kind(found, "NetworkPolicy") if one["metadata"]["name"] == "immich-proxy"]
    let_in = {
        (port["port"], source["ipBlock"]["cidr"])
        for rule in policy["spec"]["ingress"]
        for port in rule["ports"]
        for source in rule["from"]
    }
    assert let_in == {(8443, "192.168.1.0/24"), (8080, "192.168.1.0/24")}


def test_a_gateway_leads_to_the_plain_listener_since_tls_ends_before_it() -> None:
    settings = proxy(GATEWAY, LAN, tls=SECRET)
    found = listeners(settings, pods=("10.42.0.0/16",), tunnel=True, cloudflare_in_front=False)
    ports = [exposure.port(settings, way, found, cloudflare_in_front=False) for way in settings.expose]
    redirects = [
        exposure.redirect_port(settings, way, found, cloudflare_in_front=False) for way in settings.expose
    ]
    assert (ports, redirects) == ([8081, 8443], [None, 8080])
    assert {one.name: one.tls_port for one in found} == {"gateway": None, "lan": 8443, "tunnel": None}


def test_without_a_listener_of_its_own_the_certificate_is_not_mounted() -> None:
    settings = proxy(GATEWAY, tls=SECRET)
    found = listeners(settings, pods=("10.42.0.0/16",), tunnel=False, cloudflare_in_front=False)
    assert [
        one for one in workload(settings, found, "immich-server", ()).mounts if isinstance(one, SecretFiles)
    ] == []
    settings = proxy(LAN, tls=SECRET)
    found = listeners(settings, pods=("10.42.0.0/16",), tunnel=False, cloudflare_in_front=False)
    mounted = [
        one for one in workload(settings, found, "immich-server", ()).mounts if isinstance(one, SecretFiles)
    ]
    assert [one.secret for one in mounted] == [CERTIFICATE]


@pytest.mark.parametrize(
    ("ways", "front", "expected"),
    [
        ([GATEWAY], True, {"gateway": True}),
        ([GATEWAY], False, {"gateway": False}),
        ([{**GATEWAY, "door": "lan"}], True, {"gateway": False}),
        ([{**GATEWAY, "door": "lan"}, GATEWAY], True, {"gateway": True}),
        ([LAN, OPEN], True, {"lan": False, "cloudflare": False}),
    ],
)
def test_only_a_way_behind_the_edge_and_another_proxy_asks_the_edge(
    ways: list[dict[str, Any]], front: bool, expected: dict[str, bool]
) -> None:
    found = listeners(proxy(*ways), pods=("10.42.0.0/16",), tunnel=False, cloudflare_in_front=front)
    assert {one.name: one.behind_cloudflare for one in found} == expected


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("1.25.1", (1, 25, 1)), ("1.31.6-alpine", (1, 31, 6)), ("stable-alpine3", (1, 31, 6))],
)
def test_the_version_of_nginx_is_read_from_its_tag(tag: str, expected: tuple[int, int, int]) -> None:
    assert nginx_version(ImageRef(f"ghcr.io/nginx/nginx-unprivileged:{tag}")) == expected

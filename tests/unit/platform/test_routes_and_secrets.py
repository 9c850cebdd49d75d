"""Ways in from outside, and secrets that an operator fetches."""

from __future__ import annotations

from typing import Any

from components.platform.kubernetes import routes, secrets
from components.platform.specs import IngressSpec, LoadBalancerSpec, PublishedSecret, RouteSpec
from components.secret_text import SecretText

STORE = secrets.ExternalStore(
    name="vault",
    kind="ClusterSecretStore",
    refresh_interval="1h",
    values={"a": ("item", "field"), "b": ("other", None)},
)


def test_a_route_lets_an_upload_take_as_long_as_it_takes() -> None:
    found = routes.http_route(
        RouteSpec(
            name="immich-proxy",
            to="proxy",
            port=8080,
            gateway="internal",
            gateway_namespace="gateway",
            section_name="https",
            hostnames=("photos.example.com", "fotos.example.com"),
        )
    )["spec"]
    (rule,) = found["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}], (
        "Immich knows no other path than the root"
    )
    (backend,) = rule["backendRefs"]
    assert (backend["kind"], backend["name"], backend["port"]) == ("Service", "immich-proxy", 8080)
    assert found["hostnames"] == ["photos.example.com", "fotos.example.com"]
    (parent,) = found["parentRefs"]
    assert (parent["name"], parent["namespace"], parent["sectionName"]) == ("internal", "gateway", "https")


def ingress(**more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "name": "immich-server",
        "to": "server",
        "port": 2283,
        "class_name": "nginx",
        "hostnames": ("photos.example.com",),
        "tls_secret": None,
        "annotations": {},
        **more,
    }
    return routes.ingress(IngressSpec(**given))


def test_an_ingress_lifts_the_limits_of_the_controllers_that_have_any() -> None:
    annotations = ingress()["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-body-size"] == "0"
    assert annotations["nginx.ingress.kubernetes.io/proxy-request-buffering"] == "off"
    assert annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "600"
    assert annotations["nginx.org/client-max-body-size"] == "0"


def test_an_ingress_is_not_waited_for_since_it_may_never_get_an_address() -> None:
    assert ingress()["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"


def test_annotations_that_are_given_win() -> None:
    mine = {
        "nginx.ingress.kubernetes.io/proxy-body-size": "10g",
        "cert-manager.io/cluster-issuer": "letsencrypt",
    }
    assert mine.items() <= ingress(annotations=mine)["metadata"]["annotations"].items()


def test_tls_is_ended_where_a_certificate_is_named() -> None:
    assert ingress(tls_secret="tls")["spec"]["tls"] == [
        {"hosts": ["photos.example.com"], "secretName": "tls"}
    ]
    assert "tls" not in ingress()["spec"]
    assert ingress()["spec"]["ingressClassName"] == "nginx"


def load_balancer(**more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "name": "immich-proxy-lan",
        "to": "proxy",
        "port": 8080,
        "listen": 80,
        "address": None,
        "load_balancer_class": None,
        "source_ranges": (),
        "annotations": {},
        **more,
    }
    return routes.load_balancer(LoadBalancerSpec(**given))


def test_a_load_balancer_keeps_the_clients_address() -> None:
    found = load_balancer()["spec"]
    assert found["externalTrafficPolicy"] == "Local"
    assert (found["ports"][0]["port"], found["ports"][0]["targetPort"]) == (80, 8080)
    assert not {"loadBalancerIP", "loadBalancerClass", "loadBalancerSourceRanges"} & found.keys()


def test_a_load_balancers_address_class_and_clients_are_what_is_given() -> None:
    found = load_balancer(
        address="192.168.1.20",
        load_balancer_class="metallb",
        source_ranges=("192.168.1.0/24",),
        annotations={"a": "b"},
    )
    assert found["spec"]["loadBalancerIP"] == "192.168.1.20"
    assert found["spec"]["loadBalancerClass"] == "metallb"
    assert found["spec"]["loadBalancerSourceRanges"] == ["192.168.1.0/24"]
    assert found["metadata"]["annotations"] == {"a": "b"}


def test_a_fetched_secret_says_where_each_value_is_and_how_texts_are_made_of_them() -> None:
    published = PublishedSecret(
        name="owner",
        type="kubernetes.io/basic-auth",
        labels={"cnpg.io/reload": "true"},
        items={
            "username": SecretText.plain("immich"),
            "password": SecretText.of("a"),
            "other": SecretText.of("b"),
        },
    )
    found = secrets.external_secret(published, STORE, "target-name")["spec"]
    assert found["secretStoreRef"] == {"name": "vault", "kind": "ClusterSecretStore"}
    assert found["data"] == [
        {"secretKey": "a", "remoteRef": {"key": "item", "property": "field"}},
        {"secretKey": "b", "remoteRef": {"key": "other"}},
    ]
    target = found["target"]
    assert target["template"] == {
        "engineVersion": "v2",
        "type": "kubernetes.io/basic-auth",
        "data": {"username": "immich", "password": "{{ .a }}", "other": "{{ .b }}"},
        "metadata": {"labels": {"cnpg.io/reload": "true"}},
    }
    assert (target["name"], target["creationPolicy"], target["deletionPolicy"]) == (
        "target-name",
        "Owner",
        "Retain",
    )


def test_a_secret_of_ours_has_no_value_before_it_is_registered() -> None:
    published = PublishedSecret(name="database", items={"password": SecretText.of("a")})
    assert secrets.secret(published) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {},
        "type": "Opaque",
    }

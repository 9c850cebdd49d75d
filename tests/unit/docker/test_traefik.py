"""Traefik's labels: what a container tells a Traefik that reads them, and what it never tells."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from components.model.exposure import BEGINS, BouncerSpec, SignInPageSpec, TraefikSpec
from components.platform import traefik as shared
from components.platform.docker.traefik import labels
from tests.unit.docker.parts import inputs, labels_of, options, workload

PLAIN = TraefikSpec(
    name="immich-server", to="server", port=2283, hostnames=("photos.example.com", "pictures.example.com"),
    entry_points=("websecure", "internal"), cert_resolver=None, tls_secret=None, proxies=(), bouncer=None,
    attempts=None, security_headers=False, hsts=False, sign_in_page=None, network="reverse_proxy",
)  # fmt: skip
BOUNCER = BouncerSpec(
    plugin="bouncer", mode="stream", lapi_scheme="http", lapi_host="crowdsec:8080", lapi_key_file="/etc/key",
    never_blocked=("192.168.1.0/24", "fd00::/8"),
)  # fmt: skip
PAGE = SignInPageSpec(
    address="http://authelia:9091/api/authz", paths=("/admin",), response_headers=("Remote-User",)
)
FULL = replace(
    PLAIN, bouncer=BOUNCER, attempts=10, security_headers=True, hsts=True, sign_in_page=PAGE, proxies=("10.0.0.0/8",),
    cert_resolver="letsencrypt",
)  # fmt: skip
NAME = "immich-home-server"


def found(spec: TraefikSpec = PLAIN) -> dict[str, str]:
    return labels(spec, "immich-home")


def chain(spec: TraefikSpec, suffix: str = "") -> list[str]:
    """Middlewares of a router, in their order."""
    text = found(spec).get(f"traefik.http.routers.{NAME}{suffix}.middlewares", "")
    return [one.removeprefix(f"{NAME}-") for one in text.split(",") if one]


def test_a_router_leads_to_the_port_of_the_container_with_the_name_that_was_asked_for() -> None:
    assert found() == {
        "traefik.enable": "true",
        "traefik.docker.network": "reverse_proxy",
        f"traefik.http.services.{NAME}.loadbalancer.server.port": "2283",
        f"traefik.http.services.{NAME}.loadbalancer.server.scheme": "http",
        f"traefik.http.services.{NAME}.loadbalancer.passhostheader": "true",
        f"traefik.http.routers.{NAME}.rule": "Host(`photos.example.com`) || Host(`pictures.example.com`)",
        f"traefik.http.routers.{NAME}.service": NAME,
        f"traefik.http.routers.{NAME}.entrypoints": "websecure,internal",
        f"traefik.http.routers.{NAME}.tls": "true",
    }


def test_block_list_limit_of_sign_in_and_headers_stand_in_this_order() -> None:
    assert chain(FULL) == ["bouncer", "headers"]
    assert chain(FULL, "-sign-in") == ["bouncer", "sign-in-rate", "headers"]
    assert chain(FULL, "-guarded") == ["bouncer", "sign-in-page", "headers"]


def test_only_signing_in_and_what_begins_a_restore_is_limited() -> None:
    rule = found(FULL)[f"traefik.http.routers.{NAME}-sign-in.rule"]
    names = "Host(`photos.example.com`) || Host(`pictures.example.com`)"
    begins = f"Method(`POST`) && PathRegexp(`{BEGINS}`)"
    assert rule == f"({names}) && ({shared.SIGN_IN} || ({begins}))"
    assert found(FULL)[f"traefik.http.middlewares.{NAME}-sign-in-rate.rateLimit.average"] == "10"


def test_every_router_ends_tls_and_asks_for_the_certificate() -> None:
    routers = {key.split(".")[3] for key in found(FULL) if key.startswith("traefik.http.routers.")}
    assert routers == {NAME, f"{NAME}-sign-in", f"{NAME}-guarded"}
    for router in routers:
        assert found(FULL)[f"traefik.http.routers.{router}.tls"] == "true"
        assert found(FULL)[f"traefik.http.routers.{router}.tls.certresolver"] == "letsencrypt"


@pytest.mark.parametrize("spec", [PLAIN, FULL])
def test_nothing_that_breaks_uploads_is_ever_asked_for(spec: TraefikSpec) -> None:
    text = " ".join([*found(spec), *found(spec).values()]).lower()
    for word in ("buffering", "retry", "circuitbreaker", "compress", "inflightreq"):
        assert word not in text


def test_every_middleware_that_a_router_names_is_defined_and_every_one_is_used() -> None:
    made = found(FULL)
    defined = {key.split(".")[3] for key in made if key.startswith("traefik.http.middlewares.")}
    used = {one for key, text in made.items() if key.endswith(".middlewares") for one in text.split(",")}
    assert defined == used


def test_lists_are_one_text_truth_values_are_small_and_an_empty_list_is_left_out() -> None:
    made = found(FULL)
    bouncer = f"traefik.http.middlewares.{NAME}-bouncer.plugin.bouncer"
    assert made[f"{bouncer}.clientTrustedIPs"] == "192.168.1.0/24,fd00::/8"
    assert made[f"{bouncer}.enabled"] == "true"
    assert made[f"traefik.http.middlewares.{NAME}-headers.headers.stsPreload"] == "false"
    trusting = found(replace(FULL, bouncer=replace(BOUNCER, never_blocked=())))
    assert f"{bouncer}.clientTrustedIPs" not in trusting


@pytest.mark.parametrize("stack", ["home", "my.stack", "UPPER_case"])
def test_a_name_in_a_label_has_no_dot_since_that_would_end_it(stack: str) -> None:
    way = workload(ways=(FULL,))
    made = labels_of(inputs(way, of=options(stack=stack)))
    routers = [
        re.fullmatch(r"traefik\.http\.(?:routers|services|middlewares)\.([^.]+)\.(.+)", key) for key in made
    ]
    named = {match[1] for match in routers if match is not None}
    assert named
    plain = stack.replace(".", "-")
    assert all(name.startswith(f"immich-{plain}-server") for name in named), named


def test_two_stacks_behind_one_traefik_share_no_name() -> None:
    def names(stack: str) -> set[str]:
        return {key for key in labels(FULL, f"immich-{stack}") if key.startswith("traefik.http.")}

    assert names("home").isdisjoint(names("homelab"))


def test_in_traefiks_network_a_container_has_no_name_that_another_stack_has_as_well() -> None:
    joined = (("immich-home-server", "immich-server"), ("reverse_proxy", None))
    made: dict[str, Any] = inputs(workload(ways=(PLAIN,)), networks=joined)
    assert made["networksAdvanced"] == [
        {"name": "immich-home-server", "aliases": ["immich-server"]},
        {"name": "reverse_proxy"},
    ]
    assert "home" in made["hostname"]

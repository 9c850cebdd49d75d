"""Uploads and proxies of the repository's stacks: clean, and one changed line or value breaks exactly one rule."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from immich_policy import config as configuration
from immich_policy.judging import judge_all
from immich_policy.model import Registered
from immich_policy.rules import FAMILIES
from tests.harness.program import ROOT, Runs, from_file
from tests.policy.case_files import recorded

STACKS = {path.stem.removeprefix("Pulumi."): from_file(path) for path in sorted(ROOT.glob("Pulumi.*.yaml"))}
PODS = {"dev": "10.244.0.0/16", "vanillax": "10.244.0.0/16", "prod": "10.42.0.0/16"}
RULES = (*FAMILIES["uploads"], *FAMILIES["proxies"])
_RUNS = Runs(STACKS)
WITH_NGINX = ("dev", "prod", "hwc", "skylab", "heartbeat")


def found(name: str, resources: list[Registered], **config: Any) -> list[str]:
    """Names of the rules that a stack breaks."""
    values = {**({"podRanges": [PODS[name]]} if name in PODS else {}), **config}
    read, problems = configuration.read(values, frozenset())
    assert problems == []
    verdicts = judge_all(RULES, resources, read)
    assert [one.failure for one in verdicts if one.failure] == []
    return [one.rule.name for one in verdicts if one.findings]


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_is_clean_in_a_preview_and_in_an_update(name: str) -> None:
    assert found(name, recorded(_RUNS[name])) == []
    assert found(name, recorded(_RUNS.preview(name))) == []


@pytest.mark.parametrize("name", STACKS)
def test_every_check_of_a_preview_is_made(name: str) -> None:
    values = {"podRanges": [PODS[name]]} if name in PODS else {}
    config, _ = configuration.read(values, frozenset())
    verdicts = judge_all(RULES, recorded(_RUNS.preview(name)), config)
    assert [(one.rule.name, said.resource.name, said.path) for one in verdicts for said in one.unjudged] == []


def test_the_stacks_are_those_with_and_those_without_an_nginx_of_ours() -> None:
    assert {*PODS, *WITH_NGINX, "homelab"} <= set(STACKS)


def _texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _texts(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_texts(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value


def changed(name: str, old: str, new: str) -> list[Registered]:
    """A stack in which a text is another one, wherever it is registered."""
    resources = recorded(_RUNS[name])
    after = [
        dataclasses.replace(one, props=_texts(one.props, lambda it: it.replace(old, new)))
        for one in resources
    ]
    assert any(a.props != b.props for a, b in zip(resources, after, strict=True)), f"{old} is not in {name}"
    return after


LINES = [
    (
        "proxy_request_buffering off;",
        "proxy_request_buffering on;",
        ["uploads-nginx-streaming", "uploads-nginx-room"],
    ),
    ("proxy_read_timeout 600s;", "proxy_read_timeout 60s;", ["uploads-nginx-timeouts"]),
    ("    send_timeout 600s;", "", ["uploads-nginx-timeouts"]),
    (
        "proxy_set_header X-Forwarded-For $client;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        ["proxies-overwritten"],
    ),
    ("proxy_set_header X-Forwarded-For $client;", "", ["proxies-overwritten"]),
    ("location ~* ^/api/(?:assets|", "location ~* ^/api/(?:other|", ["uploads-nginx-size"]),
]


@pytest.mark.parametrize(("old", "new", "rules"), LINES)
@pytest.mark.parametrize("name", WITH_NGINX)
def test_one_changed_line_of_nginx_breaks_its_rule(name: str, old: str, new: str, rules: list[str]) -> None:
    config = {"uploadSize": "95 MB"} if name == "skylab" else {}
    assert found(name, changed(name, old, new), **config) == rules


@pytest.mark.parametrize(
    ("name", "old", "new", "rules", "config"),
    [
        ("hwc", "set_real_ip_from 100.64.0.0/10;", "set_real_ip_from 0.0.0.0/0;", ["proxies-narrow"], {}),
        (
            "hwc",
            "set_real_ip_from 100.64.0.0/10;",
            "set_real_ip_from 100.64.1.0/10;",
            ["proxies-written"],
            {},
        ),
        ("hwc", "set_real_ip_from 100.64.0.0/10;", "set_real_ip_from 9.9.9.0/24;", ["proxies-public"], {}),
        (
            "hwc",
            "set_real_ip_from 100.64.0.0/10;",
            "set_real_ip_from 173.245.48.0/20;\nreal_ip_recursive on;",
            ["proxies-recursive"],
            {},
        ),
        ("prod", "53687091200", "1073741824", ["uploads-nginx-size"], {"uploadSize": "50 GiB"}),
        ("prod", "IMMICH_TRUSTED_PROXIES", "IMMICH_TRUSTED", ["proxies-unset"], {}),
        ("heartbeat", "IMMICH_TRUSTED_PROXIES=", "IMMICH_TRUSTED=", ["proxies-unset"], {}),
        (
            "homelab",
            "IMMICH_TRUSTED_PROXIES=10.89.2.0/24",
            "IMMICH_TRUSTED_PROXIES=linklocal",
            ["proxies-written"],
            {},
        ),
        ("homelab", "IMMICH_TRUSTED_PROXIES=10.89.2.0/24", "IMMICH=", ["proxies-unset"], {}),
        ("dev", "10.244.0.0/16", "10.244.0.0/15", ["proxies-narrow"], {}),
        (
            "skylab",
            "client_max_body_size 100000000",
            "client_max_body_size 50g",
            ["uploads-cloudflare-plan"],
            {},
        ),
        ("skylab", "180s", "210s", ["uploads-cloudflared-grace"], {}),
        ("dev", "10.244.0.0/16", "10.245.0.0/16", ["proxies-network"], {}),
    ],
)
def test_one_changed_value_breaks_its_rule(
    name: str, old: str, new: str, rules: list[str], config: dict[str, Any]
) -> None:
    assert found(name, changed(name, old, new), **config) == rules


@pytest.mark.parametrize(
    ("name", "kind", "path", "value", "rules"),
    [
        ("prod", "HTTPRoute", ("spec", "rules", 0, "timeouts", "request"), "60s", ["uploads-route-timeouts"]),
        (
            "vanillax",
            "HTTPRoute",
            ("spec", "rules", 0, "timeouts", "backendRequest"),
            "30s",
            ["uploads-route-timeouts"],
        ),
    ],
)
def test_one_changed_property_breaks_its_rule(
    name: str, kind: str, path: tuple[str | int, ...], value: Any, rules: list[str]
) -> None:
    after: list[Registered] = []
    for one in recorded(_RUNS[name]):
        props = copy.deepcopy(dict(one.props))
        if one.kind == kind:
            at: Any = props
            for key in path[:-1]:
                at = at[key]
            assert at[path[-1]] != value
            at[path[-1]] = value
        after.append(dataclasses.replace(one, props=props))
    assert found(name, after) == rules


def _with(name: str, container: str, **props: Any) -> list[Registered]:
    resources = recorded(_RUNS[name])
    assert any(one.name == container and one.kind == "Container" for one in resources)
    return [
        dataclasses.replace(one, props={**one.props, **props})
        if one.name == container and one.kind == "Container"
        else one
        for one in resources
    ]


def test_a_server_that_trusts_another_network_than_its_proxys_is_found() -> None:
    [server] = [
        one
        for one in recorded(_RUNS["skylab"])
        if one.name == "immich-skylab-server" and one.kind == "Container"
    ]
    envs = [
        "IMMICH_TRUSTED_PROXIES=10.1.2.0/24" if one.startswith("IMMICH_TRUSTED") else one
        for one in server.props["envs"]
    ]
    assert found("skylab", _with("skylab", "immich-skylab-server", envs=envs)) == ["proxies-network"]


def test_labels_with_buffering_and_with_a_bypass_are_found() -> None:
    [server] = [
        one
        for one in recorded(_RUNS["homelab"])
        if one.name == "immich-homelab-server" and one.kind == "Container"
    ]
    bouncer = "traefik.http.middlewares.immich-homelab-server-bouncer"
    for label, value, rule in (
        (f"{bouncer}.buffering.maxRequestBodyBytes", "1", "uploads-traefik-middlewares"),
        (
            f"{bouncer}.plugin.crowdsec-bouncer-traefik-plugin.clientTrustedIPs",
            "172.64.0.0/13",
            "proxies-crowdsec",
        ),
    ):
        labels = [*server.props["labels"], {"label": label, "value": value}]
        assert found("homelab", _with("homelab", "immich-homelab-server", labels=labels)) == [rule]


def test_cloudflared_in_the_hosts_network_is_found() -> None:
    name = "immich-skylab-cloudflared"
    assert found("skylab", _with("skylab", name, networkMode="host")) == ["proxies-cloudflared-network"]

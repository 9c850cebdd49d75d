"""No rule raises, whatever is registered."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from immich_policy import config as configuration
from immich_policy.config import Config
from immich_policy.judging import judge, message
from immich_policy.model import UNKNOWN, Stack, registered
from immich_policy.rules import ALL
from tests.harness.examples import examples
from tests.policy.case_files import HERE, load

KEYS = (
    "metadata", "name", "namespace", "spec", "template", "containers", "initContainers", "env", "envs",
    "value", "image", "command", "args", "entrypoints", "volumes", "volumeMounts", "mounts", "uploads",
    "file", "content", "labels", "label", "data", "annotations", "rules", "backendRefs", "timeouts",
    "request", "ports", "config", "ingresses", "service", "networksAdvanced", "ipamConfigs", "subnet",
    "selector", "items", "tmpfs", "type", "hostNetwork", "proxied",
)  # fmt: skip
TYPES = (
    "docker:index/container:Container", "docker:index/network:Network",
    "docker:index/remoteImage:RemoteImage", "docker:index/volume:Volume", "kubernetes:apps/v1:Deployment",
    "kubernetes:apps/v1:StatefulSet", "kubernetes:batch/v1:CronJob", "kubernetes:core/v1:Pod",
    "kubernetes:core/v1:ConfigMap", "kubernetes:core/v1:Secret", "kubernetes:core/v1:Service",
    "kubernetes:core/v1:PersistentVolumeClaim", "kubernetes:networking.k8s.io/v1:Ingress",
    "kubernetes:networking.k8s.io/v1:NetworkPolicy", "kubernetes:gateway.networking.k8s.io/v1:HTTPRoute",
    "kubernetes:gateway.nginx.org/v1alpha1:ClientSettingsPolicy", "kubernetes:traefik.io/v1alpha1:Middleware",
    "kubernetes:traefik.io/v1alpha1:IngressRoute", "kubernetes:postgresql.cnpg.io/v1:Cluster",
    "kubernetes:postgresql.cnpg.io/v1:ScheduledBackup", "cloudflare:index/dnsRecord:DnsRecord",
    "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig", "a:b:c", "", ":::",
    "kubernetes:",
)  # fmt: skip
WORDS = (
    "ghcr.io/immich-app/immich-server:v3.3.1", "nginx:1", "cloudflared", "traefik:v3", "postgres", "valkey",
    "immich-server", "IMMICH_TRUSTED_PROXIES=0.0.0.0/0,::1,x", "/etc/nginx/nginx.conf",
    "http { server { location ~ ( { proxy_pass http://x:2283; } } }",
    "http { server { location / { proxy_pass http://immich; } } }", "include *.conf;",
    "--entrypoints.a.address=:1", "-c", "10.0.0.0/8", "0", "off", "600s", "50m", "host", "bridge", "",
)  # fmt: skip
CASES = sorted((HERE / "cases").glob("*/*/*.yaml"))

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(WORDS)
    | st.just(UNKNOWN),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=30,
)
resources = st.builds(
    registered,
    st.sampled_from(TYPES) | st.text(max_size=30),
    st.text(max_size=10),
    st.dictionaries(st.sampled_from(KEYS), values, max_size=5),
    dependencies=st.lists(st.text(max_size=5), max_size=2),
    protect=st.booleans(),
)
_QUIET = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)


def _judge_all(stack: Stack, config: Config) -> None:
    for rule in ALL:
        verdict = judge(rule, stack, config)
        assert verdict.failure == "", f"{rule.name}: {verdict.failure}"
        for finding in verdict.findings:
            assert message(finding, rule)


@settings(_QUIET, max_examples=examples(80))
@given(st.lists(resources, max_size=5))
def test_no_rule_raises_on_arbitrary_resources(found: list[Any]) -> None:
    _judge_all(Stack(found), Config())


@functools.cache
def _documents() -> tuple[Any, ...]:
    return tuple(load(path)["resources"] for path in CASES)


def _somewhere(data: st.DataObject, value: Any) -> Any:
    """The same data with one value, anywhere in it, replaced by an arbitrary one."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 4)):
        key = data.draw(st.sampled_from(sorted(value)))
        return {**value, key: _somewhere(data, value[key])}
    if isinstance(value, list) and value and data.draw(st.integers(0, 4)):
        index = data.draw(st.integers(0, len(value) - 1))
        return [*value[:index], _somewhere(data, value[index]), *value[index + 1 :]]
    return data.draw(values)


@settings(_QUIET, max_examples=examples(150))
@given(st.data())
def test_no_rule_raises_on_a_real_stack_with_one_arbitrary_value(data: st.DataObject) -> None:
    documents = data.draw(st.sampled_from(_documents()))
    at = data.draw(st.integers(0, len(documents) - 1))
    found = [
        registered(one["type"], one["name"], _somewhere(data, one["props"]) if index == at else one["props"])
        for index, one in enumerate(documents)
    ]
    _judge_all(Stack(found), Config())


words = st.sampled_from(
    (
        "http", "server", "location", "map", "upstream", "include", "proxy_pass", "set_real_ip_from", "real_ip_header",
        "real_ip_recursive", "client_max_body_size", "client_body_temp_path", "proxy_set_header", "send_timeout", "set",
        "X-Forwarded-For", "http://immich-server:2283", "$x", "~", "~*", "=", "^~", "/", "/api/assets", "^/api/(", "on",
        "0",
        "{", "}", ";", "{", "}", ";", ";", "#", "'", "listen", "return",
    )
)  # fmt: skip


@settings(_QUIET, max_examples=examples(150))
@given(st.lists(words | st.text(max_size=3), max_size=25).map(" ".join), st.booleans())
def test_no_rule_raises_on_arbitrary_files_of_nginx(text: str, wrapped: bool) -> None:
    content = (
        f"http {{ server {{ {text} }} location / {{ proxy_pass http://immich; {text}" if wrapped else text
    )
    uploads = [{"file": "/etc/nginx/nginx.conf", "content": content}]
    _judge_all(
        Stack(
            [registered("docker:index/container:Container", "n", {"image": "nginx:1", "uploads": uploads})]
        ),
        Config(),
    )


DIRECTIVES = st.lists(
    st.tuples(
        words.filter(lambda it: it.isidentifier()),
        st.lists(words.filter(lambda it: it not in "{};#'"), max_size=3),
    ),
    max_size=5,
).map(lambda them: " ".join(f"{name} {' '.join(args)};" for name, args in them))


@settings(_QUIET, max_examples=examples(150))
@given(DIRECTIVES, DIRECTIVES, DIRECTIVES, st.lists(words.filter(lambda it: it not in "{};#'"), max_size=3))
def test_no_rule_raises_on_well_formed_files_of_nginx(
    http: str, server: str, inside: str, args: list[str]
) -> None:
    location = f"location {' '.join(args)} {{ {inside} }} location / {{ proxy_pass http://immich; {inside} }}"
    content = f"http {{ {http} server {{ {server} {location} }} }}"
    uploads = [{"file": "/etc/nginx/nginx.conf", "content": content}]
    _judge_all(
        Stack(
            [registered("docker:index/container:Container", "n", {"image": "nginx:1", "uploads": uploads})]
        ),
        Config(),
    )


@settings(_QUIET, max_examples=examples(200))
@given(values)
def test_no_configuration_raises(value: Any) -> None:
    config, problems = configuration.read(
        registered("t", "n", {"it": value}).props["it"], frozenset({"uploads-x"})
    )
    assert isinstance(config, Config)
    assert all(isinstance(one, str) for one in problems)


def test_the_fuzz_test_finds_a_rule_that_raises() -> None:
    broken = dataclasses.replace(ALL[0], judge=lambda stack, _: [stack[0].props["x"]])
    assert judge(broken, Stack([registered("t", "n", {})]), Config()).failure.startswith("KeyError")

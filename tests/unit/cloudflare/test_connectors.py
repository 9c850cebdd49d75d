"""The connectors: arguments, hardening, probes, and whom they reach."""

from __future__ import annotations

import types
from typing import Any

import pytest

from components.cloudflare import cloudflared
from components.cloudflare.tunnel_settings import LONGEST_GRACE, Tunnel
from components.model.naming import selector
from components.model.values import ImageRef, Quantity
from components.model.workload import Egress, HttpCheck, Link, Resources, SecretFiles, Workload
from components.platform.kubernetes import cilium, network_policies
from tests.harness.policy_eval import DNS, Outside, Pod, open_between
from tests.unit.cloudflare.programs import BASE, EXISTING, run, workload_object

FLAVOURS = [network_policies, cilium]
EDGE = (
    Outside("198.41.192.57"),
    Outside("198.41.200.13"),
    Outside("2606:4700:a0::1"),
    Outside("2606:4700:a8::9"),
)
AMOUNTS = Resources(
    cpu_request=Quantity("1"), memory_request=Quantity("1Gi"), cpu_limit=Quantity("1"), memory_limit=Quantity("1Gi")
)  # fmt: skip


def connector(**tunnel: Any) -> Workload:
    return cloudflared.workload(Tunnel.model_validate(tunnel), Link(to="proxy", port=8082))


def isolated(flavour: types.ModuleType, *workloads: Workload) -> list[dict[str, Any]]:
    made = [flavour.default_deny(), *(flavour.workload_policy(one, workloads, {}) for one in workloads)]
    return [{**one, "metadata": {"namespace": "immich"}} for one in made]


def pod(name: str) -> Pod:
    return Pod("immich", selector(name), "10.244.0.31")


def test_flags_of_the_tunnel_stand_before_run_and_those_of_run_after_it() -> None:
    args = list(connector(protocol="auto", gracePeriod="2m").args)
    before, after = args[: args.index("run")], args[args.index("run") + 1 :]
    assert before[0] == "tunnel"
    assert before[before.index("--metrics") + 1] == "0.0.0.0:2000"
    assert before[before.index("--protocol") + 1] == "auto"
    assert before[before.index("--grace-period") + 1] == "120s"
    assert {"--no-autoupdate", "--management-diagnostics=false"} <= set(before)
    assert after == ["--token-file", "/run/secrets/cloudflared/token"]


def test_credentials_by_file_name_the_tunnel_last() -> None:
    made = cloudflared.workload(
        Tunnel.model_validate({"existing": {"id": EXISTING}}), Link(to="proxy", port=8082), "{}\n"
    )
    assert made.args[-4:] == (
        "run",
        "--credentials-file",
        "/run/secrets/cloudflared/credentials.json",
        EXISTING,
    )
    assert made.args[made.args.index("--config") + 1] == "/etc/immich/config.yaml"


def test_no_secret_is_an_argument_or_in_the_environment() -> None:
    made = connector()
    assert "--token" not in made.args
    assert dict(made.env) == {}
    assert [mount for mount in made.mounts if isinstance(mount, SecretFiles)] == [
        SecretFiles(secret="cloudflared", path="/run/secrets/cloudflared", items={"token": "token"})
    ]


@pytest.mark.parametrize("grace", ["1s", "30s", "3m"])
def test_the_kill_comes_after_the_grace_in_which_uploads_end(grace: str) -> None:
    made = connector(gracePeriod=grace)
    told = int(made.args[made.args.index("--grace-period") + 1].removesuffix("s"))
    assert told <= LONGEST_GRACE == 180
    assert made.termination_grace >= told + 10


def test_a_connector_without_the_edge_is_not_ready_and_not_restarted() -> None:
    made = connector()
    assert made.readiness is not None
    asks = ("cloudflared", "tunnel", "--metrics", "127.0.0.1:2000", "ready")
    assert made.readiness.check == HttpCheck(port="metrics", path="/ready", inside=asks)
    assert made.liveness is not None
    assert made.liveness.check == HttpCheck(port="metrics", path="/healthcheck", inside=asks)
    assert made.liveness.period * made.liveness.failures >= 60


def test_a_connector_is_hardened_and_there_are_two() -> None:
    made = run({**BASE, "tunnel": {}})
    spec = workload_object(made, "Deployment", "immich-cloudflared").props["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    template = spec["template"]["spec"]
    (container,) = template["containers"]
    assert template["securityContext"]["runAsUser"] == template["securityContext"]["runAsGroup"] == 65532
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert template["automountServiceAccountToken"] is False
    assert template["terminationGracePeriodSeconds"] == 210
    assert workload_object(made, "PodDisruptionBudget", "immich-cloudflared")


def test_the_image_is_pinned_and_can_be_another() -> None:
    assert connector().image.digest is not None
    other = "registry.example.com/cloudflared:2026.11.0"
    assert connector(image=other).image == ImageRef(other)


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda one: one.__name__.rpartition(".")[2])
@pytest.mark.parametrize(
    ("protocol", "tcp", "udp"), [("http2", True, False), ("quic", False, True), ("auto", True, True)]
)
def test_connectors_reach_the_edge_by_their_protocol_nginx_and_nothing_else(
    flavour: types.ModuleType, protocol: str, tcp: bool, udp: bool
) -> None:
    proxy = Workload(name="proxy", image=ImageRef("example.com/a:1"), resources=AMOUNTS, user=1, group=1)
    database = Workload(
        name="database", image=ImageRef("example.com/a:1"), resources=AMOUNTS, user=1, group=1
    )
    policies = isolated(flavour, connector(protocol=protocol), proxy, database)
    source = pod("cloudflared")
    for edge in EDGE:
        assert open_between(policies, source, edge, 7844, "TCP") is tcp
        assert open_between(policies, source, edge, 7844, "UDP") is udp
        assert not open_between(policies, source, edge, 443)
    assert open_between(policies, source, pod("proxy"), 8082)
    assert open_between(policies, source, DNS, 53, "UDP")
    assert not open_between(policies, source, pod("proxy"), 8080)
    assert not open_between(policies, source, pod("database"), 5432)
    assert not open_between(policies, source, Outside("1.1.1.1"), 7844)
    assert not open_between(policies, source, Outside("169.254.169.254"), 80)


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_nobody_reaches_the_metrics_of_a_connector(flavour: types.ModuleType) -> None:
    proxy = Workload(
        name="proxy",
        image=ImageRef("example.com/a:1"),
        resources=AMOUNTS,
        user=1,
        group=1,
        links=(Link(to="server", port=2283),),
    )
    policies = isolated(flavour, connector(), proxy)
    for source in (pod("proxy"), Pod("monitoring", {"app": "prometheus"}), Outside("192.168.1.4")):
        assert not open_between(policies, source, pod("cloudflared"), 2000)


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_connectors_that_check_access_fetch_its_keys(flavour: types.ModuleType) -> None:
    policies = isolated(flavour, connector(access={"teamName": "example"}))
    keys = Outside("104.19.194.29", "example.cloudflareaccess.com")
    assert open_between(policies, pod("cloudflared"), keys, 443)
    assert not open_between(policies, pod("cloudflared"), keys, 80)


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda one: one.__name__.rpartition(".")[2])
@pytest.mark.parametrize(
    ("service", "target", "port"),
    [
        ("http://notes.lan:8080", Outside("192.168.1.9", "notes.lan"), 8080),
        ("https://192.168.1.9", Outside("192.168.1.9"), 443),
        ("http://192.168.1.9", Outside("192.168.1.9"), 80),
    ],
)
def test_connectors_reach_the_other_services_of_the_tunnel(
    flavour: types.ModuleType, service: str, target: Outside, port: int
) -> None:
    rules = [{"hostname": "notes.example.com", "service": service}]
    assert open_between(isolated(flavour, connector(rules=rules)), pod("cloudflared"), target, port)
    assert not open_between(isolated(flavour, connector()), pod("cloudflared"), target, port)


def test_a_rule_that_only_answers_needs_no_way_out() -> None:
    rules = [{"hostname": "old.example.com", "service": "http_status:410"}]
    assert connector(rules=rules).egress == connector().egress


@pytest.mark.parametrize("flavour", FLAVOURS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_udp_is_open_where_it_is_said_and_tcp_is_not(flavour: types.ModuleType) -> None:
    rule = Egress(reason="time", cidrs=("192.0.2.1/32",), ports=(), udp_ports=(123,))
    one = Workload(
        name="proxy", image=ImageRef("example.com/a:1"), resources=AMOUNTS, user=1, group=1, egress=(rule,)
    )
    policies = isolated(flavour, one)
    assert open_between(policies, pod("proxy"), Outside("192.0.2.1"), 123, "UDP")
    assert not open_between(policies, pod("proxy"), Outside("192.0.2.1"), 123, "TCP")


def test_a_way_out_without_a_port_is_refused_since_it_would_be_every_port() -> None:
    with pytest.raises(ValueError, match="give a port"):
        Egress(reason="everything", cidrs=("192.0.2.1/32",), ports=())

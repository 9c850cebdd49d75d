"""nginx's files as whole stacks have them, read by a parser of its own. Real nginx runs them in tests/edge."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any, cast

import crossplane
import pytest

from components.model.values import Quantity
from tests.harness.objects import Manifest, of_kind
from tests.harness.program import Stack, manifests, run_stack
from tests.unit.program.stacks import RUNS, STACKS

Directive = dict[str, Any]

DOORS = Stack(
    "doors",
    {
        "host": {"name": "photos.example.com"},
        "kubernetes": {"target": "render", "podCidrs": ["10.42.0.0/16", "fd00:42::/56"]},
        "proxy": {
            "maxUpload": "100Gi",
            "timeout": "15m",
            "metrics": True,
            "resources": {"limits": {"cpu": "3"}},
            "expose": [
                {"kind": "httpRoute", "gateway": "public", "gatewayNamespace": "gateway"},
                {"kind": "ingress", "className": "nginx", "controllerNamespace": "ingress-nginx"},
                {"kind": "loadBalancer", "sourceRanges": ["192.168.1.0/24"]},
            ],
        },
    },
)
WITH_NGINX = ["doors", "dev", "operated", "stored"]


@functools.cache
def found(stack: str) -> list[Manifest]:
    """Manifests of a stack."""
    return manifests(run_stack(DOORS) if stack == DOORS.name else RUNS[stack])


def files(stack: str) -> dict[str, str]:
    """nginx's files of a stack."""
    (config,) = [one for one in of_kind(found(stack), "ConfigMap") if "nginx.conf" in one["data"]]
    return config["data"]


def pod(stack: str) -> dict[str, Any]:
    """The pod of nginx."""
    (deployment,) = [
        one for one in of_kind(found(stack), "Deployment") if one["metadata"]["name"] == "immich-proxy"
    ]
    return deployment["spec"]["template"]["spec"]


@pytest.fixture
def config(stack: str, tmp_path: Path) -> list[Directive]:
    """The directives, as the parser gives them; a directive that it does not know in its place is an error."""
    for name, text in files(stack).items():
        (tmp_path / name).write_text(text)
    parsed = cast("Directive", crossplane.parse(str(tmp_path / "nginx.conf"), combine=True, check_args=True))
    assert parsed["status"] == "ok", parsed["errors"]
    return parsed["config"][0]["parsed"]


def find(block: list[Directive], *path: str) -> list[Directive]:
    """Directives at a path of names: `http`, `server`, `location`."""
    name, *rest = path
    here = [one for one in block if one["directive"] == name]
    return here if not rest else [inner for one in here for inner in find(one.get("block", []), *rest)]


def value(block: list[Directive], name: str) -> list[str]:
    (one,) = find(block, name)
    return one["args"]


def passing(config: list[Directive]) -> list[tuple[str, list[Directive]]]:
    """Path and content of every location that passes requests on to Immich."""
    passed = [
        (location["args"][-1], location["block"])
        for location in find(config, "http", "server", "location")
        if find(location["block"], "proxy_pass")
    ]
    assert passed
    return passed


def fronts(config: list[Directive]) -> list[list[Directive]]:
    """Blocks of the servers that lead to Immich."""
    servers = [one["block"] for one in find(config, "http", "server")]
    return [one for one in servers if find(one, "location", "proxy_pass")]


def headers(location: list[Directive]) -> dict[str, str]:
    """Headers that Immich gets."""
    return {one["args"][0]: one["args"][1] for one in find(location, "proxy_set_header")}


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_an_upload_of_the_size_that_is_promised_gets_through_and_is_not_kept(
    stack: str, config: list[Directive]
) -> None:
    promised = Quantity(STACKS.get(stack, DOORS).sections.get("proxy", {}).get("maxUpload", "50Gi"))
    uploads = 0
    for path, location in passing(config):
        uploads += "assets" in path and value(location, "client_max_body_size") == [str(int(promised.amount))]
        assert value(location, "proxy_request_buffering") == ["off"]
        assert value(location, "proxy_http_version") == ["1.1"], "without it bodies are buffered all the same"
        assert value(location, "proxy_max_temp_file_size") == ["0"]
    assert uploads == len(fronts(config))


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_a_silent_connection_is_kept_as_long_as_the_settings_say(stack: str, config: list[Directive]) -> None:
    wanted = ["900s" if stack == "doors" else "600s"]
    (http,) = find(config, "http")
    for name in ("client_body_timeout", "send_timeout"):
        assert value(http["block"], name) == wanted
    for _, location in passing(config):
        for name in ("proxy_read_timeout", "proxy_send_timeout"):
            assert value(location, name) == wanted


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_immich_gets_the_name_that_was_asked_for_and_an_address_that_no_client_can_choose(
    stack: str, config: list[Directive]
) -> None:
    for _, location in passing(config):
        told = headers(location)
        assert told["Host"] == told["X-Forwarded-Host"] == "$http_host"
        # Appending ($proxy_add_x_forwarded_for) would pass on whatever the client wrote there.
        assert told["X-Forwarded-For"] == told["X-Real-IP"] == "$client"
        assert told["X-Forwarded-Proto"] == "$client_scheme"
    maps = {tuple(one["args"]): one["block"] for one in find(config, "http", "map")}
    assert [(one["directive"], one["args"]) for one in maps["$listener", "$client"]] == [
        ("default", ["$remote_addr"])
    ]
    assert "$proxy_add_x_forwarded_for" not in "".join(files(stack).values())


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_what_a_peer_says_about_the_client_is_believed_of_named_networks_only(
    stack: str, config: list[Directive]
) -> None:
    for server in fronts(config):
        trusted = [one["args"][0] for one in find(server, "set_real_ip_from")]
        assert bool(find(server, "real_ip_header")) == bool(trusted)
        assert not {"0.0.0.0/0", "::/0"} & set(trusted)
        assert find(server, "real_ip_recursive") == []
    assert find(config, "http", "set_real_ip_from") == [], "it belongs to the listener whose peers are meant"


@pytest.mark.parametrize("stack", ["doors"])
def test_a_listener_for_people_believes_nobody_and_one_for_gateways_the_pods(
    stack: str, config: list[Directive]
) -> None:
    believed = [
        (
            [one["args"][0] for one in find(server, "set_real_ip_from")],
            [one["args"][0] for one in find(server, "real_ip_header")],
        )
        for server in fronts(config)
    ]
    assert believed == [(["10.42.0.0/16", "fd00:42::/56"], ["X-Forwarded-For"]), ([], [])]


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_the_log_has_no_query_since_share_links_carry_their_key_there(
    stack: str, config: list[Directive]
) -> None:
    formats = find(config, "http", "log_format")
    assert formats
    for one in formats:
        line = "".join(one["args"])
        assert "$logged_path" in line
        for variable in ("$uri", "$request_uri", "$args", "$query_string", "$http_referer", "$http_cookie"):
            assert variable not in line
        assert not re.search(r"\$request(?![_\w])", line), "$request has the whole first line"
    assert value(find(config, "http")[0]["block"], "access_log")[1] == formats[0]["args"][0]


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_nginx_writes_below_tmp_only_and_listens_where_it_may_without_root(
    stack: str, config: list[Directive]
) -> None:
    (http,) = find(config, "http")
    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        assert value(http["block"], f"{name}_temp_path")[0].startswith("/tmp/")
    assert value(config, "pid")[0].startswith("/tmp/")
    listening = [one["args"][0] for one in find(config, "http", "server", "listen")]
    assert len(listening) == len(set(listening))
    assert min(port(one) for one in listening) >= 1024
    assert any(one.startswith("[::]:") for one in listening) == (stack == "doors"), "as its pods have IPv6"


def port(address: str) -> int:
    return int(address.rpartition(":")[2])


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_every_declared_port_of_the_pod_is_listened_on_and_no_other(
    stack: str, config: list[Directive]
) -> None:
    declared = {one["containerPort"] for one in pod(stack)["containers"][0]["ports"]}
    assert declared == {port(one["args"][0]) for one in find(config, "http", "server", "listen")}


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_nginx_has_as_many_workers_as_it_may_use_cores(stack: str, config: list[Directive]) -> None:
    assert value(config, "worker_processes") == ["3" if stack == "doors" else "2"]


def test_the_exporter_is_beside_nginx_where_it_is_wanted_and_asks_the_listener_for_numbers() -> None:
    nginx, exporter = pod("doors")["containers"]
    (status,) = [one["containerPort"] for one in nginx["ports"] if one["name"] == "status"]
    assert f"--nginx.scrape-uri=http://127.0.0.1:{status}/stub_status" in exporter["args"]
    assert exporter["image"].startswith("docker.io/nginx/nginx-prometheus-exporter:1.5.1@sha256:")
    assert exporter["securityContext"] == nginx["securityContext"]
    assert [one["name"] for one in exporter["ports"]] == ["metrics"]
    (service,) = [
        one for one in of_kind(found("doors"), "Service") if one["metadata"]["name"] == "immich-proxy"
    ]
    assert {"metrics", "status"} <= {one["name"] for one in service["spec"]["ports"]}
    assert len(pod("dev")["containers"]) == 1

"""nginx.conf as whole stacks have it: read by a parser of its own, and by nginx where there is one."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast

import crossplane
import pytest

from components.values import Quantity
from tests.harness.objects import of_kind
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
def text(stack: str) -> str:
    """nginx.conf of a stack."""
    run = run_stack(DOORS) if stack == DOORS.name else RUNS[stack]
    (found,) = [one for one in of_kind(manifests(run), "ConfigMap") if "nginx.conf" in one["data"]]
    return found["data"]["nginx.conf"]


@pytest.fixture
def config(stack: str, tmp_path: Path) -> list[Directive]:
    """The directives, as the parser gives them; a directive that it does not know in its place is an error."""
    alone = re.sub(r"(?m)^\s*include .*\n", "", text(stack))
    # Strictness takes the entries of maps for directives.
    parse(
        tmp_path / "strict.conf", re.sub(r"(?m)^( +(?:map|geo) [^{]+)\{[^}]*\}", r"\1{}", alone), strict=True
    )
    return parse(tmp_path / "nginx.conf", alone, strict=False)


def parse(file: Path, content: str, *, strict: bool) -> list[Directive]:
    file.write_text(content)
    parsed = cast("Directive", crossplane.parse(str(file), strict=strict, combine=True))
    assert parsed["status"] == "ok", parsed["errors"]
    return parsed["config"][0]["parsed"]


def find(block: list[Directive], *path: str) -> list[Directive]:
    """Directives at a path of names: `http`, `server`, `location`."""
    name, *rest = path
    here = [one for one in block if one["directive"] == name]
    return here if not rest else [inner for one in here for inner in find(one.get("block", []), *rest)]


def value(block: list[Directive], name: str) -> list[str]:
    (found,) = find(block, name)
    return found["args"]


def fronts(config: list[Directive]) -> list[list[Directive]]:
    """Blocks of the servers that lead to Immich."""
    servers = [one["block"] for one in find(config, "http", "server")]
    return [one for one in servers if find(one, "location", "proxy_pass")]


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_an_upload_of_the_size_that_is_promised_gets_through_and_is_not_kept(
    stack: str, config: list[Directive]
) -> None:
    promised = Quantity(STACKS.get(stack, DOORS).sections.get("proxy", {}).get("maxUpload", "50Gi"))
    assert fronts(config)
    for server in fronts(config):
        assert value(server, "client_max_body_size") == [str(int(promised.amount))]
        (location,) = find(server, "location")
        assert location["args"] == ["/"]
        assert value(location["block"], "proxy_request_buffering") == ["off"]
        assert value(location["block"], "proxy_http_version") == ["1.1"], (
            "without it bodies are buffered all the same"
        )
        assert value(location["block"], "proxy_max_temp_file_size") == ["0"]


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_a_silent_connection_is_kept_as_long_as_the_settings_say(stack: str, config: list[Directive]) -> None:
    wanted = 900 if stack == "doors" else 600
    for server in fronts(config):
        (location,) = find(server, "location")
        for name in ("proxy_read_timeout", "proxy_send_timeout"):
            assert seconds(value(location["block"], name)[0]) == wanted
        for name in ("client_body_timeout", "send_timeout"):
            assert seconds(value(server, name)[0]) == wanted


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_web_sockets_are_upgraded_and_other_connections_are_kept_open(
    stack: str, config: list[Directive]
) -> None:
    maps = {tuple(one["args"]): one["block"] for one in find(config, "http", "map")}
    upgrade = {one["directive"]: one["args"] for one in maps["$http_upgrade", "$connection_upgrade"]}
    assert upgrade == {"default": ["upgrade"], "": [""]}
    for server in fronts(config):
        headers = {one["args"][0]: one["args"][1] for one in find(server, "location", "proxy_set_header")}
        assert headers["Upgrade"] == "$http_upgrade"
        assert headers["Connection"] == "$connection_upgrade"
    assert value(find(config, "http", "upstream")[0]["block"], "keepalive") == ["64"]


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_immich_gets_the_name_that_was_asked_for_and_an_address_that_no_client_can_choose(
    stack: str, config: list[Directive]
) -> None:
    for server in fronts(config):
        headers = {one["args"][0]: one["args"][1] for one in find(server, "location", "proxy_set_header")}
        assert headers["Host"] == headers["X-Forwarded-Host"] == "$http_host"
        # Appending ($proxy_add_x_forwarded_for) would pass on whatever the client wrote there.
        assert headers["X-Forwarded-For"] == headers["X-Real-IP"] == "$remote_addr"
        assert headers["X-Forwarded-Proto"] != "$http_x_forwarded_proto"
    assert "$proxy_add_x_forwarded_for" not in text(stack)


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_what_a_peer_says_about_the_client_is_believed_of_named_networks_only(
    stack: str, config: list[Directive]
) -> None:
    for server in fronts(config):
        trusted = [one["args"][0] for one in find(server, "set_real_ip_from")]
        assert bool(find(server, "real_ip_header")) == bool(trusted)
        assert not {"0.0.0.0/0", "::/0"} & set(trusted)
    assert find(config, "http", "set_real_ip_from") == [], "it belongs to the listener whose peers are meant"


def test_a_listener_for_people_believes_nobody_and_one_for_gateways_the_pods() -> None:
    parsed = {
        tuple(sorted(re.findall(r"set_real_ip_from (\S+);", server))): re.findall(
            r"real_ip_header (\S+);", server
        )
        for server in re.split(r"(?m)^    server \{$", text("doors"))[1:]
        if "proxy_pass" in server
    }
    assert parsed == {("10.42.0.0/16", "fd00:42::/56"): ["X-Forwarded-For"], (): []}


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_the_log_has_no_query_since_share_links_carry_their_key_there(
    stack: str, config: list[Directive]
) -> None:
    formats = find(config, "http", "log_format")
    assert formats
    for one in formats:
        line = "".join(one["args"])
        assert "$uri" in line
        for variable in ("$request_uri", "$args", "$query_string", "$http_referer", "$http_cookie"):
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
    listening = [int(one["args"][0]) for one in find(config, "http", "server", "listen")]
    assert len(listening) == len(set(listening))
    assert min(listening) >= 1024


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_every_declared_port_of_the_pod_is_listened_on_and_no_other(
    stack: str, config: list[Directive]
) -> None:
    run = run_stack(DOORS) if stack == "doors" else RUNS[stack]
    (pod,) = [
        one for one in of_kind(manifests(run), "Deployment") if one["metadata"]["name"] == "immich-proxy"
    ]
    declared = {port["containerPort"] for port in pod["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert declared == {int(one["args"][0]) for one in find(config, "http", "server", "listen")}


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
@pytest.mark.parametrize("stack", WITH_NGINX)
def test_nginx_itself_accepts_the_configuration(stack: str, tmp_path: Path) -> None:
    (tmp_path / "mime.types").write_text("types { text/html html; }\n")
    mapped = (
        text(stack)
        .replace("/tmp/", f"{tmp_path}/")
        .replace("/etc/nginx/mime.types", str(tmp_path / "mime.types"))
        .replace("server immich-server:", "server 127.0.0.1:")
        .replace("/dev/stdout", str(tmp_path / "access.log"))
        .replace("/dev/stderr", str(tmp_path / "error.log"))
    )
    file = tmp_path / "nginx.conf"
    file.write_text(mapped)
    answer = subprocess.run(
        ["nginx", "-t", "-q", "-e", str(tmp_path / "start.log"), "-c", str(file), "-p", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr

"""nginx's configuration as whole stacks have it: read by a parser of its own, and by nginx where there is one.

Only what must hold whatever the configuration looks like inside; what nginx then does is the edge tier's matter.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import crossplane
import pytest

from components.values import Quantity
from tests.harness.objects import Manifest, of_kind
from tests.harness.program import Stack, manifests, run_stack
from tests.unit.program.stacks import RUNS, STACKS

Directive = dict[str, Any]
Block = list[Directive]

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
SECRET_PARTS = (
    "$request_uri",
    "$args",
    "$query_string",
    "$http_referer",
    "$http_cookie",
    "$http_authorization",
)


@functools.cache
def documents(stack: str) -> list[Manifest]:
    return manifests(run_stack(DOORS) if stack == DOORS.name else RUNS[stack])


def files(stack: str) -> dict[str, str]:
    """The files beside and with nginx.conf."""
    (found,) = [one["data"] for one in of_kind(documents(stack), "ConfigMap") if "nginx.conf" in one["data"]]
    return found


def written(stack: str, folder: Path) -> Path:
    """nginx.conf with everything that it includes, in `folder`, which stands for the paths of the container."""
    (folder / "mime.types").write_text("types { text/html html; }\n")
    for name, content in files(stack).items():
        mapped = (
            content.replace("/tmp/", f"{folder}/")
            .replace("/etc/nginx/mime.types", str(folder / "mime.types"))
            .replace("/dev/stdout", str(folder / "access.log"))
            .replace("/dev/stderr", str(folder / "error.log"))
        )
        (folder / name).write_text(re.sub(r"\bimmich-server:", "127.0.0.1:", mapped))
    return folder / "nginx.conf"


def parse(file: Path, *, strict: bool) -> Directive:
    return cast("Directive", crossplane.parse(str(file), strict=strict, combine=True))


@pytest.fixture
def config(stack: str, tmp_path: Path) -> Block:
    """The directives, with includes in place."""
    parsed = parse(written(stack, tmp_path), strict=False)
    assert parsed["status"] == "ok", parsed["errors"]
    return parsed["config"][0]["parsed"]


def find(block: Block, *path: str) -> Block:
    """Directives at a path of names: `http`, `server`, `location`."""
    name, *rest = path
    here = [one for one in block if one["directive"] == name]
    return here if not rest else [inner for one in here for inner in find(one.get("block", []), *rest)]


def value(block: Block, name: str) -> list[str]:
    (found,) = find(block, name)
    return found["args"]


def fronts(config: Block) -> list[Block]:
    """Blocks of the servers that lead to Immich."""
    servers = [one["block"] for one in find(config, "http", "server")]
    found = [one for one in servers if find(one, "location", "proxy_pass")]
    assert found
    return found


def passing(config: Block) -> list[tuple[Block, ...]]:
    """http, server and location of every place that passes requests on to Immich."""
    (http,) = find(config, "http")
    return [
        (http["block"], server, location["block"])
        for server in fronts(config)
        for location in find(server, "location")
        if find(location["block"], "proxy_pass")
    ]


def location_of(server: Block, path: str) -> Block:
    """The location that nginx takes for a path: exact, then a prefix that ends the search, a pattern, the longest."""
    places = [(one["args"], one["block"]) for one in find(server, "location")]
    prefixes = [(args, block) for args, block in places if args[0] == "^~" or len(args) == 1]
    fitting = [(args, block) for args, block in prefixes if path.startswith(args[-1])]
    best = max(fitting, key=lambda one: len(one[0][-1]), default=None)
    for args, block in places:
        if args[0] == "=" and args[1] == path:
            return block
    if best is not None and best[0][0] == "^~":
        return best[1]
    for args, block in places:
        flags = re.IGNORECASE if args[0] == "~*" else re.NOFLAG
        if args[0] in {"~", "~*"} and re.search(args[1], path, flags):
            return block
    assert best is not None, f"nothing answers {path}"
    return best[1]


def effective(name: str, *blocks: Block) -> list[str]:
    """Arguments of a directive in the innermost block, or those that it inherits."""
    return value(next(block for block in reversed(blocks) if find(block, name)), name)


def headers(*blocks: Block) -> dict[str, str]:
    """Headers that Immich gets; a block with any of its own inherits none."""
    own = next(found for block in reversed(blocks) if (found := find(block, "proxy_set_header")))
    return {one["args"][0]: one["args"][1] for one in own}


def listening(config: Block) -> list[str]:
    """Addresses and ports that nginx listens on."""
    return [one["args"][0] for one in find(config, "http", "server", "listen")]


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def possible(config: Block, text: str) -> Iterator[str]:
    """Every text that an expression can become when maps are followed."""
    maps = {one["args"][1]: one["block"] for one in find(config, "http", "map")}
    if text not in maps:
        yield text
        return
    for entry in maps[text]:
        yield from possible(config, entry["args"][0])


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_every_directive_is_known_and_stands_where_it_may(stack: str, tmp_path: Path) -> None:
    file = written(stack, tmp_path)
    # Strictness takes the entries of maps for directives.
    entries = {
        entry["line"]
        for kind in ("map", "geo")
        for one in find(parse(file, strict=False)["config"][0]["parsed"], "http", kind)
        for entry in one["block"]
    }
    errors = parse(file, strict=True)["errors"]
    assert [one["error"] for one in errors if one["file"] != str(file) or one["line"] not in entries] == []


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_an_upload_of_the_size_that_is_promised_gets_through_and_nothing_is_kept_on_the_way(
    stack: str, config: Block
) -> None:
    promised = Quantity(STACKS.get(stack, DOORS).sections.get("proxy", {}).get("maxUpload", "50Gi"))
    for server in fronts(config):
        assert effective("client_max_body_size", server, location_of(server, "/api/assets")) == [
            str(int(promised.amount))
        ]
    for where in passing(config):
        assert effective("client_max_body_size", *where) != ["0"], "nothing is unlimited"
        assert effective("proxy_request_buffering", *where) == ["off"]
        assert effective("proxy_http_version", *where) == ["1.1"], (
            "without it bodies are buffered all the same"
        )
        assert effective("proxy_max_temp_file_size", *where) == ["0"]


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_a_silent_connection_is_kept_as_long_as_the_settings_say(stack: str, config: Block) -> None:
    wanted = 900 if stack == "doors" else 600
    for where in passing(config):
        for name in ("proxy_read_timeout", "proxy_send_timeout", "client_body_timeout", "send_timeout"):
            assert seconds(effective(name, *where)[0]) == wanted


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_web_sockets_are_upgraded_and_other_connections_are_kept_open(stack: str, config: Block) -> None:
    for server in fronts(config):
        found = headers(server, location_of(server, "/api/socket.io/"))
        assert set(possible(config, found["Connection"])) == {"upgrade", ""}
        assert "$http_upgrade" in possible(config, found["Upgrade"]) or "websocket" in possible(
            config, found["Upgrade"]
        )
    assert int(value(find(config, "http", "upstream")[0]["block"], "keepalive")[0]) > 0


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_immich_gets_the_name_that_was_asked_for_and_an_address_that_no_client_can_choose(
    stack: str, config: Block
) -> None:
    for where in passing(config):
        found = headers(*where)
        assert found["Host"] == found["X-Forwarded-Host"] == "$http_host"
        assert found["X-Forwarded-For"] == found["X-Real-IP"]
        # Appending ($proxy_add_x_forwarded_for) would pass on whatever the client wrote there.
        assert set(possible(config, found["X-Forwarded-For"])) == {"$remote_addr"}
        assert set(possible(config, found["X-Forwarded-Proto"])) <= {"$scheme", "http", "https"}


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_what_a_peer_says_about_the_client_is_believed_of_named_networks_only(
    stack: str, config: Block
) -> None:
    for server in fronts(config):
        trusted = [one["args"][0] for one in find(server, "set_real_ip_from")]
        assert bool(find(server, "real_ip_header")) == bool(trusted)
        assert not {"0.0.0.0/0", "::/0"} & set(trusted)
    assert find(config, "http", "set_real_ip_from") == [], "it belongs to the listener whose peers are meant"


def test_a_listener_for_people_believes_nobody_and_one_for_gateways_the_pods(tmp_path: Path) -> None:
    parsed = parse(written("doors", tmp_path), strict=False)["config"][0]["parsed"]
    believed = {
        tuple(sorted(one["args"][0] for one in find(server, "set_real_ip_from"))): [
            one["args"][0] for one in find(server, "real_ip_header")
        ]
        for server in fronts(parsed)
    }
    assert believed == {("10.42.0.0/16", "fd00:42::/56"): ["X-Forwarded-For"], (): []}


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_the_log_has_no_query_since_share_links_carry_their_key_there(stack: str, config: Block) -> None:
    formats = find(config, "http", "log_format")
    assert formats
    for one in formats:
        line = "".join(one["args"])
        for variable in re.findall(r"\$\w+", line):
            for text in possible(config, variable):
                assert not any(part in text for part in SECRET_PARTS), variable
                assert text != "$request", "it has the whole first line"
    assert value(find(config, "http")[0]["block"], "access_log")[1] == formats[0]["args"][0]


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_nginx_writes_below_tmp_only_and_listens_where_it_may_without_root(
    stack: str, config: Block, tmp_path: Path
) -> None:
    (http,) = find(config, "http")
    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        assert value(http["block"], f"{name}_temp_path")[0].startswith(f"{tmp_path}/")
    assert value(config, "pid")[0].startswith(f"{tmp_path}/")
    assert len(listening(config)) == len(set(listening(config)))
    assert min(map(port_of, listening(config))) >= 1024


@pytest.mark.parametrize("stack", WITH_NGINX)
def test_every_declared_port_of_the_pod_is_listened_on_and_no_other(stack: str, config: Block) -> None:
    (pod,) = [
        one for one in of_kind(documents(stack), "Deployment") if one["metadata"]["name"] == "immich-proxy"
    ]
    declared = {port["containerPort"] for port in pod["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert declared == set(map(port_of, listening(config)))


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
@pytest.mark.parametrize("stack", WITH_NGINX)
def test_nginx_itself_accepts_the_configuration(stack: str, tmp_path: Path) -> None:
    answer = subprocess.run(
        [
            "nginx",
            "-t",
            "-q",
            "-e",
            str(tmp_path / "start.log"),
            "-c",
            str(written(stack, tmp_path)),
            "-p",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr

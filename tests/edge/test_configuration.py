"""Every variant of the settings is accepted by nginx and by a parser of its own, and keeps the rule of inheritance."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path
from typing import Any, cast

import crossplane
import pytest

from components.proxy.listeners import listeners
from components.proxy.nginx import Surroundings, configuration
from components.proxy.settings import Proxy
from tests.edge.running import BALANCER, GATEWAY, LAN, NGINX, PODS, PUBLIC, proxy, version, write

pytestmark = pytest.mark.edge

Directive = dict[str, Any]
WAYS: dict[str, tuple[dict[str, Any], ...]] = {
    "cluster": ({"kind": "clusterIp"},),
    "lan": (LAN,),
    "gateway": (GATEWAY,),
    "all": (LAN, GATEWAY, BALANCER, PUBLIC),
    "all of the internet": (GATEWAY, {**BALANCER, "door": "internet"}, PUBLIC),
}
TLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tls": {"tls": {"kind": "secret", "name": "photos"}, "hsts": True},
    "issued": {"tls": {"kind": "certManager", "issuer": "letsencrypt"}},
}
MORE: dict[str, dict[str, Any]] = {
    "defaults": {},
    "extremes": {"maxUpload": "100M", "timeout": "60s", "loginRate": 1, "contentSecurityPolicy": True},
    "other extremes": {"maxUpload": "2Ti", "timeout": "24h", "loginRate": 600, "hsts": True, "metrics": True},
}
PLACES = list(itertools.product(WAYS, TLS, MORE))


def render(settings: Proxy, directory: Path, *, front: bool, **where: Any) -> list[Directive]:
    """Writes the files and gives them as the parser reads them."""
    found = listeners(settings, pods=PODS, tunnel=front, cloudflare_in_front=front)
    surroundings = Surroundings(scratch=str(directory), certificates=str(directory), **where)
    write(configuration(settings, found, surroundings), directory)
    parsed = cast("Any", crossplane.parse(str(directory / "nginx.conf"), combine=True, check_args=True))
    assert parsed["status"] == "ok", parsed["errors"]
    return parsed["config"][0]["parsed"]


def blocks(tree: list[Directive], *path: str) -> list[list[Directive]]:
    """Contents of the blocks at a path of names."""
    name, *rest = path
    here = [cast("list[Directive]", one["block"]) for one in tree if one["directive"] == name]
    return here if not rest else [found for block in here for found in blocks(block, *rest)]


@pytest.mark.parametrize("place", PLACES, ids=", ".join)
@pytest.mark.parametrize("resolver", [None, "127.0.0.11"])
@pytest.mark.parametrize("front", [False, True])
def test_nginx_accepts_every_variant(
    place: tuple[str, str, str], resolver: str | None, front: bool, nginx_installed: None, tmp_path: Path
) -> None:
    ways, tls, more = place
    settings = proxy(*WAYS[ways], **{**TLS[tls], **MORE[more]})
    render(
        settings,
        tmp_path,
        front=front,
        upstream="127.0.0.1:2283",
        version=version(),
        resolver=resolver,
        addresses=("*", "[::]") if Path("/proc/net/if_inet6").exists() else ("*",),
    )
    user = "user root;" if os.geteuid() == 0 else ""
    told = subprocess.run(
        [NGINX, "-t", "-q", "-c", str(tmp_path / "nginx.conf"), "-g", user],
        capture_output=True,
        text=True,
        check=False,
    )
    # Not a warning either.
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.parametrize("tls", TLS)
@pytest.mark.parametrize("nginx", [(1, 22, 1), (1, 25, 1), (1, 27, 3), (1, 31, 6)])
def test_http_2_and_name_resolution_are_written_as_the_version_reads_them(
    tls: str, nginx: tuple[int, int, int], tmp_path: Path
) -> None:
    tree = render(
        proxy(LAN, **TLS[tls]),
        tmp_path,
        front=False,
        upstream="immich:2283",
        version=nginx,
        resolver="10.0.0.2",
    )
    listens = [
        one for server in blocks(tree, "http", "server") for one in server if one["directive"] == "listen"
    ]
    directive = [
        one for server in blocks(tree, "http", "server") for one in server if one["directive"] == "http2"
    ]
    old = [one for one in listens if "http2" in one["args"]]
    speaks = tls != "plain"
    assert bool(old) is (speaks and nginx < (1, 25, 1))
    assert bool(directive) is (speaks and nginx >= (1, 25, 1))
    resolved = [
        one["args"]
        for one in itertools.chain(*blocks(tree, "http", "upstream"))
        if one["directive"] == "server"
    ]
    assert resolved == ([["immich:2283", "resolve"]] if nginx >= (1, 27, 3) else [])


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize("tls", TLS)
def test_no_location_has_a_header_of_its_own_that_would_switch_off_the_others(
    ways: str, tls: str, tmp_path: Path
) -> None:
    tree = render(
        proxy(*WAYS[ways], **TLS[tls]), tmp_path, front=True, upstream="immich:2283", version=(1, 31, 6)
    )
    inherited = {"proxy_set_header", "add_header", "proxy_hide_header"}
    found: list[list[str]] = []
    for location in blocks(tree, "http", "server", "location"):
        names = [one["directive"] for one in location]
        if "proxy_pass" in names:
            found.append(sorted(" ".join(one["args"]) for one in location if one["directive"] in inherited))
            assert names.count("client_max_body_size") == 1
            assert names.count("proxy_request_buffering") == 1
        else:
            assert not inherited & set(names)
    assert len(found) > 5
    assert all(one == found[0] for one in found)
    for level in (*blocks(tree, "http"), *blocks(tree, "http", "server")):
        assert not inherited & {one["directive"] for one in level}


def test_ipv6_is_listened_on_where_pods_have_it(tmp_path: Path) -> None:
    for wanted in (False, True):
        tree = render(
            proxy(LAN, GATEWAY),
            tmp_path,
            front=False,
            upstream="immich:2283",
            version=(1, 31, 6),
            addresses=("*", "[::]") if wanted else ("*",),
        )
        for server in blocks(tree, "http", "server"):
            addresses = [one["args"][0] for one in server if one["directive"] == "listen"]
            assert any(one.startswith("[::]:") for one in addresses) is wanted

"""What `pulumi up` tells about the doors, and which addresses the sign-in provider must know."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from components.settings.reader import read_settings
from components.stack.next_steps import SIGN_UP, steps
from components.stack.outputs import outputs

TRAEFIK = {"kind": "traefik", "controllerNamespace": "traefik", "entryPointReadTimeout": "0s"}
LAN = {"kind": "loadBalancer", "address": "192.168.1.20"}
FORWARDED = "kubectl -n immich port-forward service/immich-server 2283:2283, then open http://localhost:2283"
APP = {"oauth": {"enabled": True, "issuerUrl": "https://id.example.com/", "clientId": "immich"}}


def told(proxy: dict[str, Any], *, app: dict[str, Any] | None = None, **host: Any) -> dict[str, Any]:
    """The outputs of a stack, as the engine would show them."""
    sections: dict[str, Any] = {"host": {"name": "photos.example.com", **host}, "proxy": proxy}
    if app is not None:
        sections["app"] = app
    texts = {key: json.dumps(value) for key, value in sections.items()}
    secrets = {"oauthClientSecret": ""} if app is not None else {}
    found = outputs(read_settings("some", {**texts, **secrets}, set(secrets)), "some", None)
    return json.loads(json.dumps(found))


def test_each_door_has_its_address_and_its_largest_upload() -> None:
    found = told(
        {"maxUpload": "20Gi", "expose": [TRAEFIK, {"kind": "loadBalancer", "address": "192.168.1.20"}]}
    )
    assert found["doors"] == [
        {
            "door": "internet",
            "url": "https://photos.example.com",
            "largestUpload": "20 GiB",
            "limitedBy": "immich:proxy.maxUpload",
        },
        {
            "door": "lan",
            "url": "http://192.168.1.20",
            "largestUpload": "20 GiB",
            "limitedBy": "immich:proxy.maxUpload",
        },
    ]
    assert found["mobileApp"]["localUrl"] == "http://192.168.1.20"
    assert "Traefik at websecure for photos.example.com" in found["waysIn"]
    assert any("readTimeout 0s" in one for one in found["preconditions"])


def test_the_record_for_home_is_told_where_the_door_answers_by_https() -> None:
    tls = {"kind": "secret", "name": "photos-tls"}
    found = told({"tls": tls, "expose": [{"kind": "loadBalancer", "address": "192.168.1.20"}]})
    assert found["splitHorizonDns"] == [{"name": "photos.example.com", "type": "A", "value": "192.168.1.20"}]
    assert "load balancer at 192.168.1.20, port 443" in found["waysIn"]


@pytest.mark.parametrize(
    ("proxy", "where"),
    [
        ({"expose": [TRAEFIK, LAN]}, "open http://192.168.1.20 and create the first user"),
        ({"expose": [{**TRAEFIK, "door": "lan"}]}, "open https://photos.example.com and create"),
        (
            {"kind": "none", "expose": [{**TRAEFIK, "door": "lan"}]},
            "open https://photos.example.com and create",
        ),
        ({"expose": [{"kind": "clusterIp"}]}, "open http://localhost:8080 and create the first user"),
        ({"expose": [TRAEFIK]}, FORWARDED),
        ({"kind": "none", "expose": [TRAEFIK]}, FORWARDED),
        # One listener for both: it refuses.
        ({"expose": [TRAEFIK, {**TRAEFIK, "door": "lan", "hostnames": ["home.example.com"]}]}, FORWARDED),
        ({"expose": [TRAEFIK], "maintenance": "everywhere"}, "open https://photos.example.com and create"),
    ],
)
def test_the_first_administrator_is_made_where_it_is_not_refused(proxy: dict[str, Any], where: str) -> None:
    assert told(proxy)["nextSteps"][0].startswith(where)


@pytest.mark.parametrize(
    ("docker", "expose", "where"),
    [
        ({}, {"address": "0.0.0.0"}, "open http://photos.example.com:2283 and create"),  # noqa: S104
        ({}, {"address": "192.168.1.5", "door": "internet"}, f"docker exec -i immich-some-server {SIGN_UP}"),
        ({"engine": "podman"}, {"address": "0.0.0.0"}, f"podman exec -i immich-some-server {SIGN_UP}"),  # noqa: S104
        ({"engine": "podman"}, {"address": "192.168.1.5"}, "open http://192.168.1.5:2283 and create"),
        (
            {"host": "ssh://me@machine"},
            {"address": "192.168.1.5", "door": "internet"},
            f"docker -H ssh://me@machine exec -i immich-some-server {SIGN_UP}",
        ),
    ],
)
def test_on_a_host_whose_doors_refuse_it_a_command_makes_the_first_administrator(
    docker: dict[str, Any], expose: dict[str, Any], where: str
) -> None:
    texts = {
        "host": {"name": "photos.example.com", "https": False, "port": 2283},
        "docker": docker,
        "proxy": {"expose": [{"kind": "publishedPort", **expose}]},
    }
    settings = read_settings("some", {key: json.dumps(value) for key, value in texts.items()})
    assert steps(settings, "some")[0].startswith(where)


def test_nothing_is_told_where_there_is_nothing_to_do() -> None:
    assert not {"splitHorizonDns", "preconditions", "oauthRedirectUris"} & set(told({}))


def test_the_provider_must_know_every_name_that_people_come_by() -> None:
    proxy = {"expose": [{**TRAEFIK, "door": "lan", "hostnames": ["home.example.com"]}]}
    assert told(proxy, app=APP)["oauthRedirectUris"] == [
        "app.immich:///oauth-callback",
        "https://photos.example.com/auth/login",
        "https://photos.example.com/user-settings",
        "https://home.example.com/auth/login",
        "https://home.example.com/user-settings",
    ]


def test_a_port_is_part_of_what_the_provider_must_know() -> None:
    assert "https://photos.example.com:8443/auth/login" in told({}, app=APP, port=8443)["oauthRedirectUris"]
    assert "https://photos.example.com/auth/login" in told({}, app=APP, port=443)["oauthRedirectUris"]


def test_folders_of_a_node_are_told_with_their_owners_before_anything_else() -> None:
    sections = {
        "host": {"name": "photos.example.com"},
        "server": {"user": 1001, "group": 100},
        "database": {"kind": "bundled", "hostPath": "/srv/database"},
        "storage": {"media": {"kind": "hostPath", "path": "/srv/photos"}},
    }
    settings = read_settings("some", {key: json.dumps(value) for key, value in sections.items()})
    steps = cast("list[str]", outputs(settings, "some", None)["nextSteps"])
    assert steps[:2] == [
        "on the node, before: sudo install -d -o 1001 -g 100 -m 0750 /srv/photos",
        "on the node, before: sudo install -d -o 999 -g 999 -m 0750 /srv/database",
    ]

"""What `pulumi up` tells about the doors, and which addresses the sign-in provider must know."""

from __future__ import annotations

import json
from typing import Any

from components.settings.reader import read_settings
from components.stack.outputs import outputs

TRAEFIK = {"kind": "traefik", "controllerNamespace": "traefik", "entryPointReadTimeout": "0s"}
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

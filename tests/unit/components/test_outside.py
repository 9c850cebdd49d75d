"""Which names outside the server talks to."""

from __future__ import annotations

from typing import Any

import pytest

from components.model.workload import Egress, address_range
from components.server.app.settings import AppConfig
from components.server.egress import MAP_TILES, VERSION_CHECK, server_egress

OAUTH: dict[str, Any] = {
    "enabled": True,
    "issuerUrl": "https://id.example.com:8443/application/o/immich/",
    "clientId": "immich",
}
SMTP: dict[str, Any] = {
    "enabled": True,
    "from": "a@example.com",
    "transport": {"host": "mail.example.com", "port": 465, "secure": True},
}


def found(**sections: Any) -> tuple[Egress, ...]:
    return server_egress(AppConfig.model_validate(sections))


def test_without_immichs_own_file_its_defaults_are_reached() -> None:
    assert server_egress(None) == (VERSION_CHECK, MAP_TILES)
    assert VERSION_CHECK.names == ("version.immich.cloud",)
    assert MAP_TILES.names == ("tiles.immich.cloud",)


def test_what_is_switched_off_is_not_reached() -> None:
    assert found(newVersionCheck={"enabled": False}, map={"enabled": False}) == ()
    assert found(map={"enabled": False}) == (VERSION_CHECK,)


def test_a_sign_in_server_may_be_on_the_lan_and_on_a_port_of_its_own() -> None:
    assert Egress.to_host("sign-in server", "id.example.com", 8443) in found(oauth=OAUTH)
    default = found(oauth={**OAUTH, "issuerUrl": "https://id.example.com/"})
    assert [rule.ports for rule in default if rule.reason == "sign-in server"] == [(443,)]


@pytest.mark.parametrize(
    ("host", "names", "cidrs"),
    [("mail.example.com", ("mail.example.com",), ()), ("192.168.1.25", (), ("192.168.1.25/32",))],
)
def test_a_mail_server_is_reached_by_name_or_address(
    host: str, names: tuple[str, ...], cidrs: tuple[str, ...]
) -> None:
    smtp = {**SMTP, "transport": {**SMTP["transport"], "host": host}}
    (rule,) = [rule for rule in found(notifications={"smtp": smtp}) if rule.reason == "mail server"]
    assert (rule.names, rule.cidrs, rule.ports, rule.private) == (names, cidrs, (465,), True)


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("10.0.0.1", "10.0.0.1/32"),
        ("fd00::1", "fd00::1/128"),
        ("a.example.com", None),
        ("nas", None),
        ("10.0.0", None),
    ],
)
def test_an_address_is_told_from_a_name(host: str, network: str | None) -> None:
    assert address_range(host) == network

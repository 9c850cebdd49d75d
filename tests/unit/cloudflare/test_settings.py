"""The section `cloudflare`: what is accepted, and what is refused with which reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.cloudflare.settings import PERIODS, Cloudflare
from components.model.values import Hostname
from components.proxy.host_settings import Host
from components.settings.cloudflare_checks import notes
from components.settings.model import Settings
from components.settings.reader import SettingsError, read_settings

BASE: dict[str, Any] = {
    "accountId": "0123456789abcdef0123456789abcdef",
    "zone": "example.com",
    "zoneId": "fedcba9876543210fedcba9876543210",
}
EXISTING = "6ff42ae2-765d-4adf-8112-31c55c1551ef"
LAN = {"kind": "loadBalancer"}
INTERNET = {"kind": "loadBalancer", "door": "internet"}
RULE = {"hostname": "notes.example.com", "service": "http://notes.default.svc:8080"}


def read(
    cloudflare: dict[str, Any],
    *,
    ways: tuple[dict[str, Any], ...] = (LAN,),
    secrets: tuple[str, ...] = (),
    **sections: Any,
) -> Settings:
    config = {"host": {"name": "photos.example.com"}, "proxy": {"expose": list(ways)}, **sections}
    texts = {
        key: json.dumps(value) for key, value in {**config, "cloudflare": {**BASE, **cloudflare}}.items()
    }
    return read_settings("test", {**texts, **dict.fromkeys(secrets, "")}, secrets)


def record(
    name: str = "photos.example.com", kind: str = "A", content: str = "203.0.113.7", **more: Any
) -> dict[str, Any]:
    return {"name": name, "type": kind, "content": content, **more}


def refusal(cloudflare: dict[str, Any], **more: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        read(cloudflare, **more)
    return str(caught.value)


PUBLIC = "93.184.216.34"
GOOD: dict[str, dict[str, Any]] = {
    "a tunnel with every default": {"tunnel": {}},
    "a tunnel by quic": {"tunnel": {"protocol": "quic", "replicas": 1, "gracePeriod": "30s"}},
    "the longest grace": {"tunnel": {"gracePeriod": "180s"}},
    "another service in the tunnel": {"tunnel": {"rules": [RULE]}},
    "a wildcard in the tunnel": {"tunnel": {"rules": [{**RULE, "hostname": "*.example.com"}]}},
    "an answer instead of a service": {"tunnel": {"rules": [{**RULE, "service": "http_status:403", "path": "^/a"}]}},
    "a record for large uploads beside the tunnel": {
        "tunnel": {},
        "records": [record("upload.example.com", content="192.168.1.20", ttl=300)],
    },
    "access for a person and the app": {
        "tunnel": {},
        "access": {"emails": ["ada@example.com"], "serviceToken": {"duration": "forever"}},
    },
    "a rotated service token": {
        "tunnel": {},
        "access": {
            "emailDomains": ["example.com"],
            "serviceToken": {"clientSecretVersion": 2, "previousClientSecretExpiresAt": "2027-01-31T00:00:00Z"},
        },
    },
    "access that connectors check": {
        "tunnel": {"access": {"teamName": "example"}},
        "access": {"emails": ["ada@example.com"]},
    },
    "a rate limit of the free plan": {"tunnel": {}, "rateLimit": {}},
    "a longer rate limit of a larger plan": {
        "plan": "business",
        "tunnel": {},
        "rateLimit": {"period": 300, "mitigation": 3600},
    },
    "a contract": {"plan": "enterprise", "maxUpload": "5G", "tunnel": {}},
    "a version of TLS that YAML made a number": {"tunnel": {}, "zoneSettings": {"minTlsVersion": 1.3}},
    "a zone that is left alone": {"tunnel": {}, "zoneSettings": {"manage": False}},
}  # fmt: skip

GOOD_RECORDS: dict[str, list[dict[str, Any]]] = {
    "a proxied address": [record(content=PUBLIC, proxied=True)],
    "an address for DNS only": [record(content=PUBLIC, ttl=60)],
    "both versions": [record(content=PUBLIC), record(kind="AAAA", content="2606:2800:220:1::1")],
    "two addresses": [record(content=PUBLIC), record(content="93.184.216.35", comment="the other line")],
    "a name elsewhere": [record(kind="CNAME", content="home.example.net", proxied=True)],
    "the zone's own name": [record(content=PUBLIC), record("example.com", content=PUBLIC)],
}


@pytest.mark.parametrize("section", GOOD.values(), ids=GOOD)
def test_accepted(section: dict[str, Any]) -> None:
    names = [one["name"] for one in section.get("records", [])]
    found = read(section, host={"name": "photos.example.com", "aliases": names}).cloudflare
    assert found is not None
    assert found.tunnel is not None


@pytest.mark.parametrize("records", GOOD_RECORDS.values(), ids=GOOD_RECORDS)
def test_accepted_records(records: list[dict[str, Any]]) -> None:
    aliases = [one["name"] for one in records if one["name"] != "photos.example.com"]
    found = read(
        {"records": records},
        ways=(INTERNET, LAN),
        host={"name": "photos.example.com", "aliases": aliases},
    ).cloudflare
    assert found is not None
    assert [one.content for one in found.records] == [one["content"] for one in records]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "gives no way in"),
    "an account that is no identifier": ({"tunnel": {}, "accountId": "me"}, "32 hexadecimal digits"),
    "a zone that is an identifier": ({"tunnel": {}, "zoneId": "example.com"}, "32 hexadecimal digits"),
    "a zone of one label": ({"tunnel": {}, "zone": "example"}, "zone must be a domain"),
    "a plan that is none": ({"tunnel": {}, "plan": "premium"}, "accepted are 'free', 'pro'"),
    "more upload than the plan": ({"tunnel": {}, "maxUpload": "1G"}, "the plan free lets 100 MB through"),
    "less upload than a contract": (
        {"plan": "enterprise", "maxUpload": "200M", "tunnel": {}},
        "less than the 500M that every enterprise plan has",
    ),
    "a grace that cloudflared refuses": ({"tunnel": {"gracePeriod": "5m"}}, "gracePeriod must be 1s to 3m, not 5m"),
    "no grace": ({"tunnel": {"gracePeriod": "0s"}}, "gracePeriod must be 1s to 3m"),
    "no connector": ({"tunnel": {"replicas": 0}}, "replicas"),
    "too many connectors": ({"tunnel": {"replicas": 26}}, "replicas"),
    "a protocol that is none": ({"tunnel": {"protocol": "h2mux"}}, "accepted are 'http2', 'quic'"),
    "a tunnel that is no identifier": ({"tunnel": {"existing": {"id": "home"}}}, "a UUID in lower case"),
    "a token without an owner of rules": (
        {"tunnel": {"existing": {"id": EXISTING, "credentials": "token"}}},
        "configuration is needed with a token",
    ),
    "a file with an owner of rules": (
        {"tunnel": {"existing": {"id": EXISTING, "configuration": "keep"}}},
        "with a file the rules are the connectors' own",
    ),
    "a name for a tunnel that has one": (
        {"tunnel": {"name": "home", "existing": {"id": EXISTING}}},
        "one that exists has its name",
    ),
    "rules for a configuration that is kept": (
        {"tunnel": {"existing": {"id": EXISTING, "credentials": "token", "configuration": "keep"}, "rules": [RULE]}},
        "which existing.configuration keeps",
    ),
    "bastion": ({"tunnel": {"rules": [{**RULE, "service": "bastion"}]}}, "leads wherever the client asks"),
    "a proxy": ({"tunnel": {"rules": [{**RULE, "service": "socks-proxy"}]}}, "leads wherever the client asks"),
    "hello world": ({"tunnel": {"rules": [{**RULE, "service": "hello_world"}]}}, "for trying out"),
    "a database on the internet": (
        {"tunnel": {"rules": [{**RULE, "service": "tcp://immich-database:5432"}]}},
        "no web page to the internet",
    ),
    "a service with a path": ({"tunnel": {"rules": [{**RULE, "service": "http://a/x"}]}}, "must end after the port"),
    "a rule with a port": ({"tunnel": {"rules": [{**RULE, "hostname": "notes.example.com:443"}]}}, "host name"),
    "a rule for everything": ({"tunnel": {"rules": [{**RULE, "hostname": "*"}]}}, "host name"),
    "a rule outside the zone": (
        {"tunnel": {"rules": [{**RULE, "hostname": "notes.example.org"}]}},
        "tunnel.rules[0]: notes.example.org is not in the zone example.com",
    ),
    "a rule twice": ({"tunnel": {"rules": [RULE, RULE]}}, "is given twice"),
    "a rule for Immich's own name": (
        {"tunnel": {"rules": [{**RULE, "hostname": "photos.example.com"}]}},
        "Immich's own rule comes first",
    ),
    "a path with a look ahead": ({"tunnel": {"rules": [{**RULE, "path": "(?!x)"}]}}, "does not know"),
    "access that lets nobody in": ({"tunnel": {}, "access": {}}, "nobody could sign in"),
    "an address that is none": ({"tunnel": {}, "access": {"emails": ["ada"]}}, "an email address"),
    "a session of a year": (
        {"tunnel": {}, "access": {"emails": ["ada@example.com"], "sessionDuration": "8760h"}},
        "at most 730h",
    ),
    "a token for days": (
        {"tunnel": {}, "access": {"serviceToken": {"duration": "30d"}}},
        "whole hours such as 8760h",
    ),
    "a previous secret of the first": (
        {"tunnel": {}, "access": {"serviceToken": {"previousClientSecretExpiresAt": "2027-01-31T00:00:00Z"}}},
        "there is none",
    ),
    "a time without a zone": (
        {"tunnel": {}, "access": {"serviceToken": {"previousClientSecretExpiresAt": "2027-01-31"}}},
        "a time in UTC",
    ),
    "a check of access without access": (
        {"tunnel": {"access": {"teamName": "example"}}},
        "give audiences",
    ),
    "a check of access before shared links": (
        {
            "tunnel": {"access": {"teamName": "example"}},
            "access": {"emails": ["ada@example.com"], "shareLinks": True},
        },
        "could never work with it",
    ),
    "a period of another plan": (
        {"tunnel": {}, "rateLimit": {"period": 60}},
        "rateLimit.period is 60; the plan free accepts 10 (seconds)",
    ),
    "a mitigation of another plan": (
        {"plan": "pro", "tunnel": {}, "rateLimit": {"mitigation": 86400}},
        "the plan pro accepts 10, 15, 20",
    ),
    "a period that is none": (
        {"plan": "enterprise", "tunnel": {}, "rateLimit": {"period": 11}},
        "rateLimit.period is 11",
    ),
    "TLS that is too old": ({"tunnel": {}, "zoneSettings": {"minTlsVersion": "1.0"}}, "accepted are '1.2' or '1.3'"),
    "every name has a record": (
        {"tunnel": {}, "records": [record(content="192.168.1.20")]},
        "none leads into the tunnel",
    ),
}  # fmt: skip

BAD_RECORDS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "proxied with a ttl": (
        [record(content=PUBLIC, proxied=True, ttl=300)],
        "a proxied record has an automatic one",
    ),
    "a ttl too short": ([record(ttl=59)], "1 (automatic) or 60 to 86400"),
    "a ttl too long": ([record(ttl=86401)], "1 (automatic) or 60 to 86400"),
    "a ttl of nothing": ([record(ttl=0)], "1 (automatic) or 60 to 86400"),
    "a short name": ([record("photos")], "name must be the full name"),
    "another zone": (
        [record("photos.example.org")],
        "records[0]: photos.example.org is not in the zone example.com",
    ),
    "a zone that ends alike": ([record("photos.badexample.com")], "is not in the zone example.com"),
    "a name for an address": ([record(content="home.example.net")], "must be an IPv4 address"),
    "the other version": ([record(content="2606:2800:220:1::1")], "must be an IPv4 address"),
    "the other version again": ([record(kind="AAAA", content=PUBLIC)], "must be an IPv6 address"),
    "an address for a name": ([record(kind="CNAME", content=PUBLIC)], "an address needs type A or AAAA"),
    "a name with a scheme": (
        [record(kind="CNAME", content="https://home.example.net")],
        "must be a host name",
    ),
    "a name that leads to itself": (
        [record(kind="CNAME", content="photos.example.com")],
        "must not lead to itself",
    ),
    "a tunnel for DNS only": (
        [record(kind="CNAME", content=f"{EXISTING}.cfargotunnel.com")],
        "works only with proxied true",
    ),
    "a private address through the edge": (
        [record(content="192.168.1.20", proxied=True)],
        "cannot reach a private address",
    ),
    "loopback": ([record(content="127.0.0.1")], "no other machine can reach"),
    "a name beside an address": (
        [record(content=PUBLIC), record(kind="CNAME", content="home.example.net")],
        "a name with a CNAME has no other record",
    ),
    "half proxied": (
        [record(content=PUBLIC, proxied=True), record(content="93.184.216.35")],
        "proxied all or not at all",
    ),
    "an address twice": ([record(content=PUBLIC), record(content=PUBLIC)], "is given 2 times"),
    "a kind that is none": (
        [record(kind="MX", content="mail.example.com")],
        "accepted are 'A', 'AAAA' or 'CNAME'",
    ),
    "a long comment": ([record(content=PUBLIC, comment="x" * 101)], "comment"),
}


@pytest.mark.parametrize(("section", "reason"), BAD.values(), ids=BAD)
def test_refused(section: dict[str, Any], reason: str) -> None:
    assert reason in refusal(section, secrets=("cloudflareTunnelCredentials", "cloudflareTunnelToken"))


@pytest.mark.parametrize(("records", "reason"), BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_refused_records(records: list[dict[str, Any]], reason: str) -> None:
    assert reason in refusal({"records": records}, ways=(INTERNET, LAN))


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({"host": {"name": "photos.example.org"}}, "is not in the zone example.com"),
        ({"host": {"name": "localhost"}}, "is not in the zone example.com"),
        ({"host": {"name": "photos.example.com", "aliases": ["a.example.org"]}}, "immich:host.aliases"),
        ({"host": {"name": "photos.example.com", "port": 8443}}, "at the port of https"),
        ({"host": {"name": "photos.example.com", "https": False}}, "by https"),
        (
            {"proxy": {"kind": "none", "expose": []}},
            "a tunnel needs nginx behind it",
        ),
    ],
)  # fmt: skip
def test_a_tunnel_and_the_other_sections_agree(sections: dict[str, Any], reason: str) -> None:
    assert reason in refusal({"tunnel": {}}, **sections)


def test_an_edge_speaks_https_at_few_ports() -> None:
    host = {"name": "photos.example.com", "port": 9443}
    said = refusal({"records": [record(content=PUBLIC, proxied=True)]}, ways=(INTERNET, LAN), host=host)
    assert "443, 2053, 2083, 2087, 2096, 8443 only" in said


def test_access_without_anything_proxied_is_refused() -> None:
    said = refusal(
        {"records": [record(content=PUBLIC)], "access": {"emails": ["ada@example.com"]}}, ways=(INTERNET, LAN)
    )
    assert "nothing here is proxied" in said


@pytest.mark.parametrize(
    ("existing", "key"),
    [
        ({"id": EXISTING}, "cloudflareTunnelCredentials"),
        ({"id": EXISTING, "credentials": "token", "configuration": "keep"}, "cloudflareTunnelToken"),
    ],
)
def test_a_tunnel_that_exists_needs_its_own_secret(existing: dict[str, Any], key: str) -> None:
    section = {"tunnel": {"existing": existing}}
    assert f"pulumi config set -s test --secret immich:{key}" in refusal(section)
    assert read(section, secrets=(key,)).cloudflare is not None


def test_an_external_store_has_the_secret_of_a_tunnel_that_exists_but_not_of_one_that_is_made() -> None:
    store = {
        "kind": "external-secrets",
        "store": {"name": "vault"},
        "values": {key: {"key": "immich"} for key in ("databasePassword", "cachePassword")},
    }
    made = {"host": {"name": "photos.example.com"}, "proxy": {"expose": [LAN]}, "secrets": store}
    texts = {key: json.dumps(value) for key, value in made.items()}
    section = json.dumps({**BASE, "tunnel": {}})
    assert read_settings("test", {**texts, "cloudflare": section}).cloudflare is not None
    section = json.dumps({**BASE, "tunnel": {"existing": {"id": EXISTING}}})
    with pytest.raises(SettingsError, match=r"secrets\.values\.cloudflareTunnelCredentials"):
        read_settings("test", {**texts, "cloudflare": section})


@pytest.mark.parametrize(
    ("plan", "size"), [("free", 100), ("pro", 100), ("business", 200), ("enterprise", 500)]
)
def test_a_plan_has_its_upload_limit(plan: str, size: int) -> None:
    found = Cloudflare.model_validate({**BASE, "plan": plan, "tunnel": {}})
    assert found.upload_limit == size * 10**6


def test_a_contract_has_its_own_upload_limit() -> None:
    found = Cloudflare.model_validate({**BASE, "plan": "enterprise", "maxUpload": "2G", "tunnel": {}})
    assert found.upload_limit == 2 * 10**9


def test_names_with_a_record_do_not_lead_into_the_tunnel() -> None:
    found = Cloudflare.model_validate(
        {**BASE, "tunnel": {}, "records": [record("upload.example.com", content="192.168.1.20")]}
    )
    names = (Hostname("photos.example.com"), Hostname("upload.example.com"))
    assert found.tunnel_names(names) == names[:1]
    assert found.proxied_names(names) == names[:1]


def test_without_a_tunnel_no_name_leads_into_it() -> None:
    found = Cloudflare.model_validate({**BASE, "records": [record(content=PUBLIC, proxied=True)]})
    names = (Hostname("photos.example.com"), Hostname("other.example.com"))
    assert found.tunnel_names(names) == ()
    assert found.proxied_names(names) == names[:1]


@pytest.mark.parametrize(
    ("plan", "period", "mitigation"),
    [("free", 10, 10), ("pro", 60, 3600), ("business", 600, 86400), ("enterprise", 65535, 86400)],
)
@given(
    given_period=st.sampled_from([*PERIODS, 11, 0, -10, 100_000]), given_mitigation=st.sampled_from(PERIODS)
)
def test_a_rate_limit_is_accepted_exactly_where_the_plan_has_it(
    plan: str, period: int, mitigation: int, given_period: int, given_mitigation: int
) -> None:
    section = {
        **BASE,
        "plan": plan,
        "tunnel": {},
        "rateLimit": {"period": given_period, "mitigation": given_mitigation},
    }
    fits = given_period in PERIODS and given_period <= period and given_mitigation <= mitigation
    if fits:
        assert Cloudflare.model_validate(section).rate_limit is not None
    else:
        with pytest.raises(ValueError, match="rateLimit"):
            Cloudflare.model_validate(section)


@pytest.mark.parametrize(
    ("section", "host", "words"),
    [
        ({"tunnel": {}}, "a.photos.example.com", "Universal SSL has no certificate"),
        ({"tunnel": {}}, "photos.example.com", "terms for self-serve plans"),
        ({"tunnel": {}, "rateLimit": {}}, "photos.example.com", "all its proxied names"),
        (
            {"tunnel": {"existing": {"id": EXISTING, "credentials": "token", "configuration": "keep"}}},
            "photos.example.com",
            "add one for photos.example.com there, to the service http://immich-proxy:8082",
        ),
        ({"tunnel": {}, "access": {"emails": ["a@b.de"]}}, "photos.example.com", "mobile app cannot get through"),
        ({"tunnel": {}, "access": {"serviceToken": {}}}, "photos.example.com", "ends 8760h after it was made"),
    ],
)  # fmt: skip
def test_what_is_no_mistake_is_told(section: dict[str, Any], host: str, words: str) -> None:
    found = Cloudflare.model_validate({**BASE, **section})
    told = list(notes(found, Host(name=Hostname(host)), "http://immich-proxy:8082"))
    assert any(words in one for one in told), told


def test_a_name_one_label_deep_has_a_certificate_and_one_for_dns_only_needs_none() -> None:
    found = Cloudflare.model_validate({**BASE, "records": [record("a.b.example.com", content=PUBLIC)]})
    assert list(notes(found, Host(name=Hostname("a.b.example.com")), "")) == []

"""What is registered at Cloudflare and on the cluster, and in which order."""

from __future__ import annotations

import base64
import functools
import json
from typing import Any

import pytest

from components.cloudflare.rules import IngressRule, dangerous, refused_by_cloudflared
from tests.harness.mocks import Recorded, Run, Secret
from tests.harness.program import needs, texts, unwrapped
from tests.unit.cloudflare.programs import (
    ACCOUNT,
    API_TOKEN,
    BASE,
    EXISTING,
    FULL,
    SECRET,
    ZONE,
    all_of,
    of,
    run,
    workload_object,
)

SHARED = {**BASE, "tunnel": {}, "access": {"emails": ["ada@example.com"], "shareLinks": True}}
BY_FILE = {**BASE, "tunnel": {"existing": {"id": EXISTING}, "rules": FULL["tunnel"]["rules"]}}
BY_TOKEN = {
    **BASE,
    "tunnel": {"existing": {"id": EXISTING, "credentials": "token", "configuration": "replace"}},
}
KEPT = {**BASE, "tunnel": {"existing": {"id": EXISTING, "credentials": "token", "configuration": "keep"}}}
CREDENTIALS = json.dumps({"AccountTag": ACCOUNT, "TunnelSecret": SECRET, "TunnelID": EXISTING})
STORE: dict[str, Any] = {
    "kind": "external-secrets",
    "store": {"name": "vault"},
    "values": {key: {"key": "immich"} for key in ("databasePassword", "cachePassword")},
}


@functools.cache
def full() -> Run:
    return run(FULL)


def only(run: Run, kind: str) -> Recorded:
    (found,) = of(run, kind)
    return found


def rules_of(configuration: dict[str, Any]) -> list[IngressRule]:
    return [
        IngressRule(service=one["service"], hostname=one.get("hostname", ""), path=one.get("path", ""))
        for one in configuration["ingresses"]
    ]


def test_the_tunnel_is_kept_at_cloudflare_with_a_random_secret_under_the_stacks_name() -> None:
    tunnel = only(full(), "ZeroTrustTunnelCloudflared")
    assert tunnel.props == {
        "accountId": ACCOUNT,
        "name": "immich-home",
        "configSrc": "cloudflare",
        "tunnelSecret": Secret(SECRET),
    }
    assert tunnel.protect
    assert "tunnelSecret" in tunnel.secret_outputs
    (secret,) = full().of_type("random:index/randomBytes:RandomBytes")
    assert secret.protect
    assert secret.props["length"] == 32


def test_a_tunnel_can_have_another_name() -> None:
    assert (
        only(run({**BASE, "tunnel": {"name": "photos"}}), "ZeroTrustTunnelCloudflared").props["name"]
        == "photos"
    )


def test_one_configuration_leads_immichs_names_to_nginx_and_every_other_to_404() -> None:
    configuration = only(full(), "ZeroTrustTunnelCloudflaredConfig")
    assert configuration.props == {
        "accountId": ACCOUNT,
        "tunnelId": "tunnel-id",
        "config": {
            "ingresses": [
                {
                    "hostname": "photos.example.com",
                    "service": "http://immich-proxy:8082",
                    "originRequest": {
                        "access": {"required": True, "teamName": "example", "audTags": ["aud-of-access"]}
                    },
                },
                {"hostname": "notes.example.com", "path": "^/n/", "service": "https://notes.lan:8443"},
                {"service": "http_status:404"},
            ]
        },
    }
    rules = rules_of(configuration.props["config"])
    assert list(refused_by_cloudflared(rules)) == list(dangerous(rules)) == []
    assert [one.matches("unknown.example.com", "/") for one in rules].index(True) == len(rules) - 1


def test_access_is_checked_by_rule_since_cloudflared_heeds_it_nowhere_else() -> None:
    assert "originRequest" not in only(full(), "ZeroTrustTunnelCloudflaredConfig").props["config"]


def test_names_of_the_tunnel_are_proxied_with_an_automatic_ttl() -> None:
    records = {one.props["name"]: one.props for one in of(full(), "DnsRecord")}
    assert records["photos.example.com"] == {
        "zoneId": ZONE,
        "name": "photos.example.com",
        "type": "CNAME",
        "content": "tunnel-id.cfargotunnel.com",
        "proxied": True,
        "ttl": 1,
    }
    assert records["notes.example.com"]["content"] == "tunnel-id.cfargotunnel.com"
    assert records["upload.example.com"] == {
        "zoneId": ZONE,
        "name": "upload.example.com",
        "type": "A",
        "content": "192.168.1.20",
        "proxied": False,
        "ttl": 300,
        "comment": "large uploads",
    }


def test_the_connectors_token_is_that_of_the_dashboard_and_is_secret_everywhere() -> None:
    secret = workload_object(full(), "Secret", "immich-cloudflared")
    assert isinstance(secret.props["stringData"], Secret)
    token = unwrapped(secret.props["stringData"])["token"]
    assert json.loads(base64.b64decode(token)) == {"a": ACCOUNT, "s": SECRET, "t": "tunnel-id"}
    open_texts = [text for one in full().resources for text in texts(one.props)]
    for hidden in (token, SECRET, API_TOKEN, "client-secret"):
        assert not any(hidden in text for text in [*open_texts, *texts(full().outputs), *full().log])


def test_outputs_are_the_tunnel_and_the_mobile_apps_headers() -> None:
    assert full().outputs["tunnelId"] == "tunnel-id"
    assert full().outputs["accessClientId"] == "client-id"
    assert full().outputs["accessClientSecret"] == Secret("client-secret")
    assert full().outputs["accessTokenExpiresAt"] == "2027-11-21T00:00:00Z"


def test_the_mobile_app_comes_through_by_a_policy_for_services_and_people_by_signing_in() -> None:
    policies = {one.name: one.props for one in of(full(), "ZeroTrustAccessPolicy")}
    assert policies["access-policy-mobile-app"]["decision"] == "non_identity"
    assert policies["access-policy-mobile-app"]["includes"] == [
        {"serviceToken": {"tokenId": "mobile-app-id"}}
    ]
    assert policies["access-policy-people"]["decision"] == "allow"
    assert policies["access-policy-people"]["includes"] == [
        {"email": {"email": "ada@example.com"}},
        {"emailDomain": {"domain": "example.net"}},
    ]
    application = only(full(), "ZeroTrustAccessApplication").props
    assert (application["domain"], application["type"]) == ("photos.example.com", "self_hosted")
    assert application["policies"] == [
        {"id": "access-policy-mobile-app-id", "precedence": 1},
        {"id": "access-policy-people-id", "precedence": 2},
    ]


def test_the_service_token_has_its_rotation() -> None:
    token = only(full(), "ZeroTrustAccessServiceToken")
    assert token.props["clientSecretVersion"] == 2
    assert token.props["previousClientSecretExpiresAt"] == "2027-01-31T00:00:00Z"
    assert token.props["duration"] == "8760h"
    assert "clientSecret" in token.secret_outputs


def test_a_token_without_an_end_has_none_among_the_outputs() -> None:
    access = {**FULL["access"], "serviceToken": {"duration": "forever"}}
    assert "accessTokenExpiresAt" not in run({**FULL, "access": access}).outputs


def test_shared_links_open_their_pages_and_what_those_load_and_nothing_else() -> None:
    made = run(SHARED)
    applications = {
        one.props["domain"]: one.props["policies"] for one in of(made, "ZeroTrustAccessApplication")
    }
    bypass = [{"id": "access-policy-shared-links-id", "precedence": 1}]
    opened = {domain for domain, policies in applications.items() if policies == bypass}
    assert {"photos.example.com/share", "photos.example.com/s"} <= opened
    assert "photos.example.com" not in opened
    assert "photos.example.com/api" not in opened
    assert not any("/api/auth" in domain or "/api/admin" in domain for domain in opened)
    policy = next(
        one for one in of(made, "ZeroTrustAccessPolicy") if one.name == "access-policy-shared-links"
    )
    assert (policy.props["decision"], policy.props["includes"]) == ("bypass", [{"everyone": {}}])
    assert not any(one.name == "access-policy-shared-links" for one in of(full(), "ZeroTrustAccessPolicy"))


def test_the_rate_limit_has_only_what_the_free_plan_has() -> None:
    ruleset = only(full(), "Ruleset").props
    assert (ruleset["kind"], ruleset["phase"]) == ("zone", "http_ratelimit")
    (rule,) = ruleset["rules"]
    assert rule["expression"] == '(http.request.uri.path in {"/api/auth/login" "/api/shared-links/login"})'
    assert rule["ratelimit"] == {
        "characteristics": ["cf.colo.id", "ip.src"],
        "period": 10,
        "requestsPerPeriod": 5,
        "mitigationTimeout": 10,
    }
    assert rule["ref"]


def test_the_zone_gets_what_immich_needs() -> None:
    settings = {one.props["settingId"]: one.props["value"] for one in of(full(), "ZoneSetting")}
    assert settings == {
        "rocket_loader": "off",
        "websockets": "on",
        "min_tls_version": "1.2",
        "always_use_https": "on",
        "ssl": "strict",
    }


@pytest.mark.parametrize(
    ("section", "proxy"),
    [
        ({**BASE, "tunnel": {}, "zoneSettings": {"manage": False}}, {"maxUpload": "100M"}),
        (
            {**BASE, "records": [{"name": "photos.example.com", "type": "A", "content": "93.184.216.34"}]},
            {"expose": [{"kind": "loadBalancer", "door": "internet"}]},
        ),
    ],
)
def test_a_zone_that_is_left_alone_or_proxies_nothing_keeps_its_settings(
    section: dict[str, Any], proxy: dict[str, Any]
) -> None:
    made = run(section, proxy=proxy)
    assert of(made, "ZoneSetting") == []


def test_nothing_is_ever_cached_by_a_rule() -> None:
    for made in (full(), run(SHARED)):
        assert {one.props["phase"] for one in of(made, "Ruleset")} <= {"http_ratelimit"}


def test_nobody_finds_immich_before_all_that_stands_in_front_of_it_is_there() -> None:
    made = full()
    record = next(one for one in of(made, "DnsRecord") if one.name == "hostname")
    before = needs(made, record)
    guards = [
        *of(made, "ZeroTrustAccessApplication"),
        *of(made, "Ruleset"),
        *of(made, "ZoneSetting"),
        *of(made, "ZeroTrustTunnelCloudflaredConfig"),
        workload_object(made, "Deployment", "immich-cloudflared"),
        workload_object(made, "Deployment", "immich-proxy"),
    ]
    assert {one.urn for one in guards} <= before


def test_the_tunnel_outlives_its_configuration_and_its_connectors() -> None:
    made = full()
    tunnel = only(made, "ZeroTrustTunnelCloudflared").urn
    connectors = workload_object(made, "Deployment", "immich-cloudflared")
    configuration = only(made, "ZeroTrustTunnelCloudflaredConfig")
    assert tunnel in needs(made, connectors)
    assert tunnel in needs(made, configuration)
    assert configuration.urn in needs(made, connectors)


def test_every_object_has_the_explicit_provider() -> None:
    (provider,) = full().of_type("pulumi:providers:cloudflare")
    assert provider.props == {"apiToken": Secret(API_TOKEN)}
    assert all(one.provider.startswith(f"{provider.urn}::") for one in all_of(full()))


def test_connectors_of_a_tunnel_by_file_have_rules_and_credentials_as_files() -> None:
    made = run(BY_FILE, hidden={"cloudflareApiToken": API_TOKEN, "cloudflareTunnelCredentials": CREDENTIALS})
    assert not of(made, "ZeroTrustTunnelCloudflared")
    assert not of(made, "ZeroTrustTunnelCloudflaredConfig")
    assert not made.of_type("random:index/randomBytes:RandomBytes")
    secret = workload_object(made, "Secret", "immich-cloudflared").props["stringData"]
    assert unwrapped(secret) == {"credentials.json": CREDENTIALS}
    assert isinstance(secret, Secret)
    text = workload_object(made, "ConfigMap", "immich-cloudflared").props["data"]["config.yaml"]
    assert json.loads(text) == {
        "ingress": [
            {"hostname": "photos.example.com", "service": "http://immich-proxy:8082"},
            {"hostname": "notes.example.com", "path": "^/n/", "service": "https://notes.lan:8443"},
            {"service": "http_status:404"},
        ]
    }
    (main, *_) = of(made, "DnsRecord")
    assert main.props["content"] == f"{EXISTING}.cfargotunnel.com"


def test_rules_of_a_tunnel_by_file_check_access_in_cloudflareds_own_words() -> None:
    audience = "a" * 64
    section = {
        **BASE,
        "tunnel": {
            "existing": {"id": EXISTING},
            "access": {"teamName": "example", "audiences": [audience]},
        },
    }
    made = run(section, hidden={"cloudflareApiToken": API_TOKEN, "cloudflareTunnelCredentials": CREDENTIALS})
    text = workload_object(made, "ConfigMap", "immich-cloudflared").props["data"]["config.yaml"]
    first, last = json.loads(text)["ingress"]
    assert first["originRequest"] == {
        "access": {"required": True, "teamName": "example", "audTag": [audience]}
    }
    assert "originRequest" not in last


@pytest.mark.parametrize(("section", "configurations"), [(BY_TOKEN, 1), (KEPT, 0)])
def test_rules_of_a_tunnel_by_token_are_replaced_only_where_that_is_said(
    section: dict[str, Any], configurations: int
) -> None:
    made = run(section, hidden={"cloudflareApiToken": API_TOKEN, "cloudflareTunnelToken": "a-token"})
    assert not of(made, "ZeroTrustTunnelCloudflared")
    assert len(of(made, "ZeroTrustTunnelCloudflaredConfig")) == configurations
    assert unwrapped(workload_object(made, "Secret", "immich-cloudflared").props["stringData"]) == {
        "token": "a-token"
    }


def test_an_external_store_does_not_have_to_know_the_token_of_a_tunnel_that_is_made() -> None:
    made = run({**BASE, "tunnel": {}}, secrets=STORE)
    token = unwrapped(workload_object(made, "Secret", "immich-cloudflared").props["stringData"])["token"]
    assert json.loads(base64.b64decode(token))["t"] == "tunnel-id"
    kinds = {one.name: one.type for one in made.resources if one.type.endswith(":ExternalSecret")}
    assert "immich/immich-database" in kinds
    assert "immich/immich-cloudflared" not in kinds


def test_an_external_store_has_the_token_of_a_tunnel_that_exists() -> None:
    values = {**STORE["values"], "cloudflareTunnelToken": {"key": "tunnel", "property": "token"}}
    made = run(BY_TOKEN, secrets={**STORE, "values": values})
    external = workload_object(made, "ExternalSecret", "immich-cloudflared").props["spec"]
    assert external["target"]["template"]["data"] == {"token": "{{ .cloudflareTunnelToken }}"}
    assert external["data"] == [
        {"secretKey": "cloudflareTunnelToken", "remoteRef": {"key": "tunnel", "property": "token"}}
    ]


def test_connectors_start_anew_with_another_token_and_the_mark_says_nothing_about_it() -> None:
    template = workload_object(full(), "Deployment", "immich-cloudflared").props["spec"]["template"]
    mark = template["metadata"]["annotations"]["immich/secret-cloudflare-tunnel-token"]
    assert len(mark) == 16
    assert not isinstance(mark, Secret)


def test_a_preview_knows_every_object_before_any_exists() -> None:
    preview = run(FULL, preview=True)
    assert {(one.type, one.name) for one in preview.resources} == {
        (one.type, one.name) for one in full().resources
    }


def test_a_stack_without_the_section_has_nothing_of_it() -> None:
    made = run(None, hidden={})
    assert not [one for one in made.resources if "cloudflare" in one.type or "cloudflared" in one.name]
    assert not {"tunnelId", "accessClientId", "accessClientSecret"} & made.outputs.keys()

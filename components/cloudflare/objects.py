"""What is made at Cloudflare, as inputs of its resources. Pure: outputs of Pulumi only pass through."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pulumi
from pulumi_cloudflare import (
    DnsRecordArgs,
    RulesetArgs,
    RulesetRuleArgs,
    RulesetRuleRatelimitArgs,
    ZeroTrustAccessPolicyIncludeArgsDict,
    ZeroTrustTunnelCloudflaredConfigConfigArgsDict,
    ZeroTrustTunnelCloudflaredConfigConfigIngressArgsDict,
    ZeroTrustTunnelCloudflaredConfigConfigIngressOriginRequestAccessArgsDict,
)

from components.cloudflare.record_settings import AUTOMATIC, TUNNEL_DOMAIN, DnsRecord
from components.cloudflare.rules import NOT_FOUND, IngressRule
from components.cloudflare.settings import Access, Cloudflare, RateLimit
from components.cloudflare.tunnel_settings import Tunnel

AccessCheck = ZeroTrustTunnelCloudflaredConfigConfigIngressOriginRequestAccessArgsDict
Include = ZeroTrustAccessPolicyIncludeArgsDict

SHARED_PATHS: Final = (
    "share",
    "s",
    "_app",
    "custom.css",
    "api/shared-links",
    "api/assets",
    "api/albums",
    "api/timeline",
    "api/download",
    "api/server",
)
"""What a page of a shared link loads: its own address (`s` is the short form), scripts, and the API routes that take a
link's key, which Immich itself checks. A path counts for what is below it as well (app-paths.mdx)."""


def tunnel_token(account: str, tunnel: str, secret: str) -> str:
    """The token that `cloudflared tunnel run` takes, as the dashboard would show it (connection.go: TunnelToken).

    `secret` is the tunnel's secret in base64.
    """
    document = json.dumps({"a": account, "s": secret, "t": tunnel}, separators=(",", ":"))
    return base64.b64encode(document.encode()).decode()


def rules(settings: Tunnel, hostnames: Sequence[str], service: str) -> tuple[IngressRule, ...]:
    """Immich's names first, then other services, then 404 for every other name."""
    own = (IngressRule(hostname=name, service=service) for name in hostnames)
    return (*own, *(one.rule for one in settings.rules), IngressRule(service=NOT_FOUND))


def access_of_rules(
    settings: Tunnel, hostnames: Sequence[str], audiences: Sequence[Any]
) -> dict[int, AccessCheck]:
    """The check of a request's Access token, by index of the rule: cloudflared heeds it in rules only."""
    if settings.access is None:
        return {}
    check: AccessCheck = {
        "required": True,
        "team_name": settings.access.team_name,
        "aud_tags": list(audiences),
    }
    return dict.fromkeys(range(len(hostnames)), check)


def tunnel_configuration(
    found: Sequence[IngressRule], access: Mapping[int, AccessCheck]
) -> ZeroTrustTunnelCloudflaredConfigConfigArgsDict:
    """The tunnel's whole configuration as Cloudflare keeps it."""
    listed: list[ZeroTrustTunnelCloudflaredConfigConfigIngressArgsDict] = []
    for index, rule in enumerate(found):
        entry: ZeroTrustTunnelCloudflaredConfigConfigIngressArgsDict = {"service": rule.service}
        if rule.hostname:
            entry["hostname"] = rule.hostname
        if rule.path:
            entry["path"] = rule.path
        if index in access:
            entry["origin_request"] = {"access": access[index]}
        listed.append(entry)
    return {"ingresses": listed}


def tunnel_record(zone: pulumi.Input[str], name: str, tunnel: pulumi.Output[str]) -> DnsRecordArgs:
    """The name that leads into a tunnel."""
    return DnsRecordArgs(
        zone_id=zone,
        name=name,
        type="CNAME",
        content=pulumi.Output.concat(tunnel, f".{TUNNEL_DOMAIN}"),
        proxied=True,
        ttl=AUTOMATIC,
    )


def record(zone: pulumi.Input[str], one: DnsRecord) -> DnsRecordArgs:
    """A record of the settings."""
    return DnsRecordArgs(
        zone_id=zone,
        name=str(one.name),
        type=one.type,
        content=one.content,
        proxied=one.proxied,
        ttl=one.ttl,
        comment=one.comment,
    )


def allowed_people(access: Access) -> list[Include]:
    """Whom the policy for browsers lets in."""
    return [
        *(Include(email={"email": str(one)}) for one in access.emails),
        *(Include(email_domain={"domain": str(one)}) for one in access.email_domains),
    ]


LIMITED = ("/api/auth/login", "/api/shared-links/login")
"""Where passwords are tried, as far as one rule of the smallest plan can say it (fields: the path alone)."""


def login_ruleset(zone: pulumi.Input[str], limit: RateLimit) -> RulesetArgs:
    """The zone's rate limiting rules: one, of what every plan has."""
    return RulesetArgs(
        zone_id=zone,
        kind="zone",
        name="default",
        phase="http_ratelimit",
        description="Immich: attempts to sign in",
        rules=[
            RulesetRuleArgs(
                # The reference keeps the rule's identity when it is changed.
                ref="immich_login",
                description="attempts to sign in",
                expression=f"(http.request.uri.path in {{{' '.join(json.dumps(path) for path in LIMITED)}}})",
                action="block",
                enabled=True,
                ratelimit=RulesetRuleRatelimitArgs(
                    characteristics=["cf.colo.id", "ip.src"],
                    period=limit.period,
                    requests_per_period=limit.requests,
                    mitigation_timeout=limit.mitigation,
                ),
            )
        ],
    )


def zone_settings(settings: Cloudflare) -> dict[str, str]:
    """Identifier of a zone's setting -> value; empty where the zone is left alone."""
    wanted = settings.zone_settings
    if not wanted.manage or not settings.proxies:
        return {}
    found = {"min_tls_version": wanted.min_tls_version}
    if wanted.rocket_loader_off:
        found["rocket_loader"] = "off"
    if wanted.web_sockets:
        found["websockets"] = "on"
    if wanted.always_use_https:
        found["always_use_https"] = "on"
    if wanted.ssl is not None:
        found["ssl"] = wanted.ssl
    return found

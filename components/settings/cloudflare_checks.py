"""What Cloudflare's section and the others must agree on, and what a person should know about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.cloudflare.values import depth, within
from components.fields.finding import Finding
from components.fields.resources import DEFAULTS

if TYPE_CHECKING:
    from components.cloudflare.settings import Cloudflare
    from components.cloudflare.tunnel_settings import Tunnel
    from components.model.values import Quantity
    from components.proxy.host_settings import Host
    from components.proxy.settings import Proxy

_HTTPS_PORTS = frozenset({443, 2053, 2083, 2087, 2096, 8443})
"""Where Cloudflare's edge speaks https for a proxied record (network ports)."""


def findings(cloudflare: Cloudflare, host: Host, proxy: Proxy) -> Iterator[Finding]:
    """Rules that are broken."""
    if cloudflare.tunnel is not None:
        yield from _tunnel(cloudflare, cloudflare.tunnel, host, proxy)
    edge = cloudflare.proxied_names(host.names)
    if edge and not host.https:
        yield Finding(
            key="host.https",
            given="false",
            reason="people reach a name that Cloudflare proxies by https",
            hint="leave host.https out",
        )
    elif not cloudflare.tunnel and edge and (host.port or 443) not in _HTTPS_PORTS:
        yield Finding(
            key="host.port",
            given=str(host.port),
            reason=f"Cloudflare's edge speaks https at {', '.join(map(str, sorted(_HTTPS_PORTS)))} only",
            hint="leave host.port out",
        )
    if cloudflare.access is not None and not edge:
        yield Finding(
            key="cloudflare.access",
            reason="no name of immich:host goes through Cloudflare's edge, so nobody would be asked to sign in",
            hint="proxy the record of the host name, use a tunnel, or leave access out",
        )


def _tunnel(cloudflare: Cloudflare, tunnel: Tunnel, host: Host, proxy: Proxy) -> Iterator[Finding]:
    if proxy.kind != "nginx":
        yield Finding(
            key="proxy.kind",
            given=proxy.kind,
            reason="a tunnel needs nginx behind it: only there the visitor's true address is taken from Cloudflare",
            hint="set proxy.kind to nginx, or leave cloudflare.tunnel out",
        )
    names = cloudflare.tunnel_names(host.names)
    if not names:
        yield Finding(
            key="cloudflare.tunnel",
            reason="every name of immich:host has a record of its own, so none leads into the tunnel",
            hint="take the record of the name that shall use the tunnel out of cloudflare.records",
        )
    for name in names:
        if not within(name, cloudflare.zone):
            yield Finding(
                key="host.name" if name == host.name else "host.aliases",
                given=name,
                reason=f"leads into the tunnel, but is not in the zone {cloudflare.zone}",
                hint="give a name in cloudflare.zone, or the zone that the name is in",
            )
    if names and host.port not in {None, 443}:
        yield Finding(
            key="host.port",
            given=str(host.port),
            reason="people reach a tunnel at the port of https",
            hint="leave host.port out",
        )
    for index, rule in enumerate(tunnel.rules):
        if rule.hostname in names:
            yield Finding(
                key=f"cloudflare.tunnel.rules[{index}].hostname",
                given=rule.hostname,
                reason="is a name of immich:host, and Immich's own rule comes first",
                hint="give the other service a name of its own; Immich works only at the root of a name",
            )
    yield from _requests(tunnel)


def _requests(tunnel: Tunnel) -> Iterator[Finding]:
    for name in ("cpu", "memory"):
        request: Quantity | None = getattr(tunnel.resources.requests, name)
        limit: Quantity | None = getattr(tunnel.resources.limits, name)
        default: Quantity | None = getattr(DEFAULTS["cloudflared"].limits, name)
        if request is not None and limit is None and default is not None and request.amount > default.amount:
            yield Finding(
                key=f"cloudflare.tunnel.resources.requests.{name}",
                given=request,
                reason=f"is more than the default limit {default}",
                hint=f"pulumi config set --path 'immich:cloudflare.tunnel.resources.limits.{name}' {request}",
            )


def notes(cloudflare: Cloudflare, host: Host, service: str) -> Iterator[str]:
    """What is no mistake, and yet to be known. `service` is what the tunnel leads to."""
    edge = cloudflare.proxied_names(host.names)
    for name in edge:
        if within(name, cloudflare.zone) and depth(name, cloudflare.zone) > 1:
            yield (
                f"{name} is more than one label below {cloudflare.zone}: Universal SSL has no certificate for it; "
                f"order an advanced one, or take a name such as photos.{cloudflare.zone}"
            )
    if edge:
        yield (
            "Cloudflare's terms for self-serve plans restrict serving mostly video and other large files through its "
            "network (Service-Specific Terms)"
        )
    if cloudflare.rate_limit is not None:
        yield (
            f"cloudflare.rateLimit is the only list of rate limiting rules of {cloudflare.zone} and counts "
            "/api/auth/login and /api/shared-links/login of all its proxied names"
        )
    tunnel = cloudflare.tunnel
    if tunnel is not None and tunnel.keeps_rules_elsewhere:
        yield (
            f"the rules of the tunnel are kept: add one for {', '.join(cloudflare.tunnel_names(host.names))} there, to "
            f"the service {service}"
        )
    access = cloudflare.access
    if access is not None and access.service_token is None:
        yield "cloudflare.access has no serviceToken: the mobile app cannot get through"
    if access is not None and access.service_token is not None and access.service_token.duration != "forever":
        yield (
            f"the service token of the mobile app ends {access.service_token.duration} after it was made; renew it "
            "before, or no phone gets in"
        )

"""Traefik's middlewares and rules, whichever of its providers reads them. Pure.

Left out on purpose, each because it broke uploads somewhere (vonrobak/fedora-homelab-containers#87): `retry` cannot
send a streamed body again, `circuitBreaker` opens when clients hang up. `buffering`, which takes bodies in whole, is
only before what has a small one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from components.model.exposure import (
    BEGINS,
    BEGINS_SMALL,
    SMALL_BODY,
    BouncerSpec,
    SignInPageSpec,
    TraefikSpec,
)

Body = dict[str, Any]
SIGN_IN = "PathRegexp(`(?i)^/api/(auth/login/*$|shared-links/login/*$|oauth(/|$))`)"
"""Where passwords and codes are tried, in any spelling that Express accepts. Beside `BEGINS` nothing else is limited: a
page of thumbnails is hundreds of requests.
"""
_BEGIN, _BEGIN_SMALL = (f"Method(`POST`) && PathRegexp(`{paths}`)" for paths in (BEGINS, BEGINS_SMALL))
_FIRST = 100_000
"""Priority before every rule that has none, which is as strong as it is long."""
_NOBODY = "255.255.255.255/32"
"""An address that no connection comes from. Not the local network's instead: a Traefik behind an engine without root, a
balancer or a tunnel takes clients of the internet for it."""


def middlewares(spec: TraefikSpec) -> Iterator[tuple[str, Body]]:
    """Name and body of each, in the order in which requests pass them."""
    if spec.bouncer is not None:
        yield "bouncer", _bouncer(spec.bouncer, spec.proxies)
    if spec.begins == "refused":
        yield "closed", {"ipAllowList": {"sourceRange": [_NOBODY]}}
    if spec.attempts is not None:
        yield "sign-in-rate", _rate_limit(spec.attempts, spec.proxies)
    if spec.begins == "limited":
        yield "small", {"buffering": {"maxRequestBodyBytes": SMALL_BODY, "memRequestBodyBytes": SMALL_BODY}}
    if spec.sign_in_page is not None:
        yield "sign-in-page", _forward_auth(spec.sign_in_page)
    if spec.security_headers:
        yield "headers", _headers(hsts=spec.hsts)


def rules(spec: TraefikSpec) -> Iterator[tuple[str, str, tuple[str, ...], int | None]]:
    """Suffix, rule, middlewares and priority: one rule for everything, a longer (so stronger) one for signing in, one
    for guarded pages, and before them all one for what begins maintenance.
    """
    everything = " || ".join(f"Host(`{name}`)" for name in spec.hostnames)
    yield "", everything, _chain(spec, ()), None
    if spec.attempts is not None:
        attempts = f"({everything}) && ({SIGN_IN} || ({_BEGIN}))"
        yield "-sign-in", attempts, _chain(spec, ("sign-in-rate",)), None
    if spec.sign_in_page is not None:
        guarded = " || ".join(f"PathPrefix(`{path}`)" for path in spec.sign_in_page.paths)
        yield "-guarded", f"({everything}) && ({guarded})", _chain(spec, ("sign-in-page",)), None
    if spec.begins == "refused":
        yield "-closed", f"({everything}) && {_BEGIN}", _chain(spec, ("closed",)), _FIRST
    if spec.begins == "limited":
        rate = ("sign-in-rate",) if spec.attempts is not None else ()
        yield "-begin", f"({everything}) && {_BEGIN_SMALL}", _chain(spec, (*rate, "small")), _FIRST


def _chain(spec: TraefikSpec, own: tuple[str, ...]) -> tuple[str, ...]:
    return (
        *(("bouncer",) if spec.bouncer is not None else ()),
        *own,
        *(("headers",) if spec.security_headers else ()),
    )


def _bouncer(spec: BouncerSpec, proxies: tuple[str, ...]) -> Body:
    """Options: maxlerebourg/crowdsec-bouncer-traefik-plugin, README.

    The header stays X-Forwarded-For: Traefik drops it from peers that it does not trust, any other header it passes on.
    """
    options: Body = {
        "enabled": True,
        "crowdsecMode": spec.mode,
        "crowdsecLapiScheme": spec.lapi_scheme,
        "crowdsecLapiHost": spec.lapi_host,
        "crowdsecLapiKeyFile": spec.lapi_key_file,
        "forwardedHeadersTrustedIPs": list(proxies),
        "clientTrustedIPs": list(spec.never_blocked),
    }
    return {"plugin": {spec.plugin: options}}


def _rate_limit(attempts: int, proxies: tuple[str, ...]) -> Body:
    limit: Body = {"average": attempts, "period": "1m", "burst": attempts}
    if proxies:
        # Of X-Forwarded-For, the last address that is no proxy's; without proxies the peer itself.
        limit["sourceCriterion"] = {"ipStrategy": {"excludedIPs": list(proxies)}}
    return {"rateLimit": limit}


def _forward_auth(spec: SignInPageSpec) -> Body:
    return {
        "forwardAuth": {
            "address": spec.address,
            "authResponseHeaders": list(spec.response_headers),
            "trustForwardHeader": False,
        }
    }


def _headers(*, hsts: bool) -> Body:
    """Without a Content-Security-Policy: Immich has one of its own, and a stricter one stops its map and workers."""
    headers: Body = {
        "customFrameOptionsValue": "SAMEORIGIN",
        "contentTypeNosniff": True,
        "referrerPolicy": "strict-origin-when-cross-origin",
        # The map's button asks for the position.
        "permissionsPolicy": "camera=(), microphone=(), geolocation=(self)",
        "customResponseHeaders": {"Server": "", "X-Powered-By": "", "X-Robots-Tag": "noindex, nofollow"},
    }
    if hsts:
        # Of this name alone: preload and includeSubDomains would be a promise for the whole zone.
        headers |= {"stsSeconds": 31536000, "stsIncludeSubdomains": False, "stsPreload": False}
        # TLS ends at Traefik's peer in some set-ups; the promise is meant for the browser.
        headers["forceSTSHeader"] = True
    return {"headers": headers}

"""Traefik's IngressRoute, ServersTransport and Middlewares.

Left out on purpose, each because it broke uploads somewhere (vonrobak/fedora-homelab-containers#87): `buffering` takes
bodies in whole, `retry` cannot send a streamed body again, `circuitBreaker` opens when clients hang up.
Fields: traefik/traefik, kubernetes-crd-definition-v1.yml.
"""

from __future__ import annotations

from collections.abc import Iterator

from components.naming import object_name
from components.platform.kubernetes.pods import Manifest
from components.platform.specs import BouncerSpec, SignInPageSpec, TraefikSpec

API = "traefik.io/v1alpha1"
SIGN_IN = "Path(`/api/auth/login`) || Path(`/api/auth/admin-sign-up`) || PathPrefix(`/api/oauth/`)"
"""Where passwords and codes are tried. Nothing else is limited: a page of thumbnails is hundreds of requests."""
_IDLE = "60s"
"""Shorter than the 75 s for which nginx keeps a silent connection: Traefik must not send into one that closes."""


def named_objects(spec: TraefikSpec) -> Iterator[tuple[str, Manifest]]:
    """Name and manifest of what the route names: middlewares in the order in which requests pass them, transport."""
    if spec.bouncer is not None:
        yield f"{spec.name}-bouncer", _middleware(_bouncer(spec.bouncer, spec.proxies))
    if spec.attempts is not None:
        yield f"{spec.name}-sign-in-rate", _middleware(_rate_limit(spec.attempts, spec.proxies))
    if spec.sign_in_page is not None:
        yield f"{spec.name}-sign-in-page", _middleware(_forward_auth(spec.sign_in_page))
    if spec.security_headers:
        yield f"{spec.name}-headers", _middleware(_headers(hsts=spec.hsts))
    yield spec.name, _transport()


def ingress_route(spec: TraefikSpec) -> Manifest:
    """The route: one rule for everything, a longer (so stronger) one for signing in, one for guarded pages."""
    everything = " || ".join(f"Host(`{name}`)" for name in spec.hostnames)
    rules = [_rule(spec, everything, ())]
    if spec.attempts is not None:
        rules.append(_rule(spec, f"({everything}) && ({SIGN_IN})", ("sign-in-rate",)))
    if spec.sign_in_page is not None:
        guarded = " || ".join(f"PathPrefix(`{path}`)" for path in spec.sign_in_page.paths)
        rules.append(_rule(spec, f"({everything}) && ({guarded})", ("sign-in-page",)))
    tls: Manifest = {}
    if spec.cert_resolver is not None:
        tls["certResolver"] = spec.cert_resolver
    if spec.tls_secret is not None:
        tls["secretName"] = spec.tls_secret
    return {
        "apiVersion": API,
        "kind": "IngressRoute",
        "metadata": {},
        "spec": {"entryPoints": list(spec.entry_points), "routes": rules, "tls": tls},
    }


def _rule(spec: TraefikSpec, match: str, own: tuple[str, ...]) -> Manifest:
    chain = (
        *(("bouncer",) if spec.bouncer is not None else ()),
        *own,
        *(("headers",) if spec.security_headers else ()),
    )
    rule: Manifest = {
        "kind": "Rule",
        "match": match,
        "services": [
            {
                "name": object_name(spec.to),
                "port": spec.port,
                "scheme": "http",
                "passHostHeader": True,
                "serversTransport": spec.name,
            }
        ],
    }
    if chain:
        rule["middlewares"] = [{"name": f"{spec.name}-{one}"} for one in chain]
    return rule


def _middleware(body: Manifest) -> Manifest:
    return {"apiVersion": API, "kind": "Middleware", "metadata": {}, "spec": body}


def _bouncer(spec: BouncerSpec, proxies: tuple[str, ...]) -> Manifest:
    """Options: maxlerebourg/crowdsec-bouncer-traefik-plugin, README.

    The header stays X-Forwarded-For: Traefik drops it from peers that it does not trust, any other header it passes on.
    """
    options: Manifest = {
        "enabled": True,
        "crowdsecMode": spec.mode,
        "crowdsecLapiScheme": spec.lapi_scheme,
        "crowdsecLapiHost": spec.lapi_host,
        "crowdsecLapiKeyFile": spec.lapi_key_file,
        "forwardedHeadersTrustedIPs": list(proxies),
        "clientTrustedIPs": list(spec.never_blocked),
    }
    return {"plugin": {spec.plugin: options}}


def _rate_limit(attempts: int, proxies: tuple[str, ...]) -> Manifest:
    limit: Manifest = {"average": attempts, "period": "1m", "burst": attempts}
    if proxies:
        # Of X-Forwarded-For, the last address that is no proxy's; without proxies the peer itself.
        limit["sourceCriterion"] = {"ipStrategy": {"excludedIPs": list(proxies)}}
    return {"rateLimit": limit}


def _forward_auth(spec: SignInPageSpec) -> Manifest:
    return {
        "forwardAuth": {
            "address": spec.address,
            "authResponseHeaders": list(spec.response_headers),
            "trustForwardHeader": False,
        }
    }


def _headers(*, hsts: bool) -> Manifest:
    """Without a Content-Security-Policy: Immich has one of its own, and a stricter one stops its map and workers."""
    headers: Manifest = {
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


def _transport() -> Manifest:
    return {
        "apiVersion": API,
        "kind": "ServersTransport",
        "metadata": {},
        "spec": {
            "forwardingTimeouts": {
                "dialTimeout": "30s",
                # The answer to an upload comes once it is stored: no end to that.
                "responseHeaderTimeout": "0s",
                "idleConnTimeout": _IDLE,
            }
        },
    }

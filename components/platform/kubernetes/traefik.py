"""Traefik's IngressRoute, ServersTransport and Middlewares.

Fields: traefik/traefik, kubernetes-crd-definition-v1.yml.
"""

from __future__ import annotations

from collections.abc import Iterator

from components.model.exposure import TraefikSpec
from components.model.naming import object_name
from components.platform.kubernetes.pods import Manifest
from components.platform.kubernetes.routes import door
from components.platform.traefik import middlewares, rules

API = "traefik.io/v1alpha1"
_IDLE = "60s"
"""Shorter than the 75 s for which nginx keeps a silent connection: Traefik must not send into one that closes."""


def named_objects(spec: TraefikSpec) -> Iterator[tuple[str, Manifest]]:
    """Name and manifest of what the route names: middlewares in the order in which requests pass them, transport."""
    for name, body in middlewares(spec):
        yield f"{spec.name}-{name}", _middleware(body)
    yield spec.name, _transport()


def ingress_route(spec: TraefikSpec) -> Manifest:
    """The route, with a rule for each kind of path."""
    tls: Manifest = {}
    if spec.cert_resolver is not None:
        tls["certResolver"] = spec.cert_resolver
    if spec.tls_secret is not None:
        tls["secretName"] = spec.tls_secret
    return {
        "apiVersion": API,
        "kind": "IngressRoute",
        "metadata": door(spec),
        "spec": {
            "entryPoints": list(spec.entry_points),
            "routes": [_rule(spec, match, chain, priority) for _, match, chain, priority in rules(spec)],
            "tls": tls,
        },
    }


def _rule(spec: TraefikSpec, match: str, chain: tuple[str, ...], priority: int | None) -> Manifest:
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
    if priority is not None:
        rule["priority"] = priority
    if chain:
        rule["middlewares"] = [{"name": f"{spec.name}-{one}"} for one in chain]
    return rule


def _middleware(body: Manifest) -> Manifest:
    return {"apiVersion": API, "kind": "Middleware", "metadata": {}, "spec": body}


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

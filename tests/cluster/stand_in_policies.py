"""Stand-ins for the CRDs of policies that gateways of others bring: named as theirs, with the fields that we set.

They refuse every other field, and what the real ones refuse of these. Read in: envoyproxy/gateway
api/v1alpha1/backendtrafficpolicy_types.go and timeout_types.go (durations are those of the Gateway API);
nginx/nginx-gateway-fabric config/crd/bases/gateway.nginx.org_clientsettingspolicies.yaml and
_proxysettingspolicies.yaml (targets, patterns of sizes and times), and its pull request 5165 for `timeout`.
"""

from __future__ import annotations

from typing import Any

_GATEWAY_DURATION = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"
_NGINX_DURATION = r"^[0-9]{1,4}(ms|s|m|h)?$"
_NGINX_SIZE = r"^\d{1,4}(k|m|g)?$"


def _text(pattern: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "string", **({"pattern": pattern} if pattern else {}), **more}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


_TARGET = {
    **_object(
        ("group", "kind", "name"),
        group=_text(enum=["gateway.networking.k8s.io"]),
        kind=_text(enum=["Gateway", "HTTPRoute", "GRPCRoute"]),
        name=_text(minLength=1, maxLength=253),
    )
}
_TARGETS = {"type": "array", "minItems": 1, "maxItems": 16, "items": _TARGET}


def _crd(group: str, kind: str, plural: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _object(("spec",), spec=spec)},
                }
            ],
        },
    }


POLICIES = (
    _crd(
        "gateway.envoyproxy.io",
        "BackendTrafficPolicy",
        "backendtrafficpolicies",
        _object(
            targetRefs=_TARGETS,
            timeout=_object(http=_object(requestTimeout=_text(_GATEWAY_DURATION))),
        ),
    ),
    _crd(
        "gateway.nginx.org",
        "ClientSettingsPolicy",
        "clientsettingspolicies",
        _object(
            ("targetRef",),
            targetRef=_TARGET,
            body=_object(maxSize=_text(_NGINX_SIZE), timeout=_text(_NGINX_DURATION)),
        ),
    ),
    _crd(
        "gateway.nginx.org",
        "ProxySettingsPolicy",
        "proxysettingspolicies",
        _object(
            ("targetRefs",),
            targetRefs=_TARGETS,
            timeout=_object(
                connect=_text(_NGINX_DURATION), read=_text(_NGINX_DURATION), send=_text(_NGINX_DURATION)
            ),
        ),
    ),
)

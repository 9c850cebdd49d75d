"""Policies beside an HTTPRoute: what some implementations of the Gateway API need before large uploads.

Each targets the route itself, in the route's namespace, so no other route of the Gateway changes.
Cilium needs none (cilium#43359: no limit of its own). Traefik has its
timeouts at the entry point, out of reach of objects.
"""

from __future__ import annotations

from dataclasses import replace

from components.model.exposure import SMALL_BODY, RouteSpec
from components.platform.kubernetes.pods import Manifest
from components.platform.kubernetes.routes import small_route


def policies(route: RouteSpec) -> list[Manifest]:
    """The policies of a route, at most one of each kind: they have its name."""
    match route.implementation:
        case "envoy-gateway":
            return [backend_traffic_policy(route)]
        case "nginx-gateway-fabric":
            return [client_settings_policy(route), proxy_settings_policy(route)]
        case _:
            return []


def limited(route: RouteSpec, name: str) -> list[Manifest]:
    """A second route, of this name, and its policy, where what begins maintenance is limited: Envoy Gateway alone.

    Its local rate is counted for all clients of one Envoy (envoyproxy/gateway, api/v1alpha1/ratelimit_types.go), its
    `requestBuffer` answers 413 to a larger body.
    """
    if route.implementation != "envoy-gateway" or route.begins != "limited":
        return []
    policy = backend_traffic_policy(replace(route, name=name))
    rate = {"requests": route.attempts, "unit": "Minute"}
    policy["spec"] |= {
        "rateLimit": {"type": "Local", "local": {"rules": [{"limit": rate}]}},
        "requestBuffer": {"limit": f"{SMALL_BODY // 1024}Ki"},
    }
    return [small_route(route), policy]


def backend_traffic_policy(route: RouteSpec) -> Manifest:
    """Envoy Gateway: no end to a request, and no `requestBuffer`, which would keep bodies in memory up to its limit.

    A policy of the route takes the place of one of the Gateway, with its buffer, retries and breakers
    (envoyproxy/gateway, api/v1alpha1/backendtrafficpolicy_types.go and timeout_types.go).
    Its ClientTrafficPolicy can only stand beside the Gateway and is for all of its routes: docs/doors.md says what to
    look for there.
    """
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "BackendTrafficPolicy",
        "metadata": {},
        "spec": {"targetRefs": [_target(route)], "timeout": {"http": {"requestTimeout": "0s"}}},
    }


def client_settings_policy(route: RouteSpec) -> Manifest:
    """NGINX Gateway Fabric: bodies of any size, where nginx' own default is 1 MiB.

    Fields: nginx/nginx-gateway-fabric, apis/v1alpha1/clientsettingspolicy_types.go.
    """
    return {
        "apiVersion": "gateway.nginx.org/v1alpha1",
        "kind": "ClientSettingsPolicy",
        "metadata": {},
        "spec": {"targetRef": _target(route), "body": {"maxSize": "0", "timeout": f"{route.timeout}s"}},
    }


def proxy_settings_policy(route: RouteSpec) -> Manifest:
    """NGINX Gateway Fabric: patience with the server.

    Field `timeout`: nginx/nginx-gateway-fabric#5165; a release without it refuses the object.
    """
    return {
        "apiVersion": "gateway.nginx.org/v1alpha1",
        "kind": "ProxySettingsPolicy",
        "metadata": {},
        "spec": {
            "targetRefs": [_target(route)],
            "timeout": {"read": f"{route.timeout}s", "send": f"{route.timeout}s"},
        },
    }


def _target(route: RouteSpec) -> Manifest:
    return {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route.name}

"""Ways in from outside the cluster: Gateway API route, Ingress, load balancer."""

from __future__ import annotations

from collections.abc import Sequence

from components.model.exposure import (
    BEGINS,
    BEGINS_SMALL,
    IngressSpec,
    LoadBalancerSpec,
    RouteSpec,
    TraefikSpec,
)
from components.model.naming import object_name, selector
from components.platform.kubernetes.pods import Manifest


def unlimited(controllers: Sequence[str], service: str, timeout: int) -> dict[str, str]:
    """Annotations that let uploads of any size and length through, for the controllers that read any.

    Sources: nginx.org: nginx/kubernetes-ingress, advanced configuration with annotations (it has none for request
    buffering). haproxy: haproxytech/kubernetes-ingress, documentation/annotations.md 3.2 (no body limit; its
    timeout-client is of the ConfigMap alone). ingress-nginx: its annotations page; it gets no fixes since March 2026,
    but clusters that still run it would cut uploads at 1 MiB without these. Traefik has its timeouts at the entry
    point.
    """
    found: dict[str, str] = {}
    if "nginx.org" in controllers:
        found |= {
            "nginx.org/client-max-body-size": "0",
            "nginx.org/proxy-read-timeout": f"{timeout}s",
            "nginx.org/proxy-send-timeout": f"{timeout}s",
            "nginx.org/websocket-services": service,
        }
    if "ingress-nginx" in controllers:
        found |= {
            "nginx.ingress.kubernetes.io/proxy-body-size": "0",
            "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
            "nginx.ingress.kubernetes.io/proxy-read-timeout": str(timeout),
            "nginx.ingress.kubernetes.io/proxy-send-timeout": str(timeout),
        }
    if "haproxy" in controllers:
        found["haproxy.org/timeout-server"] = f"{timeout}s"
    return found


def door(way: RouteSpec | IngressSpec | TraefikSpec) -> Manifest:
    """Metadata that tell the policies who comes in, where that is the local network alone: a route does not show it."""
    return {"annotations": {"immich/door": "lan"}} if way.lan else {}


_PATIENT = {"request": "0s", "backendRequest": "0s"}
"""An upload takes as long as it takes (Gateway API: "0s" is none)."""


def http_route(route: RouteSpec) -> Manifest:
    """An HTTPRoute for everything. A rule without a backend answers 500 (Gateway API: HTTPRouteRule.backendRefs)."""
    refused = [{"matches": [_post(BEGINS)], "timeouts": _PATIENT}] if route.begins == "refused" else []
    return _http_route(route, [*refused, _leads(route, {"path": {"type": "PathPrefix", "value": "/"}})])


def small_route(route: RouteSpec) -> Manifest:
    """An HTTPRoute for what begins maintenance with a small body: a policy can target a route, not yet each rule."""
    return _http_route(route, [_leads(route, _post(BEGINS_SMALL))])


def _post(paths: str) -> Manifest:
    return {"path": {"type": "RegularExpression", "value": paths}, "method": "POST"}


def _leads(route: RouteSpec, match: Manifest) -> Manifest:
    backend = {"group": "", "kind": "Service", "name": object_name(route.to), "port": route.port, "weight": 1}
    return {"matches": [match], "timeouts": _PATIENT, "backendRefs": [backend]}


def _http_route(route: RouteSpec, rules: list[Manifest]) -> Manifest:
    parent: Manifest = {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": route.gateway,
        "namespace": route.gateway_namespace,
    }
    if route.section_name is not None:
        parent["sectionName"] = route.section_name
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": door(route),
        "spec": {"parentRefs": [parent], "hostnames": list(route.hostnames), "rules": rules},
    }


def ingress(spec: IngressSpec) -> Manifest:
    """An Ingress. Not awaited: without a load balancer it never gets an address."""
    body: Manifest = {
        "ingressClassName": spec.class_name,
        "rules": [
            {
                "host": host,
                "http": {
                    "paths": [
                        {
                            "path": "/",
                            "pathType": "Prefix",
                            "backend": {
                                "service": {"name": object_name(spec.to), "port": {"number": spec.port}}
                            },
                        }
                    ]
                },
            }
            for host in spec.hostnames
        ],
    }
    if spec.tls_secret is not None:
        body["tls"] = [{"hosts": list(spec.hostnames), "secretName": spec.tls_secret}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "annotations": {
                **door(spec).get("annotations", {}),
                **unlimited(spec.controllers, object_name(spec.to), spec.timeout),
                "pulumi.com/skipAwait": "true",
                **spec.annotations,
            }
        },
        "spec": body,
    }


def load_balancer(spec: LoadBalancerSpec) -> Manifest:
    """A Service of type LoadBalancer that keeps the client's address."""
    body: Manifest = {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "selector": selector(spec.to),
        "ports": [
            {"name": "http", "port": spec.listen, "targetPort": spec.port, "protocol": "TCP"},
            *(
                [{"name": "redirect", "port": 80, "targetPort": spec.redirect, "protocol": "TCP"}]
                if spec.redirect is not None
                else []
            ),
        ],
    }
    if spec.address is not None:
        body["loadBalancerIP"] = spec.address
    if spec.load_balancer_class is not None:
        body["loadBalancerClass"] = spec.load_balancer_class
    if spec.source_ranges:
        body["loadBalancerSourceRanges"] = list(spec.source_ranges)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"annotations": dict(spec.annotations)} if spec.annotations else {},
        "spec": body,
    }

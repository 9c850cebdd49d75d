"""Ways in from outside the cluster: Gateway API route, Ingress, load balancer."""

from __future__ import annotations

from components.naming import object_name, selector
from components.platform.kubernetes.pods import Manifest
from components.platform.specs import IngressSpec, LoadBalancerSpec, RouteSpec

_UNLIMITED = {
    "nginx.ingress.kubernetes.io/proxy-body-size": "0",
    "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
    "nginx.ingress.kubernetes.io/proxy-read-timeout": "600",
    "nginx.ingress.kubernetes.io/proxy-send-timeout": "600",
    "nginx.org/client-max-body-size": "0",
    "nginx.org/proxy-read-timeout": "600s",
    "nginx.org/proxy-send-timeout": "600s",
    "haproxy.org/timeout-server": "600s",
}
"""What the controllers that limit uploads read; others ignore it (facts of reverse-proxy.md, immich#567)."""


def http_route(route: RouteSpec) -> Manifest:
    """An HTTPRoute. Its timeouts are off: an upload takes as long as it takes (Gateway API: "0s" is none)."""
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
        "metadata": {},
        "spec": {
            "parentRefs": [parent],
            "hostnames": list(route.hostnames),
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "timeouts": {"request": "0s", "backendRequest": "0s"},
                    "backendRefs": [
                        {
                            "group": "",
                            "kind": "Service",
                            "name": object_name(route.to),
                            "port": route.port,
                            "weight": 1,
                        }
                    ],
                }
            ],
        },
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
        "metadata": {"annotations": {**_UNLIMITED, "pulumi.com/skipAwait": "true", **spec.annotations}},
        "spec": body,
    }


def load_balancer(spec: LoadBalancerSpec) -> Manifest:
    """A Service of type LoadBalancer that keeps the client's address."""
    body: Manifest = {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "selector": selector(spec.to),
        "ports": [{"name": "http", "port": spec.listen, "targetPort": spec.port, "protocol": "TCP"}],
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

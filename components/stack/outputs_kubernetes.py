"""Outputs of a stack on a cluster. Pure."""

from __future__ import annotations

from components.platform.kubernetes.volumes import claim_name
from components.proxy import exposure
from components.proxy.listeners import LAN_PORT
from components.proxy.settings import (
    ClusterIp,
    HttpRoute,
    LoadBalancer,
    PlainIngress,
    PublishedPort,
    TraefikLabels,
    TraefikRoute,
)
from components.recovery.locations import owner, places
from components.server.component import PORT as SERVER_PORT
from components.settings.model import Settings
from components.stack.next_steps import steps as common_steps
from components.storage.component import volume_requests


def outputs(settings: Settings, stack: str, manifests: str | None) -> dict[str, object]:
    """What only a cluster has to tell; `manifests` is the folder where they are written."""
    return {
        "namespace": str(settings.kubernetes.namespace),
        "waysIn": _ways_in(settings),
        "dataVolumes": [claim_name(request) for request in volume_requests(settings.storage)],
        "nextSteps": _next_steps(settings, stack, manifests),
    }


def _ways_in(settings: Settings) -> list[str]:
    front = exposure.front(settings.proxy)
    port = LAN_PORT if settings.proxy.kind == "nginx" else SERVER_PORT
    namespace = settings.kubernetes.namespace
    found: list[str] = []
    for way in settings.proxy.expose:
        match way:
            case ClusterIp():
                found.append(
                    f"kubectl -n {namespace} port-forward service/immich-{front} {port}:{port}, then http://localhost:{port}"
                )
            case LoadBalancer():
                number = 443 if settings.proxy.tls is not None else 80
                found.append(
                    f"load balancer at {way.address or 'the address that it is given'}, port {number}"
                )
            case HttpRoute():
                names = way.hostnames or settings.host.names
                found.append(f"gateway {way.gateway_namespace}/{way.gateway} for {', '.join(names)}")
            case PlainIngress():
                names = way.hostnames or settings.host.names
                found.append(f"ingress class {way.class_name} for {', '.join(names)}")
            case TraefikRoute():
                names = way.hostnames or settings.host.names
                found.append(f"Traefik at {', '.join(way.entry_points)} for {', '.join(names)}")
            case PublishedPort() | TraefikLabels():
                pass
    return found


def _next_steps(settings: Settings, stack: str, manifests: str | None) -> list[str]:
    # The kubelet gives no folder of a node away: fsGroup is for volumes alone.
    steps: list[str] = []
    for place in places(settings, stack).values():
        if place.kind == "folder" and not place.name.startswith("library-"):
            user, group = owner(place, settings)
            steps.append(f"on the node, before: sudo install -d -o {user} -g {group} -m 0750 {place.where}")
    if manifests is not None:
        first = f"{manifests}/1-manifest/v1-namespace-default-{settings.kubernetes.namespace}.yaml"
        ahead = f"-f {first} " if settings.kubernetes.create_namespace else ""
        steps += [
            f"on a cluster: kubectl apply --server-side {ahead}-f {manifests}/1-manifest",
            # Not by changing this stack: for the engine its files are the objects, and those with data are protected.
            f"or cp Pulumi.{stack}.yaml Pulumi.NAME.yaml, say kubernetes.target: cluster in it, and make up STACK=NAME",
        ]
    return [*steps, *common_steps(settings, stack)]

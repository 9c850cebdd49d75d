"""What a person sees after `pulumi up`: what there is, and what to do next."""

from __future__ import annotations

from components import database, machine_learning, server, versions, ways_in
from components.door_advice import mobile_app, preconditions, split_horizon
from components.listeners import LAN_PORT, TUNNEL_PORT
from components.naming import object_name
from components.platform.kubernetes.volumes import claim_name
from components.server import PORT as SERVER_PORT
from components.settings.cache import BundledCache
from components.settings.database import BundledDatabase, CloudNativePg
from components.settings.machine_learning import BundledMachineLearning
from components.settings.model import Settings
from components.settings.proxy import ClusterIp, HttpRoute, LoadBalancer, PlainIngress, TraefikRoute
from components.storage import volume_requests
from components.upload_path import doors, names_of, table
from components.values import ImageRef


def outputs(settings: Settings, stack: str, manifests: str | None) -> dict[str, object]:
    """The stack's outputs. No secret is among them."""
    found: dict[str, object] = {
        "url": settings.host.url,
        "version": settings.server.version,
        "namespace": str(settings.kubernetes.namespace),
        "waysIn": _ways_in(settings),
        **_doors(settings),
        "dataVolumes": [claim_name(request) for request in volume_requests(settings.storage)],
        "nextSteps": _next_steps(settings, stack, manifests),
    }
    unpinned = [str(image) for image in images(settings) if image.digest is None]
    if unpinned:
        found["unpinnedImages"] = unpinned
    if settings.app is not None and settings.app.oauth.enabled:
        from components.settings.app import oauth_redirect_uris

        found["oauthRedirectUris"] = oauth_redirect_uris(_names(settings))
    if manifests is not None:
        found["manifests"] = manifests
    return found


def images(settings: Settings) -> list[ImageRef]:
    """Every image of the stack."""
    found = [server.image(settings.server)]
    if isinstance(settings.machine_learning, BundledMachineLearning):
        found.append(machine_learning.image(settings.machine_learning, settings.server.version))
    if isinstance(settings.database, BundledDatabase):
        found.append(database.bundled_workload(settings.database).image)
    if isinstance(settings.database, CloudNativePg):
        found.append(database.cluster_spec(settings.database, "", None).image)
    if isinstance(settings.cache, BundledCache):
        found.append(settings.cache.image or versions.valkey_image())
    if settings.proxy.kind == "nginx":
        found.append(settings.proxy.image or versions.nginx_image())
    if settings.cloudflare is not None and settings.cloudflare.tunnel is not None:
        found.append(settings.cloudflare.tunnel.image or versions.cloudflared_image())
        if settings.proxy.metrics:
            found.append(versions.nginx_exporter_image())
    return found


def _doors(settings: Settings) -> dict[str, object]:
    host, proxy = settings.host, settings.proxy
    found = doors(host, proxy, settings.cloudflare)
    told: dict[str, object] = {
        "doors": [
            {
                "door": row["door"],
                "url": row["url"],
                "largestUpload": row["largest upload"],
                "limitedBy": row["limited by"],
            }
            for row in table(found)
        ],
        "mobileApp": mobile_app(found),
    }
    if records := split_horizon(host, proxy):
        told["splitHorizonDns"] = records
    needed = list(preconditions(host, proxy, settings.cloudflare))
    if settings.cloudflare is not None:
        from components.settings.cloudflare_checks import notes  # only stacks with that section

        service = f"http://{object_name(ways_in.PROXY)}:{TUNNEL_PORT}"
        needed += notes(settings.cloudflare, host, service)
    if needed:
        told["preconditions"] = needed
    return told


def _names(settings: Settings) -> list[str]:
    """Every name that people may come by, the main one first, with the port where it is not 443."""
    ways = (name for way in settings.proxy.expose for name in names_of(way, settings.host))
    port = settings.host.port
    shown = "" if port in {None, 443} else f":{port}"
    return [f"{name}{shown}" for name in dict.fromkeys((*(str(one) for one in settings.host.names), *ways))]


def _ways_in(settings: Settings) -> list[str]:
    front = ways_in.front(settings.proxy)
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
    return found


def _next_steps(settings: Settings, stack: str, manifests: str | None) -> list[str]:
    steps: list[str] = []
    if manifests is not None:
        first = f"{manifests}/1-manifest/v1-namespace-default-{settings.kubernetes.namespace}.yaml"
        ahead = f"-f {first} " if settings.kubernetes.create_namespace else ""
        steps += [
            f"on a cluster: kubectl apply --server-side {ahead}-f {manifests}/1-manifest",
            # Not by changing this stack: for the engine its files are the objects, and those with data are protected.
            f"or by this program: copy Pulumi.{stack}.yaml to Pulumi.NAME.yaml, there kubernetes.target: cluster,",
            "then: make up STACK=NAME KUBECONFIG=...",
        ]
    if settings.server.allow_setup:
        steps += [
            "open the address and create the first user: that is the administrator",
            f"then close the setup page: pulumi config set --path immich:server.allowSetup false -s {stack}",
        ]
    for library in settings.storage.external_libraries:
        steps.append(
            f"Administration > External Libraries: add the import path {library.mount_path} and a scan schedule"
        )
    if settings.server.acceleration != "disabled" and settings.app is None:
        steps.append(f"Administration > Settings > Video Transcoding: choose {settings.server.acceleration}")
    return steps

"""nginx: its configuration, rendered from the listeners, and its container."""

from __future__ import annotations

from collections.abc import Sequence

from components import versions
from components.listeners import STATUS_PORT, Listener
from components.server import NAME as SERVER
from components.server import PORT as SERVER_PORT
from components.settings.proxy import Proxy as ProxySettings
from components.sizing import placement, resources
from components.templates import render
from components.values import Quantity
from components.workload import ConfigFiles, HttpCheck, Ingress, Link, Port, Probe, Scratch, Workload

NAME = "proxy"
_UID = 101
_HEALTH_PORT = STATUS_PORT


def configuration(settings: ProxySettings, found: Sequence[Listener], server: str) -> str:
    """nginx.conf for these listeners; `server` is the host name of Immich."""
    return render(
        "nginx.conf.j2",
        {
            "listeners": found,
            "status_port": STATUS_PORT,
            "upstream": f"{server}:{SERVER_PORT}",
            "body_size": int(settings.max_upload.amount),
            "timeout": settings.timeout.seconds,
        },
    )


def workload(
    settings: ProxySettings, found: Sequence[Listener], server: str, ingress: tuple[Ingress, ...]
) -> Workload:
    """nginx without root, its configuration from a file."""
    health = HttpCheck(port="status", path="/health")
    ports = [Port(name=one.name, number=one.port, app_protocol="kubernetes.io/ws") for one in found]
    ports += [Port(name=f"{one.name}-tls", number=one.tls_port) for one in found if one.tls_port is not None]
    return Workload(
        name=NAME,
        image=settings.image or versions.nginx_image(),
        resources=resources("proxy", settings.resources),
        user=_UID,
        group=_UID,
        # No entrypoint scripts: they would write to /etc/nginx, which is read-only.
        command=("nginx", "-c", "/etc/immich/nginx.conf", "-g", "daemon off;"),
        ports=(*ports, Port(name="status", number=_HEALTH_PORT)),
        liveness=Probe(check=health, failures=3, startup_budget=60),
        readiness=Probe(check=health),
        mounts=(
            ConfigFiles(
                name="proxy", path="/etc/immich", files={"nginx.conf": configuration(settings, found, server)}
            ),
            Scratch(path="/tmp", size=Quantity("256Mi")),
        ),
        replicas=settings.replicas,
        links=(Link(to=SERVER, port=SERVER_PORT),),
        ingress=ingress,
        # Uploads in progress are let through before nginx ends.
        termination_grace=300,
        start_timeout=300,
        placement=placement(settings.placement),
    )

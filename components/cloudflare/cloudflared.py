"""The connectors of a Cloudflare tunnel (cloudflared), as a workload."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from components import versions
from components.cloudflare.rules import IngressRule
from components.cloudflare.tunnel_settings import Tunnel
from components.model.connection import ExternalService
from components.model.workload import (
    ConfigFiles,
    Egress,
    HttpCheck,
    Link,
    Mount,
    Port,
    Probe,
    SecretFiles,
    Workload,
)
from components.sizing import placement, resources

NAME = "cloudflared"
SECRET = "cloudflared"
"""Logical name of the secret with the token or the credentials file."""
EDGE_PORT = 7844
EDGE_RANGES = ("198.41.192.0/24", "198.41.200.0/24", "2606:4700:a0::/48", "2606:4700:a8::/48")
"""Networks of region1 and region2.v2.argotunnel.com (tunnel with firewall)."""

_USER = 65532
"""`nonroot` of the image (Dockerfile of cloudflared)."""
_METRICS_PORT = 2000
PORTS = (Port(name="metrics", number=_METRICS_PORT),)
"""What it listens at."""
_READY = ("cloudflared", "tunnel", "--metrics", f"127.0.0.1:{_METRICS_PORT}", "ready")
"""The image has nothing else that could ask (cmd/cloudflared/tunnel/subcommands.go: readyCommand)."""
_SECRET_FOLDER = "/run/secrets/cloudflared"
_CONFIG_FOLDER = "/etc/immich"
_TOKEN_FILE = "token"
_CREDENTIALS_FILE = "credentials.json"
_BEYOND_GRACE = 30
"""Seconds after the grace period in which connections to the edge are closed."""


def secret_items(tunnel: Tunnel) -> tuple[str, str]:
    """Name of the secret's file, and the config key of its content."""
    if tunnel.existing is not None and tunnel.existing.credentials == "file":
        return _CREDENTIALS_FILE, "cloudflareTunnelCredentials"
    return _TOKEN_FILE, "cloudflareTunnelToken"


def local_configuration(rules: Sequence[IngressRule], access: Mapping[int, Mapping[str, Any]]) -> str:
    """Rules for connectors whose tunnel has none at Cloudflare, as a file; `access` by index of the rule.

    YAML, of which JSON is a part. The file has other names than the provider: `audTag` for `aud_tags`.
    """
    listed: list[dict[str, object]] = []
    for index, rule in enumerate(rules):
        entry: dict[str, object] = {"hostname": rule.hostname, "path": rule.path, "service": rule.service}
        if index in access:
            check = access[index]
            names = {"required": "required", "team_name": "teamName", "aud_tags": "audTag"}
            entry["originRequest"] = {"access": {names[key]: value for key, value in check.items()}}
        listed.append({key: value for key, value in entry.items() if value != ""})
    return json.dumps({"ingress": listed}, indent=2) + "\n"


def workload(
    tunnel: Tunnel, service: Link | ExternalService, configuration: str | None = None, prefix: str = ""
) -> Workload:
    """Connectors that lead to `service`; `configuration` as `local_configuration` makes it.

    `prefix` is what names begin with where a deployment has several.
    """
    name = f"{prefix}{NAME}"
    file, _ = secret_items(tunnel)
    grace = tunnel.grace_period.seconds
    mounts: list[Mount] = [SecretFiles(secret=f"{prefix}{SECRET}", path=_SECRET_FOLDER, items={file: file})]
    # Flags of `tunnel` stand before `run`, those of `run` after it.
    args = ["tunnel", "--no-autoupdate", "--metrics", f"0.0.0.0:{_METRICS_PORT}"]
    args += ["--protocol", tunnel.protocol, "--grace-period", f"{grace}s", "--management-diagnostics=false"]
    if configuration is not None:
        mounts.append(ConfigFiles(name=name, path=_CONFIG_FOLDER, files={"config.yaml": configuration}))
        args += ["--config", f"{_CONFIG_FOLDER}/config.yaml"]
    if tunnel.existing is not None and tunnel.existing.credentials == "file":
        args += ["run", "--credentials-file", f"{_SECRET_FOLDER}/{file}", tunnel.existing.id]
    else:
        args += ["run", "--token-file", f"{_SECRET_FOLDER}/{file}"]
    return Workload(
        name=name,
        image=tunnel.image or versions.current("cloudflared"),
        resources=resources(NAME, tunnel.resources),
        user=_USER,
        group=_USER,
        args=tuple(args),
        ports=PORTS,
        # Without the edge a connector is not ready, and waits: a restart would not bring the edge back
        # (argo-tunnel-examples#18).
        liveness=Probe(
            check=HttpCheck(port="metrics", path="/healthcheck", inside=_READY),
            period=30,
            failures=5,
            startup_budget=60,
        ),
        readiness=Probe(check=HttpCheck(port="metrics", path="/ready", inside=_READY), failures=3),
        mounts=tuple(mounts),
        replicas=tunnel.replicas,
        links=(service,) if isinstance(service, Link) else (),
        egress=(
            *_egress(tunnel),
            *(
                (Egress.to_host("what the tunnel leads to", service.host, service.port),)
                if isinstance(service, ExternalService)
                else ()
            ),
        ),
        termination_grace=grace + _BEYOND_GRACE,
        start_timeout=300,
        placement=placement(tunnel.placement),
    )


def _egress(tunnel: Tunnel) -> tuple[Egress, ...]:
    edge = Egress(
        reason="Cloudflare's edge",
        cidrs=EDGE_RANGES,
        ports=(EDGE_PORT,) if tunnel.protocol != "quic" else (),
        udp_ports=(EDGE_PORT,) if tunnel.protocol != "http2" else (),
    )
    found = [edge]
    if tunnel.access is not None:
        found.append(
            Egress(
                reason="keys of Cloudflare Access", names=(f"{tunnel.access.team_name}.cloudflareaccess.com",)
            )
        )
    for target in dict.fromkeys(rule.target for rule in tunnel.rules):
        if target is not None:
            found.append(Egress.to_host(f"service {target[0]}", *target))
    return tuple(found)

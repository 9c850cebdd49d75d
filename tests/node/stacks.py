"""The stack that a real node runs: nginx, a tunnel, workers in two pods, an administrator, backups, exporters."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.docker.images.recipes import RECIPES
from toolchain.offline.cluster import real_node

BEFORE: Final = "v3.3.0"
"""A release before the newest, that stacks are brought from."""
IMAGES: Final[Mapping[str, Sequence[str]]] = {
    "postgres": (),
    "valkey": (),
    "nginx": (),
    "server": (f"immich-standin/server:{BEFORE}",),
    "machine-learning": (),
    "restic": (),
    "cloudflared": (),
    "busybox": (),
    **{f"{name}-exporter": () for name in ("postgres", "valkey", "nginx", "door", "access-log")},
}
"""What the node has of the images of tests/docker -> other tags of it."""
SECRETS: Final = {
    "cloudflareApiToken": "a" * 40,
    "cloudflareTunnelCredentials": json.dumps(
        {
            "AccountTag": "0" * 32,
            "TunnelSecret": base64.b64encode(bytes(32)).decode(),
            "TunnelID": "00000000-0000-4000-8000-000000000000",
        }
    ),
}
_LITTLE: Final = {"requests": {"cpu": "20m", "memory": "32Mi"}}
_OFTEN: Final = {"period": 2}


def image(name: str, tag: str = "") -> str:
    """The full reference of a stand-in; `tag` in the place of its usual one."""
    reference = RECIPES[name].tag
    if tag:
        reference = f"{reference.rpartition(':')[0]}:{tag}"
    return f"docker.io/{reference}" if "/" in reference else f"docker.io/library/{reference}"


def sections(namespace: str, lan: str) -> dict[str, Any]:
    """Its settings; `lan` is the network of its clients."""
    return {
        "kubernetes": {
            "namespace": namespace,
            "podCidrs": [real_node.CLUSTER_CIDR],
            "monitoringNamespace": "monitoring",
        },
        "host": {"name": "photos.example.com"},
        "server": {
            "image": image("server"),
            "workers": {"kind": "split"},
            "metrics": {"enabled": True},
            "startupBudget": "3m",
            "terminationGrace": "30s",
            "resources": _LITTLE,
            "health": _OFTEN,
        },
        "machineLearning": {
            "image": image("machine-learning"),
            "cache": {"size": "1Gi"},
            "resources": _LITTLE,
            "health": _OFTEN,
        },
        "database": {
            "postgres": 14,
            "vectorchord": "0.4.3",
            "image": image("postgres"),
            "size": "2Gi",
            "resources": _LITTLE,
            "health": _OFTEN,
        },
        "cache": {"image": image("valkey"), "resources": _LITTLE, "health": _OFTEN},
        "storage": {"media": {"kind": "volume", "size": "5Gi", "accessMode": "ReadWriteMany"}},
        "proxy": {
            "image": image("nginx"),
            "expose": [{"kind": "clusterIp"}, {"kind": "loadBalancer", "sourceRanges": [lan]}],
            "resources": _LITTLE,
            "health": _OFTEN,
        },
        "setup": {"administrator": {"email": "admin@example.com", "name": "Administrator"}},
        "monitoring": {
            "kind": "operator",
            "accessLog": True,
            "images": {
                "postgres": image("postgres-exporter"),
                "valkey": image("valkey-exporter"),
                "nginx": image("nginx-exporter"),
                "doors": image("door-exporter"),
                "access-log": image("access-log-exporter"),
            },
        },
        "cloudflare": {
            "plan": "free",
            "zone": "example.com",
            "zoneId": "0" * 32,
            "accountId": "0" * 32,
            "tunnel": {
                "replicas": 1,
                "image": image("cloudflared"),
                "existing": {"id": "00000000-0000-4000-8000-000000000000", "credentials": "file"},
            },
        },
        "backup": {
            "volume": {"kind": "volume", "size": "2Gi"},
            "resticImage": image("restic"),
            "targets": [{"name": "disk", "kind": "local", "source": {"kind": "volume", "size": "2Gi"}}],
            "drill": {},
            "resources": _LITTLE,
        },
    }

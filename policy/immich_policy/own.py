"""The program that this pack stands beside: which setting of it decides what a rule is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from immich_policy.model import Stack

SETTINGS: Final[Mapping[str, str]] = {
    "uploads-nginx-size": "proxy.maxUpload",
    "uploads-nginx-timeouts": "proxy.timeout",
    "uploads-ingress": "proxy.expose",
    "uploads-cloudflare-plan": "proxy.expose",
    "proxies-narrow": "kubernetes.podCidrs",
    "proxies-network": "kubernetes.podCidrs",
    "exposure-setup": "server.allowSetup",
    "exposure-restore": "proxy.maintenance",
    "workloads-images-pinned": "server.version",
    "workloads-one-release": "server.version",
    "workloads-database-supported": "database.postgres",
    "workloads-limits": "server.resources",
    "workloads-one-microservices": "server.workers",
    "workloads-gpu-worker": "server.gpu",
    "workloads-external-library-read-only": "storage.externalLibraries",
    "data-lasting": "storage.media",
    "data-backups": "backup",
    "data-backups-leave": "backup.targets",
    "data-backup-schedule": "backup.archive.schedule",
    "data-backup-retention": "backup.archive.retention",
}
"""Rule -> the setting of this project that decides; the program itself takes care of the others."""


def is_own(stack: Stack) -> bool:
    """Whether a stack is one of this project's: its components have types of their own."""
    return any(one.type.startswith("immich:") for one in stack)

"""Every rule of the pack, by family. A new family is an entry of `FAMILIES`, and a folder with its pack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from immich_policy.data import backups, databases, dumps, volumes
from immich_policy.exposure import cloudflare as exposure_cloudflare
from immich_policy.exposure import database, doors, isolation, network_policies, setup
from immich_policy.model import Rule
from immich_policy.proxies import balanced, headers, ranges
from immich_policy.secrets import rules as secrets
from immich_policy.uploads import cloudflare, gateways, ingress, nginx, traefik
from immich_policy.workloads import hardening, images, needs, running, takeover

FAMILIES: Final[Mapping[str, tuple[Rule, ...]]] = {
    "uploads": (*nginx.RULES, *ingress.RULES, *gateways.RULES, *traefik.RULES, *cloudflare.RULES),
    "proxies": (*ranges.RULES, *headers.RULES, *balanced.RULES),
    "exposure": (
        *doors.RULES,
        *setup.RULES,
        *exposure_cloudflare.RULES,
        *network_policies.RULES,
        *database.RULES,
        *isolation.RULES,
    ),
    "workloads": (*images.RULES, *needs.RULES, *hardening.RULES, *takeover.RULES, *running.RULES),
    "data": (*volumes.RULES, *databases.RULES, *backups.RULES, *dumps.RULES),
    "secrets": secrets.RULES,
}

ALL: Final = tuple(rule for family in FAMILIES.values() for rule in family)

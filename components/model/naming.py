"""Names and labels of objects. Literal and derived in one place, so that peers and policies can rely on them."""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
APP = "immich"
"""The product's name in labels and the prefix of object names."""
TOKEN_ENDS = "accessTokenExpiresAt"
"""Name of the stack's output: when the service token of Cloudflare Access ends (RFC 3339)."""


def object_name(workload: str) -> str:
    """Name of a workload's objects: `server` -> `immich-server`.

    Never plain `immich`: a Service of that name would set IMMICH_PORT in every pod (immich-charts#162). Raises
    `ValueError` for a name that neither a cluster nor an engine would take.
    """
    if not _NAME.fullmatch(workload):
        raise ValueError(
            f"the name {workload!r} cannot be part of an object's name: give small letters, digits and hyphens, "
            "a letter first, such as photos-db"
        )
    return f"{APP}-{workload}"


def cluster_peer(cluster: str) -> str:
    """What links call a database cluster of an operator: no workload can have such a name."""
    return f"cluster/{cluster}"


def slug(stack: str) -> str:
    """The stack's name as repositories and files have it: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", stack.lower()).strip("-") or "stack"


def selector(workload: str) -> dict[str, str]:
    """Labels that select a workload's pods. They are immutable on the cluster, so no version is in them."""
    return {"app.kubernetes.io/name": APP, "app.kubernetes.io/component": workload}


def labels(workload: str, stack: str) -> dict[str, str]:
    """Labels of a workload's objects."""
    return {
        **selector(workload),
        "app.kubernetes.io/instance": stack,
        "app.kubernetes.io/managed-by": "pulumi",
    }

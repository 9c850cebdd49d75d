"""Database clusters of CloudNativePG that belong to an Immich."""

from __future__ import annotations

from immich_policy.model import Registered, Stack, mappings, strings, text
from immich_policy.reading.containers import IMMICH, having

GROUP = "postgresql.cnpg.io"


def clusters(stack: Stack) -> list[Registered]:
    """Every registered cluster."""
    return stack.of_kind("Cluster", group=GROUP)


def immich_clusters(stack: Stack) -> list[Registered]:
    """Clusters that Immich works on: with vectors, named by the server, or the only one beside a server."""
    found = stack.once(clusters)
    servers = having(stack, *IMMICH)
    hosts = {str(host[1]) for one in servers if (host := one.variable("DB_HOSTNAME"))}
    return [
        one
        for one in found
        if has_vectors(one)
        or any(host.startswith(f"{object_name(one)}-") for host in hosts)
        or (len(found) == 1 and servers)
    ]


def has_vectors(cluster: Registered) -> bool:
    """Whether the image, the extensions or the preloaded libraries of a cluster are those of VectorChord."""
    image = text(cluster.props, "spec", "imageName")
    named = [text(one, "name") for _, one in mappings(cluster.props, "spec", "postgresql", "extensions")]
    loaded = strings(cluster.props, "spec", "postgresql", "shared_preload_libraries")
    return any("vchord" in one or "vectorchord" in one for one in (image, *named, *loaded))


def namespace(one: Registered) -> str:
    """Namespace of a Kubernetes resource; `default` where none is written."""
    return text(one.props, "metadata", "namespace") or "default"


def object_name(one: Registered) -> str:
    """`metadata.name`, or the logical name where that is left to Pulumi."""
    return text(one.props, "metadata", "name") or one.name.rsplit("/", 1)[-1]

"""Database clusters of CloudNativePG that belong to an Immich."""

from __future__ import annotations

from immich_policy.model import Registered, Stack, mappings, strings, text
from immich_policy.reading.connections import host, is_opaque
from immich_policy.reading.names import object_name
from immich_policy.reading.parts import having
from immich_policy.reading.roles import IMMICH, Role

GROUP = "postgresql.cnpg.io"


def clusters(stack: Stack) -> list[Registered]:
    """Every registered cluster."""
    return stack.of_kind("Cluster", group=GROUP)


def immich_clusters(stack: Stack) -> list[Registered]:
    """Clusters that Immich works on: with vectors, or named by the server, or the only one where it names none.

    A program without a server is taken for a part of one: each is Immich's there.
    """
    found = stack.once(clusters)
    servers = having(stack, *IMMICH)
    if not servers:
        return found
    hosts = [host(one, Role.DATABASE) for one in servers]
    unsaid = any(name is None or is_opaque(name) for name in hosts)
    named = {name.split(".")[0] for name in hosts if name is not None}
    poolers = {
        text(one.props, "spec", "cluster", "name")
        for one in stack.of_kind("Pooler", group=GROUP)
        if object_name(one) in named
    }
    return [
        one
        for one in found
        if has_vectors(one)
        or object_name(one) in poolers
        or named & cluster_services(one)
        or (len(found) == 1 and unsaid)
    ]


def other_clusters(stack: Stack) -> frozenset[str]:
    """Names of registered clusters that another program works on."""
    names = {object_name(one) for one in stack.once(clusters)}
    return frozenset(names - {object_name(one) for one in stack.once(immich_clusters)})


def cluster_services(cluster: Registered) -> frozenset[str]:
    """Names of the Services that CloudNativePG makes for a cluster, and of those that its `managed.services` add."""
    own = {f"{object_name(cluster)}-{kind}" for kind in ("rw", "ro", "r")}
    added = mappings(cluster.props, "spec", "managed", "services", "additional")
    return frozenset(own | {text(one, "serviceTemplate", "metadata", "name") for _, one in added} - {""})


def has_vectors(cluster: Registered) -> bool:
    """Whether the image, the extensions or the preloaded libraries of a cluster are those of VectorChord."""
    image = text(cluster.props, "spec", "imageName")
    named = [text(one, "name") for _, one in mappings(cluster.props, "spec", "postgresql", "extensions")]
    loaded = strings(cluster.props, "spec", "postgresql", "shared_preload_libraries")
    return any("vchord" in one or "vectorchord" in one for one in (image, *named, *loaded))

"""Which names and ports lead to something that nobody outside may reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from immich_policy.model import Plain, Registered, Stack, dig, mapping, mappings, text
from immich_policy.reading.clusters import cluster_services, clusters, immich_clusters
from immich_policy.reading.connections import docker_names, host, is_opaque, pod_labels
from immich_policy.reading.containers import Container
from immich_policy.reading.names import chosen, namespace, object_name
from immich_policy.reading.parts import containers, having
from immich_policy.reading.roles import IMMICH, PRIVATE, Role

PRIVATE_PORTS: Final = {
    5432: "PostgreSQL",
    6379: "the cache",
    3003: "machine learning",
    9187: "metrics of PostgreSQL",
    9121: "metrics of the cache",
    9113: "metrics of nginx",
}
"""Ports that say by themselves what is behind them."""

_METRICS: Final[Mapping[Role, Mapping[int, str]]] = {
    Role.SERVER: {8081: "metrics of the server", 8082: "metrics of the server"},
    Role.MICROSERVICES: {8081: "metrics of the server", 8082: "metrics of the server"},
    Role.CLOUDFLARED: dict.fromkeys(
        (2000, 20241, 20242, 20243, 20244, 20245), "metrics and /config of cloudflared"
    ),
    Role.NGINX: {9113: "metrics of nginx"},
}
_WORDS: Final = {
    Role.DATABASE: "PostgreSQL",
    Role.CACHE: "the cache",
    Role.MACHINE_LEARNING: "machine learning",
    Role.CLOUDFLARED: "metrics and /config of cloudflared",
}
_ALWAYS: Final = (*PRIVATE, Role.CLOUDFLARED)
"""Roles of which no port is for anybody outside; cloudflared has none but that of its metrics."""


def private_port(one: Container, port: Plain) -> str | None:
    """What is behind a port of a container that nobody outside may reach; `None` where anybody may."""
    for role in _ALWAYS:
        if role in one.roles:
            return _WORDS[role]
    name = port if isinstance(port, str) and not port.isdigit() else ""
    number = numbered(one, port)
    for role in one.roles:
        found = _METRICS.get(role, {}).get(number)
        if found:
            return found
    return "metrics" if "metrics" in name.lower() else None


def numbered(one: Container, port: Plain) -> int:
    """The number of a container's port, by its number or its name; 0 for one that is not known."""
    if isinstance(port, int):
        return port
    if isinstance(port, str) and port.isdigit():
        return int(port)
    for _, declared in mappings(one.props, "ports"):
        if isinstance(port, str) and text(declared, "name") == port:
            number = dig(declared, "containerPort")
            return number if isinstance(number, int) else 0
    return 0


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service and what is behind it, where nobody outside may reach that."""

    path: str
    name: str
    number: Plain
    private: str | None


def service_ports(stack: Stack, service: Registered) -> list[ServicePort]:
    """Ports of a Service, judged by the pods that it selects, else by number where it may be Immich's."""
    found: list[ServicePort] = []
    pods = list(_pods(stack, service))
    behind = [one for one in pods if one.roles]
    selector = mapping(service.props, "spec", "selector")
    cluster = text(selector, "cnpg.io/cluster") or text(selector, "cnpg.io/clusterName")
    ours = not pods and may_be_ours(stack, namespace(service), object_name(service))
    known = {object_name(one) for one in stack.once(clusters)}
    if cluster in known:
        ours = cluster in {object_name(one) for one in stack.once(immich_clusters)}
    for index, port in mappings(service.props, "spec", "ports"):
        target = dig(port, "targetPort") if dig(port, "targetPort") is not None else dig(port, "port")
        private = next((words for one in behind if (words := private_port(one, target))), None)
        if ours:
            private = "PostgreSQL" if cluster else _by_number(dig(port, "port")) or _by_number(target)
        found.append(ServicePort(f"spec.ports[{index}]", text(port, "name"), dig(port, "port"), private))
    return found


def _by_number(port: Plain) -> str | None:
    return PRIVATE_PORTS.get(port) if isinstance(port, int) else None


def selected(stack: Stack, service: Registered) -> Iterator[Container]:
    """Parts of Immich in the pods that a Service selects."""
    return (one for one in _pods(stack, service) if one.roles)


def _pods(stack: Stack, service: Registered) -> Iterator[Container]:
    for one in stack.once(containers):
        if not (one.docker or one.init) and chosen(service, pod_labels(one), namespace(one.resource)):
            yield one


def may_be_ours(stack: Stack, space: str, name: str) -> bool:
    """Whether what is reached by a name, and is not registered, may belong to Immich.

    It is another program's where the servers are in other namespaces, or on Docker, and connect to other names.
    """
    servers = having(stack, *IMMICH)
    if not servers or "immich" in name or is_opaque(name):
        return True
    if any(not one.docker and namespace(one.resource) == space for one in servers):
        return True
    hosts = {host(one, role) for one in servers for role in (Role.DATABASE, Role.CACHE)}
    return any(one is not None and one.split(".")[:2] in ([name], [name, space]) for one in hosts)


def backend(stack: Stack, space: str, name: str, port: Plain) -> str | None:
    """What is behind a Service by name and port that nobody outside may reach; a cluster's own Services included."""
    for service in stack.of_kind("Service", group="core"):
        if object_name(service) != name or namespace(service) != space:
            continue
        ports = service_ports(stack, service)
        if port is None and ports:
            return ports[0].private
        return next((one.private for one in ports if port in (one.number, one.name)), None)
    for cluster in stack.once(clusters):
        if namespace(cluster) == space and name in cluster_services(cluster):
            return "PostgreSQL" if cluster in stack.once(immich_clusters) else None
    return _by_number(port) if may_be_ours(stack, space, name) else None


def behind_url(stack: Stack, url: str, space: str | None = None) -> str | None:
    """What is behind an address of a Service or of a Docker container that nobody outside may reach.

    `space` is the namespace of whoever has the address; None where that is not known.
    """
    try:
        parts = urlsplit(url)
        host_, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    port = port or {"http": 80, "https": 443}.get(parts.scheme)
    labels = host_.split(".")
    wanted = labels[1] if len(labels) > 1 else space
    for service in stack.of_kind("Service", group="core"):
        if object_name(service) == labels[0] and wanted in (None, namespace(service)):
            return backend(stack, namespace(service), labels[0], port)
    for one in stack.once(containers):
        if one.docker and host_ in docker_names(one):
            return private_port(one, port) if one.roles else None
    for cluster in stack.once(clusters):
        if labels[0] in cluster_services(cluster):
            return "PostgreSQL" if cluster in stack.once(immich_clusters) else None
    return _by_number(port) if may_be_ours(stack, wanted or "", labels[0] if wanted else host_) else None


def of_another_program(stack: Stack, url: str) -> bool:
    """Whether an address leads to what is registered and is no part of an Immich that is registered as well."""
    try:
        labels = (urlsplit(url).hostname or "").split(".")
    except ValueError:
        return False
    found = [one for one in stack.once(containers) if one.docker and ".".join(labels) in docker_names(one)]
    for service in stack.of_kind("Service", group="core"):
        if object_name(service) == labels[0] and (len(labels) == 1 or namespace(service) == labels[1]):
            found += _pods(stack, service)
    return bool(found and having(stack, *IMMICH)) and not any(one.roles for one in found)

"""Which names and ports lead to something that nobody outside may reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from immich_policy.model import Plain, Registered, Stack, dig, mapping, mappings, strings, text
from immich_policy.reading.clusters import clusters, namespace, object_name
from immich_policy.reading.containers import PRIVATE, Container, Role, containers

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
    """Ports of a Service, judged by the pods that it selects, else by number."""
    found: list[ServicePort] = []
    behind = list(selected(stack, service))
    cluster = text(service.props, "spec", "selector", "cnpg.io/cluster") or text(
        service.props, "spec", "selector", "cnpg.io/clusterName"
    )
    for index, port in mappings(service.props, "spec", "ports"):
        target = dig(port, "targetPort") if dig(port, "targetPort") is not None else dig(port, "port")
        private = next((words for one in behind if (words := private_port(one, target))), None)
        if not behind:
            private = "PostgreSQL" if cluster else _by_number(dig(port, "port")) or _by_number(target)
        found.append(ServicePort(f"spec.ports[{index}]", text(port, "name"), dig(port, "port"), private))
    return found


def _by_number(port: Plain) -> str | None:
    return PRIVATE_PORTS.get(port) if isinstance(port, int) else None


def selected(stack: Stack, service: Registered) -> Iterator[Container]:
    """Containers of the pods that a Service selects."""
    selector = mapping(service.props, "spec", "selector")
    if not selector:
        return
    for one in stack.once(containers):
        if one.docker or one.init or not one.roles or namespace(one.resource) != namespace(service):
            continue
        labels = pod_labels(one)
        if all(key in labels and labels[key] == value for key, value in selector.items()):
            yield one


def pod_labels(one: Container) -> dict[str, Plain]:
    """Labels of a container's pod."""
    above = one.pod_path.split(".")[:-1]
    return mapping(one.resource.props, *above, "metadata", "labels")


def backend(stack: Stack, space: str, name: str, port: Plain) -> str | None:
    """What is behind a Service by name and port that nobody outside may reach; a cluster's own Services included."""
    for service in stack.of_kind("Service"):
        if service.group != "core" or object_name(service) != name or namespace(service) != space:
            continue
        ports = service_ports(stack, service)
        if port is None and ports:
            return ports[0].private
        return next((one.private for one in ports if port in (one.number, one.name)), None)
    for cluster in stack.once(clusters):
        if namespace(cluster) == space and name in {
            f"{object_name(cluster)}-{kind}" for kind in ("rw", "ro", "r")
        }:
            return "PostgreSQL"
    return _by_number(port)


def behind_url(stack: Stack, url: str) -> str | None:
    """What is behind an address of a Service or of a Docker container that nobody outside may reach."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    port = port or {"http": 80, "https": 443}.get(parts.scheme)
    labels = host.split(".")
    for service in stack.of_kind("Service"):
        if object_name(service) == labels[0] and (len(labels) == 1 or namespace(service) == labels[1]):
            return backend(stack, namespace(service), labels[0], port)
    for one in stack.once(containers):
        if one.docker and host in docker_names(one):
            return private_port(one, port)
    for cluster in stack.once(clusters):
        if labels[0] in {f"{object_name(cluster)}-{kind}" for kind in ("rw", "ro", "r")}:
            return "PostgreSQL"
    return _by_number(port)


def docker_names(one: Container) -> set[str]:
    """Names under which other containers reach a Docker container."""
    aliases = {
        alias
        for _, network in mappings(one.props, "networksAdvanced")
        for alias in strings(network, "aliases")
    }
    return {text(one.props, "name") or one.resource.name, text(one.props, "hostname"), *aliases} - {""}

"""Views of a stack: names that lead to Immich, networks, and the doors in front of it."""

from __future__ import annotations

from dataclasses import dataclass

from immich_policy.config import Network
from immich_policy.model import (
    Registered,
    Stack,
    flag,
    join,
    mapping,
    mappings,
    strings,
    text,
)
from immich_policy.reading.addresses import subnet
from immich_policy.reading.connections import docker_names, pod_labels
from immich_policy.reading.containers import Container
from immich_policy.reading.names import namespace, object_name
from immich_policy.reading.parts import having
from immich_policy.reading.roles import Role
from immich_policy.reading.routes import HTTP, backends

DOCKER_NETWORK = "docker:index/network:Network"


# Who is who


def namespace_services(stack: Stack, *roles: Role) -> list[Registered]:
    """Services that select pods with one of these roles."""
    wanted = [one for one in having(stack, *roles) if not one.docker]
    found: list[Registered] = []
    for service in stack.of_kind("Service", group="core"):
        selector = mapping(service.props, "spec", "selector")
        if selector and any(
            namespace(one.resource) == namespace(service) and selector.items() <= pod_labels(one).items()
            for one in wanted
        ):
            found.append(service)
    return found


def names_of(stack: Stack, *roles: Role) -> frozenset[str]:
    """Host names (first label) under which containers with these roles are reached."""
    docker = {name for one in having(stack, *roles) if one.docker for name in docker_names(one)}
    return frozenset(docker | {object_name(one) for one in namespace_services(stack, *roles)})


def in_front(stack: Stack) -> frozenset[str]:
    """Names that lead to Immich: those of the server and of an nginx in front of it."""
    return names_of(stack, Role.SERVER, Role.NGINX)


# Networks


@dataclass(frozen=True, slots=True, eq=False)
class DockerNetwork:
    """A registered network of Docker."""

    resource: Registered
    name: str
    subnets: tuple[Network, ...]
    """Empty where the engine chooses."""


def docker_networks(stack: Stack) -> dict[str, DockerNetwork]:
    """Registered networks by their name on the engine."""
    found: dict[str, DockerNetwork] = {}
    for one in stack.of_type(DOCKER_NETWORK):
        name = text(one.props, "name") or one.name
        subnets = [subnet(text(each, "subnet")) for _, each in mappings(one.props, "ipamConfigs")]
        found[name] = DockerNetwork(one, name, tuple(each for each in subnets if each is not None))
    return found


def attached(one: Container) -> list[str]:
    """Names of the Docker networks that a container is in, as far as they are known."""
    found = [text(each, "name") for _, each in mappings(one.props, "networksAdvanced")]
    mode = text(one.props, "networkMode")
    return [name for name in [*found, mode] if name and name not in {"none", "host", "bridge", "default"}]


def host_network(one: Container) -> bool:
    """Whether a container has the network of its host."""
    return text(one.props, "networkMode") == "host" if one.docker else flag(one.pod, "hostNetwork")


# Doors


@dataclass(frozen=True, slots=True, eq=False)
class Door:
    """Something that leads from outside to Immich."""

    resource: Registered
    path: str
    cloudflare: bool
    """Whether what comes through it came through Cloudflare's edge."""


def doors(stack: Stack) -> list[Door]:
    """Every way from outside to Immich that is registered; a port that only the host itself reaches is none."""
    found = [
        Door(one.resource, one.path, cloudflare=True)
        for one in having(stack, Role.CLOUDFLARED)
        if not one.init
    ]
    for kind in HTTP:
        found += [
            Door(one, "", cloudflare=False) for one in stack.of_kind(kind) if leads_to_immich(stack, one)
        ]
    for service in namespace_services(stack, Role.SERVER, Role.NGINX):
        if text(service.props, "spec", "type") in {"LoadBalancer", "NodePort"}:
            found.append(Door(service, "spec.type", cloudflare=False))
    for one in having(stack, Role.SERVER, Role.NGINX, Role.TRAEFIK):
        if not one.docker:
            continue
        for index, port in mappings(one.props, "ports"):
            if not text(port, "ip").startswith(("127.", "::1")):
                found.append(Door(one.resource, join("ports", index), cloudflare=False))
        if any(
            text(each, "label").startswith("traefik.http.routers.")
            for _, each in mappings(one.props, "labels")
        ):
            found.append(Door(one.resource, "labels", cloudflare=False))
    return found


def leads_to_immich(stack: Stack, route: Registered) -> bool:
    """Whether an Ingress or a route leads to the server or to an nginx in front of it.

    Where the stack has no such Service, the name and the port of the backend decide: `immich` in it, or 2283.
    """
    known = in_front(stack)
    return any(
        isinstance(one.service, str) and (one.service in known or one.port == 2283 or "immich" in one.service)
        for one in backends(route)
    )


def flags(one: Container) -> dict[str, tuple[str, str]]:
    """Command-line flags as `--name=value` or `--name value`: lower-case name -> (value, path)."""
    found: dict[str, tuple[str, str]] = {}
    for key in ("entrypoints", "command") if one.docker else ("command", "args"):
        listed = strings(one.props, key)
        for index, word in enumerate(listed):
            if not word.startswith("-"):
                continue
            name, equals, value = word.lstrip("-").partition("=")
            if not equals and index + 1 < len(listed) and not listed[index + 1].startswith("-"):
                value = listed[index + 1]
            found[name.lower()] = (value, one.at(key, index))
    return found

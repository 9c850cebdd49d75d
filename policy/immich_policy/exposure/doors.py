"""Nothing private is published: by a Service, a port, a route or a tunnel."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial

from immich_policy.config import Config
from immich_policy.exposure.cloudflare import tunnel_rules
from immich_policy.exposure.passes import passed_on
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Severity,
    Stack,
    Unjudged,
    dig,
    family_rule,
    flag,
    join,
    mappings,
    text,
)
from immich_policy.reading.clusters import immich_clusters
from immich_policy.reading.parts import containers
from immich_policy.reading.routes import EVERY, backends
from immich_policy.reading.targets import backend, behind_url, private_port, service_ports
from immich_policy.text import shown

_LOOPBACK = re.compile(r"127\.|::1\Z|localhost\Z|0:0:0:0:0:0:0:1\Z")
_OPEN_TYPES = frozenset({"NodePort", "LoadBalancer"})


def _services(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    yield from _managed(stack)
    for service in stack.of_kind("Service"):
        if service.group != "core":
            continue
        private = [one for one in service_ports(stack, service) if one.private]
        kind, outside = text(service.props, "spec", "type"), dig(service.props, "spec", "externalIPs")
        if not private:
            continue
        if dig(service.props, "spec", "type") is UNKNOWN:
            yield Unjudged(resource=service, path="spec.type")
        elif kind in _OPEN_TYPES or outside:
            how = f"type is {kind}" if kind in _OPEN_TYPES else "externalIPs are set"
            named = ", ".join(dict.fromkeys(str(one.private) for one in private))
            yield Finding(
                resource=service,
                path="spec.type" if kind in _OPEN_TYPES else "spec.externalIPs",
                message=f"{how}, which opens {named} outside of the cluster",
                setting="type: ClusterIP; publish the proxy in front of Immich alone",
            )


def _managed(stack: Stack) -> Iterator[Judgement]:
    """Services that CloudNativePG is told to make (1.25, `managed.services`)."""
    for cluster in stack.once(immich_clusters):
        for index, one in mappings(cluster.props, "spec", "managed", "services", "additional"):
            kind = dig(one, "serviceTemplate", "spec", "type")
            path = join("spec.managed.services.additional", index, "serviceTemplate", "spec", "type")
            if kind is UNKNOWN:
                yield Unjudged(resource=cluster, path=path)
            elif text(one, "serviceTemplate", "spec", "type") in _OPEN_TYPES:
                message = f"type is {kind}, which opens PostgreSQL outside of the cluster"
                yield Finding(resource=cluster, path=path, message=message, setting="type: ClusterIP")


def _ports(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    setting = "leave the port out, or bind it to 127.0.0.1"
    for one in stack.once(containers):
        if not one.roles:
            continue
        if one.docker and flag(one.props, "publishAllPorts"):
            private = private_port(one, None)
            if private:
                message = f"every port of {private} is published on the host"
                yield Finding(resource=one.resource, path="publishAllPorts", message=message, setting=setting)
        for index, port in mappings(one.props, "ports"):
            inside, outside = ("internal", "ip") if one.docker else ("containerPort", "hostIP")
            private = private_port(one, dig(port, inside))
            published = one.docker or dig(port, "hostPort") not in (None, 0)
            if not private or not published:
                continue
            address = dig(port, outside)
            path = one.at("ports", index)
            if address is UNKNOWN:
                yield Unjudged(resource=one.resource, path=f"{path}.{outside}")
            elif not _LOOPBACK.match(str(address or "")):
                where = shown(address) if address else "every address of the host"
                message = f"{private} is published on {where}"
                yield Finding(resource=one.resource, path=path, message=message, setting=setting)


def _routed(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    setting = "lead the route to the proxy in front of Immich, or to the server's port 2283"
    for one in stack.of_kind(*EVERY):
        for found in backends(one):
            if UNKNOWN in (found.service, found.port):
                yield Unjudged(resource=one, path=found.path)
                continue
            private = backend(stack, found.space, str(found.service), found.port)
            if private:
                message = f"it leads to {private} ({shown(found.service)})"
                yield Finding(resource=one, path=found.path, message=message, setting=setting)
    yield from passed_on(stack)
    for one in stack.once(containers):
        if not one.docker or not one.roles:
            continue
        labels = [(index, text(it, "label"), dig(it, "value")) for index, it in mappings(one.props, "labels")]
        for index, label, value in labels:
            if re.fullmatch(r"traefik\.(?:http|tcp|udp)\.services\.[^.]+\.loadbalancer\.server\.port", label):
                private = private_port(one, value)
                if private:
                    message = f"Traefik leads to {private}"
                    yield Finding(
                        resource=one.resource, path=join("labels", index), message=message, setting=setting
                    )


def _tunnelled(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in stack.once(tunnel_rules):
        private = behind_url(stack, one.service) if one.service else None
        if private:
            yield Finding(
                resource=one.resource,
                path=f"{one.path}.service",
                message=f"the tunnel leads to {private} ({shown(one.service)})",
                setting="point the rule to the proxy in front of Immich",
            )


_rule = partial(family_rule, "exposure")

RULES = (
    _rule(
        "service",
        Severity.CRITICAL,
        "No Service opens the database, the cache, machine learning or metrics outside of the cluster.",
        "None of them knows users; machine learning and metrics ask for nothing at all, and "
        "cloudflared's /config tells "
        "every host name inside.",
        "Use ClusterIP. For one session use `kubectl port-forward`.",
        judge=_services,
    ),
    _rule(
        "port",
        Severity.CRITICAL,
        "No port of the database, the cache, machine learning or metrics is published on the host.",
        "Docker's published ports go past the firewall of the host.",
        "Leave `ports` out: containers of one network reach each other without; or bind to 127.0.0.1.",
        judge=_ports,
    ),
    _rule(
        "route",
        Severity.CRITICAL,
        "No Ingress, route or nginx leads to the database, the cache, machine learning or metrics.",
        "A route makes it an address on the internet or the LAN.",
        "Lead routes to the proxy in front of Immich, or to the server's port 2283.",
        judge=_routed,
    ),
    _rule(
        "tunnel-target",
        Severity.CRITICAL,
        "No tunnel leads to the database, the cache, machine learning or metrics.",
        "A tunnel needs no open port, so no firewall is in its way.",
        "Point the tunnel to the proxy in front of Immich.",
        judge=_tunnelled,
    ),
)

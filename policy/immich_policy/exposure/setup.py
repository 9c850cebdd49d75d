"""Nobody from the internet makes the first administrator or begins a restore."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from immich_policy.config import Config
from immich_policy.exposure.answers import (
    Passes,
    any_of,
    by_container,
    by_service,
    http_route,
)
from immich_policy.exposure.cloudflare import RECORDS, TunnelRule, tunnel_rules
from immich_policy.exposure.meshes import http_proxy, virtual_service
from immich_policy.exposure.traefik_answers import by_labels, ingress, ingress_route
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Level,
    Registered,
    Rule,
    Severity,
    Stack,
    Unjudged,
    dig,
    flag,
    join,
    mappings,
    strings,
    text,
)
from immich_policy.reading.addresses import open_to_all
from immich_policy.reading.connections import docker_names
from immich_policy.reading.containers import DOCKER, Container
from immich_policy.reading.names import namespace, object_name
from immich_policy.reading.parts import having
from immich_policy.reading.roles import Role
from immich_policy.reading.walk import host_network, namespace_services

SIGN_UP = "/api/auth/admin-sign-up"
RESTORE = "/api/admin/database-backups/start-restore"
_FALSE = frozenset({"false", "0", "no", "off", "n", "disabled"})
_ROUTES = {
    "HTTPRoute": http_route,
    "IngressRoute": ingress_route,
    "Ingress": ingress,
    "HTTPProxy": http_proxy,
    "VirtualService": virtual_service,
}
_FRONT = (Role.SERVER, Role.NGINX)
_LAN = "lan"
_OPEN = {"LoadBalancer": "load balancer", "NodePort": "node port"}
_TASK = "setup"
"""The task that does what `immich:setup` says."""
_INSIDE = re.compile(
    r"internal|intranet|private|local|vpn|tail(?:scale|net)|(?:^|-)lan(?:-|$)", re.IGNORECASE
)
"""Names of gateways and of classes of an Ingress that are probably the local network's."""


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """A way in that anybody may come by."""

    resource: Registered
    path: str
    words: str
    passes: Passes

    def hands_on(self, uri: str) -> bool | None:
        """Whether it hands on a POST in some spelling that Express takes for this path."""
        return any_of(self.passes(spelt) for spelt in (uri, f"{uri.upper()}/"))


def ways(stack: Stack) -> list[Way]:
    """Every way in from the internet.

    A route is one unless the annotation `immich/door: lan` (for Docker the label `immich.door`) says that only the
    local network comes in by it.
    """
    record = next((one for one in stack.of_type(*RECORDS) if _is_public(one)), None)
    found = [*_tunnels(stack), *_of_cluster(stack), *_of_hosts(stack, record)]
    if record is not None and not found:
        found.append(Way(record, "", "a public DNS record", _whatever(stack)))
    return found


def _is_public(record: Registered) -> bool:
    target = (text(record.props, "content") or text(record.props, "value")).rstrip(".").lower()
    try:
        return flag(record.props, "proxied") or ipaddress.ip_address(target).is_global
    except ValueError:
        return False


def _whatever(stack: Stack) -> Passes:
    """Through what leads nobody knows where: an nginx of the stack, else Immich itself."""
    found = [by_container(stack, one, None) for one in having(stack, Role.NGINX)]
    return lambda uri: any_of(passes(uri) for passes in found) if found else True


def _tunnels(stack: Stack) -> Iterator[Way]:
    rules = stack.once(tunnel_rules)
    for index, one in enumerate(rules):
        if one.service.startswith(("http:", "https:")):
            before = [each for each in rules[:index] if each.resource is one.resource]
            leads = partial(_tunnel_passes, one, before, _by_url(stack, one.service))
            yield Way(one.resource, f"{one.path}.service", "a Cloudflare Tunnel", leads)
    if not rules:
        for connector in having(stack, Role.CLOUDFLARED):
            if not connector.init:
                yield Way(connector.resource, connector.path, "a Cloudflare Tunnel", _whatever(stack))


def _tunnel_passes(rule: TunnelRule, before: list[TunnelRule], leads: Passes, uri: str) -> bool | None:
    mine = text(rule.rule, "hostname")
    for one in (*before, rule):
        same = text(one.rule, "hostname") in {"", "*", mine}
        if same and _found(text(one.rule, "path"), uri):
            return leads(uri) if one is rule else False
    return False


def _found(path: str, uri: str) -> bool:
    try:
        return re.search(path, uri) is not None
    except (re.error, RecursionError, OverflowError):
        return False


def _by_url(stack: Stack, url: str) -> Passes:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    labels = host.split(".")
    for service in stack.of_kind("Service", group="core"):
        if object_name(service) == labels[0] and (len(labels) == 1 or namespace(service) == labels[1]):
            return by_service(stack, service, port or 80)
    found = [one for one in having(stack, *Role) if one.docker and host in docker_names(one)]
    return by_container(stack, found[0], port or 80) if found else _whatever(stack)


def _of_cluster(stack: Stack) -> Iterator[Way]:
    for kind, leads in _ROUTES.items():
        for one in stack.of_kind(kind):
            if _is_lan(one):
                continue
            passes = leads(stack, one)
            yield Way(
                one, "", f"the {kind} {one.name}", partial(_unless_inside, passes) if _inside(one) else passes
            )
    for service in namespace_services(stack, *_FRONT):
        kind = text(service.props, "spec", "type")
        if kind not in _OPEN or _is_lan(service):
            continue
        ranges = strings(service.props, "spec", "loadBalancerSourceRanges")
        if kind == "NodePort" or not ranges or open_to_all(ranges):
            yield Way(
                service, "spec.type", f"the {_OPEN[kind]} {service.name}", by_service(stack, service, None)
            )


def _inside(route: Registered) -> bool:
    names = [text(ref, "name") for _, ref in mappings(route.props, "spec", "parentRefs")]
    names = names or strings(route.props, "spec", "gateways")
    names = names or [text(route.props, "spec", "ingressClassName")]
    return all(_INSIDE.search(name) for name in names)


def _unless_inside(passes: Passes, uri: str) -> bool | None:
    """Who reaches a gateway that is called internal is not known."""
    return None if passes(uri) else False


def _of_hosts(stack: Stack, record: Registered | None) -> Iterator[Way]:
    for one in having(stack, *_FRONT):
        if not one.docker:
            yield from _of_nodes(stack, one)
            continue
        for index, port in mappings(one.props, "ports"):
            if _is_wide(text(port, "ip"), record):
                where = text(port, "ip") or "every address"
                words = f"the port {dig(port, 'external')} at {where} of the host"
                leads = by_container(stack, one, dig(port, "internal"))
                yield Way(one.resource, join("ports", index), words, leads)
        if flag(one.props, "publishAllPorts") or host_network(one):
            yield Way(one.resource, "", "ports of the host", by_container(stack, one, None))
        routed = by_labels(stack, one)
        if routed is not None and not _is_lan(one.resource):
            yield Way(one.resource, "labels", "a Traefik by labels", routed)


def _of_nodes(stack: Stack, one: Container) -> Iterator[Way]:
    for index, port in mappings(one.props, "ports"):
        if dig(port, "hostPort") and _is_wide(text(port, "hostIP"), None):
            words = f"the port {dig(port, 'hostPort')} of the nodes"
            leads = by_container(stack, one, dig(port, "containerPort"))
            yield Way(one.resource, one.at("ports", index), words, leads)
    if host_network(one):
        yield Way(
            one.resource, one.in_pod("hostNetwork"), "ports of the nodes", by_container(stack, one, None)
        )


def _is_wide(address: str, record: Registered | None) -> bool:
    """Whether a port of the host is reached from the internet: by any address, or by one that is public or named."""
    try:
        found = ipaddress.ip_address(address or "0.0.0.0")  # noqa: S104 - compared, not bound
    except ValueError:
        return False
    return found.is_unspecified or found.is_global or (record is not None and not found.is_loopback)


def _is_lan(one: Registered) -> bool:
    """Whether an annotation, or a label of Docker, says that only the local network comes in here."""
    return text(one.props, "metadata", "annotations", "immich/door") == _LAN or any(
        text(label, "label") == "immich.door" and text(label, "value") == _LAN
        for _, label in mappings(one.props, "labels")
    )


def _made_by_a_task(stack: Stack) -> bool:
    """Whether a task of the stack makes the first administrator, which this program's ways in wait for."""
    jobs = stack.of_kind("Job", group="batch")
    return any(
        text(one.props, "metadata", "labels", "app.kubernetes.io/component") == _TASK for one in jobs
    ) or any(
        (text(label, "label"), text(label, "value")) == ("immich.task", _TASK)
        for one in stack.of_type(DOCKER)
        for _, label in mappings(one.props, "labels")
    )


def _setup(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    servers = [] if _made_by_a_task(stack) else having(stack, Role.SERVER)
    found = [(way, way.hands_on(SIGN_UP)) for way in stack.once(ways)] if servers else []
    open_ways = [way.words for way, handed_on in found if handed_on]
    for one in servers:
        variable = one.variable("IMMICH_ALLOW_SETUP")
        path = variable[0] if variable else one.at("envs" if one.docker else "env")
        if variable and str(variable[1]).strip().lower() in _FALSE:
            continue
        if open_ways and variable and variable[1] is UNKNOWN:
            yield Unjudged(resource=one.resource, path=path)
        elif open_ways:
            yield Finding(
                resource=one.resource,
                path=path,
                message=f"{', '.join(dict.fromkeys(open_ways))}: anybody may come in, and the first visitor may make "
                "themselves the administrator",
                setting="refuse POST to /api/auth/admin-sign-up there, or make the first one on the LAN and set "
                "IMMICH_ALLOW_SETUP=false",
            )
        for way, handed_on in found:
            if handed_on is None:
                yield Unjudged(resource=way.resource, path=way.path)


def _restore(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for way in stack.once(ways) if having(stack, Role.SERVER) else ():
        handed_on = way.hands_on(RESTORE)
        if handed_on is None:
            yield Unjudged(resource=way.resource, path=way.path)
        elif handed_on:
            yield Finding(
                resource=way.resource,
                path=way.path,
                message=f"{way.words} hands on what begins a restore",
                setting="refuse POST to /api/admin/database-backups/"
                "start-restore and /api/admin/maintenance, in capital letters too, before the first start",
            )


RULES = (
    Rule(
        name="exposure-setup",
        family="exposure",
        severity=Severity.HIGH,
        title="Where anybody may come in, nobody makes themselves the first administrator.",
        why="Until there is one whoever comes first makes an administrator of themselves.",
        remediation="Have the administrator made before any way in opens (`immich:setup` does). Or refuse "
        "`POST /api/auth/admin-sign-up` at doors of the internet, in every spelling, or set IMMICH_ALLOW_SETUP to "
        "false. A door of the internet is a tunnel, a public record, a port at every address of a host, a load "
        "balancer that is open to most addresses, a node port, and every route; none is one with the annotation "
        "`immich/door: lan` (for Docker the label `immich.door`): who reaches a gateway no program sees.",
        judge=_setup,
    ),
    Rule(
        name="exposure-restore",
        family="exposure",
        severity=Severity.MEDIUM,
        level=Level.ADVISORY,
        title="Nobody from the internet begins a restore.",
        why="While there is no administrator, after a first start or with an empty database, anybody may restore a "
        "dump of their own, also with IMMICH_ALLOW_SETUP=false (Immich 2.5.0 to 3.0.3); its SQL runs in the database.",
        remediation="Refuse POST to `/api/admin/database-backups/start-restore` and below `/api/admin/maintenance` at "
        "doors of the internet. Express ignores case and a slash at the end, so the refusal must too.",
        judge=_restore,
    ),
)

"""Services that are open outside: whether who is behind them sees the addresses of clients, or those of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from immich_policy.config import Config, Network
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Registered,
    Rule,
    Severity,
    Stack,
    Unjudged,
    dig,
    mappings,
    text,
)
from immich_policy.proxies.lists import VARIABLE, lists
from immich_policy.reading.addresses import overlap
from immich_policy.reading.containers import Container
from immich_policy.reading.nginx_files import configurations, effective_all, location, ports_of
from immich_policy.reading.roles import Role
from immich_policy.reading.targets import numbered, selected
from immich_policy.reading.walk import namespace_services

_FRONT = (Role.SERVER, Role.NGINX, Role.TRAEFIK)


def _keeps(stack: Stack, config: Config) -> Iterable[Judgement]:
    for service in namespace_services(stack, *_FRONT):
        policy = dig(service.props, "spec", "externalTrafficPolicy")
        if text(service.props, "spec", "type") not in {"LoadBalancer", "NodePort"} or policy == "Local":
            continue
        if policy is UNKNOWN:
            yield Unjudged(resource=service, path="spec.externalTrafficPolicy")
            continue
        believed = next(iter(_believed(stack, service, config)), None)
        if believed is not None:
            yield Finding(
                resource=service,
                path="spec.externalTrafficPolicy",
                message=f"it is {policy or 'not set, which is Cluster'}: clients come with the address of a node, and "
                f"{believed}",
                setting="externalTrafficPolicy: Local",
            )


def _believed(stack: Stack, service: Registered, config: Config) -> Iterator[str]:
    """Whoever is behind a Service and believes addresses that a node may have, in words."""
    for _, port in mappings(service.props, "spec", "ports"):
        target = dig(port, "targetPort") if dig(port, "targetPort") is not None else dig(port, "port")
        for one in selected(stack, service):
            for reader, network in _trusted(stack, one, numbered(one, target)):
                if _may_be_nodes(network, config):
                    yield f"{reader} trusts {network}"
            if Role.SERVER in one.roles and one.variable(VARIABLE) is None and one.variables_known():
                yield f"Immich trusts every private one, since {VARIABLE} is not set"


def _trusted(stack: Stack, one: Container, port: int) -> Iterator[tuple[str, Network]]:
    if Role.NGINX in one.roles:
        yield from _by_nginx(stack, one, port)
        return
    for each in stack.once(lists):
        if each.container is one:
            yield from ((each.reader, network) for network in each.networks)


def _by_nginx(stack: Stack, one: Container, port: int) -> Iterator[tuple[str, Network]]:
    """What the servers of one port trust; where the address comes by the PROXY protocol, no header counts."""
    for configuration in stack.once(configurations):
        if configuration.container is not one:
            continue
        for server in configuration.servers:
            chain = location(server, "/")
            header = [each.value.lower() for each in effective_all(chain, "real_ip_header")]
            if port in ports_of(server) and header[-1:] != ["proxy_protocol"]:
                for each in stack.once(lists):
                    if each.entries and each.entries[0].path in {
                        found.path for found in effective_all(chain, "set_real_ip_from")
                    }:
                        yield from (("nginx", network) for network in each.networks)


def _may_be_nodes(network: Network, config: Config) -> bool:
    """Whether a trusted range may have pods or nodes in it: one address is somebody in particular."""
    if config.pod_ranges and overlap(network, config.pod_ranges):
        return True
    return network.num_addresses > 1 and not network.is_global


RULES = (
    Rule(
        name="proxies-node-address",
        family="proxies",
        severity=Severity.HIGH,
        title="Where pods or nodes are trusted, a Service that is open outside keeps the addresses of clients.",
        why="With externalTrafficPolicy Cluster, the default, a client comes with the address of a node: one that is "
        "trusted, so it chooses its own in a header.",
        remediation="Set externalTrafficPolicy to Local.",
        judge=_keeps,
    ),
)

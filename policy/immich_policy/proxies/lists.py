"""Whom Immich, nginx and Traefik believe when they are told who a client is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from immich_policy.model import UNKNOWN, Stack
from immich_policy.proxies.gateways import gateway_lists
from immich_policy.reading.addresses import Entry, TrustedList, split
from immich_policy.reading.nginx_files import Chain, Server, configurations, effective_all, uploads_through
from immich_policy.reading.parts import having
from immich_policy.reading.releases import releases
from immich_policy.reading.roles import Role
from immich_policy.reading.traefik import options, settings

VARIABLE: Final = "IMMICH_TRUSTED_PROXIES"


def lists(stack: Stack) -> list[TrustedList]:
    """Every list of trusted ranges in front of and in Immich."""
    return [*_immich(stack), *_releases(stack), *_nginx(stack), *_traefik(stack), *gateway_lists(stack)]


def _immich(stack: Stack) -> Iterator[TrustedList]:
    for one in having(stack, Role.SERVER):
        found = one.variable(VARIABLE)
        if found is not None:
            path, value = found
            setting = f"{VARIABLE}: the network of the proxy in front"
            known = isinstance(value, str)
            yield TrustedList("Immich", one.resource, path, split(value, path), setting, known, one)


def _releases(stack: Stack) -> Iterator[TrustedList]:
    for one in stack.once(releases):
        found = one.variable(VARIABLE)
        if found is not None:
            path, value = found
            known = isinstance(value, str) and "{{" not in value
            entries = split(value, path) if known else ()
            setting = f"{VARIABLE} among the values: the network of the proxy in front"
            yield TrustedList("Immich", one.resource, path, entries, setting, known)


def _nginx(stack: Stack) -> Iterator[TrustedList]:
    seen: set[int] = set()
    for server, chain in stack.once(nginx_hops):
        found = effective_all(chain, "set_real_ip_from")
        if found and id(found[0]) not in seen:
            seen.add(id(found[0]))
            entries = tuple(
                Entry(one.path, one.args[0])
                for one in found
                if one.args and not one.args[0].startswith("unix:")
            )
            setting = "set_real_ip_from: the network of whoever connects to nginx"
            first = found[0]
            yield TrustedList(
                "nginx", first.resource, first.path, entries, setting, container=server.container
            )


def nginx_hops(stack: Stack) -> list[tuple[Server, Chain]]:
    """Servers of nginx that lead to Immich."""
    return [hop for one in stack.once(configurations) for hop in uploads_through(stack, one)]


def _traefik(stack: Stack) -> Iterator[TrustedList]:
    for one in stack.once(settings):
        if one.name.endswith((".forwardedheaders.trustedips", ".proxyprotocol.trustedips")):
            setting = f"--{one.name}: the network of whoever connects to Traefik"
            entries, known = split(one.value, one.path), one.value is not UNKNOWN
            yield TrustedList("Traefik", one.resource, one.path, entries, setting, known, one.container)
    for option in stack.once(options):
        if option.kind == "plugin" and option.option.endswith(".forwardedheaderstrustedips"):
            setting = "forwardedHeadersTrustedIPs: the network of whoever connects to Traefik"
            entries, known = split(option.value, option.path), option.value is not UNKNOWN
            yield TrustedList("CrowdSec", option.resource, option.path, entries, setting, known)


def bypasses(stack: Stack) -> list[TrustedList]:
    """`clientTrustedIPs` of CrowdSec's bouncer: clients that are not checked at all."""
    return [
        TrustedList(
            "CrowdSec", one.resource, one.path, split(one.value, one.path), "clientTrustedIPs: leave it out"
        )
        for one in stack.once(options)
        if one.kind == "plugin" and one.option.endswith(".clienttrustedips")
    ]

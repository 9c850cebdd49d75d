"""Whom Immich, nginx and Traefik believe when they are told who a client is."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from immich_policy.config import Network
from immich_policy.model import UNKNOWN, Plain, Registered, Stack, strings
from immich_policy.reading.containers import Container
from immich_policy.reading.nginx_files import Chain, Server, configurations, effective_all, uploads_through
from immich_policy.reading.parts import having
from immich_policy.reading.roles import Role
from immich_policy.reading.traefik import options, settings

VARIABLE: Final = "IMMICH_TRUSTED_PROXIES"

CLOUDFLARE: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(each)
    for each in (
        "173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "141.101.64.0/18",
        "108.162.192.0/18", "190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22", "198.41.128.0/17",
        "162.158.0.0/15", "104.16.0.0/13", "104.24.0.0/14", "172.64.0.0/13", "131.0.72.0/22",
        "2400:cb00::/32", "2606:4700::/32", "2803:f800::/32", "2405:b500::/32", "2405:8100::/32", "2a06:98c0::/29",
        "2c0f:f248::/32",
    )
)  # fmt: skip
"""The 22 ranges that https://www.cloudflare.com/ips/ publishes, as of 2026-07-13."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One address range as it is written."""

    path: str
    written: str

    @property
    def network(self) -> Network | None:
        """The range, host bits cut off; None for a name and for what cannot be read."""
        try:
            return ipaddress.ip_network(self.written, strict=False)
        except ValueError:
            return None

    @property
    def exact(self) -> bool:
        """Whether it is written without host bits."""
        try:
            ipaddress.ip_network(self.written)
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True, eq=False)
class TrustedList:
    """Ranges that one reader trusts."""

    reader: str
    """`Immich`, `nginx`, `Traefik` or `CrowdSec`."""
    resource: Registered
    path: str
    entries: tuple[Entry, ...]
    setting: str
    known: bool = True
    container: Container | None = None

    @property
    def networks(self) -> list[Network]:
        """Ranges that can be read."""
        return [network for one in self.entries if (network := one.network) is not None]

    def covers(self, wanted: Network) -> bool:
        """Whether every address of a network is trusted, be it by several ranges together."""
        return inside(wanted, self.networks)


def inside(wanted: Network, ranges: Iterable[Network]) -> bool:
    """Whether a network lies within the union of ranges."""
    return any(_within(wanted, one) for one in collapsed(ranges))


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


def overlap(first: Network, ranges: Iterable[Network]) -> bool:
    """Whether a network has an address in common with one of the ranges."""
    return any(first.version == one.version and first.overlaps(one) for one in ranges)


def collapsed(ranges: Iterable[Network]) -> list[Network]:
    """The same addresses in as few ranges as possible."""
    listed = list(ranges)
    fours = [one for one in listed if isinstance(one, ipaddress.IPv4Network)]
    sixes = [one for one in listed if isinstance(one, ipaddress.IPv6Network)]
    return [*ipaddress.collapse_addresses(fours), *ipaddress.collapse_addresses(sixes)]


def lists(stack: Stack) -> list[TrustedList]:
    """Every list of trusted ranges in front of and in Immich."""
    return [*_immich(stack), *_nginx(stack), *_traefik(stack)]


def _split(value: Plain, path: str) -> tuple[Entry, ...]:
    parts = value.split(",") if isinstance(value, str) else strings({"it": value}, "it")
    return tuple(Entry(path, part.strip()) for part in parts if part.strip())


def _immich(stack: Stack) -> Iterator[TrustedList]:
    for one in having(stack, Role.SERVER):
        found = one.variable(VARIABLE)
        if found is not None:
            path, value = found
            setting = f"{VARIABLE}: the proxy's network (proxy.expose[].trustedSources, kubernetes.podCidrs)"
            known = isinstance(value, str)
            yield TrustedList("Immich", one.resource, path, _split(value, path), setting, known, one)


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
            setting = (
                "set_real_ip_from: the network of whoever connects to nginx (proxy.expose[].trustedSources)"
            )
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
            entries, known = _split(one.value, one.path), one.value is not UNKNOWN
            yield TrustedList(
                "Traefik", one.container.resource, one.path, entries, setting, known, one.container
            )
    for option in stack.once(options):
        if option.kind == "plugin" and option.option.endswith(".forwardedheaderstrustedips"):
            setting = "forwardedHeadersTrustedIPs: the network of whoever connects to Traefik"
            entries, known = _split(option.value, option.path), option.value is not UNKNOWN
            yield TrustedList("CrowdSec", option.resource, option.path, entries, setting, known)


def bypasses(stack: Stack) -> list[TrustedList]:
    """`clientTrustedIPs` of CrowdSec's bouncer: clients that are not checked at all."""
    return [
        TrustedList(
            "CrowdSec", one.resource, one.path, _split(one.value, one.path), "clientTrustedIPs: leave it out"
        )
        for one in stack.once(options)
        if one.kind == "plugin" and one.option.endswith(".clienttrustedips")
    ]

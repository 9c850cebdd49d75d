"""Ranges of addresses, and lists of those that a proxy or Immich believes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from immich_policy.config import Network
from immich_policy.model import Plain, Registered, strings
from immich_policy.reading.containers import Container

_MANY = {4: 2**30, 6: 2**124}
"""Addresses from which on a list of ranges is most of the internet, however it is cut."""
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
    """Who trusts them, in words: `Immich`, `nginx`, `Traefik`, `CrowdSec`, or a gateway."""
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


def split(value: Plain, path: str) -> tuple[Entry, ...]:
    """Ranges of a list, or of a text with commas."""
    parts = value.split(",") if isinstance(value, str) else strings({"it": value}, "it")
    return tuple(Entry(path, part.strip()) for part in parts if part.strip())


def open_to_all(ranges: Iterable[str]) -> bool:
    """Whether ranges let in most of the internet."""
    found = [network for network in map(subnet, ranges) if network is not None]
    return any(
        sum(one.num_addresses for one in collapsed(found) if one.version == version) >= many
        for version, many in _MANY.items()
    )


def subnet(written: str) -> Network | None:
    """A network as it is written, host bits cut off; None for what is none."""
    try:
        return ipaddress.ip_network(written, strict=False)
    except ValueError:
        return None

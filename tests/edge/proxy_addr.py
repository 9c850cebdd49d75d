"""The address of the client as Express computes it: npm proxy-addr 2.0 with forwarded 0.2, and Immich's use of them.

Immich: `app.set('trust proxy', ['loopback', ...IMMICH_TRUSTED_PROXIES])`, the variable split at commas
(app.common.ts, config.repository.ts).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

RANGES = {
    "linklocal": ("169.254.0.0/16", "fe80::/10"),
    "loopback": ("127.0.0.1/8", "::1/128"),
    "uniquelocal": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
}
"""proxy-addr's named ranges."""


def forwarded(socket_address: str, header: str | None) -> list[str]:
    """Addresses from the nearest to the farthest: the peer, then the header from its end (`forwarded`).

    Its parser skips spaces at both ends of an element; everything else is kept, and nothing is checked.
    """
    if not header:
        return [socket_address]
    return [socket_address, *(element.strip(" ") for element in reversed(header.split(",")))]


def compile_trust(values: Sequence[str]) -> Callable[[str], bool]:
    """`proxyaddr.compile`: whether an address is in one of the ranges. Raises `ValueError` as it throws TypeError."""
    networks: list[Network] = []
    for value in values:
        for one in RANGES.get(value, (value,)):
            network = ipaddress.ip_network(one, strict=False)
            if network.prefixlen == 0:
                raise ValueError(f"invalid range on address: {one}")
            networks.append(network)
    return lambda address: _trusted(address, networks)


def _trusted(text: str, networks: Sequence[Network]) -> bool:
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    for network in networks:
        if address.version == network.version:
            if address in network:
                return True
        elif mapped is not None:
            if mapped in network:
                return True
        elif isinstance(address, ipaddress.IPv4Address) and (
            ipaddress.IPv6Address(f"::ffff:{address}") in network
        ):
            return True
    return False


def client_address(socket_address: str, header: str | None, trust: Callable[[str], bool]) -> str:
    """`proxyaddr(req, trust)`: the nearest address that is not trusted, or the farthest of all."""
    addresses = forwarded(socket_address, header)
    for address in addresses[:-1]:
        if not trust(address):
            return address
    return addresses[-1]


def immich_logs(socket_address: str, header: str | None, trusted_proxies: str) -> str:
    """What `req.ip` is in Immich; `trusted_proxies` is the text of IMMICH_TRUSTED_PROXIES."""
    return client_address(socket_address, header, compile_trust(["loopback", *trusted_proxies.split(",")]))

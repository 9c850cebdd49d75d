"""DNS records of a zone at Cloudflare."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from components.fields.base import Section, TextValue, WholeNumber
from components.model.values import Hostname, IpAddress

TUNNEL_DOMAIN = "cfargotunnel.com"
"""A CNAME to `<tunnel>.cfargotunnel.com` leads into a tunnel, and only a proxied one does."""
AUTOMATIC = 1
"""The API's word for an automatic ttl."""


class DnsRecord(Section):
    """One DNS record that leads to Immich, proxied by Cloudflare's edge or DNS only."""

    name: Hostname
    """Full name, such as `photos.example.com`."""
    type: Literal["A", "AAAA", "CNAME"]
    """Kind of record."""
    content: TextValue
    """An IPv4 address (A), an IPv6 address (AAAA) or a name (CNAME)."""
    proxied: bool = False
    """Through Cloudflare's edge, with its limits; or the name leads straight to the address."""
    ttl: WholeNumber = AUTOMATIC
    """Seconds that resolvers may keep it, 60 to 86400; 1 is automatic, and the only value of a proxied record."""
    comment: str | None = Field(default=None, max_length=100)
    """Comment of the DNS record."""

    @property
    def leads_into_a_tunnel(self) -> bool:
        """Whether it is a CNAME to a tunnel."""
        return self.type == "CNAME" and self.content.endswith(f".{TUNNEL_DOMAIN}")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.proxied and self.ttl != AUTOMATIC:
            raise ValueError(
                f"ttl is {self.ttl}, but a proxied record has an automatic one: leave ttl out (or give 1); "
                "Cloudflare would refuse this only half-way through the update"
            )
        if self.ttl != AUTOMATIC and not 60 <= self.ttl <= 86400:
            raise ValueError(f"ttl must be 1 (automatic) or 60 to 86400 seconds, not {self.ttl}")
        if self.name.is_ip or "." not in self.name:
            raise ValueError("name must be the full name of a host, such as photos.example.com")
        if self.type == "CNAME":
            self._check_target()
        else:
            self._check_address()
        return self

    def _check_target(self) -> None:
        try:
            target = Hostname(self.content)
        except ValueError:
            raise ValueError("content of a CNAME must be a host name such as home.example.net") from None
        if target.is_ip:
            raise ValueError("content of a CNAME must be a name; an address needs type A or AAAA")
        if target == self.name:
            raise ValueError("a CNAME must not lead to itself")
        if self.leads_into_a_tunnel and not self.proxied:
            raise ValueError(f"a name that leads to {TUNNEL_DOMAIN} works only with proxied true")

    def _check_address(self) -> None:
        wanted = 4 if self.type == "A" else 6
        try:
            address = ipaddress.ip_address(IpAddress(self.content))
        except ValueError:
            raise ValueError(f"content of type {self.type} must be an IPv{wanted} address") from None
        if address.version != wanted:
            raise ValueError(f"content of type {self.type} must be an IPv{wanted} address")
        if address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local:
            raise ValueError("content is an address that no other machine can reach")
        if self.proxied and not address.is_global:
            raise ValueError("proxied is true, but Cloudflare's edge cannot reach a private address")


def conflicts(records: Sequence[DnsRecord]) -> Iterator[str]:
    """What DNS or Cloudflare does not allow side by side."""
    by_name: dict[str, list[DnsRecord]] = {}
    for one in records:
        by_name.setdefault(one.name, []).append(one)
    for name, same in by_name.items():
        if len(same) > 1 and any(one.type == "CNAME" for one in same):
            yield f"{name}: a name with a CNAME has no other record"
        elif len({one.proxied for one in same}) > 1:
            yield f"{name}: its records must be proxied all or not at all; Cloudflare proxies all when one is"
    counted = Counter((one.name, one.type, one.content) for one in records)
    for (name, kind, content), count in counted.items():
        if count > 1 and kind != "CNAME":
            yield f"{name}: {kind} {content} is given {count} times"

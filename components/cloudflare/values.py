"""Parsed texts that only Cloudflare has. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import ClassVar

from components.model.values import ParsedStr


class HexId(ParsedStr):
    """Identifier of an account or a zone: 32 hexadecimal digits, as the dashboard's overview page shows them."""

    __slots__ = ()
    accepted: ClassVar[str] = (
        "32 hexadecimal digits in lower case (in quotes), as the zone's overview page shows them"
    )

    @classmethod
    def check(cls, text: str) -> str:
        if re.fullmatch(r"[0-9a-f]{32}", text) is None:
            raise ValueError(f"expected {cls.accepted}")
        return text


class TunnelId(ParsedStr):
    """Identifier of a tunnel: a UUID."""

    __slots__ = ()
    accepted: ClassVar[str] = "a UUID in lower case such as 6ff42ae2-765d-4adf-8112-31c55c1551ef"

    @classmethod
    def check(cls, text: str) -> str:
        if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is None:
            raise ValueError(f"expected {cls.accepted}")
        return text


class Moment(ParsedStr):
    """A time in UTC, to the second (RFC 3339)."""

    __slots__ = ()
    accepted: ClassVar[str] = "a time in UTC (in quotes) such as 2027-01-31T00:00:00Z"

    @classmethod
    def check(cls, text: str) -> str:
        try:
            # fromisoformat alone takes many forms that the API does not.
            given = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"expected {cls.accepted}") from None
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", text, re.ASCII) is None:
            raise ValueError(f"expected {cls.accepted}")
        return given.strftime("%Y-%m-%dT%H:%M:%SZ")


class Validity(ParsedStr):
    """How long a service token works: whole hours, or `forever`."""

    __slots__ = ()
    accepted: ClassVar[str] = "whole hours such as 8760h (a year), or forever"

    @classmethod
    def check(cls, text: str) -> str:
        if text != "forever" and re.fullmatch(r"[1-9][0-9]{0,5}h", text, re.ASCII) is None:
            raise ValueError(f"expected {cls.accepted}")
        return text


def within(name: str, zone: str) -> bool:
    """Whether a host name is the zone's own or below it."""
    return name == zone or name.endswith(f".{zone}")


def depth(name: str, zone: str) -> int:
    """How many labels a name has below the zone."""
    return 0 if name == zone else name.removesuffix(f".{zone}").count(".") + 1

"""Small parsed value types shared by settings and workloads. Pure: no Pulumi, no I/O.

Each is a `str` that was checked once, so that it travels into manifests unchanged and yet can be compared and
computed with. A bad text raises `ValueError` with a sentence for people.
"""

from __future__ import annotations

import ipaddress
import re
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema


class ParsedStr(str):
    """A string with a grammar. Subclasses set `accepted` (shown in errors) and override `check`."""

    __slots__ = ()
    accepted: ClassVar[str] = "text"
    numbers: ClassVar[bool] = False
    """Whether YAML may give a number where the text is meant."""

    def __new__(cls, text: object) -> Self:
        if cls.numbers and isinstance(text, int | float) and not isinstance(text, bool):
            text = str(text)
        if not isinstance(text, str):
            raise ValueError(f"expected {cls.accepted}")
        return super().__new__(cls, cls.check(text.strip()))

    @classmethod
    def check(cls, text: str) -> str:
        """The text to keep; raises `ValueError` for what is not accepted."""
        return text

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, str]:
        return {"type": "string", "description": cls.accepted}


_SUFFIXES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
}
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?\Z")


class Quantity(ParsedStr):
    """A Kubernetes resource quantity: `500m` and `2` (cores), `512Mi` and `50Gi` (bytes)."""

    __slots__ = ()
    accepted: ClassVar[str] = "a quantity such as 500m, 2, 512Mi or 50Gi"
    numbers: ClassVar[bool] = True

    @classmethod
    def check(cls, text: str) -> str:
        match = _QUANTITY.match(text)
        if match is None or Decimal(match.group(1)) == 0:
            raise ValueError(f"expected {cls.accepted}, more than zero")
        return text

    @property
    def amount(self) -> Decimal:
        """The quantity in its base unit: cores or bytes."""
        match = _QUANTITY.match(self)
        if match is None:
            raise ValueError(f"expected {self.accepted}")
        return Decimal(match.group(1)) * _SUFFIXES[match.group(2) or ""]

    @classmethod
    def mebibytes(cls, amount: int) -> Quantity:
        """`amount` MiB as a quantity, in Gi where that is whole."""
        return cls(f"{amount // 1024}Gi" if amount % 1024 == 0 else f"{amount}Mi")


_DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,8})s)?\Z")


class Duration(ParsedStr):
    """A length of time in Go's syntax, whole seconds at the finest: `30s`, `15m`, `1h30m`."""

    __slots__ = ()
    accepted: ClassVar[str] = "a duration such as 30s, 15m or 1h30m"

    @classmethod
    def check(cls, text: str) -> str:
        if not text or _DURATION.match(text) is None:
            raise ValueError(f"expected {cls.accepted}")
        return text

    @property
    def seconds(self) -> int:
        """The duration in seconds."""
        match = _DURATION.match(self)
        if match is None:
            raise ValueError(f"expected {self.accepted}")
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds


_IMAGE = re.compile(
    r"(?P<name>[a-z0-9]+(?:[._-][a-z0-9]+)*(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)+)"
    r":(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127})"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?\Z"
)
FLOATING_TAGS = frozenset({"latest", "release", "main", "stable", "edge", "nightly", "v3", "v3-rc", "v2"})
"""Tags that name a different image tomorrow (docker.yml of immich-app/immich; registry custom)."""


class ImageRef(ParsedStr):
    """A container image with registry, repository and tag, pinned by digest: `ghcr.io/a/b:v1@sha256:...`."""

    __slots__ = ()
    accepted: ClassVar[str] = "registry/repository:tag, best with @sha256:<64 hex digits>"

    @classmethod
    def check(cls, text: str) -> str:
        match = _IMAGE.match(text)
        if match is None:
            raise ValueError(f"expected {cls.accepted}")
        if match["tag"] in FLOATING_TAGS:
            raise ValueError(f"the tag {match['tag']!r} names a different image tomorrow; give a version")
        return text

    @property
    def tag(self) -> str:
        """The tag, without the digest."""
        match = _IMAGE.match(self)
        return match["tag"] if match else ""

    @property
    def digest(self) -> str | None:
        """`sha256:...`, or None where only a tag is known."""
        match = _IMAGE.match(self)
        return match["digest"] if match else None


def _is_address(text: str) -> bool:
    """Whether this is an IP address; one with a scope (`fe80::1%eth0`) means something on one machine only."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)\Z")


class Hostname(ParsedStr):
    """A DNS name in lower case, no scheme, port, path or wildcard: `photos.example.com`. An IPv4 address is one too."""

    __slots__ = ()
    accepted: ClassVar[str] = "a host name in lower case such as photos.example.com (no scheme, port or path)"

    @classmethod
    def check(cls, text: str) -> str:
        labels = text.split(".")
        if len(text) > 253 or not all(_LABEL.match(label) for label in labels):
            raise ValueError(f"expected {cls.accepted}")
        # Browsers read a name whose last label is a number as an IPv4 address, and refuse it where it is none.
        if labels[-1].isdigit() and not _is_address(text):
            raise ValueError(f"expected {cls.accepted}; one that ends in a number must be an IPv4 address")
        return text

    @property
    def is_ip(self) -> bool:
        """Whether this is an address rather than a name."""
        return _is_address(self)


class ServerAddress(ParsedStr):
    """A host name or an IP address of another machine."""

    __slots__ = ()
    accepted: ClassVar[str] = "a host name or an IP address"

    @classmethod
    def check(cls, text: str) -> str:
        if _is_address(text):
            return str(ipaddress.ip_address(text))
        try:
            return str(Hostname(text))
        except ValueError:
            raise ValueError(f"expected {cls.accepted}") from None

    @property
    def is_ip(self) -> bool:
        """Whether this is an address rather than a name."""
        return _is_address(self)


class IpAddress(ParsedStr):
    """An IPv4 or IPv6 address."""

    __slots__ = ()
    accepted: ClassVar[str] = "an IP address such as 192.168.1.20"

    @classmethod
    def check(cls, text: str) -> str:
        if not _is_address(text):
            raise ValueError(f"expected {cls.accepted}")
        return str(ipaddress.ip_address(text))


class Cidr(ParsedStr):
    """An IP network without host bits: `10.42.0.0/16`, `fd00::/8`. A bare address is a network of one."""

    __slots__ = ()
    accepted: ClassVar[str] = "a network such as 10.42.0.0/16, its host bits zero"

    @classmethod
    def check(cls, text: str) -> str:
        try:
            network = ipaddress.ip_network(text, strict=False)
            address = ipaddress.ip_interface(text).ip
        except ValueError:
            raise ValueError(f"expected {cls.accepted}") from None
        if "%" in text:
            raise ValueError(f"expected {cls.accepted}, without the name of an interface")
        if address != network.network_address:
            raise ValueError(f"expected {cls.accepted}; the network of that address is {network}")
        if network.prefixlen == 0:
            raise ValueError("a prefix of 0 is every address there is; give the network that is meant")
        return str(network)


class AbsolutePath(ParsedStr):
    """An absolute POSIX path without `..`, not the root itself."""

    __slots__ = ()
    accepted: ClassVar[str] = "an absolute path such as /mnt/photos, without .. or trailing /"

    @classmethod
    def check(cls, text: str) -> str:
        parts = text.split("/")[1:]
        if (
            not text.startswith("/")
            or any(part in {"", ".", ".."} for part in parts)
            or not text.isprintable()
        ):
            raise ValueError(f"expected {cls.accepted}")
        return text


_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


class ObjectName(ParsedStr):
    """A Kubernetes object name that is a DNS label: lower case, digits, hyphens, at most 63."""

    __slots__ = ()
    accepted: ClassVar[str] = "a name of lower-case letters, digits and hyphens, at most 63"

    @classmethod
    def check(cls, text: str) -> str:
        if _NAME.match(text) is None:
            raise ValueError(f"expected {cls.accepted}")
        return text

"""Small parsed value types shared by settings and workloads. Pure: no Pulumi, no I/O.

Each is a `str` that was checked once, so that it travels into manifests unchanged and yet can be compared and
computed with. A bad text raises `ValueError` with a sentence for people.
"""

from __future__ import annotations

import ipaddress
import re
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema


class ValueRefused(ValueError):  # noqa: N818 - a ValueError for pydantic, with more to say
    """A text that is not accepted, and what was probably meant."""

    def __init__(self, reason: str, write: str | None = None) -> None:
        super().__init__(reason)
        self.hint = f"write {write}" if write is not None else None
        """What to do; None where nothing is probable."""


class ParsedStr(str):
    """A string with a grammar. Subclasses set `accepted` (shown in errors) and override `check`."""

    __slots__ = ()
    accepted: ClassVar[str] = "text"
    numbers: ClassVar[bool] = False
    """Whether YAML may give a number where the text is meant."""
    shape: ClassVar[str] = ""
    """A pattern for editors that every accepted text fits, as JSON Schema has it (ECMA 262); empty for any."""

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
    def __get_pydantic_json_schema__(cls, schema: object, handler: object) -> dict[str, object]:
        number = cls.numbers and (not cls.shape or re.match(cls.shape, "1") is not None)
        types = {"type": ["string", "number"] if number else "string"}
        return {**types, **({"pattern": cls.shape} if cls.shape else {}), "description": cls.accepted}


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
_DECIMAL_UNITS = ("m", "", "k", "M", "G", "T", "P")
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?\Z")


def _canonical(text: str) -> str:
    """The quantity as an API server writes it: `2Gi` for `2048Mi`, `500m` for `0.5` (apimachinery, resource.Quantity).

    What is finer than a thousandth, or no whole number of kibibytes, stays as it is.
    """
    number, suffix = text.rstrip("mkKMGTPi"), text.lstrip("0123456789.")
    base, units = (
        (1024, ("", "Ki", "Mi", "Gi", "Ti", "Pi")) if suffix.endswith("i") else (1000, _DECIMAL_UNITS)
    )
    amount = Fraction(number) * base ** units.index(suffix)
    power = 0
    while amount % base == 0 and power < len(units) - 1:
        amount, power = amount / base, power + 1
    exact = not amount % 1 and (base == 1000 or power) and amount < 10**15
    return f"{int(amount)}{units[power]}" if exact else text


class Quantity(ParsedStr):
    """A Kubernetes resource quantity, kept in canonical form: cores (`Cpu`) or bytes (`Bytes`)."""

    __slots__ = ()
    accepted: ClassVar[str] = "a quantity such as 500m, 2, 512Mi or 50Gi"
    shape: ClassVar[str] = r"^\s*[0-9.]+(m|[kMGTP]i?|Ki)?\s*$"
    numbers: ClassVar[bool] = True

    @classmethod
    def check(cls, text: str) -> str:
        match = _QUANTITY.match(text)
        if match is None or Decimal(match.group(1)) == 0:
            raise ValueError(f"expected {cls.accepted}, more than zero")
        return _canonical(text)

    @property
    def amount(self) -> Decimal:
        """The quantity in its base unit: cores or bytes."""
        match = _QUANTITY.match(self)
        if match is None:
            raise ValueError(f"expected {self.accepted}")
        return Decimal(match.group(1)) * _SUFFIXES[match.group(2) or ""]

    @classmethod
    def mebibytes(cls, amount: int) -> Self:
        """`amount` MiB as a quantity."""
        return cls(f"{amount}Mi")


_CORES = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,6})?m?\Z")


class Cpu(Quantity):
    """CPU time in cores: `500m` is half a core. From 10m, the least that Docker takes, to 512."""

    __slots__ = ()
    accepted: ClassVar[str] = "cores such as 500m or 2, at least 10m"
    shape: ClassVar[str] = r"^\s*[0-9.]+m?\s*$"
    least: ClassVar[Decimal] = Decimal("0.01")
    most: ClassVar[Decimal] = Decimal(512)

    @classmethod
    def check(cls, text: str) -> str:
        if _CORES.match(text) is None:
            raise ValueError(f"expected {cls.accepted}")
        amount = Decimal(text.removesuffix("m")) * (_SUFFIXES["m"] if text.endswith("m") else 1)
        if amount < cls.least:
            raise ValueRefused(f"expected {cls.accepted}", _cores_meant(text))
        if amount > cls.most:
            raise ValueRefused(
                f"expected {cls.accepted}, and at most {cls.most}", f"{text}m" if text.isdigit() else None
            )
        return _canonical(text)


def _cores_meant(text: str) -> str | None:
    """`4m`: whoever knows memory better writes it for four cores."""
    return text.removesuffix("m") if re.fullmatch(r"[1-9]m", text) else None


_SIZE_IN_OTHER_WORDS = re.compile(
    r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([kmgtp])i?(?:b|bytes?)?\Z", re.IGNORECASE | re.ASCII
)
_UNITS = "KMGTP"


class Bytes(Quantity):
    """A number of bytes with its unit: `512Mi` (1024 x 1024) or `500M` (1000 x 1000)."""

    __slots__ = ()
    accepted: ClassVar[str] = "a size with its unit such as 512Mi or 50Gi, at least 1k"
    shape: ClassVar[str] = r"^\s*[0-9.]+(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)\s*$"
    least: ClassVar[str] = "1k"

    @classmethod
    def check(cls, text: str) -> str:
        match = _QUANTITY.match(text)
        if match is None or match.group(2) in {None, "m"}:
            # Docker's and nginx's `m` is a million bytes, Kubernetes' a thousandth of one.
            raise ValueRefused(f"expected {cls.accepted}", cls._meant(text))
        if Decimal(match.group(1)) * _SUFFIXES[match.group(2)] < Quantity(cls.least).amount:
            raise ValueError(f"expected {cls.accepted}")
        return _canonical(text)

    @classmethod
    def _meant(cls, text: str) -> str | None:
        """What `512m`, `50 GB` or a number without a unit probably means."""
        if (match := _SIZE_IN_OTHER_WORDS.match(text)) is not None:
            meant = f"{match.group(1)}{match.group(2).upper()}i"
        elif re.fullmatch(r"[1-9][0-9]{0,14}", text):
            meant = cls._with_unit(int(text))
        else:
            return None
        try:
            cls(meant)
        except ValueError:
            return None
        return meant

    @classmethod
    def _with_unit(cls, number: int) -> str:
        """A few are gibibytes, thousands mebibytes, and what is longer is a count of bytes."""
        if number < 2**20:
            return f"{number}{'Gi' if number < 2**9 else 'Mi'}"
        return str(cls.of(number))

    @classmethod
    def of(cls, number: int) -> Self:
        """At most `number` bytes with a unit, in the largest in which it is whole; else in whole Ki. At least 1024."""
        for power in (5, 4, 3, 2, 1):
            for base, suffix in ((1024, f"{_UNITS[power - 1]}i"), (1000, "kMGTP"[power - 1])):
                if number % base**power == 0:
                    return cls(f"{number // base**power}{suffix}")
        return cls(f"{number // 1024}Ki")


class Memory(Bytes):
    """Memory of a container, at least 8Mi: below that no program here starts."""

    __slots__ = ()
    accepted: ClassVar[str] = "memory with its unit such as 512Mi or 4Gi, at least 8Mi"
    least: ClassVar[str] = "8Mi"


class VolumeSize(Bytes):
    """Size of a volume, at least 64Mi."""

    __slots__ = ()
    accepted: ClassVar[str] = "a size with its unit such as 50Gi or 2Ti, at least 64Mi"
    least: ClassVar[str] = "64Mi"


_DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,8})s)?\Z")


class Duration(ParsedStr):
    """A length of time in Go's syntax, whole seconds at the finest: `30s`, `15m`, `1h30m`."""

    __slots__ = ()
    accepted: ClassVar[str] = "a duration such as 30s, 15m or 1h30m"
    shape: ClassVar[str] = r"^\s*([0-9]+h)?([0-9]+m)?([0-9]+s)?\s*$"

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
    shape: ClassVar[str] = r"^\s*[a-z0-9._:/-]+/[a-z0-9._/-]+:[A-Za-z0-9._-]+(@sha256:[0-9a-f]{64})?\s*$"

    @classmethod
    def check(cls, text: str) -> str:
        match = _IMAGE.match(text)
        if match is None:
            name, at, digest = text.partition("@")
            if at and _IMAGE.match(name):
                digits = digest.removeprefix("sha256:")
                raise ValueError(f"expected {cls.accepted}; this digest has {len(digits)} digits")
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
    shape: ClassVar[str] = r"^\s*[a-z0-9.-]+\s*$"

    @classmethod
    def check(cls, text: str) -> str:
        labels = text.split(".")
        if len(text) > 253 or not all(_LABEL.match(label) for label in labels):
            raise ValueRefused(f"expected {cls.accepted}", cls._meant(text))
        # Browsers read a name whose last label is a number as an IPv4 address, and refuse it where it is none.
        if labels[-1].isdigit() and not _is_address(text):
            raise ValueError(f"expected {cls.accepted}; one that ends in a number must be an IPv4 address")
        return text

    @classmethod
    def _meant(cls, text: str) -> str | None:
        """The name in a web address, in capitals, in quotes, or with letters that DNS has in their xn-- form."""
        match = re.fullmatch(r"(?:https?://)?[\"']?([^\s/:\"'@*]+?)\.?[\"']?(?::[0-9]+)?/?", text.lower())
        try:
            name = match.group(1).encode("idna").decode("ascii") if match else ""
            return str(cls(name)) if name != text else None
        except ValueError:
            return None

    @property
    def is_ip(self) -> bool:
        """Whether this is an address rather than a name."""
        return _is_address(self)


class EmailAddress(ParsedStr):
    """An address of one person."""

    __slots__ = ()
    accepted: ClassVar[str] = "an email address such as ada@example.com"

    @classmethod
    def check(cls, text: str) -> str:
        name, at, domain = text.rpartition("@")
        if not at or re.fullmatch(r"[^\s@\x00-\x1f\x7f\"<>,;]{1,64}", name) is None or not name.isprintable():
            raise ValueError(f"expected {cls.accepted}")
        try:
            Hostname(domain)
        except ValueError:
            raise ValueError(f"expected {cls.accepted}, its domain in lower case") from None
        return text


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
    shape: ClassVar[str] = r"^\s*[0-9A-Fa-f.:]+\s*$"

    @classmethod
    def check(cls, text: str) -> str:
        if not _is_address(text):
            raise ValueError(f"expected {cls.accepted}")
        address = ipaddress.ip_address(text)
        if address.is_multicast or (address.is_reserved and address.version == 4):
            raise ValueError(f"expected {cls.accepted}, of one machine")
        return str(address)


_NETWORKS_OF_EXPRESS = {
    "loopback": "127.0.0.0/8 and ::1/128",
    "linklocal": "169.254.0.0/16 and fe80::/10",
    "uniquelocal": "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and fc00::/7, or better the one network of the proxy",
}
"""Words that Immich's own variable takes for networks."""


class Cidr(ParsedStr):
    """An IP network without host bits: `10.42.0.0/16`, `fd00::/8`. A bare address is a network of one."""

    __slots__ = ()
    accepted: ClassVar[str] = "a network such as 10.42.0.0/16, its host bits zero"
    shape: ClassVar[str] = r"^\s*[0-9A-Fa-f.:]+(/[0-9.]+)?\s*$"

    @classmethod
    def check(cls, text: str) -> str:
        try:
            network = ipaddress.ip_network(text, strict=False)
            address = ipaddress.ip_interface(text).ip
        except ValueError:
            raise ValueRefused(f"expected {cls.accepted}", _NETWORKS_OF_EXPRESS.get(text.lower())) from None
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
    shape: ClassVar[str] = r"^\s*/.*[^/\s]\s*$"

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
    shape: ClassVar[str] = r"^\s*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\s*$"

    @classmethod
    def check(cls, text: str) -> str:
        if _NAME.match(text) is None:
            raise ValueError(f"expected {cls.accepted}")
        return text


class ClaimName(ParsedStr):
    """A PersistentVolumeClaim of a cluster, or a volume of a Docker Engine or of Podman, which may have `_` as well."""

    __slots__ = ()
    accepted: ClassVar[str] = (
        "the name of a claim or a volume: letters, digits, `_`, `.` and `-`, at most 253, such as immich_photos"
    )
    shape: ClassVar[str] = r"^\s*[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}\s*$"

    @classmethod
    def check(cls, text: str) -> str:
        if re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}", text) is None:
            raise ValueError(f"expected {cls.accepted}")
        return text


_TIME_OF_GO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?) ([+-][0-9]{2})([0-9]{2}) \S+\Z"
)


def time_in_quotes(text: str) -> str | None:
    """The time that the Pulumi CLI made Go's text of, since it stood in YAML without quotes; None for other texts."""
    match = _TIME_OF_GO.match(text)
    if match is None:
        return None
    day, time, hours, minutes = match.groups()
    zone = "Z" if (hours, minutes) == ("+00", "00") else f"{hours}:{minutes}"
    return f'"{day}T{time}{zone}", with the quotes'

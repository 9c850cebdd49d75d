"""Checked value types of Immich's own configuration: URLs, times, schedules, bit rates.

They refuse what Immich would refuse at boot, where an invalid file keeps the server from starting
(system-config.dto.ts of Immich), and what it would take without a word and then not do.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from components.model.values import Hostname, ParsedStr

LARGEST = 2**31 - 1
"""The largest whole number taken anywhere; as milliseconds it is the longest timer Node.js has."""


Flag = Annotated[bool, Field(strict=True)]
"""true or false, not text."""
AtLeastZero = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]
"""A whole number, 0 or more."""
AtLeastOne = Annotated[int, Field(strict=True, ge=1, le=LARGEST)]
"""A whole number, 1 or more."""
Milliseconds = AtLeastOne
"""A length of time in milliseconds."""
Quality = Annotated[int, Field(strict=True, ge=1, le=100)]
"""Image quality in percent, 1 to 100."""
Score = Annotated[float, Field(strict=True, ge=0.1, le=1, allow_inf_nan=False)]
"""A confidence between 0.1 and 1."""
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")]
"""The name of a machine-learning model as Immich publishes it."""


def some(items: tuple[object, ...]) -> tuple[object, ...]:
    """The items of a list; raises `ValueError` where there are none."""
    if not items:
        raise ValueError("expected at least one item; leave the key out for the default")
    return items


def number_as_text(value: object) -> object:
    """A whole number as the text that Immich wants.

    YAML and `pulumi config set --path` make a number of what looks like one; Immich refuses a number here.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**30:
        return str(value)
    return value


IdentifierText = Annotated[str, BeforeValidator(number_as_text)]
"""Text that may consist of digits only, as some identity providers' client ids do."""

_TIME_OF_DAY = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]\Z")


class TimeOfDay(ParsedStr):
    """A time of day, `HH:MM` on a 24-hour clock, in the server's time zone."""

    __slots__ = ()
    accepted: ClassVar[str] = 'a time of day between "00:00" and "23:59", two digits each, in quotes'

    @classmethod
    def check(cls, text: str) -> str:
        if _TIME_OF_DAY.match(text) is None:
            raise ValueError(f"expected {cls.accepted}")
        return text


_MAIL_ADDRESS = re.compile(r"(?:[^<>@\r\n]*<[^\s@<>,;]+@[^\s@<>,;]+>|[^\s@<>,;]+@[^\s@<>,;]+)\Z")


class MailAddress(ParsedStr):
    """A mail address, bare or as `Name <address>`, or "" for none."""

    __slots__ = ()
    accepted: ClassVar[str] = 'a mail address such as Immich <immich@example.com>, or "" for none'

    @classmethod
    def check(cls, text: str) -> str:
        if text and _MAIL_ADDRESS.match(text) is None:
            raise ValueError(f"expected {cls.accepted}")
        return text


class MailHost(ParsedStr):
    """A host name or an IP address of a mail server, or "" for none."""

    __slots__ = ()
    accepted: ClassVar[str] = 'a host name such as smtp.example.com (no scheme, no port), or "" for none'

    @classmethod
    def check(cls, text: str) -> str:
        if not text:
            return text
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            if text.replace(".", "").isdigit():
                raise ValueError(f"expected {cls.accepted}") from None
        try:
            return str(Hostname(text))
        except ValueError:
            raise ValueError(f"expected {cls.accepted}") from None


_BIT_RATE = re.compile(r"[0-9]{1,9}[kKM]?\Z")


class BitRate(ParsedStr):
    """A bit rate in kbit/s (`4500`, `4500k`) or Mbit/s (`5M`); `0` for no limit."""

    __slots__ = ()
    accepted: ClassVar[str] = (
        'a whole number of kbit/s ("4500" or "4500k") or Mbit/s ("5M"), "0" for no limit'
    )

    @classmethod
    def check(cls, text: str) -> str:
        if _BIT_RATE.match(text) is None:
            # ffmpeg reads m as milli, and Immich cuts a fraction off.
            raise ValueError(f"expected {cls.accepted}")
        return text


MaxBitRate = Annotated[BitRate, BeforeValidator(number_as_text)]
"""A bit rate, also where YAML made a number of it."""

_RESOLUTION = re.compile(r"original\Z|[1-9][0-9]{1,4}\Z")


class VideoHeight(ParsedStr):
    """The shorter side of a video in pixels (`720`), or `original`."""

    __slots__ = ()
    accepted: ClassVar[str] = 'a number of pixels such as "480", "720", "1080", "1440", "2160", or "original"'

    @classmethod
    def check(cls, text: str) -> str:
        if _RESOLUTION.match(text) is None:
            raise ValueError(f"expected {cls.accepted}")
        return text


TargetResolution = Annotated[VideoHeight, BeforeValidator(number_as_text)]
"""A video height, also where YAML made a number of it."""

_DRI_DEVICE = re.compile(r"auto\Z|(?:renderD|card)[0-9]{1,3}\Z")


class HardwareDevice(ParsedStr):
    """`auto`, or the name of a device in /dev/dri."""

    __slots__ = ()
    accepted: ClassVar[str] = (
        "auto, or a name in /dev/dri such as renderD128 (the name alone, without /dev/dri/)"
    )

    @classmethod
    def check(cls, text: str) -> str:
        if _DRI_DEVICE.match(text) is None:
            raise ValueError(f"expected {cls.accepted}")
        return text

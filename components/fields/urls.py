"""URLs as Immich takes them: what it would refuse, and what it would take without a word and then not do."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from components.model.values import ParsedStr

LARGEST_PORT = 65535
"""The largest TCP port."""

_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?P<port>:[0-9]{1,5})?\Z")
_CREDENTIALS = re.compile(r"://[^/?#]*@")
_NOT_IN_A_URL = re.compile(r"[\s\x00-\x1f\x7f<>\"{}|\\^`]|[^\x00-\x7f]")


def _hide_credentials(value: object) -> object:
    """The value without what stands before the @ of a URL: a refusal must not repeat a password."""
    return _CREDENTIALS.sub("://(hidden)@", value) if isinstance(value, str) else value


class HttpUrl(ParsedStr):
    """An http or https URL without user name and password."""

    __slots__ = ()
    accepted: ClassVar[str] = "a URL such as https://host.example.com/path"
    shape: ClassVar[str] = r"^(\s*[Hh][Tt][Tt][Pp][Ss]?://[^\s@]+\s*)?$"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        plain = core_schema.no_info_plain_validator_function(
            cls, serialization=core_schema.to_string_ser_schema()
        )
        return core_schema.no_info_before_validator_function(_hide_credentials, plain)

    @classmethod
    def check(cls, text: str) -> str:
        if _CREDENTIALS.search(text):
            raise ValueError(
                "a URL with user name or password is not accepted here: leave out what is before the @"
            )
        if _NOT_IN_A_URL.search(text):
            raise ValueError(
                f"expected {cls.accepted}, without spaces; international names in their xn-- form"
            )
        try:
            parts = urlsplit(text)
        except ValueError:
            raise ValueError(f"expected {cls.accepted}") from None
        authority = _AUTHORITY.match(parts.netloc)
        if parts.scheme not in {"http", "https"} or authority is None:
            raise ValueError(f"expected {cls.accepted}")
        if authority["port"] and not 1 <= int(authority["port"][1:]) <= LARGEST_PORT:
            raise ValueError("the port of a URL is between 1 and 65535")
        if not _is_host(authority["host"]):
            raise ValueError(f"{authority['host']} is neither a host name nor an IP address")
        return text

    @property
    def is_plain_http(self) -> bool:
        """Whether what is sent to this URL can be read on the way."""
        return self[:5].lower() == "http:"


def _is_host(host: str) -> bool:
    """Whether a URL parser takes this: a name, or an address whole (what ends in a number must be IPv4)."""
    bare = host[1:-1] if host.startswith("[") else host
    labels = bare.removesuffix(".").split(".")
    if host.startswith("[") or labels[-1].isdigit():
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            return False
        return True
    return all(0 < len(label) <= 63 for label in labels) and len(bare) <= 253


class BaseUrl(HttpUrl):
    """An http or https URL to which paths are appended: no `?query`, no `#fragment`."""

    __slots__ = ()
    accepted: ClassVar[str] = "a URL such as https://host.example.com, without ? and #"

    @classmethod
    def check(cls, text: str) -> str:
        if "?" in text or "#" in text:
            raise ValueError(f"expected {cls.accepted}")
        return super().check(text)


class OptionalUrl(HttpUrl):
    """An http or https URL, or "" for none."""

    __slots__ = ()
    accepted: ClassVar[str] = 'a URL such as https://host.example.com/path, or "" for none'

    @classmethod
    def check(cls, text: str) -> str:
        return super().check(text) if text else text


class OptionalBaseUrl(BaseUrl):
    """An http or https URL without query, or "" for none."""

    __slots__ = ()
    accepted: ClassVar[str] = 'a URL such as https://host.example.com, without ? and #, or "" for none'

    @classmethod
    def check(cls, text: str) -> str:
        return super().check(text) if text else text


class Origin(OptionalBaseUrl):
    """Scheme, host and port of a URL, or "" for none. One trailing / is dropped."""

    __slots__ = ()
    accepted: ClassVar[str] = 'an origin such as https://photos.example.com, or "" for none'

    @classmethod
    def check(cls, text: str) -> str:
        origin = super().check(text.removesuffix("/"))
        parts = urlsplit(origin)
        if parts.path:
            raise ValueError(
                f"Immich drops the path {parts.path} and links would not work under it: "
                f"give the origin {parts.scheme}://{parts.netloc}"
            )
        return origin

"""Ingress rules of a tunnel, judged as cloudflared judges them before it starts. Pure.

Follows `validateIngress` and `validateHostname` of cloudflared 2026.8.2 (ingress/ingress.go). Where Go's and Python's
grammars differ (regular expressions, URLs), what is accepted here is accepted there, never the other way round.
"""

from __future__ import annotations

import ipaddress
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NOT_FOUND = "http_status:404"
"""What the last rule answers to names that no rule has."""
OTHER_SERVICES = frozenset({"hello_world", "hello-world", "bastion", "socks-proxy"})
"""Services of cloudflared itself."""
WEB_SCHEMES = frozenset({"http", "https"})
"""What this program lets through a tunnel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IngressRule:
    """One rule: requests for a host name and path go to a service; the first that matches wins."""

    service: str
    """`http://name:port`, or `http_status:<number>`."""
    hostname: str = ""
    """Exact, or `*.` in front; empty and `*` match every name."""
    path: str = ""
    """Regular expression, found anywhere in the path; empty matches every path."""

    @property
    def matches_everything(self) -> bool:
        """Whether no later rule can match."""
        return self.hostname in {"", "*"} and not self.path

    def matches(self, hostname: str, path: str) -> bool:
        """Whether a request meets this rule."""
        return _host_matches(self.hostname, hostname) and (
            not self.path or re.search(self.path, path, re.ASCII) is not None
        )


def _host_matches(pattern: str, host: str) -> bool:
    if pattern in {"", "*"} or pattern == host:
        return True
    return pattern.startswith("*.") and host.endswith(pattern[1:])


def refused_by_cloudflared(rules: Sequence[IngressRule]) -> Iterator[str]:
    """Why cloudflared would not run with these rules; nothing when it would. Each reason begins with the rule."""
    if not rules:
        yield "there are no rules; the last must answer whatever no other rule has"
    for index, rule in enumerate(rules):
        for reason in (*_service(rule.service), *_hostname(rule, last=index == len(rules) - 1)):
            yield f"rule {index + 1}: {_printable(reason)}"
        reason = bad_path(rule.path)
        if reason is not None:
            yield f"rule {index + 1}: {reason}"


def dangerous(rules: Sequence[IngressRule]) -> Iterator[str]:
    """What cloudflared would do, and this program does not: open more than web pages to the internet."""
    for index, rule in enumerate(rules):
        service = rule.service
        if service in OTHER_SERVICES:
            reason = {
                "bastion": "leads wherever the client asks, into the whole cluster",
                "socks-proxy": "leads wherever the client asks, into the whole cluster",
            }.get(service, "is a page of cloudflared for trying out")
            yield f"rule {index + 1}: the service {service} {reason}"
        elif service.startswith(("unix:", "unix+tls:")):
            yield f"rule {index + 1}: {_printable(service)} is a socket, which the connector's container does not have"
        elif not service.startswith("http_status:") and _scheme(service) not in WEB_SCHEMES:
            yield (
                f"rule {index + 1}: {_printable(service)} opens a port that is no web page to the internet; "
                "only http and https go through this tunnel"
            )


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _scheme(service: str) -> str:
    return service.partition("://")[0].lower()


def _hostname(rule: IngressRule, *, last: bool) -> Iterator[str]:
    name = rule.hostname
    if _has_port(name):
        yield f"the host name {name} must not have a port"
    if name.rfind("*") > 0:
        yield f"the host name {name} may have one *, and only in front, as in *.example.com"
    if last and not rule.matches_everything:
        yield "the last rule must match everything: no host name and no path"
    if not last and rule.matches_everything:
        yield "matches everything, so the rules after it are never reached"


def _has_port(name: str) -> bool:
    """Whether Go's net.SplitHostPort takes the name apart into a host and a port."""
    colon = name.rfind(":")
    if colon < 0:
        return False
    if not name.startswith("["):
        return ":" not in name[:colon] and not set(name) & set("[]")
    end = name.find("]")
    return end > 0 and end + 1 == colon and "[" not in name[1:] and "]" not in name[end + 1 :]


def _service(service: str) -> Iterator[str]:
    if service in OTHER_SERVICES or service.startswith(("unix:", "unix+tls:")):
        return
    if service.startswith("http_status:"):
        number = service.removeprefix("http_status:")
        if re.fullmatch(r"[+-]?[0-9]+", number, re.ASCII) is None or not 100 <= int(number) <= 999:
            yield f"{service}: the status must be a number from 100 to 999"
        return
    yield from _url(service)


_URL = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::(?P<port>[0-9]{0,5}))?(?P<rest>.*)\Z",
    re.DOTALL | re.ASCII,
)
_LAST_PORT = 65535


def _url(service: str) -> Iterator[str]:
    match = _URL.match(service)
    if match is None:
        yield f"{service or 'no service'} is no address: it needs a scheme and a host, such as http://name:8080"
        return
    host = match["host"]
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            yield f"{service}: {host} is no IPv6 address"
    if int(match["port"] or 0) > _LAST_PORT:
        yield f"{service}: {match['port']} is no port"
    if match["rest"]:
        yield f"{service} must end after the port: the path is always the request's, not even a / may follow"


_NOT_IN_GO = re.compile(
    r"""
      \(\?(?!:|P<[A-Za-z_]\w*>|[ims]+[:)])   # look-around, conditions, references, comments
    | \\[0-9AZzpPuUNxQECkKgGhHRX]             # escapes of one language, or of different meaning
    | [*+?}]\+                               # possessive
    | \{,                                    # up to, in Python; itself, in Go
    """,
    re.VERBOSE | re.ASCII,
)
_LONGEST = 256
_MOST_REPEATS = 1000


def bad_path(path: str) -> str | None:
    """Why a path is no regular expression that Go (RE2) and Python read in the same way, or None.

    Stricter than Go in details that no path needs.
    """
    if len(path) > _LONGEST or not path.isascii() or not path.isprintable():
        return f"the path must be printable ASCII, at most {_LONGEST} characters"
    found = _NOT_IN_GO.search(path)
    if found is not None:
        return f"the path {path} has {found.group()}, which cloudflared does not know or reads differently"
    # Inside brackets it is a character for one of them and a mistake for the other.
    if "[" in path and re.search(r"\\[bB]", path):
        return f"the path {path} has a word boundary beside a class, which is read differently"
    repeats = math.prod(max(1, int(number)) for number in re.findall(r"[{,]([0-9]+)(?=[,}])", path))
    if repeats > _MOST_REPEATS:
        return f"the path {path} repeats more than {_MOST_REPEATS} times"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            re.compile(path, re.ASCII)
    except (re.error, OverflowError, RecursionError, FutureWarning) as error:
        return f"the path {path} is no regular expression: {error}"
    return None

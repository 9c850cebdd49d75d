"""HTTP as a client of a door sees it: connections that can be led elsewhere, TLS with and without trust, uploads."""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

SECONDS: Final = 10.0
"""Longest wait for a connection or an answer."""
_LONGEST: Final = 1 << 20
"""Bytes of an answer that are read."""
_EARLY: Final = 2.0
"""Seconds that an answer may be behind a body that the other side did not want."""


class WireError(Exception):
    """No answer; the text says what happened, for a person."""


class Untrusted(WireError):  # noqa: N818  it reads as what it says
    """The certificate is not valid for the name; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """By name in small letters; the last of several."""
    body: bytes
    local: str
    """Our own address on this connection."""
    remote: str
    """The address that was connected to."""
    sent: int = 0
    """Bytes of the body that went out before the answer."""

    @property
    def text(self) -> str:
        """The body's beginning, for people."""
        return self.body[:200].decode(errors="replace").strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """Where a door is."""

    url: str
    address: str | None = None
    """Connect there instead of asking DNS."""
    pinned: bool = False
    """It has a self-signed certificate: whichever it shows is trusted when `trust` is asked for."""


@dataclass(frozen=True, kw_only=True)
class Wire:
    """How connections are made."""

    connect: Mapping[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    """`host:port` of an address -> where to connect instead."""
    seconds: float = SECONDS

    def dial(self, site: Site) -> socket.socket:
        """A TCP connection. `WireError` when nobody is there."""
        host, port = place(site.url)
        where = self.connect.get(f"{host}:{port}", (site.address or host, port))
        shown = f"{where[0]}:{where[1]}"
        try:
            return socket.create_connection(where, timeout=self.seconds)
        except socket.gaierror:
            raise WireError(f"the name {where[0]} does not resolve here") from None
        except TimeoutError:
            raise WireError(f"nobody answers at {shown} within {self.seconds:.0f} s") from None
        except OSError as error:
            raise WireError(f"no connection to {shown}: {(error.strerror or str(error)).lower()}") from None

    def shake(self, site: Site, context: ssl.SSLContext) -> ssl.SSLSocket:
        """A TLS connection. `Untrusted` when the context refuses the certificate, `WireError` when there is no TLS."""
        opened = self.dial(site)
        try:
            return context.wrap_socket(opened, server_hostname=place(site.url)[0])
        except ssl.SSLCertVerificationError as error:
            opened.close()
            raise Untrusted(error.verify_message or str(error)) from None
        except (OSError, ValueError) as error:
            opened.close()
            reason = getattr(error, "reason", None) or str(error)
            raise WireError(f"no TLS there: {str(reason).replace('_', ' ').lower()}") from None

    def request(
        self,
        site: Site,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        trust: bool = False,
        seconds: float | None = None,
    ) -> Answer:
        """One request on a connection of its own. With `trust` the certificate must be valid."""
        content = iter([body]) if body else iter(())
        length = len(body) if body is not None else None
        return self.send(
            site, path, method=method, headers=headers or {}, body=content, length=length, trust=trust,
            seconds=seconds,
        )  # fmt: skip

    def send(
        self,
        site: Site,
        path: str,
        *,
        method: str,
        headers: Mapping[str, str],
        body: Iterator[bytes],
        length: int | None,
        trust: bool,
        seconds: float | None = None,
        until: float | None = None,
    ) -> Answer:
        """The same with a body that is made on the way; an answer that comes earlier ends it.

        `until` is the time (monotonic) at which sending is given up: `TimeoutError`, with the bytes sent so far.
        """
        opened = self._open(site, trust=trust)
        host, port = place(site.url)
        connection = http.client.HTTPConnection(host, port)
        connection.sock = opened
        try:
            local, remote = str(opened.getsockname()[0]), str(opened.getpeername()[0])
            opened.settimeout(seconds or self.seconds)
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            usual = port == (443 if site.url.startswith("https://") else 80)
            sent_headers = {
                "Host": host if usual else f"{host}:{port}",
                "User-Agent": "immich-verify",
                **headers,
            }
            if length is not None:
                sent_headers["Content-Length"] = str(length)
            for name, value in sent_headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            sent = _stream(connection, opened, body, until)
            answer = connection.getresponse()
            found = answer.read(_LONGEST) if answer.status != 101 else b""
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(
                status=answer.status, headers=told, body=found, local=local, remote=remote, sent=sent
            )
        except SendingTimeout:
            raise
        except TimeoutError:
            raise WireError(f"no answer within {seconds or self.seconds:.0f} s") from None
        except (OSError, http.client.HTTPException) as error:
            said = (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
            raise WireError(f"the connection ended without an answer: {said}") from None
        finally:
            connection.close()
            opened.close()

    def _open(self, site: Site, *, trust: bool) -> socket.socket:
        if not site.url.startswith("https://"):
            return self.dial(site)
        if not trust:
            return self.shake(site, unverified())
        return self.shake(site, pinned(self.shown(site)) if site.pinned else ssl.create_default_context())

    def shown(self, site: Site) -> bytes:
        """The certificate that is shown, DER."""
        with self.shake(site, unverified()) as made:
            found = made.getpeercert(binary_form=True)
        if found is None:
            raise WireError("no certificate is shown")
        return found


class SendingTimeout(Exception):  # noqa: N818  as TimeoutError
    """Sending was given up after `sent` bytes."""

    def __init__(self, sent: int) -> None:
        super().__init__(f"{sent} bytes were sent")
        self.sent = sent


def _stream(
    connection: http.client.HTTPConnection, opened: socket.socket, body: Iterator[bytes], until: float | None
) -> int:
    sent = 0
    for piece in body:
        if _readable(opened, 0):
            return sent
        if until is not None and time.monotonic() > until:
            raise SendingTimeout(sent)
        try:
            connection.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            # Who wants no more of it may have answered before closing.
            if _readable(opened, _EARLY):
                return sent
            raise
        sent += len(piece)
    return sent


def _readable(opened: socket.socket, seconds: float) -> bool:
    if isinstance(opened, ssl.SSLSocket) and opened.pending():
        return True
    return bool(select.select([opened], [], [], seconds)[0])


def place(url: str) -> tuple[str, int]:
    """Host and port of an address."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def unverified() -> ssl.SSLContext:
    """TLS with whoever it is: for questions that hold no secret."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def pinned(certificate: bytes, *, name: bool = True) -> ssl.SSLContext:
    """TLS that trusts this one certificate (DER), for the names in it; for any name without `name`."""
    context = ssl.create_default_context(cadata=certificate)
    # A certificate that was seen may be trusted although it is not one of an authority.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = name
    return context

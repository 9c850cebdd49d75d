"""HTTP as a client of a door sees it: connections that can be led elsewhere, TLS with and without trust, uploads."""

from __future__ import annotations

import http.client
import io
import select
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast
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
        line = _Line(opened)
        # It has the methods of a socket that the connection uses.
        connection.sock = cast("socket.socket", line)
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
            sent = _stream(connection, line, body, until)
            answer = connection.getresponse()
            found = answer.read(_LONGEST) if answer.status != 101 else b""
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(
                status=answer.status, headers=told, body=found, local=local, remote=remote, sent=sent
            )
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


class _Line:
    """A socket on which one can see whether an answer has begun, which TLS hides: its own messages come as well."""

    def __init__(self, opened: socket.socket) -> None:
        self.opened = opened
        self._read = b""
        self._ended = False

    def sendall(self, content: bytes) -> None:
        self.opened.sendall(content)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Rest(self._read, self.opened))

    def close(self) -> None:
        self.opened.close()

    def answered(self, seconds: float = 0) -> bool:
        """Whether there is something of an answer, or its end, within so many seconds."""
        deadline = time.monotonic() + seconds
        while not self._read and not self._ended:
            self._look()
            left = deadline - time.monotonic()
            if self._read or self._ended or left <= 0:
                break
            select.select([self.opened], [], [], left)
        return bool(self._read) or self._ended

    def _look(self) -> None:
        usual = self.opened.gettimeout()
        self.opened.settimeout(0)
        try:
            self._read = self.opened.recv(1 << 16)
            self._ended = not self._read
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            self._ended = True
        finally:
            self.opened.settimeout(usual)


class _Rest(io.RawIOBase):
    """What was read already, then the socket."""

    def __init__(self, first: bytes, opened: socket.socket) -> None:
        self._first, self._opened = first, opened

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  any writable buffer, as the base class has it
        view = memoryview(buffer)
        if self._first:
            count = min(len(view), len(self._first))
            view[:count], self._first = self._first[:count], self._first[count:]
            return count
        return self._opened.recv_into(view)


def _stream(
    connection: http.client.HTTPConnection, line: _Line, body: Iterator[bytes], until: float | None
) -> int:
    sent = 0
    for piece in body:
        if line.answered():
            return sent
        if until is not None and time.monotonic() > until:
            raise SendingTimeout(sent)
        try:
            connection.send(piece)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            # Who wants no more of it may have answered before closing.
            if line.answered(_EARLY):
                return sent
            raise
        sent += len(piece)
    return sent


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

"""The connection to the engine: its HTTP API as plain JSON, and failures as sentences.

The `docker` package supplies the transports (unix sockets, TLS, ssh) and the version that both sides know. The
bodies are built here, because its own builders refuse or complete them differently from the official plugin.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import quote

from toolchain.offline.plugins.docker.settings import Settings
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, Value, as_object, as_text, plain

if TYPE_CHECKING:
    from docker import APIClient
    from docker.context import Context
    from requests import Response

    from toolchain.offline.plugins.docker.ssh import Tunnel

_ANSWER_SECONDS: Final = 60.0
"""Longest wait for an ordinary answer."""
_CONNECT_SECONDS: Final = 20.0
LONG_SECONDS: Final = 1200.0
"""Longest time for a create, stop or pull: the official plugin's own."""

_NEWEST: Final = (1, 51)
_OLDEST: Final = "1.41"  # Docker 20.10 and Podman 4

Answer = TypeVar("Answer")


class UnreachableError(ProviderError):
    """No engine answers at the address."""


class RefusedError(ProviderError):
    """The engine answered with an error; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class CancelledError(ProviderError):
    """The user interrupted a wait."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} was interrupted")


class Engine:
    """One engine. Methods may be called from several threads at once."""

    def __init__(self, settings: Settings, cancelled: threading.Event) -> None:
        self.cancelled = cancelled
        self.address = f"the Docker context {settings.context}" if settings.context else settings.host
        self._settings = settings
        self._scratch: Path | None = None
        self._tunnel: Tunnel | None = None
        self._client = self._connect()
        self._version: tuple[int, int] = (0, 0)
        self._version = self._negotiated()

    # -- requests

    def get(self, path: str, **query: object) -> Value:
        """The decoded answer of a GET."""
        return self._decoded(self._request("GET", path, query))

    def post(
        self, path: str, body: Object | None = None, *, seconds: float = _ANSWER_SECONDS, **query: object
    ) -> Value:
        """The decoded answer of a POST. One that may take long is given up at once when the user interrupts."""
        if seconds <= _ANSWER_SECONDS:
            return self._decoded(self._request("POST", path, query, body=body))
        return self.interruptible(
            f"POST {path}",
            lambda: self._decoded(self._request("POST", path, query, body=body, seconds=seconds)),
        )

    def delete(self, path: str, **query: object) -> Value:
        """The decoded answer of a DELETE."""
        return self.interruptible(
            f"DELETE {path}",
            lambda: self._decoded(self._request("DELETE", path, query, seconds=LONG_SECONDS)),
        )

    def put_archive(self, identifier: str, archive: bytes) -> None:
        """Unpack a tar archive at the root of a container."""
        self._request(
            "PUT", f"/containers/{identifier}/archive", {"path": "/"}, data=archive, seconds=LONG_SECONDS
        )

    def stream(self, path: str, headers: Mapping[str, str], **query: object) -> list[Object]:
        """A POST that answers with one JSON object a line, read to its end."""

        def read() -> list[Object]:
            answer = self._request("POST", path, query, headers=headers, stream=True, seconds=LONG_SECONDS)
            return [as_object(plain(json.loads(line))) for line in answer.iter_lines() if line]

        return self.interruptible(f"POST {path}", read)

    def raw(self, path: str, **query: object) -> bytes:
        """The undecoded answer of a GET."""
        return self._request("GET", path, query, seconds=LONG_SECONDS).content

    def found(self, path: str, **query: object) -> Object | None:
        """The decoded answer of a GET, None when there is no such object."""
        try:
            return as_object(self.get(path, **query))
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    def knows(self, major: int, minor: int) -> bool:
        """Whether the version of the API that is spoken is at least this one."""
        return self._version >= (major, minor)

    def pause(self, seconds: float, what: str) -> None:
        """Wait. CancelledError as soon as the user interrupts."""
        if self.cancelled.wait(seconds):
            raise CancelledError(what)

    def interruptible(self, what: str, work: Callable[[], Answer]) -> Answer:
        """The result of `work`, or CancelledError as soon as the user interrupts; `work` is then left to itself."""
        results: list[Answer] = []
        errors: list[Exception] = []
        done = threading.Event()

        def run() -> None:
            try:
                results.append(work())
            except Exception as error:  # noqa: BLE001 - it is raised again in the thread that waits
                errors.append(error)
            done.set()

        threading.Thread(target=run, daemon=True).start()
        while not done.wait(0.05):
            if self.cancelled.is_set():
                raise CancelledError(what)
        if errors:
            raise errors[0]
        return results[0]

    # -- the connection

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, object],
        *,
        body: Object | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        seconds: float = _ANSWER_SECONDS,
    ) -> Response:
        from requests import RequestException

        try:
            answer = self._client.request(
                method,
                f"{self._client.base_url}{self._prefix()}{path}",
                params={key: _query_value(value) for key, value in query.items() if value is not None},
                data=data if body is None else json.dumps(body).encode(),
                headers={**(headers or {}), **({} if body is None else {"Content-Type": "application/json"})},
                stream=stream,
                verify=self._client.verify,
                timeout=(_CONNECT_SECONDS, seconds),
            )
        except RequestException as error:
            raise self._unreachable(error) from None
        if answer.status_code >= 400:
            raise RefusedError(answer.status_code, _message(answer.text, answer.status_code))
        return answer

    def _decoded(self, answer: Response) -> Value:
        text = answer.text.strip()
        return plain(json.loads(text)) if text.startswith(("{", "[")) else text

    def _prefix(self) -> str:
        return f"/v{self._version[0]}.{self._version[1]}" if self._version > (0, 0) else ""

    def _negotiated(self) -> tuple[int, int]:
        """The engine's version of the API, or the newest that the bodies here are written for."""
        said = as_text(as_object(self.get("/version")).get("ApiVersion"))
        try:
            major, minor = (int(part) for part in said.split("."))
        except ValueError:
            raise ProviderError(
                f"what answers at {self.address} is not a Docker Engine: it tells no API version"
            ) from None
        return min((major, minor), _NEWEST)

    def _connect(self) -> APIClient:
        from docker import APIClient
        from docker.errors import DockerException
        from requests import RequestException

        try:
            host, tls = self._target()
            # A version that is given is not asked for: the package's own question would not use our certificates
            # where REQUESTS_CA_BUNDLE is set.
            return APIClient(base_url=host, version=_OLDEST, timeout=int(_CONNECT_SECONDS), tls=tls)
        except (DockerException, RequestException, OSError) as error:
            raise self._unreachable(error) from None

    def _target(self) -> tuple[str, Any]:
        """The address and the TLS configuration (False for none)."""
        from docker.tls import TLSConfig

        settings = self._settings
        if settings.context:
            return self._of_context(settings.context)
        if settings.host.startswith("ssh://"):
            return self._through_ssh(settings.host), False
        if settings.host.startswith("unix://"):
            return settings.host, False
        if settings.cert:
            folder = self._written(settings)
        elif settings.cert_path:
            folder = Path(settings.cert_path).expanduser()
        else:
            return settings.host, False
        for name in ("cert.pem", "key.pem"):
            if not (folder / name).is_file():
                raise ProviderError(
                    f"docker provider: certPath {folder} has no file {name}: it must hold ca.pem, cert.pem and key.pem"
                )
        authority = folder / "ca.pem"
        verified = authority.is_file()
        config = TLSConfig(
            client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
            ca_cert=str(authority) if verified else None,
            verify=verified,
        )
        return settings.host.replace("tcp://", "https://", 1), config

    def _of_context(self, name: str) -> tuple[str, Any]:
        from docker.context import ContextAPI

        context = cast("Context | None", ContextAPI.get_context(name))  # its stub does not say so
        if context is None:
            raise ProviderError(
                f"docker provider: there is no Docker context {name!r}: `docker context ls` lists them"
            )
        host = str(context.Host)
        return (self._through_ssh(host) if host.startswith("ssh://") else host), context.TLSConfig or False

    def _through_ssh(self, host: str) -> str:
        from toolchain.offline.plugins.docker.ssh import Tunnel

        self._tunnel = Tunnel(host, self._settings.ssh_options)
        return self._tunnel.url

    def _written(self, settings: Settings) -> Path:
        """The certificates as files, which the TLS library wants; readable by this user alone."""
        import tempfile

        folder = Path(tempfile.mkdtemp(prefix="docker-tls-"))
        self._scratch = folder
        for name, text in (("ca.pem", settings.ca), ("cert.pem", settings.cert), ("key.pem", settings.key)):
            if text:
                (folder / name).touch(mode=0o600)
                (folder / name).write_text(text, encoding="utf-8")
        return folder

    def close(self) -> None:
        """End the connection and remove what was written for it."""
        if self._tunnel is not None:
            self._tunnel.close()
        if self._scratch is not None:
            import shutil

            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    def _unreachable(self, error: BaseException) -> UnreachableError:
        cause = (self._tunnel.said if self._tunnel is not None else "") or _root(error)
        return UnreachableError(
            f"failed to connect to any docker daemon: no engine answers at {self.address} ({cause}): start Docker "
            f"there, check that this user may use it, or set DOCKER_HOST or the provider's host to where it runs"
        )


def _root(error: BaseException) -> str:
    """The innermost cause in a few words."""
    seen: BaseException = error
    for _ in range(12):
        inner = (
            seen.__cause__
            or seen.__context__
            or next((part for part in seen.args if isinstance(part, BaseException)), None)
        )
        if inner is None:
            break
        seen = inner
    if isinstance(seen, OSError) and seen.strerror:
        return seen.strerror
    return str(seen).splitlines()[0][:200] if str(seen) else type(seen).__name__


def _query_value(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return (
        value
        if isinstance(value, str)
        else json.dumps(value)
        if isinstance(value, (dict, list))
        else str(value)
    )


def _message(text: str, status: int) -> str:
    try:
        decoded = as_object(plain(json.loads(text)))
    except json.JSONDecodeError:
        decoded = {}
    return as_text(decoded.get("message")) or text.strip()[:500] or f"the engine answered with HTTP {status}"


def segment(name: str) -> str:
    """A name as one part of a path; slashes stay, as images' names have them."""
    return quote(name, safe="/:@")

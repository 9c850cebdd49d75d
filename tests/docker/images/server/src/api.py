"""The stand-in's HTTP API on 2283: what a deployment can tell of Immich's."""

# proxy_addr is beside this file in the image only: it is the one of tests/edge.
# pyright: reportMissingImports=false

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any

import echo_socket
import media
from accounts import Accounts, Caller, Refused, read_json
from bodies import Body, BodyError, body, requested_range
from environment import Environment
from forms import FileOfForm
from libraries import Libraries
from proxy_addr import client_address, compile_trust
from stores import Cache, Database

_CHUNK = 1 << 20
_LONGEST_JSON = 10 * 1000 * 1000
"""Bytes, as Immich's own limit."""
_DEFAULT_PROXIES = ("linklocal", "uniquelocal")


class Application:
    """What handlers share."""

    def __init__(
        self, environment: Environment, database: Database, cache: Cache, log: Callable[..., None]
    ) -> None:
        self.environment, self.database, self.cache, self.log = environment, database, cache, log
        # A list replaces the defaults; loopback is always in front of it (app.common.ts).
        self.trusted = compile_trust(["loopback", *(environment.trusted_proxies or _DEFAULT_PROXIES)])
        self.accounts = Accounts(
            database,
            allow_setup=environment.flags["IMMICH_ALLOW_SETUP"],
            oauth=bool(environment.configuration.get("oauth", {}).get("enabled")),
            log=log,
        )
        self.libraries = Libraries(database, environment.media)
        self.maintenance = database.maintenance()
        self.version = os.environ.get("STANDIN_TAG", "").removeprefix("v")


class Server(ThreadingHTTPServer):
    """Listens on both families where there are both, unless IMMICH_HOST says otherwise."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, application: Application) -> None:
        self.application = application
        host = application.environment.variables.get("IMMICH_HOST", "")
        if not host:
            host = "::" if Path("/proc/net/if_inet6").exists() else "0.0.0.0"  # noqa: S104
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host.strip("[]"), application.environment.integers["IMMICH_PORT"]), Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)  # not HTTPServer's, which asks for the machine's name

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.application.log("a connection ended early", level="debug")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    rbufsize = _CHUNK

    @property
    def _application(self) -> Application:
        assert isinstance(self.server, Server)
        return self.server.application

    def _handle(self) -> None:
        application = self._application
        path = self.path.partition("?")[0]
        if path in {"/api/socket.io", "/api/socket.io/"}:
            self._websocket()
            return
        self._status, started = 0, time.monotonic()
        try:
            self._body: Body = body(self.rfile, self.headers)
            self._route(self.command, path)
        except Refused as refused:
            self._json(refused.status, {"message": refused.message})
        except BodyError as error:
            self.close_connection = True
            application.log(f"{self.command} {path}: {error}", level="warn")
            return
        except Exception as error:  # noqa: BLE001  like Nest's filter: 500, and the server goes on
            application.log(f"{self.command} {path}: {type(error).__name__}: {error}".strip(), level="error")
            self._json(500, {"message": "Internal server error", "statusCode": 500})
        application.log(
            f"{self.command} {path} {self._status} {(time.monotonic() - started) * 1000:.0f}ms {self._client()}",
            level="debug",
        )

    # The names are the base class's.
    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _handle  # noqa: N815

    def _route(self, method: str, path: str) -> None:
        application = self._application
        if method == "POST" and path == "/api/assets":
            self._upload()
        elif method == "GET" and path == "/api/server/ping":
            self._json(200, {"res": "pong"})
        elif method == "GET" and path == "/api/server/version":
            numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", application.version)
            major, minor, patch = (int(part) for part in numbers.groups()) if numbers else (0, 0, 0)
            self._json(200, {"major": major, "minor": minor, "patch": patch})
        elif application.maintenance:
            self._in_maintenance(method, path)
        elif method == "GET" and path == "/api/server/config":
            # It asks the database: 500 while that is away.
            self._json(200, {"isInitialized": application.accounts.told(), "maintenanceMode": False})
        elif method == "POST" and path in {"/api/auth/admin-sign-up", "/api/auth/login"}:
            given = self._object()
            accounts = application.accounts
            self._json(
                201, accounts.sign_up(given) if "sign-up" in path else accounts.login(given, self._client())
            )
        elif method == "DELETE" and path == "/api/assets":
            self._delete()
        elif found := re.fullmatch(
            r"/api/(api-keys|admin/users|libraries)(?:/([0-9a-f-]{36}))?(/scan)?", path
        ):
            self._administer(method, found[1], found[2], scan=found[3] is not None)
        elif method == "GET" and path == "/.well-known/immich":
            self._json(200, {"api": {"endpoint": "/api"}})
        elif method == "GET" and path == "/api/standin/client":
            trusted = application.trusted(self.client_address[0])
            protocol = self.headers.get("X-Forwarded-Proto", "http") if trusted else "http"
            host = (trusted and self.headers.get("X-Forwarded-Host")) or self.headers.get("Host")
            found = {
                "address": self._client(),
                "peer": self._peer(),
                "protocol": protocol.split(",")[0],
                "host": host,
            }
            self._json(200, found)
        elif method == "GET" and path == "/api/standin/assets":
            self._json(200, application.database.assets())
        elif method == "GET" and path == "/api/standin/status":
            settings = application.environment
            self._json(
                200,
                {
                    "uid": os.getuid(),
                    "gid": os.getgid(),
                    "groups": os.getgroups(),
                    "workers": settings.workers,
                    "telemetry": settings.telemetry,
                    "configured": sorted(settings.configuration),
                    "timezone": settings.variables.get("TZ"),
                    "queued": application.cache.queued(),
                },
            )
        elif method in {"GET", "HEAD"} and (
            found := re.fullmatch(r"/api/assets/([0-9a-f-]{36})/original", path)
        ):
            self._download(found[1])
        elif path.startswith("/api/"):
            self._json(404, {"message": f"Cannot {method} {path}", "statusCode": 404})
        else:  # the web page, whatever the path
            self._send(200, b"<!doctype html><title>Immich (stand-in)</title>", "text/html; charset=utf-8")

    def _administer(self, method: str, what: str, identifier: str | None, *, scan: bool) -> None:
        """Keys, people and libraries. Permissions are those of the controllers."""
        accounts, libraries = self._application.accounts, self._application.libraries
        caller = self._caller()
        match what, method, identifier, scan:
            case "api-keys", "POST", None, False:
                self._json(201, accounts.make_key(caller, self._object()))
            case "admin/users", "GET", None, False:
                caller.require("adminUser.read", admin=True)
                self._json(200, accounts.people(deleted="withDeleted=true" in self.path))
            case "admin/users", "POST", None, False:
                caller.require("adminUser.create", admin=True)
                self._json(201, accounts.add(self._object()))
            case "admin/users", "PUT", str(), False:
                caller.require("adminUser.update", admin=True)
                self._json(200, accounts.change(caller, identifier, self._object()))
            case "admin/users", "DELETE", str(), False:
                caller.require("adminUser.delete", admin=True)
                self._json(200, accounts.trash(caller, identifier))
            case "libraries", "GET", None, False:
                caller.require("library.read", admin=True)
                self._json(200, libraries.all())
            case "libraries", "POST", None, False:
                caller.require("library.create", admin=True)
                self._json(201, libraries.add(self._object()))
            case "libraries", "PUT", str(), False:
                caller.require("library.update", admin=True)
                self._json(200, libraries.change(identifier, self._object()))
            case "libraries", "POST", str(), True:
                caller.require("library.update", admin=True)
                libraries.scan(identifier)
                self._head(204, {})
            case "libraries", "DELETE", str(), False:
                caller.require("library.delete", admin=True)
                libraries.remove(identifier)
                self._head(204, {})
            case _:
                self._json(404, {"message": f"Cannot {method} {self.path}", "statusCode": 404})

    def _in_maintenance(self, method: str, path: str) -> None:
        """What is left of the API then (seen: 3.0.3, maintenance-worker.controller.ts)."""
        if method == "GET" and path == "/api/server/config":
            self._json(200, {"maintenanceMode": True})
        elif path.startswith("/api/"):
            self._json(404, {"message": f"Cannot {method} {path}", "statusCode": 404})
        else:
            self._head(302, {"Location": "/maintenance", "Content-Length": "0"})

    def _caller(self) -> Caller:
        return self._application.accounts.caller(
            self.headers.get("Authorization", ""), self.headers.get("x-api-key", "")
        )

    def _object(self) -> dict[str, Any]:
        try:
            return read_json(self._small_body())
        except ValueError:
            raise Refused(400, "Bad request") from None

    def _delete(self) -> None:
        """Of uploads for ever, as with `force`; there is no trash."""
        application = self._application
        self._caller().require("asset.delete")
        for asset in read_json(self._small_body()).get("ids", []):
            if not application.database.forget(str(asset)):
                self._json(400, {"message": "Not found or no asset.delete access", "statusCode": 400})
                return
            media.remove(application.environment.media, str(asset))
        self._head(204, {"Content-Length": "0"})

    def _small_body(self) -> bytes:
        content, buffer = b"", memoryview(bytearray(_CHUNK))
        while count := self._body.read_into(buffer):
            content += bytes(buffer[:count])
            if len(content) > _LONGEST_JSON:
                raise BodyError("the body is too long for JSON")
        return content

    def _upload(self) -> None:
        application = self._application
        application.database.check()  # as Immich looks its session up before it reads a body
        read = self._body.read_into
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            try:
                self._caller().require("asset.upload")
            except Refused as refused:
                # Before the body is read, as Immich's guard does.
                self.close_connection = True
                self._head(refused.status, {"Content-Length": "0"})
                return
            read = FileOfForm(self._body, kind).read_into
        try:
            asset, size, checksum = media.receive(application.environment.media, read)
        except media.NoSpaceError as error:
            application.log(f"upload refused: {error}", level="error")
            self._json(500, {"message": str(error), "error": "ENOSPC", "statusCode": 500})
            return
        try:
            application.database.record(asset, self.headers.get("X-Asset-Name", asset), size, checksum)
        except BaseException:
            media.path_of(application.environment.media, asset).unlink()
            raise
        application.cache.queue(asset)
        self._json(201, {"id": asset, "status": "created", "checksum": checksum, "size": size})

    def _download(self, asset: str) -> None:
        try:
            opened = media.path_of(self._application.environment.media, asset).open("rb", buffering=0)
        except (FileNotFoundError, ValueError):
            self._json(404, {"message": "Not found", "statusCode": 404})
            return
        with opened:
            size = os.fstat(opened.fileno()).st_size
            try:
                part = requested_range(self.headers.get("Range"), size)
            except ValueError:
                self._head(416, {"Content-Range": f"bytes */{size}", "Content-Length": "0"})
                return
            first, last = part or (0, size - 1)
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(last - first + 1),
                "Accept-Ranges": "bytes",
            }
            if part:
                headers["Content-Range"] = f"bytes {first}-{last}/{size}"
            self._head(206 if part else 200, headers)
            if self.command == "GET" and size:
                self.connection.sendfile(opened, first, last - first + 1)

    def _websocket(self) -> None:
        key = self.headers.get("Sec-WebSocket-Key")
        if key is None or self.headers.get("Upgrade", "").lower() != "websocket":
            self._body = body(self.rfile, self.headers)
            self._json(400, {"code": 3, "message": "Bad request"})  # engine.io without its polling transport
            return
        self._head(
            101,
            {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Accept": echo_socket.accept_key(key),
            },
        )
        self._application.log(f"websocket connected {self._client()}")
        self.close_connection = True
        echo_socket.echo(self.rfile, self.wfile)

    def _peer(self) -> str:
        return str(self.client_address[0]).removeprefix("::ffff:")

    def _client(self) -> str:
        forwarded = ", ".join(self.headers.get_all("X-Forwarded-For", []))
        return client_address(self._peer(), forwarded, self._application.trusted)

    def _json(self, status: int, value: object) -> None:
        self._send(
            status, json.dumps(value, separators=(",", ":")).encode(), "application/json; charset=utf-8"
        )

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self._drain()
        self._head(status, {"Content-Type": kind, "Content-Length": str(len(content))})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _drain(self) -> None:
        """Read the rest of the body: who still sends would not see an answer."""
        buffer = memoryview(bytearray(_CHUNK))
        while not self._body.finished and self._body.read_into(buffer):
            continue

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self._status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
        """Nothing: `_handle` logs with the client's address."""

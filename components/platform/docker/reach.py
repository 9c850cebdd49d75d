"""Whether an engine answers, asked before anything is planned: its provider would only say so at the first object."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT = "unix:///var/run/docker.sock"
_TIMEOUT = 10.0
"""Seconds."""


def address(given: str | None, environ: Mapping[str, str]) -> str:
    """Where the engine is: what the settings say, else $DOCKER_HOST, else this machine's socket."""
    return given or environ.get("DOCKER_HOST") or DEFAULT


def silence(
    given: str | None, environ: Mapping[str, str], *, tls_folder: str | None, ssh_options: Sequence[str]
) -> str | None:
    """`problem` of the engine that the settings name, or else the environment, as Docker's own variables have it."""
    folder = tls_folder or environ.get("DOCKER_CERT_PATH")
    return problem(address(given, environ), tls_folder=folder, ssh_options=ssh_options)


def problem(host: str, *, tls_folder: str | None = None, ssh_options: Sequence[str] = ()) -> str | None:
    """One sentence on why the engine cannot be used, or None when it answers."""
    try:
        match urlsplit(host).scheme:
            case "unix":
                _ping(_UnixConnection(host.removeprefix("unix://")))
            case "tcp":
                _ping(_tcp(host, tls_folder))
            case "ssh":
                _ask_by_ssh(host, ssh_options)
            case scheme:
                return (
                    f"{scheme}: is no scheme of a container engine's address; accepted are unix, ssh and tcp"
                )
    except FileNotFoundError as error:
        reason = f"{error.filename or 'its socket'} is not there"
    except PermissionError:
        reason = "this user may not"
    except (OSError, http.client.HTTPException, subprocess.SubprocessError) as error:
        reason = str(getattr(error, "strerror", None) or error).strip().rstrip(".") or type(error).__name__
    else:
        return None
    return f"the container engine at {host} cannot be reached: {reason}. {_advice(host)}"


def _advice(host: str) -> str:
    if host.startswith("unix://"):
        return (
            "Start it (systemctl start docker; for Podman systemctl --user start podman.socket), be in its group, or "
            "name another one in immich:docker.host"
        )
    return "Look at immich:docker.host, and whether the machine is up and lets you in"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        if not Path(self._path).exists():
            raise FileNotFoundError(2, "not there", self._path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(self._path)


def _tcp(host: str, tls_folder: str | None) -> http.client.HTTPConnection:
    parts = urlsplit(host)
    name, port = parts.hostname or "", parts.port or 2375
    if tls_folder is None:
        return http.client.HTTPConnection(name, port, timeout=_TIMEOUT)
    authority, certificate, key = (Path(tls_folder) / f"{name}.pem" for name in ("ca", "cert", "key"))
    for file in (authority, certificate, key):
        if not file.exists():
            raise FileNotFoundError(2, "not there", str(file))
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate, key)
    return http.client.HTTPSConnection(name, port, timeout=_TIMEOUT, context=context)


def _ping(connection: http.client.HTTPConnection) -> None:
    try:
        connection.request("GET", "/_ping")
        answer = connection.getresponse()
        if answer.status != 200:
            raise http.client.HTTPException(f"it answers {answer.status}")
    finally:
        connection.close()


def ssh_line(host: str, options: Sequence[str], *flags: str) -> list[str]:
    """The ssh client on its way to an engine's machine, without a command; `options` are those of the settings."""
    parts = urlsplit(host)
    port = ("-p", str(parts.port)) if parts.port else ()
    name = f"{parts.username}@{parts.hostname}" if parts.username else str(parts.hostname)
    return ["ssh", *flags, *options, *port, name]


def _ask_by_ssh(host: str, options: Sequence[str]) -> None:
    command = ssh_line(host, options, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={int(_TIMEOUT)}")
    answer = subprocess.run(
        [*command, "docker", "version", "--format", "{{.Server.Version}}"],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT * 2,
        check=False,
        env={**os.environ, "LC_ALL": "C"},
    )
    if answer.returncode != 0:
        lines = answer.stderr.strip().splitlines()
        raise OSError(lines[-1] if lines else f"ssh ended with {answer.returncode}")

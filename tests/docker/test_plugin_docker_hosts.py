"""The offline docker plugin's ways to an engine: TLS and ssh, and interrupting what it waits for."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from toolchain.offline.plugins.docker.connection import CancelledError, Engine, UnreachableError
from toolchain.offline.plugins.docker.settings import Settings

pytestmark = [pytest.mark.engine, pytest.mark.deep(unless_changed=("toolchain/offline/plugins",))]


def version_of(engine: Engine) -> object:
    """Something that only the engine itself can say."""
    version = engine.get("/version")
    assert isinstance(version, dict)
    return version["ApiVersion"]


def connect(settings: Settings) -> Engine:
    return Engine(settings, threading.Event())


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def tls_front(unix_path: str, folder: Path) -> Generator[int]:
    """A TLS server on loopback that asks for a client certificate and passes on to the socket; gives its port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(raw: socket.socket) -> None:
        with (
            suppress(OSError),
            raw,
            context.wrap_socket(raw, server_side=True) as client,
            socket.socket(socket.AF_UNIX) as engine,
        ):
            engine.connect(unix_path)
            back = threading.Thread(target=pump, args=(engine, client), daemon=True)
            back.start()
            pump(client, engine)
            back.join()

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def write_certificates(folder: Path) -> None:
    """ca.pem, and certificates with keys for a server called localhost and for a client."""
    folder.mkdir()
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        folder,
        "req",
        "-x509",
        *new_key,
        "-keyout",
        "ca-key.pem",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=ca",
        "-days",
        "1",
    )
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    for certificate, key in (("server.pem", "server-key.pem"), ("cert.pem", "key.pem")):
        openssl(folder, "req", *new_key, "-keyout", key, "-out", "request", "-subj", "/CN=localhost")
        openssl(
            folder, "x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial",
            "-extfile", "names", "-days", "1", "-out", certificate,
        )  # fmt: skip


def test_tcp_with_certificates_by_path_and_by_material(docker_host: str, tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    write_certificates(folder)
    ca, cert, key = ((folder / f"{name}.pem").read_text() for name in ("ca", "cert", "key"))
    with tls_front(docker_host.removeprefix("unix://"), folder) as port:
        host = f"tcp://localhost:{port}"
        by_path = connect(Settings(host=host, cert_path=str(folder)))
        assert version_of(by_path)
        by_material = connect(Settings(host=host, ca=ca, cert=cert, key=key))
        assert version_of(by_material) == version_of(by_path)
        by_material.close()
        with pytest.raises(UnreachableError, match=f"no engine answers at {host}"):
            connect(Settings(host=host))
        (folder / "ca.pem").write_text(cert)
        with pytest.raises(UnreachableError, match=r"(?i)certificate"):
            connect(Settings(host=host, cert_path=str(folder)))


SSH_STAND_IN = """#!{python}
# Stands in for the ssh client: notes its arguments and joins its standard streams to the engine's socket.
import os, socket, sys, threading, time
open({log!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
if "wrong-host" in sys.argv:
    # The connection ends before the reason is said, as a busy machine may have it.
    os.close(1)
    time.sleep(0.3)
    sys.exit("ssh: Could not resolve hostname wrong-host")
engine = socket.socket(socket.AF_UNIX)
engine.connect({socket!r})
def up():
    while chunk := os.read(0, 65536):
        engine.sendall(chunk)
    engine.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while chunk := engine.recv(65536):
    os.write(1, chunk)
"""


def test_ssh_goes_through_the_ssh_client(
    docker_host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "arguments"
    client = tmp_path / "ssh"
    client.write_text(
        SSH_STAND_IN.format(python=sys.executable, log=str(log), socket=docker_host.removeprefix("unix://"))
    )
    client.chmod(client.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    engine = connect(Settings(host="ssh://me@nas:2222", ssh_options=("-i", "my-key")))
    assert version_of(engine)
    engine.close()
    assert "-i my-key -l me -p 2222 -- nas docker system dial-stdio" in log.read_text()
    with pytest.raises(UnreachableError, match="Could not resolve hostname wrong-host"):
        connect(Settings(host="ssh://wrong-host"))


def test_a_call_that_the_engine_holds_is_left_at_once(docker_host: str) -> None:
    cancelled = threading.Event()
    engine = Engine(Settings(host=docker_host), cancelled)
    release = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    began = time.monotonic()
    with pytest.raises(CancelledError, match="pulling was interrupted"):
        engine.interruptible("pulling", lambda: release.wait(20))
    assert time.monotonic() - began < 2
    release.set()
    with pytest.raises(CancelledError):
        engine.pause(20, "waiting")


def test_a_failure_in_a_long_call_arrives(docker_host: str) -> None:
    engine = connect(Settings(host=docker_host))

    def fail() -> None:
        raise UnreachableError("gone")

    with pytest.raises(UnreachableError, match="gone"):
        engine.interruptible("x", fail)

"""Whether an engine answers: real sockets, a stand-in for ssh, and one sentence for each way in which it does not."""

from __future__ import annotations

import http.server
import os
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.platform.docker import reach
from components.platform.docker.reach import address, problem
from tests.harness import mocks
from tests.harness.program import Stack

LOOPBACK = "127.0.0.1"


class Engine(http.server.BaseHTTPRequestHandler):
    """A stand-in for an engine that only knows `/_ping`."""

    status = 200

    def do_GET(self) -> None:
        status = self.status if self.path == "/_ping" else 404
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"OK")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


class UnixServer(socketserver.UnixStreamServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away before the answer is what some of these tests are about."""

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, _ = self.socket.accept()
        return connection, ("unix", 0)


def serving(server: socketserver.BaseServer) -> Iterator[socketserver.BaseServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder whose path fits into a socket's address."""
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def unix(short: Path) -> Iterator[str]:
    for _ in serving(UnixServer(str(short / "engine.sock"), Engine)):
        yield f"unix://{short}/engine.sock"


@pytest.fixture
def tcp() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Engine)
    for _ in serving(server):
        yield f"tcp://{LOOPBACK}:{server.server_port}"


def told(host: str, **more: Any) -> str:
    """The sentence about a host that cannot be used; one line."""
    reason = problem(host, **more)
    assert reason is not None
    assert "\n" not in reason
    return reason


# This machine's socket


def test_a_socket_that_answers_has_no_problem(unix: str) -> None:
    assert problem(unix) is None


def test_a_socket_that_is_not_there_is_named_with_what_to_do(short: Path) -> None:
    reason = told(f"unix://{short}/none.sock")
    assert reason.startswith(
        f"the container engine at unix://{short}/none.sock cannot be reached: {short}/none.sock is not there. "
    )
    assert "systemctl start docker" in reason
    assert "immich:docker.host" in reason


def test_a_socket_that_nobody_listens_at_any_more(short: Path) -> None:
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(short / "left.sock"))
    left.close()
    assert "cannot be reached: Connection refused" in told(f"unix://{short}/left.sock")


@pytest.mark.parametrize("closed", ["socket", "folder"])
def test_a_socket_that_this_user_may_not_open(unix: str, short: Path, closed: str) -> None:
    me = os.geteuid()
    (short / "engine.sock").chmod(0o600 if me == 0 else 0o000)
    short.chmod(0o700 if closed == "folder" and me == 0 else 0o755)
    if me == 0:
        os.seteuid(65534)
    try:
        reason = told(unix)
    finally:
        os.seteuid(me)
    assert "cannot be reached: this user may not. " in reason
    assert "be in its group" in reason


def test_an_answer_that_is_no_engines(monkeypatch: pytest.MonkeyPatch, unix: str) -> None:
    monkeypatch.setattr(Engine, "status", 503)
    assert "cannot be reached: it answers 503. " in told(unix)


def test_who_listens_and_says_nothing_is_not_waited_for_for_ever(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "_TIMEOUT", 0.2)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(short / "silent.sock"))
        silent.listen()
        assert "cannot be reached: timed out. " in told(f"unix://{short}/silent.sock")


# TCP


def test_an_engine_at_a_port(tcp: str) -> None:
    assert problem(tcp) is None


def test_a_port_that_nobody_listens_at() -> None:
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        host = f"tcp://{LOOPBACK}:{free.getsockname()[1]}"
        reason = told(host)
    assert reason.startswith(f"the container engine at {host} cannot be reached: Connection refused. ")
    assert "systemctl" not in reason, "it is another machine"


def certificates(folder: Path) -> None:
    """An authority that is its own server and client."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=engine",
         "-addext", f"subjectAltName=IP:{LOOPBACK}"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "ca.pem").write_bytes((folder / "cert.pem").read_bytes())


def test_an_engine_behind_tls_is_asked_with_the_folders_certificates(tmp_path: Path) -> None:
    certificates(tmp_path)
    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Engine)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.pem")
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
    for _ in serving(server):
        host = f"tcp://{LOOPBACK}:{server.server_port}"
        assert problem(host, tls_folder=str(tmp_path)) is None


def test_a_certificate_that_the_folders_authority_did_not_sign(tmp_path: Path) -> None:
    certificates(tmp_path)
    (tmp_path / "other").mkdir()
    certificates(tmp_path / "other")
    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Engine)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "other" / "cert.pem", tmp_path / "other" / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    for _ in serving(server):
        host = f"tcp://{LOOPBACK}:{server.server_port}"
        assert "certificate verify failed" in told(host, tls_folder=str(tmp_path))


@pytest.mark.parametrize("missing", ["ca.pem", "cert.pem", "key.pem"])
def test_a_file_that_is_missing_in_the_folder_is_named(tmp_path: Path, missing: str) -> None:
    certificates(tmp_path)
    (tmp_path / missing).unlink()
    reason = told(f"tcp://{LOOPBACK}:2376", tls_folder=str(tmp_path))
    assert f"cannot be reached: {tmp_path / missing} is not there. " in reason


# SSH


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for ssh: it writes down its arguments and does what `answer` in its folder says."""
    stub = tmp_path / "ssh"
    stub.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/arguments\n. {tmp_path}/answer\n')
    stub.chmod(0o755)
    (tmp_path / "answer").write_text("echo 28.3.1\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_an_engine_behind_ssh_is_asked_by_its_own_command(ssh: Path) -> None:
    options = ("-i", "/home/me/.ssh/id_photos")
    assert problem("ssh://deploy@photos.example.com:2222", ssh_options=options) is None
    assert (ssh / "arguments").read_text().splitlines() == [
        "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-i", "/home/me/.ssh/id_photos", "-p", "2222",
        "deploy@photos.example.com", "docker", "version", "--format", "{{.Server.Version}}",
    ]  # fmt: skip


def test_what_ssh_says_last_is_the_reason(ssh: Path) -> None:
    (ssh / "answer").write_text(
        'echo "Warning: added" >&2\necho "Permission denied (publickey)." >&2\nexit 255\n'
    )
    reason = told("ssh://deploy@photos.example.com")
    assert "cannot be reached: Permission denied (publickey).. Look" not in reason
    assert "cannot be reached: Permission denied (publickey)" in reason
    assert "lets you in" in reason


def test_an_ssh_that_fails_in_silence(ssh: Path) -> None:
    (ssh / "answer").write_text("exit 7\n")
    assert "cannot be reached: ssh ended with 7. " in told("ssh://deploy@photos.example.com")


def test_a_machine_without_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "cannot be reached: ssh is not there. " in told("ssh://deploy@photos.example.com")


# Which engine


def test_the_settings_win_then_the_environment_then_this_machines_socket() -> None:
    environ = {"DOCKER_HOST": "tcp://127.0.0.1:2375"}
    assert address("ssh://a@b", environ) == "ssh://a@b"
    assert address(None, environ) == "tcp://127.0.0.1:2375"
    assert address(None, {}) == address(None, {"DOCKER_HOST": ""}) == "unix:///var/run/docker.sock"


@pytest.mark.parametrize("host", ["npipe:////./pipe/docker", "http://127.0.0.1:2375", "nonsense"])
def test_an_address_of_the_environment_that_is_no_engines(host: str) -> None:
    assert "is no scheme of a container engine's address; accepted are unix, ssh and tcp" in told(host)


def test_the_program_stops_with_that_sentence_before_it_registers_anything(short: Path) -> None:
    import json

    from tests.harness.program import _main

    host = f"unix://{short}/none.sock"
    stack = Stack(
        "home",
        {"docker": {"host": host}, "proxy": {"expose": [{"kind": "publishedPort", "address": LOOPBACK}]}},
    )
    config = {f"immich:{key}": json.dumps(section) for key, section in stack.sections.items()}
    with pytest.raises(pulumi.RunError) as caught:
        mocks.run(_main, stack="home", config=config)
    assert str(caught.value).startswith(f"the container engine at {host} cannot be reached: ")
    assert str(caught.value).endswith("Nothing was planned or changed")


def test_the_environments_certificates_are_used_where_the_settings_name_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, object]] = []

    def problem(host: str, **more: object) -> None:
        asked.append((host, more["tls_folder"]))

    monkeypatch.setattr(reach, "problem", problem)
    environ = {"DOCKER_HOST": "tcp://nas:2376", "DOCKER_CERT_PATH": "/certs"}
    reach.silence(None, environ, tls_folder=None, ssh_options=())
    reach.silence("tcp://other:2376", environ, tls_folder="/own", ssh_options=())
    assert asked == [("tcp://nas:2376", "/certs"), ("tcp://other:2376", "/own")]

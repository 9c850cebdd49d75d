"""Certificates of nginx on a host: self-signed for development, and files that somebody else renews."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.docker import host
from tests.docker.stacks import CERTIFICATES, HostStack, make_certificate
from tests.docker.standing import Standing, systems
from tests.docker.transfer import Door

pytestmark = [pytest.mark.docker, pytest.mark.engine]


def connect(stack: HostStack) -> socket.socket:
    return stack.place.network.connect("127.0.0.1", stack.ways()[0][1])


def served(stack: HostStack) -> str:
    """The certificate, as PEM."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    name = stack.settings()["host"]["name"]
    with connect(stack) as opened, context.wrap_socket(opened, server_hostname=name) as made:
        der = made.getpeercert(binary_form=True)
    assert der is not None
    return ssl.DER_cert_to_PEM_cert(der)


def shake_hands(stack: HostStack, name: str, trusted: str) -> str:
    """A handshake as a browser does it that trusts this certificate; gives TLS's version."""
    context = ssl.create_default_context(cadata=trusted)
    with connect(stack) as opened, context.wrap_socket(opened, server_hostname=name) as made:
        return str(made.version())


@systems("everything", "heartbeat-dev", "heartbeat")
def test_the_certificate_is_for_the_name_and_for_no_other(standing: Standing) -> None:
    stack = standing.stack
    name, certificate = stack.settings()["host"]["name"], served(stack)
    assert shake_hands(stack, name, certificate) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError, match=r"doesn't match|not valid for"):
        shake_hands(stack, "photos.example.net", certificate)
    context = ssl.create_default_context()
    with connect(stack) as opened, pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        context.wrap_socket(opened, server_hostname=name)


@systems("everything", "heartbeat-dev", "heartbeat")
def test_plain_http_leads_to_https_with_the_same_path(standing: Standing) -> None:
    stack = standing.stack
    _, _, redirect = stack.ways()[0]
    assert redirect == 80
    name = stack.settings()["host"]["name"]
    answer = Door(stack.place.network, "127.0.0.1", redirect, name=name).get("/photos?at=1")
    assert (answer.status, answer.headers["Location"]) == (308, f"https://{name}/photos?at=1")
    sent = Door(stack.place.network, "127.0.0.1", redirect, name=name).request(
        "POST", "/api/assets", b"a photo"
    )
    assert sent.status == 308
    secure = stack.door().get("/api/server/ping")
    assert secure.status == 200
    assert ("Strict-Transport-Security" in secure.headers) == (stack.system != "heartbeat-dev")


@systems("everything", "heartbeat")
def test_a_renewed_certificate_is_served_without_a_restart(standing: Standing) -> None:
    stack = standing.stack
    started = {name: one.attrs["State"]["StartedAt"] for name, one in stack.workloads().items()}
    folder = stack.folder / CERTIFICATES.lstrip("/")
    before = served(stack)
    assert before.strip() == (folder / "fullchain.pem").read_text(encoding="utf-8").strip()
    renewed = make_certificate(folder, stack.settings()["host"]["name"]).decode()

    # The container looks once a minute; its pause is ended early here.
    keeper = host.host_pid(stack.container("certificates"))
    children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text(encoding="utf-8").split()
    (pause,) = [
        int(child) for child in children if Path(f"/proc/{child}/comm").read_text().strip() == "sleep"
    ]
    os.kill(pause, signal.SIGTERM)

    def is_served() -> bool:
        try:
            return served(stack).strip() == renewed.strip()
        except ssl.SSLError:
            return (
                False  # nginx reads the files anew with each handshake: between the two of them none succeeds
            )

    host.until(is_served, "the new certificate is served", 20)
    assert renewed != before
    shake_hands(stack, stack.settings()["host"]["name"], renewed)
    assert {name: one.attrs["State"]["StartedAt"] for name, one in stack.workloads().items()} == started


@systems("everything", "heartbeat-dev", "heartbeat")
def test_the_key_is_readable_for_nginx_and_never_shown(standing: Standing) -> None:
    stack = standing.stack
    proxy = stack.container("proxy")
    key = Path(f"/proc/{host.host_pid(proxy)}/root/etc/immich-tls/tls.key")
    found = key.stat()
    assert (found.st_uid, found.st_mode & 0o007) == (101, 0)
    body = "".join(key.read_text(encoding="utf-8").splitlines()[1:-1])
    assert body[:40] not in host.inspect_text(stack.place.client).replace("\\n", "")
    checked = subprocess.run(["openssl", "pkey", "-in", str(key), "-noout"], capture_output=True, check=False)
    assert checked.returncode == 0

"""`make verify` of a stack that is well finds nothing; with one thing broken it finds that, by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from components.stack.next_steps import SIGN_UP
from tests.docker import host
from tests.docker.everything import Everything
from tests.docker.stacks import make_certificate
from tests.docker.transfer import Door
from tests.docker.verifying import (
    EMAIL,
    LIBRARY,
    PASSWORD,
    Verified,
    sign_up,
    success,
    target_of,
)
from toolchain.verify.docker_host import DockerHost
from toolchain.verify.table import table
from toolchain.verify.target import Target

pytestmark = [pytest.mark.docker, pytest.mark.engine]

DOOR = "door lan"
_READ_ONLY = 1
_REMOUNT_BIND = 32 | 4096
_REMOUNT = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
namespace = os.open(sys.argv[1], os.O_RDONLY)
done = libc.setns(namespace, 0x00020000) or libc.mount(None, sys.argv[2].encode(), None, int(sys.argv[3]), None)
sys.exit(os.strerror(ctypes.get_errno()) if done else 0)
"""


@pytest.fixture
def verified(everything: Everything) -> Verified:
    return everything.verified


def of_other_settings(target: Target, **sections: Any) -> Target:
    """As if the settings had been changed, and nobody had run `make up` since."""
    return replace(target, settings=replace(target.settings, **sections))


def door(verified: Verified) -> Door:
    return verified.stack.door(verified.stack.place.network.clients[0])


def test_a_stack_that_is_well_passes_everything(verified: Verified) -> None:
    before = door(verified).get("/api/standin/assets").json()
    began = time.monotonic()
    checks = verified.ask()
    seconds = time.monotonic() - began
    told = table(checks)
    assert [check for check in checks if check.outcome == "fail"] == [], told
    passed = {
        (" ".join(check.subject.split()[:2]), check.name) for check in checks if check.outcome == "pass"
    }
    wanted = (
        "reachable", "tls", "redirect", "ping", "version", "websocket", "setup-closed", "upload-limit", "upload",
        "client-address", "forged-headers",
    )  # fmt: skip
    assert {(DOOR, name) for name in wanted} <= passed, told
    assert {
        ("container server", "image"),
        ("exposure", "published-ports"),
        ("exposure", "networks"),
        ("machine learning", "ping"),
        ("library import", "read-only"),
        ("library import", "not-empty"),
        *((f"backup {name}", "fresh") for name in ("dump", "copy-disk", "copy-nas")),
        ("backup drill", "proven"),
    } <= passed, told
    assert seconds < 60
    assert door(verified).get("/api/standin/assets").json() == before, "what was uploaded is removed again"
    assert str(verified.target.options.api_key) not in told
    for secret in verified.stack.secrets().values():
        assert secret not in told


def test_without_a_key_the_upload_is_not_checked_and_the_limit_is(verified: Verified) -> None:
    checks = {
        check.name: check
        for check in verified.ask("upload", "upload-limit", target=target_of(verified.stack, None))
    }
    assert checks["upload"].outcome == "not-checked"
    assert "IMMICH_API_KEY" in checks["upload"].found
    assert checks["upload-limit"].outcome == "pass"


def test_a_larger_upload_than_the_door_takes_is_refused_as_promised(verified: Verified) -> None:
    options = replace(verified.target.options, size=101_000_000)
    (check,) = [
        one
        for one in verified.ask("upload", target=replace(verified.target, options=options))
        if one.name == "upload"
    ]
    assert (check.outcome, check.found[:3]) == ("pass", "413"), check


def test_a_stopped_container(verified: Verified) -> None:
    with verified.stopped("cache"):
        assert ("container cache", "health") in verified.failures("containers")


@pytest.mark.deep  # it waits for answers that do not come
def test_machine_learning_that_is_off(verified: Verified) -> None:
    with verified.stopped("machine-learning"):
        found = verified.failures("containers", "machine-learning")
    assert found == [("container machine-learning", "health"), ("machine learning", "ping")]


def test_a_certificate_of_another_name(verified: Verified) -> None:
    folder = verified.volume("proxy", "/etc/immich-tls")
    files = [folder / name for name in ("tls.crt", "tls.key")]
    before = [file.read_bytes() for file in files]
    other = verified.stack.folder / "other"
    other.mkdir()
    make_certificate(other, "photos.example.net")
    try:
        for file, name in zip(files, ("fullchain.pem", "privkey.pem"), strict=True):
            file.write_bytes((other / name).read_bytes())
        (found,) = verified.failures("tls")
        refused = [check for check in verified.ask("upload") if check.name == "upload"]
    finally:
        for file, content in zip(files, before, strict=True):
            file.write_bytes(content)
    assert found == (DOOR, "tls")
    assert [check.outcome for check in refused] == ["fail"], "the key is not shown to whoever it is"
    assert verified.failures("tls") == []


def test_a_certificate_that_ends_soon(verified: Verified) -> None:
    later = replace(verified.target, now=lambda: time.time() + 25 * 86_400)
    assert verified.failures("tls", target=later) == [(DOOR, "tls")]


def test_plain_http_that_no_longer_leads_to_https(verified: Verified) -> None:
    with verified.nginx("nginx.conf", "return 308 https://$host$request_uri;", "include locations.conf;"):
        assert verified.failures("redirect") == [(DOOR, "redirect")]


def test_a_port_that_another_container_of_the_stack_publishes(verified: Verified) -> None:
    place, stack = verified.stack.place, verified.stack
    container = place.client.containers.run(
        place.images["busybox"], ["sleep", "600"], init=True, detach=True, ports={"6379/tcp": 16379},
        labels={"immich.stack": stack.name},
    )  # fmt: skip
    try:
        (found,) = [check for check in verified.ask("published-ports") if check.outcome == "fail"]
    finally:
        host.remove_quietly(container)
    assert (found.subject, found.name) == ("exposure", "published-ports")
    assert f"every address:16379 by {container.name}" in found.found
    assert verified.failures("published-ports") == []


def test_a_stranger_in_the_network_of_the_database(verified: Verified) -> None:
    place, stack = verified.stack.place, verified.stack
    container = place.client.containers.run(
        place.images["busybox"], ["sleep", "600"], init=True, detach=True, network=f"{stack.prefix}-database"
    )
    try:
        (found,) = [check for check in verified.ask("networks") if check.outcome == "fail"]
    finally:
        host.remove_quietly(container)
    assert (found.name, str(container.name) in found.found) == ("networks", True)


def test_whoever_was_let_into_a_network_is_no_stranger_in_it_alone(verified: Verified) -> None:
    place, stack = verified.stack.place, verified.stack
    settings = verified.target.settings.docker
    assert settings is not None
    joined = DockerHost.connect(stack.name, settings, os.environ, ("database",))
    for network, strange in (("database", False), ("cache", True)):
        container = place.client.containers.run(
            place.images["busybox"], ["sleep", "600"], init=True, detach=True, network=f"{stack.prefix}-{network}"
        )  # fmt: skip
        try:
            assert joined.strangers() == ([str(container.name)] if strange else [])
        finally:
            host.remove_quietly(container)


def test_a_forged_header_that_is_believed(verified: Verified) -> None:
    believes = "server_name _;\n        set_real_ip_from 0.0.0.0/0;\n        real_ip_header X-Forwarded-For;"
    with verified.nginx("nginx.conf", "server_name _;", believes, count=1):  # the listener of this door
        (found,) = [check for check in verified.ask("clients") if check.outcome == "fail"]
    assert found.name == "forged-headers"
    assert "X-Forwarded-For" in found.found


def test_an_address_of_the_proxy_in_the_servers_log(verified: Verified) -> None:
    assert verified.failures("clients") == []
    with verified.nginx(
        "proxied.conf", "proxy_set_header X-Forwarded-For $client;", 'proxy_set_header X-Forwarded-For "";'
    ):
        (found,) = [check for check in verified.ask("clients") if check.outcome == "fail"]
    assert found.name == "client-address"
    assert "inside the stack" in found.found


def test_another_release_than_the_settings_say(verified: Verified) -> None:
    newer = replace_version(verified.target, "3.4.0")
    assert verified.failures("ping", "versions", target=newer) == [
        ("container machine-learning", "image"),
        ("container server", "image"),
        (DOOR, "version"),
    ]


def replace_version(target: Target, version: str) -> Target:
    return of_other_settings(target, server=target.settings.server.model_copy(update={"version": version}))


def test_a_sign_up_page_that_is_open(verified: Verified) -> None:
    # Their keys stay: other tests come with one.
    nobody = """UPDATE "user" SET email = 'old@example.com', "storageLabel" = NULL, "isAdmin" = false
        WHERE "isAdmin" """
    psql = ["psql", "-U", "immich", "-d", "immich", "-c", nobody]
    assert "UPDATE 1" in host.execute(verified.container("database"), *psql)
    try:
        assert verified.failures("setup-closed") == [(DOOR, "setup-closed")]
        # 198.18.0.0/15 is no network of a home.
        stranger = verified.stack.door(verified.stack.place.network.clients[0])
        for path in ("/api/auth/admin-sign-up", "/API/auth/admin-sign-up/", "/api/admin/maintenance"):
            assert stranger.request("POST", path, b"{}").status == 403
        given = json.dumps({"name": "You", "email": EMAIL, "password": PASSWORD})
        made = host.execute(verified.container("server"), "sh", "-c", f"echo '{given}' | {SIGN_UP}")
        assert json.loads(made)["isAdmin"] is True
    finally:
        if verified.failures("setup-closed"):
            sign_up(verified.stack)
    assert verified.failures("setup-closed") == []


def test_an_empty_library(verified: Verified) -> None:
    library = verified.stack.folder / LIBRARY
    (library / "holiday.jpg").unlink()
    try:
        assert verified.failures("libraries") == [("library import", "not-empty")]
    finally:
        (library / "holiday.jpg").write_bytes(b"a picture")


@contextmanager
def remounted(verified: Verified, path: str) -> Generator[None]:
    """A mount of the server that is writable meanwhile."""
    pid = host.host_pid(verified.container("server"))

    def mount(flags: int) -> None:
        # The container's image has no `mount`, so this interpreter goes there with all that it needs loaded.
        subprocess.run(
            [sys.executable, "-c", _REMOUNT, f"/proc/{pid}/ns/mnt", path, str(flags)],
            check=True, capture_output=True,
        )  # fmt: skip

    mount(_REMOUNT_BIND)
    try:
        yield
    finally:
        mount(_REMOUNT_BIND | _READ_ONLY)


def test_a_library_that_is_writable(verified: Verified) -> None:
    with remounted(verified, "/mnt/import"):
        assert verified.failures("libraries") == [("library import", "read-only")]
    assert verified.failures("libraries") == []


def test_a_library_that_is_not_mounted(verified: Verified) -> None:
    storage = verified.target.settings.storage
    (library,) = storage.external_libraries
    other = library.model_copy(update={"name": "nas", "mount_path": "/mnt/nas"})
    changed = storage.model_copy(update={"external_libraries": (library, other)})
    target = of_other_settings(verified.target, storage=changed)
    assert verified.failures("libraries", target=target) == [("library nas", "mounted")]


def test_a_backup_that_is_stale(verified: Verified) -> None:
    copies = {"copy_disk": success(), "copy_nas": success(), "drill": success()}
    with verified.statuses(dump=success(seconds_ago=3 * 366 * 86_400), **copies):
        assert verified.failures("backups") == [("backup dump", "fresh")]


def test_backups_that_have_never_run(verified: Verified) -> None:
    with verified.statuses():
        assert verified.failures("backups") == [
            *((f"backup {name}", "fresh") for name in ("copy-disk", "copy-nas")),
            ("backup drill", "proven"),
            ("backup dump", "fresh"),
        ]


def test_a_drill_that_failed(verified: Verified) -> None:
    failed = {
        **success(),
        "result": "failed",
        "verdict": "fewer-assets",
        "message": "12 of 13 assets came back",
    }
    with verified.statuses(dump=success(), copy_disk=success(), copy_nas=success(), drill=failed):
        (found,) = [check for check in verified.ask("backups") if check.outcome == "fail"]
    assert (found.subject, found.name) == ("backup drill", "proven")
    assert "fewer-assets: 12 of 13 assets came back" in found.found


def test_websockets_that_are_blocked(verified: Verified) -> None:
    with verified.nginx(
        "locations.conf", "location ^~ /api/socket.io {", "location ^~ /api/socket.io {\n    return 403;"
    ):
        assert verified.failures("websocket", "ping") == [(DOOR, "websocket")]


def test_a_limit_of_bodies_that_was_lowered(verified: Verified) -> None:
    limit = int(verified.target.settings.proxy.max_upload.amount)
    with verified.nginx("locations.conf", f"client_max_body_size {limit};", "client_max_body_size 1m;"):
        assert verified.failures("upload-limit", "upload") == [(DOOR, "upload"), (DOOR, "upload-limit")]


def test_a_limit_of_bodies_that_is_gone(verified: Verified) -> None:
    limit = int(verified.target.settings.proxy.max_upload.amount)
    with verified.nginx("locations.conf", f"client_max_body_size {limit};", "client_max_body_size 0;"):
        assert verified.failures("upload-limit") == [(DOOR, "upload-limit")]


@pytest.mark.deep  # it waits for answers that do not come
def test_a_server_that_is_gone(verified: Verified) -> None:
    with verified.stopped("server"):
        found = verified.failures("containers", "ping", "machine-learning", "libraries")
    assert ("container server", "health") in found
    assert (DOOR, "ping") in found
    assert verified.failures("ping") == []


def test_a_container_that_crashed_a_moment_ago(verified: Verified) -> None:
    host.until(lambda: verified.failures("containers") == [], "all that was broken before is well again")
    place, stack = verified.stack.place, verified.stack
    # One of its own: the engine never forgets how often it has started one again.
    container = place.client.containers.run(
        place.images["busybox"], ["sleep", "600"], init=True, detach=True, network="none",
        labels={"immich.stack": stack.name, "immich.workload": "exporter"}, restart_policy={"Name": "always"},
    )  # fmt: skip
    try:
        host.wait_restarted(container, host.kill_process(container))
        found = verified.failures("containers")
    finally:
        host.remove_quietly(container)
    assert found == [("container exporter", "restarts")]

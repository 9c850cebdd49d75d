"""The stand-in of Immich's server does what a deployment can tell of the real one."""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.client import DockerClient
from docker.models.containers import Container

from tests.docker import host
from tests.docker.host_network import HostNetwork
from tests.docker.images.library import Images, real_images
from tests.docker.transfer import Answer, Door, content
from tests.docker.yard import Yard

pytestmark = [
    pytest.mark.skipif(real_images(), reason="IMMICH_REAL_IMAGES=1: the stand-ins are not used"),
    pytest.mark.deep(unless_changed=("tests/docker/images",)),
]

PORT = 12283


@pytest.fixture
def outer(yard: Yard) -> str:
    return yard.network("outer", internal=False)


@pytest.fixture
def door(host_network: HostNetwork) -> Door:
    return Door(host_network, host_network.address, PORT, source=host_network.clients[1])


def _serve(
    yard: Yard, outer: str, network: HostNetwork, env: dict[str, str] | None = None, **more: object
) -> Container:
    return yard.server(env, networks=[outer, yard.inner], ports={2283: (network.address, PORT)}, **more)


@pytest.fixture(scope="module")
def shop(client: DockerClient, images: Images) -> Iterator[Yard]:
    """A database and a cache for the tests of this file, one after the other; each has a database of its own in it."""
    opened = Yard(client, images)
    try:
        opened.postgres()
        opened.valkey()
        yield opened
    finally:
        opened.remove()


@pytest.fixture
def yard(client: DockerClient, images: Images, shop: Yard) -> Iterator[Yard]:
    opened = Yard(client, images, shop.inner)
    opened.database_name = opened.prefix
    try:
        yield opened
    finally:
        opened.remove()


@pytest.fixture
def database(shop: Yard, yard: Yard) -> Container:
    found = shop.client.containers.get(f"{shop.prefix}-database")
    host.execute(found, "createdb", "-U", "immich", yard.database_name)
    return found


@pytest.fixture
def cache(shop: Yard) -> Container:
    found = shop.client.containers.get(f"{shop.prefix}-cache")
    host.execute(
        found,
        "sh",
        "-c",
        'REDISCLI_AUTH="$(cat /run/secrets/cache/password)" valkey-cli flushall | grep -q OK',
    )
    return found


@pytest.fixture
def server(
    yard: Yard, database: Container, cache: Container, outer: str, host_network: HostNetwork
) -> Container:
    return _serve(yard, outer, host_network)


def test_it_starts_hardened_and_says_what_it_is(server: Container, door: Door):
    assert door.get("/api/server/ping").body == b'{"res":"pong"}'
    assert door.get("/api/server/version").json() == {"major": 3, "minor": 3, "patch": 1}
    assert door.get("/.well-known/immich").json() == {"api": {"endpoint": "/api"}}
    assert door.get("/server-info/ping").body.startswith(b"<!doctype html>"), "an old path is no probe"
    assert door.get("/api/absent").status == 404
    status = door.get("/api/standin/status").json()
    assert (status["uid"], status["workers"], status["telemetry"]) == (1000, ["api", "microservices"], [])
    assert "right horse" not in host.inspect_text(server.client or pytest.fail("no client"))


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"IMMICH_TRUSTED_PROXIES": "uniquelocal"}, "IMMICH_TRUSTED_PROXIES"),
        ({"IMMICH_TRUSTED_PROXIES": "10.0.0.0/255.0.0.0"}, "IMMICH_TRUSTED_PROXIES"),
        ({"IMMICH_MEDIA_LOCATION": "data"}, "IMMICH_MEDIA_LOCATION"),
        ({"IMMICH_PORT": "tcp://10.0.0.1:2283"}, "IMMICH_PORT"),
        ({"REDIS_PORT": "tcp://10.0.0.1:6379"}, "REDIS_PORT"),
        ({"IMMICH_LOG_LEVEL": "info"}, "IMMICH_LOG_LEVEL"),
        ({"IMMICH_TELEMETRY_INCLUDE": "all,queue"}, "IMMICH_TELEMETRY_INCLUDE"),
        ({"IMMICH_WORKERS_INCLUDE": "web"}, "IMMICH_WORKERS_INCLUDE"),
        ({"IMMICH_CONFIG_FILE": "/absent.json"}, "IMMICH_CONFIG_FILE"),
        ({"IMMICH_ALLOW_SETUP": "perhaps"}, "IMMICH_ALLOW_SETUP"),
    ],
    ids=lambda value: "=".join(next(iter(value.items()))) if isinstance(value, dict) else "",
)
def test_a_bad_variable_is_refused_by_name_before_anything_else(
    variables: dict[str, str], name: str, yard: Yard
):
    told = yard.refused("server", name="server", user=1000, env=variables)
    assert "Invalid environment variables" in told
    assert f"\n{name}: " in told
    assert "Traceback" not in told


def test_all_bad_variables_are_named_at_once(yard: Yard):
    told = yard.refused(
        "server",
        name="server",
        user=1000,
        env={"IMMICH_LOG_LEVEL": "info", "DB_PORT": "x", "IMMICH_ENV": "y"},
    )
    assert all(name in told for name in ("IMMICH_LOG_LEVEL", "DB_PORT", "IMMICH_ENV"))


def test_a_wrong_database_password_ends_it(yard: Yard, database: Container, cache: Container):
    yard.given["database"] = "wrong mule"
    server = yard.server(healthy_within=None)
    assert server.wait(timeout=60)["StatusCode"] == 1
    assert b"password authentication failed" in server.logs()
    assert b"wrong mule" not in server.logs()


def test_a_wrong_cache_password_ends_it(yard: Yard, database: Container, cache: Container):
    yard.given["cache"] = "wrong mule"
    server = yard.server(healthy_within=None)
    assert server.wait(timeout=60)["StatusCode"] == 1
    assert b"cache: " in server.logs()
    assert b"wrong mule" not in server.logs()


def test_it_waits_for_a_cache_that_comes_later(client: DockerClient, images: Images):
    yard = Yard(client, images)
    try:
        yard.postgres()
        server = yard.server(healthy_within=None)
        host.until(lambda: b"waiting for the cache" in server.logs(), "it waits for the cache")
        yard.valkey()
        host.wait_healthy(server)
    finally:
        yard.remove()


def test_it_ends_at_once_where_there_is_no_database(yard: Yard):
    server = yard.server({"DB_HOSTNAME": "absent"}, healthy_within=None)
    assert server.wait(timeout=60)["StatusCode"] == 1
    assert b"database: " in server.logs()


def test_a_marker_that_was_made_and_is_gone_stops_the_next_start(
    yard: Yard, server: Container, cache: Container
):
    assert len(host.execute(server, "sh", "-c", "ls -d /data/*/.immich").split()) == 6
    server.restart(timeout=30)
    host.wait_healthy(server)
    host.execute(server, "rm", "/data/library/.immich")

    server.restart(timeout=30)

    assert server.wait(timeout=60)["StatusCode"] == 1
    assert b"library/.immich" in server.logs(tail=5)


def test_an_empty_volume_with_an_old_database_is_refused_and_with_a_new_one_accepted(
    yard: Yard, server: Container
):
    server.remove(force=True)
    yard.volume("other-media", 1000)
    empty = yard.server(name="empty", mounts={"/data": "other-media"}, healthy_within=None)
    assert empty.wait(timeout=60)["StatusCode"] == 1
    assert b"Failed to read" in empty.logs()


def test_a_media_folder_of_somebody_else_is_refused(yard: Yard, database: Container, cache: Container):
    yard.volume("media-of-root", 0)
    server = yard.server(mounts={"/data": "media-of-root"}, healthy_within=None)
    assert server.wait(timeout=60)["StatusCode"] == 1
    assert b"Permission denied" in server.logs()


def test_a_big_upload_comes_back_equal_and_is_never_in_memory(server: Container, door: Door):
    size = 300 << 20
    answer, sent = door.upload(size)
    assert answer.status == 201
    found = answer.json()
    assert (found["checksum"], found["size"]) == (sent, size)
    assert door.download(f"/api/assets/{found['id']}/original") == (200, size, sent)
    assert [one["checksum"] for one in door.get("/api/standin/assets").json()] == [sent]
    assert door.get("/api/standin/status").json()["queued"] == 1
    status = Path(f"/proc/{_python(server)}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    assert peak < 100 * 1024, f"{peak} KiB for an upload of {size >> 10}"


def _python(server: Container) -> int:
    """tini is the first process; the server its only child."""
    pid = host.host_pid(server)
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def test_a_chunked_upload_is_accepted_and_one_that_ends_early_is_not(
    server: Container, door: Door, host_network: HostNetwork
):
    body = b"".join(content(3_000_001, 5))
    answer = door.request("POST", "/api/assets", iter([body[:7], body[7:]]))  # http.client sends it chunked
    assert answer.json()["checksum"] == hashlib.sha1(body, usedforsecurity=False).hexdigest()

    connection = door.connect()
    assert connection.sock is not None
    connection.sock.sendall(b"POST /api/assets HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\nhalf")
    connection.close()

    host.until(lambda: b"ended 999995 bytes early" in server.logs(), "the broken upload is noticed")
    assert len(door.get("/api/standin/assets").json()) == 1
    assert (
        host.execute(server, "sh", "-c", "find /data/upload -type f ! -name .immich | wc -l").strip() == "1"
    )


def test_a_part_of_a_file_is_given_when_asked_for(server: Container, door: Door):
    body = bytes(range(256)) * 10
    path = f"/api/assets/{door.request('POST', '/api/assets', body).json()['id']}/original"
    part = door.get(path, {"Range": "bytes=250-259"})
    assert (part.status, part.body, part.headers["Content-Range"]) == (
        206,
        body[250:260],
        "bytes 250-259/2560",
    )
    assert door.get(path, {"Range": "bytes=-5"}).body == body[-5:]
    assert door.get(path, {"Range": "bytes=9999-"}).status == 416
    assert door.get("/api/assets/00000000-0000-4000-8000-000000000000/original").status == 404


def test_a_full_volume_is_a_clear_error_and_leaves_nothing_half(  # noqa: PLR0917  fixtures
    yard: Yard, database: Container, cache: Container, outer: str, host_network: HostNetwork, door: Door
):
    server = _serve(yard, outer, host_network, mounts={"/data": yard.small_volume("small", 1000, "24m")})

    good, sent = door.upload(8 << 20, seed=1)
    full, _ = door.upload(64 << 20, seed=2)

    assert (good.status, full.status) == (201, 500)
    assert full.json()["error"] == "ENOSPC"
    assert "no space left on the media volume" in full.json()["message"]
    assert door.download(f"/api/assets/{good.json()['id']}/original") == (200, 8 << 20, sent)
    assert len(door.get("/api/standin/assets").json()) == 1
    assert (
        host.execute(server, "sh", "-c", "find /data/upload -type f ! -name .immich | wc -l").strip() == "1"
    )
    assert door.upload(1 << 20, seed=3)[0].status == 201, "what fits is accepted again"


def test_uploads_during_an_outage_of_the_database_fail_and_later_ones_work(
    server: Container, database: Container, door: Door
):
    first, _ = door.upload(1 << 20, seed=1)
    database.stop(timeout=30)
    during, _ = door.upload(1 << 20, seed=2)
    assert door.get("/api/server/ping").status == 200, "a ping asks no database"
    assert door.get("/api/server/config").status == 500
    database.start()
    host.wait_healthy(database)

    def interrupted() -> Iterator[bytes]:
        yield b"a" * 1000
        database.stop(timeout=30)
        yield b"b" * 1000

    in_between = door.request("POST", "/api/assets", interrupted(), {"Content-Length": "2000"})
    database.start()
    host.wait_healthy(database)
    after, _ = door.upload(1 << 20, seed=3)

    assert [one.status for one in (first, during, in_between, after)] == [201, 500, 500, 201]
    recorded = {one["id"] for one in door.get("/api/standin/assets").json()}
    assert recorded == {first.json()["id"], after.json()["id"]}
    stored = host.execute(server, "find", "/data/upload", "-type", "f", "!", "-name", ".immich").split()
    assert {path.rpartition("/")[2] for path in stored} == recorded
    assert host.state(server).restarts == 0


def test_an_upload_while_the_cache_is_away_is_stored_and_answered_when_it_is_back(
    server: Container, cache: Container, door: Door
):
    answers: list[Answer] = []
    cache.stop(timeout=30)
    upload = threading.Thread(target=lambda: answers.append(door.upload(1 << 20, seed=1)[0]))
    upload.start()
    host.until(lambda: len(door.get("/api/standin/assets").json()) == 1, "it is stored")
    assert door.get("/api/server/ping").status == 200
    assert answers == []
    cache.start()
    upload.join(60)
    assert [one.status for one in answers] == [201]
    assert b"POST" not in server.logs(), "requests have no line at the default level"


def test_sigterm_ends_it_amid_an_upload_and_leaves_the_half_file(server: Container, door: Door):
    def stopping() -> Iterator[bytes]:
        yield b"a" * 1000
        host.until(lambda: "upload" in left() or None, "the file is begun")
        server.stop(timeout=30)
        yield b"b" * 1000

    def left() -> str:
        return host.execute(server, "find", "/data/upload", "-type", "f", "!", "-name", ".immich")

    with pytest.raises((ConnectionError, http.client.HTTPException)):
        door.request("POST", "/api/assets", stopping(), {"Content-Length": "2000"})
    assert host.state(server).exit_code == 143
    server.start()
    host.wait_healthy(server)
    assert len(left().split()) == 1
    assert door.get("/api/standin/assets").json() == []


@pytest.mark.parametrize(
    ("trusted", "forwarded", "expected"),
    [
        ("", "203.0.113.7", "client"),
        ("198.18.0.0/15", "203.0.113.7", "203.0.113.7"),
        ("198.18.0.0/15", "6.6.6.6, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.0/8", "203.0.113.7", "client"),
    ],
)
def test_whose_word_about_the_client_is_taken_depends_on_the_trusted_proxies(  # noqa: PLR0917  fixtures
    trusted: str,
    forwarded: str,
    expected: str,
    yard: Yard,
    database: Container,
    cache: Container,
    outer: str,
    host_network: HostNetwork,
    door: Door,
):
    server = _serve(
        yard, outer, host_network, {"IMMICH_TRUSTED_PROXIES": trusted, "IMMICH_LOG_LEVEL": "debug"}
    )
    found = door.get(
        "/api/standin/client", {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": "https"}
    ).json()
    address = host_network.clients[1] if expected == "client" else expected
    assert found["address"] == address
    assert found["peer"] == host_network.clients[1]
    assert found["protocol"] == ("http" if expected == "client" else "https")

    def logged() -> str | None:
        lines = server.logs().decode().splitlines()
        return next((line for line in lines if "GET /api/standin/client" in line), None)

    line = host.until(logged, "the request is in the log")
    assert line.endswith(f" {address}")


def test_a_websocket_sends_messages_back(server: Container, door: Door):
    connection = door.connect()
    assert connection.sock is not None
    sock: socket.socket = connection.sock
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET /api/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
        f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    stream = sock.makefile("rb")
    assert b" 101 " in stream.readline()
    while stream.readline().strip():
        continue
    text, mask = b"hello" * 50, b"\1\2\3\4"
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
    sock.sendall(b"\x81\xfe" + len(text).to_bytes(2, "big") + mask + masked)
    assert stream.read(4) == b"\x81\x7e" + len(text).to_bytes(2, "big")
    assert stream.read(len(text)) == text
    stream.close()
    connection.close()
    polling = door.get("/api/socket.io/?EIO=4&transport=polling")
    assert polling.status == 400, "there is no transport but websocket"


def test_metrics_have_ports_only_with_telemetry(yard: Yard, database: Container, cache: Container):
    server = yard.server(
        {
            "IMMICH_TELEMETRY_INCLUDE": "all",
            "IMMICH_API_METRICS_PORT": "8091",
            "IMMICH_MICROSERVICES_METRICS_PORT": "8092",
        }
    )
    quiet = yard.server(name="quiet")
    for port, word in ((8091, "immich_users_total"), (8092, "immich_queues")):
        client = yard.run(
            "busybox", name=f"client-{port}", user=65534, healthy_within=None,
            command=["wget", "-q", "-O", "-", f"http://server:{port}/metrics"],
        )  # fmt: skip
        assert client.wait()["StatusCode"] == 0
        assert word in client.logs().decode()
    assert host.reaches_from(server, "127.0.0.1", 8091)
    assert not host.reaches_from(quiet, "127.0.0.1", 8081)


def test_without_the_api_nothing_answers_and_the_health_check_is_content(
    yard: Yard, database: Container, cache: Container
):
    yard.server()
    jobs = yard.server({"IMMICH_WORKERS_INCLUDE": "microservices"}, name="jobs")
    assert host.state(jobs).health == "healthy"
    assert not host.reaches_from(jobs, "127.0.0.1", 2283)


def test_the_health_check_fails_when_nobody_answers(yard: Yard):
    waiting = yard.server({"DB_HOSTNAME": "absent"}, healthy_within=None)
    asked = waiting.exec_run(["immich-healthcheck"])
    assert asked.exit_code == 1
    assert b"no pong" in asked.output


def test_the_database_is_reached_from_its_network_and_from_no_other(
    yard: Yard, database: Container, outer: str
):
    busybox = yard.images["busybox"]
    assert host.reaches(yard.client, busybox, yard.inner, "database", 5432)
    assert not host.reaches(yard.client, busybox, outer, host.address_of(database, yard.inner), 5432)


def test_without_permission_to_set_up_it_says_that_there_is_an_administrator_and_makes_none(
    server: Container, yard: Yard, outer: str, host_network: HostNetwork, door: Door
) -> None:
    assert door.get("/api/server/config").json()["isInitialized"] is False
    server.remove(force=True)
    _serve(yard, outer, host_network, {"IMMICH_ALLOW_SETUP": "false"})
    given = b'{"email": "you@example.com", "password": "a long way"}'
    assert door.request("POST", "/api/auth/admin-sign-up", given).status == 400
    assert door.get("/api/server/config").json()["isInitialized"] is True

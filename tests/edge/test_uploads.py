"""Bodies of any size go through nginx as they come, and the limit is where the settings say."""

from __future__ import annotations

import hashlib
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.model.values import Duration
from tests.edge.client import connect, download, request, upload
from tests.edge.conftest import Start
from tests.edge.running import GATEWAY, Watch, proxy
from tests.edge.upstream import Upstream, pattern

pytestmark = pytest.mark.edge

SIZES = pytest.mark.parametrize(
    "total", [300 * 10**6, pytest.param(5 * 10**9, marks=pytest.mark.deep)], ids=["300M", "5G"]
)
"""Beyond what nginx may keep in memory or would put on disk; the larger one does not fit into 32 bits."""
MEMORY = 16 * 2**20
LIMIT = 100 * 10**6
ASSETS = "/api/assets"


def digest_of(size: int) -> str:
    digest = hashlib.sha256()
    for block in pattern(size):
        digest.update(block)
    return digest.hexdigest()


def until_the_first_byte(upstream: Upstream, target: str) -> Callable[[int], None]:
    """A client that has sent 4 MiB sends no more until the first of them has arrived, ten seconds at the most.

    Without the pause the machine's load would decide: buffers of the system take in more than that at once.
    """

    def wait(block: int) -> None:
        if block == 4:
            until = time.monotonic() + 10
            while time.monotonic() < until and not any(
                seen.first_byte for seen in upstream.seen if seen.target == target
            ):
                time.sleep(0.01)

    return wait


@SIZES
def test_a_large_upload_streams_through(start: Start, upstream: Upstream, total: int) -> None:
    nginx = start(proxy())
    upload(nginx.ports["lan"], f"{ASSETS}?warm", 32 * 2**20)
    with Watch(nginx) as watch:
        sent = upload(nginx.ports["lan"], ASSETS, total, pause=until_the_first_byte(upstream, ASSETS))
    seen = upstream.wait_for(ASSETS)
    assert sent.answer.status == 200
    assert (seen.size, seen.sha256) == (total, sent.sha256)
    assert watch.spooled == set()
    assert watch.growth < MEMORY
    assert seen.first_byte < sent.sent_at[4]


@SIZES
def test_a_large_download_streams_through(start: Start, total: int) -> None:
    nginx = start(proxy())
    download(nginx.ports["lan"], f"{ASSETS}/x/original?size={32 * 2**20}")
    with Watch(nginx) as watch:
        size, digest = download(nginx.ports["lan"], f"{ASSETS}/x/original?size={total}")
    assert (size, digest) == (total, digest_of(total))
    assert watch.spooled == set()
    assert watch.growth < MEMORY


@pytest.mark.parametrize("path", [ASSETS, "/api/assets/8d4f/original", "/api/admin/database-backups/upload"])
def test_the_first_bytes_arrive_before_the_client_has_sent_4_megabytes(
    path: str, start: Start, upstream: Upstream
) -> None:
    nginx = start(proxy())

    sent = upload(nginx.ports["lan"], path, 8 * 2**20, pause=until_the_first_byte(upstream, path))
    seen = upstream.wait_for(path)
    assert seen.first_byte < sent.sent_at[4]
    assert seen.sha256 == sent.sha256


@pytest.mark.parametrize(("size", "status"), [(LIMIT - 1, 200), (LIMIT, 200), (LIMIT + 1, 413)])
def test_the_limit_is_exact(size: int, status: int, start: Start, upstream: Upstream) -> None:
    nginx = start(proxy(maxUpload="100M"))
    if status == 200:
        sent = upload(nginx.ports["lan"], ASSETS, size)
        assert sent.answer.status == 200
        assert upstream.wait_for(ASSETS).sha256 == sent.sha256
        return
    # Refused at once by what the head says; a client need not send it all to hear so.
    with connect(nginx.ports["lan"]) as connection:
        connection.sendall(f"POST {ASSETS} HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 413"
    assert upstream.seen == []


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413)])
def test_the_limit_holds_for_chunks_whose_sum_nobody_has_announced(
    size: int, status: int, start: Start, upstream: Upstream
) -> None:
    nginx = start(proxy(maxUpload="100M"))
    chunks = (bytes(block) for block in pattern(size))
    if status == 200:
        assert request(nginx.ports["lan"], "POST", ASSETS, body=chunks).status == 200
        assert upstream.wait_for(ASSETS).size == size
        return
    try:
        assert request(nginx.ports["lan"], "POST", ASSETS, body=chunks).status == status
    except (BrokenPipeError, ConnectionResetError):
        # nginx has answered and closed while the client was still sending.
        assert nginx.log()[-1]["status"] == str(status)
    assert not upstream.wait_for(ASSETS).whole


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/auth/login", 64 * 2**10),
        ("/api/oauth/callback", 64 * 2**10),
        ("/api/socket.io/", 2**20),
        ("/api/search/metadata", 64 * 2**20),
        ("/", 64 * 2**20),
    ],
)
def test_what_takes_no_photos_takes_no_bodies_of_their_size(path: str, limit: int, start: Start) -> None:
    nginx = start(proxy())
    for size, expected in ((limit + 1, b"413"), (limit, b"200")):
        with connect(nginx.ports["lan"]) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n"
            connection.sendall(head.encode())
            if expected == b"200":
                connection.sendall(bytes(size))
            assert connection.recv(12)[9:] == expected


def test_a_client_that_pauses_goes_on_where_it_was(start: Start, upstream: Upstream) -> None:
    settings = proxy().model_copy(update={"timeout": Duration("3s")})
    nginx = start(settings)
    sent = upload(
        nginx.ports["lan"], ASSETS, 8 * 2**20, pause=lambda block: time.sleep(1.5 if block == 3 else 0)
    )
    assert sent.answer.status == 200
    assert upstream.wait_for(ASSETS).sha256 == sent.sha256


def test_a_client_that_stops_is_given_up_and_hinders_nobody(start: Start, upstream: Upstream) -> None:
    nginx = start(proxy().model_copy(update={"timeout": Duration("2s")}))
    with connect(nginx.ports["lan"]) as stalled:
        stalled.sendall(b"POST /api/assets?stalled HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n")
        stalled.sendall(bytes(100_000))
        assert upload(nginx.ports["lan"], f"{ASSETS}?other", 4 * 2**20).answer.status == 200
        began = time.monotonic()
        stalled.settimeout(20)
        try:
            told = stalled.recv(100)
        except ConnectionResetError:
            told = b""
        assert not told or told.startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began < 10
    seen = upstream.wait_for("/api/assets?stalled")
    assert not seen.whole
    assert nginx.log(2)[-1]["status"] == "408"


def test_200_uploads_at_once_all_arrive(start: Start, upstream: Upstream) -> None:
    nginx = start(proxy())
    before = nginx.resident()
    size = 1_500_000
    barrier = threading.Barrier(200)

    def one(number: int) -> str:
        barrier.wait(60)
        sent = upload(nginx.ports["lan"], f"{ASSETS}?{number}", size)
        assert sent.answer.status == 200
        return sent.sha256

    with Watch(nginx) as watch, ThreadPoolExecutor(200) as pool:
        sums = list(pool.map(one, range(200)))
    assert [upstream.wait_for(f"{ASSETS}?{number}").sha256 for number in range(200)] == sums
    assert len(upstream.seen) == 200
    assert watch.spooled == set()
    # All of them together fit into the memory that the container has.
    assert watch.peak - before < 160 * 2**20


def test_a_server_that_restarts_costs_the_uploads_in_progress_and_no_other(
    start: Start, upstream: Upstream
) -> None:
    nginx = start(proxy())

    def restart(block: int) -> None:
        if block == 4:
            upstream.wait_for(f"{ASSETS}?during")
            upstream.stop()

    try:
        during = upload(nginx.ports["lan"], f"{ASSETS}?during", 64 * 2**20, pause=restart).answer.status
    except (BrokenPipeError, ConnectionResetError):
        during = int(nginx.log()[-1]["status"])
    assert during == 502
    assert request(nginx.ports["lan"], "GET", "/api/server/ping").status == 502
    upstream.start()
    sent = upload(nginx.ports["lan"], f"{ASSETS}?after", 4 * 2**20)
    assert sent.answer.status == 200
    assert upstream.wait_for(f"{ASSETS}?after").sha256 == sent.sha256


def test_an_upload_in_progress_comes_to_its_end_when_nginx_is_told_to_stop(
    start: Start, upstream: Upstream
) -> None:
    nginx = start(proxy())
    stopping: list[threading.Thread] = []

    def stop(block: int) -> None:
        if block == 2:
            upstream.wait_for(ASSETS)
            # As the image's STOPSIGNAL says.
            stopping.append(threading.Thread(target=nginx.stop, args=(signal.SIGQUIT, 20)))
            stopping[0].start()
            time.sleep(0.5)

    sent = upload(nginx.ports["lan"], ASSETS, 8 * 2**20, pause=stop)
    assert sent.answer.status == 200
    assert upstream.wait_for(ASSETS).sha256 == sent.sha256
    stopping[0].join(30)
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", nginx.ports["lan"])):
        pass


def test_every_listener_streams(start: Start, upstream: Upstream) -> None:
    nginx = start(proxy(GATEWAY), tunnel=True)
    for name in ("gateway", "tunnel"):
        with Watch(nginx) as watch:
            sent = upload(nginx.ports[name], f"{ASSETS}?{name}", 64 * 2**20)
        assert upstream.wait_for(f"{ASSETS}?{name}").sha256 == sent.sha256
        assert watch.spooled == set()

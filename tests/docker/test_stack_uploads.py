"""Files through the way in of each stack, whole and without being held anywhere; and whose they are in the log."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from components.settings.docker import Docker
from components.stack.host_networks import subnets
from tests.docker import host
from tests.docker.stacks import HostStack
from tests.docker.standing import Peak, Standing
from tests.docker.transfer import Door

pytestmark = [pytest.mark.docker, pytest.mark.engine]

MIB = 1 << 20
FORGED = {
    "X-Forwarded-For": "203.0.113.99",
    "X-Real-IP": "203.0.113.99",
    "CF-Connecting-IP": "203.0.113.99",
    "True-Client-IP": "203.0.113.99",
    "Forwarded": "for=203.0.113.99",
}
"""What a client can say of itself."""
TAILNET = (
    {"X-Forwarded-For": "100.64.3.4", "X-Forwarded-Proto": "https"},
    {**FORGED, "X-Forwarded-For": "100.64.3.4", "X-Forwarded-Proto": "https"},
)
"""What comes from a neighbour who is believed."""
VISITOR = {**FORGED, "STANDIN-Client": "203.0.113.7"}
"""What the stand-in's edge is told of a client."""


@pytest.mark.timeout(600)
def test_a_big_file_goes_in_through_the_proxy_and_comes_back_equal_and_nobody_holds_it(
    standing: Standing,
) -> None:
    stack = standing.stack
    size = 2048 * MIB if stack.system == "home" else 64 * MIB
    clients = stack.place.network.clients
    lan = [source for source in clients[1:2] if stack.ways() and stack.ways()[0][0] != "127.0.0.1"]
    doors = [stack.door(*lan), *([stack.edge()] if stack.system == "everything" else [])]
    hops = [one for name, one in stack.workloads().items() if name in {"server", "proxy", "cloudflared"}]
    told: dict[str, Any] = {}
    sent = ""
    with Peak(hops) as peak:
        for seed, door in enumerate(doors):
            answer, sent = door.upload(size, seed=seed, seconds=300)
            assert answer.status == 201, answer.body
            told = answer.json()
            assert (told["size"], told["checksum"]) == (size, sent)
            back = door.download(f"/api/assets/{told['id']}/original", seconds=300)
            assert back == (200, size, sent)
    print(f"{stack.name}: {size // MIB} MiB, grown by {peak.grown}")
    assert all(grown < 24 * MIB for grown in peak.grown.values()), peak.grown
    assert media_hash(stack, told["id"]) == sent


def media_hash(stack: HostStack, asset: str) -> str:
    """Of the file as the host has it: in the folder that the settings name, or in the volume."""
    media = stack.settings().get("storage", {}).get("media", {})
    if media.get("kind") == "hostPath":
        root = Path(media["path"])
    else:
        # The engine has its mounts for itself: seen through one of its containers.
        root = Path(f"/proc/{host.host_pid(stack.container('server'))}/root/data")
    digest = hashlib.sha1(usedforsecurity=False)
    with (root / "upload" / asset[:2] / asset).open("rb") as opened:
        while piece := opened.read(MIB):
            digest.update(piece)
    return digest.hexdigest()


def seen(door: Door, headers: Mapping[str, str]) -> dict[str, str]:
    answer = door.get("/api/standin/client", headers)
    assert answer.status == 200, answer.body
    return answer.json()


def test_the_server_logs_the_true_address_of_a_client_whatever_it_says(standing: Standing) -> None:
    stack = standing.stack
    asked: list[tuple[Door, dict[str, str], str]] = []
    own = subnets(stack.name, Docker())["proxy-outside"]
    # What comes from the host itself has the engine's address in nginx's network.
    gateway = own.rpartition(".")[0] + f".{int(own.rpartition('.')[2].partition('/')[0]) + 1}"
    clients = stack.place.network.clients
    match stack.system:
        case "home" | "heartbeat":
            asked += [(stack.door(source), FORGED, source) for source in clients]
            asked += [(stack.door(source), {}, source) for source in clients]
        case "heartbeat-dev":
            asked += [(stack.door(), FORGED, gateway)]
        case "hwc":
            asked += [(stack.door(source, way=1), FORGED, source) for source in clients]
            asked += [(stack.door(), given, "100.64.3.4") for given in TAILNET]
        case "skylab":
            asked += [(stack.edge(), VISITOR, "203.0.113.7")]
        case "everything":
            asked += [(stack.door(source), FORGED, source) for source in clients]
            asked += [(stack.door(way=1), given, "100.64.3.4") for given in TAILNET]
            asked += [(stack.edge(), VISITOR, "203.0.113.7")]
        case _:
            # Traefik adds its peer behind what the client said.
            asked += [(stack.door(), {"X-Forwarded-For": "203.0.113.99, 203.0.113.7"}, "203.0.113.7")]
    server = stack.container("server")
    for door, headers, client in asked:
        found = seen(door, headers)
        assert found["address"] == client, (headers, found)
        assert found["host"].partition(":")[0] == stack.settings()["host"]["name"]
        email = f"{uuid.uuid4().hex}@example.com"
        failed = {**headers, "Content-Type": "application/json"}
        attempt = json.dumps({"email": email, "password": "wrong"}).encode()
        assert door.request("POST", "/api/auth/login", attempt, failed).status == 401
        line = f"Failed login attempt for user {email} from ip address {client}".encode()
        host.until(partial(logged, server, line), f"the log has {client}", 5)
    assert FORGED["X-Real-IP"] not in server.logs().decode()


def logged(server: Container, line: bytes) -> bool:
    return line in server.logs(tail=10)


def test_links_say_the_scheme_that_the_client_used(standing: Standing) -> None:
    stack = standing.stack
    by_proxy = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    wanted = "http" if stack.system == "home" else "https"
    assert seen(stack.door(), by_proxy)["protocol"] == wanted

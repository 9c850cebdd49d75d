"""Two stacks on one engine: nothing of one is the other's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.docker import host
from tests.docker.conftest import MakeStack
from tests.docker.host_network import ContainerNetwork
from tests.docker.stacks import HostStack
from tests.harness.stacks import changes

pytestmark = [pytest.mark.docker, pytest.mark.engine, pytest.mark.deep]

MIB = 1 << 20


def belongings(stack: HostStack) -> set[str]:
    """Names of all its objects on the engine."""
    client, mine = stack.place.client, stack.mine
    found = [*client.containers.list(all=True, filters=mine), *client.networks.list(filters=mine)]
    return {str(one.name) for one in (*found, *client.volumes.list(filters=mine))}


def test_two_homes_on_one_engine_come_up_at_once_and_one_leaves_without_the_other(
    make_stack: MakeStack,
) -> None:
    first, second = make_stack("home", name="home-alice"), make_stack("home", name="home-bob")
    with ThreadPoolExecutor(2) as pool:
        for result in pool.map(lambda stack: stack.up(), (first, second)):
            assert set(changes(result)) == {"create"}
    mine, theirs = belongings(first), belongings(second)
    assert mine
    assert theirs
    assert not mine & theirs
    assert first.ways() != second.ways()

    client = first.place.network.clients[0]
    uploads = {
        stack.name: stack.door(client).upload(MIB, seed=index) for index, stack in enumerate((first, second))
    }
    for stack in (first, second):
        answer, sent = uploads[stack.name]
        assert answer.status == 201
        (asset,) = stack.door(client).get("/api/standin/assets").json()
        assert asset["checksum"] == sent, "each has the upload of its own and no other"

    # Nobody reaches the other's database, whose passwords differ as well.
    database = host.address_of(second.container("database"), f"{second.prefix}-database")
    with pytest.raises(OSError):  # noqa: PT011  unreachable, refused or timed out: each is right
        ContainerNetwork(host.host_pid(first.container("server"))).connect(database, 5432, 1)
    ContainerNetwork(host.host_pid(second.container("server"))).connect(database, 5432, 1).close()
    assert not set(first.secrets().values()) & set(second.secrets().values())

    started = {name: one.attrs["State"]["StartedAt"] for name, one in second.workloads().items()}
    first.destroy()
    left = belongings(first)
    stays = {f"{first.prefix}-{one}" for one in ("media", "database", "backup")}
    assert left == stays | (left & {f"{first.prefix}-cache"})
    assert belongings(second) == theirs
    assert {name: one.attrs["State"]["StartedAt"] for name, one in second.workloads().items()} == started
    health = {name: host.state(one).health for name, one in second.workloads().items()}
    # Asked each minute only.
    assert health.pop("backup-dump") in {"starting", "healthy"}
    assert set(health.values()) == {"healthy"}
    assert changes(second.up("--expect-no-changes")) == {}
    answer, sent = uploads[second.name]
    assert second.door(client).download(f"/api/assets/{answer.json()['id']}/original") == (200, MIB, sent)

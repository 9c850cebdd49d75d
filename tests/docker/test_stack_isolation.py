"""Who reaches whom: the database and the cache only their users, the host's ports only what the settings say."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from docker.models.containers import Container

from tests.docker import host
from tests.docker.host_network import ContainerNetwork, HostNetwork
from tests.docker.standing import Standing, systems

pytestmark = [pytest.mark.docker, pytest.mark.engine]

STORES = {"database": 5432, "cache": 6379}
USERS = {"server", "microservices"}
OTHERS = {
    "database": {"backup-dump", "drill-database", "postgres-exporter"},
    "cache": {"valkey-exporter"},
}
"""Steps that dump the database, and that compare a restored one with it (the others have files or copies only); what
reads numbers."""
PORTS = {
    "everything": 3,
    "home": 1,
    "skylab": 0,
    "hwc": 2,
    "heartbeat": 2,
    "heartbeat-dev": 2,
    "homelab": 0,
}
"""How many the settings of each stack open for its way in."""
_UNREACHED = {errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT}
ALL = "0.0.0.0"  # noqa: S104  what a port on every address is published at


Question = tuple[str, Container, str, int]
"""Who asks, from where, for which address and port."""


def answers(questions: Sequence[Question]) -> dict[str, bool]:
    """`proxy -> 10.1.2.3:5432` -> whether it is reached within a second."""

    def reached(question: Question) -> tuple[str, bool]:
        name, container, address, port = question
        told = f"{name} -> {address}:{port}"
        try:
            ContainerNetwork(host.host_pid(container)).connect(address, port, 1).close()
        except OSError as error:
            if not isinstance(error, TimeoutError) and error.errno not in _UNREACHED:
                raise  # the question was not put
            return told, False
        return told, True

    with ThreadPoolExecutor(16) as pool:
        return dict(pool.map(reached, questions))


def addresses(container: Container) -> set[str]:
    container.reload()
    return {one["IPAddress"] for one in container.attrs["NetworkSettings"]["Networks"].values()} - {""}


def test_only_the_server_reaches_the_cache_and_only_it_and_what_dumps_the_database(
    standing: Standing,
) -> None:
    stack = standing.stack
    containers = stack.workloads()
    if stack.traefik is not None:
        containers["Traefik's stand-in"] = stack.traefik
    stores = {name: (addresses(containers[name]).pop(), port) for name, port in STORES.items()}
    found = answers(
        [
            (name, one, *where)
            for store, where in stores.items()
            for name, one in containers.items()
            if name != store
        ]
    )
    assert len(found) == len(STORES) * (len(containers) - 1)
    reached = {
        store: {name for name in containers if found.get(f"{name} -> {address}:{port}")}
        for store, (address, port) in stores.items()
    }
    assert reached == {store: (USERS | OTHERS[store]) & set(containers) for store in STORES}


def test_a_container_in_a_network_with_a_way_out_reaches_neither(standing: Standing) -> None:
    stack = standing.stack
    client, busybox = stack.place.client, stack.place.images["busybox"]
    mine = client.networks.list(filters=stack.mine)
    networks = [str(one.name) for one in mine if str(one.name).endswith("-outside")]
    assert networks
    networks.append("bridge")
    stores = [(addresses(stack.container(name)).pop(), port) for name, port in STORES.items()]
    strangers: dict[str, Container] = {}
    try:
        for network in networks:
            strangers[network] = client.containers.run(
                busybox, ["sleep", "60"], init=True, network=network, detach=True
            )
        asked = [(name, one, *where) for name, one in strangers.items() for where in stores]
        assert not any(answers(asked).values())
    finally:
        for one in strangers.values():
            one.remove(force=True)


def test_the_stores_have_no_way_out_and_machine_learning_is_the_server_s_alone(
    standing: Standing, host_network: HostNetwork
) -> None:
    stack = standing.stack
    containers = stack.workloads()
    with socket.create_server((host_network.clients[0], 0)) as outside:
        where: tuple[str, int] = outside.getsockname()
        found = answers([(name, containers[name], *where) for name in (*STORES, "machine-learning")])
    assert [told.partition(" ")[0] for told, yes in found.items() if yes] == ["machine-learning"]

    learning = containers.pop("machine-learning")
    asked = [
        (name, one, address, 3003) for name, one in containers.items() for address in addresses(learning)
    ]
    users = {told.partition(" ")[0] for told, yes in answers(asked).items() if yes}
    assert users == USERS & set(containers)


def open_ports(source: str, address: str) -> set[int]:
    """Every TCP port of an address that accepts a connection."""
    found: set[int] = set()
    for port in range(1, 65536):
        with socket.socket() as tried:
            tried.settimeout(2)
            tried.bind((source, 0))
            if tried.connect_ex((address, port)) == 0:
                found.add(port)
    return found


def test_the_host_has_the_ports_that_the_settings_say_and_no_other(
    standing: Standing, host_network: HostNetwork
) -> None:
    stack = standing.stack
    wanted = {(address, port) for address, port, _ in stack.ways()}
    wanted |= {(address, redirect) for address, _, redirect in stack.ways() if redirect is not None}
    assert len(wanted) == PORTS[stack.name]
    published = host.published_ports(stack.place.client, stack.name)
    by_proxy = {(address, port) for name, address, port, _ in published if name == f"{stack.prefix}-proxy"}
    assert by_proxy == wanted
    others = {
        (name, address, port) for name, address, port, _ in published if name != f"{stack.prefix}-proxy"
    }
    grafana = {(f"{stack.prefix}-grafana", "127.0.0.1", 3000)}
    assert others == (grafana if stack.system == "everything" else set())

    client = host_network.clients[1]
    strange = {
        port
        for name, _, port, _ in host.published_ports(stack.place.client)
        if not name.startswith(f"{stack.prefix}-")
    }
    strange |= host_network.servers
    at_all = {port for address, port in wanted if address == ALL}
    here = {port for address, port in wanted if address == host_network.address}
    assert open_ports(client, host_network.address) - strange == at_all | here
    for port in {port for _, port in wanted} | {2283, 80, 443, *STORES.values()}:
        with socket.socket() as tried:
            tried.settimeout(2)
            accepted = tried.connect_ex((host_network.other_address, port)) == 0
        assert accepted == (port in at_all) or port in strange, f"{host_network.other_address}:{port}"
    for port in {port for address, port in wanted if address in {ALL, "127.0.0.1"}}:
        host_network.connect("127.0.0.1", port).close()


@systems("everything", "skylab", "hwc", "heartbeat")
def test_an_external_library_can_be_read_and_not_written(standing: Standing) -> None:
    stack = standing.stack
    (library,) = stack.settings()["storage"]["externalLibraries"]
    photo = Path(library["source"]["path"]) / "photo.jpg"
    photo.write_bytes(b"a photo")
    photo.chmod(0o644)
    server = stack.container("server")
    assert host.execute(server, "cat", f"{library['mountPath']}/photo.jpg") == "a photo"
    for command in (f"echo > {library['mountPath']}/new", f"rm {library['mountPath']}/photo.jpg"):
        with pytest.raises(AssertionError, match="Read-only file system"):
            host.execute(server, "/bin/sh", "-c", command, user="0")
    assert photo.read_bytes() == b"a photo"
    photo.unlink()

"""The engine of the test run: apart from this machine, restarted without loss, gone afterwards."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.docker import host
from tests.docker.engine_process import Engine, EngineError, missing_parts
from tests.docker.host_network import HostNetwork
from tests.docker.images.library import Images
from tests.docker.transfer import Door, content
from tests.docker.yard import Yard
from tests.harness.killing import left_after
from toolchain.paths import ROOT

pytestmark = pytest.mark.deep(
    unless_changed=("tests/docker/engine_process.py", "tests/docker/host_network.py")
)


def test_an_engine_that_is_removed_leaves_no_process_mount_network_or_file(engine: Engine):
    directory = Path(tempfile.mkdtemp(prefix="imd-"))
    own = Engine(directory, HostNetwork.create())
    own.start()
    client = own.client()
    images = Images(client)
    running = client.containers.run(images["busybox"], list(SLEEP), detach=True)
    pid = host.host_pid(running)
    client.close()
    groups = list(Path("/sys/fs/cgroup").glob(f"**/{own.network.name}"))
    assert groups, "its containers are in a control group of its own"

    own.remove()

    assert not directory.exists()
    assert not own.network.path.exists()
    assert not Path(f"/proc/{pid}").exists()
    assert left_after(directory) == []
    assert str(directory) not in Path("/proc/mounts").read_text()
    assert not [group for group in groups if group.exists()]
    assert f"imt{own.network.number}" not in subprocess.check_output(["ip", "-o", "link"], text=True)


def test_what_a_killed_run_left_is_removed_by_the_next_one(engine: Engine):
    script = (
        "import os, sys, tempfile\n"
        "from pathlib import Path\n"
        "from tests.docker.engine_process import Engine\n"
        "from tests.docker.host_network import HostNetwork\n"
        "own = Engine(Path(tempfile.mkdtemp(prefix='imd-')), HostNetwork.create())\n"
        "own.start()\n"
        "print(own.directory, own.network.number, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    directory, number = killed.stdout.split()
    assert Path(directory).exists()

    taken: list[HostNetwork] = []
    try:
        # Others may take the number first; then it is they who remove what was left.
        while Path(directory).exists() and len(taken) <= int(number):
            taken.append(HostNetwork.create())
    finally:
        for one in taken:
            one.remove()

    host.until(lambda: not Path(directory).exists(), "the folder is removed", 30)
    assert left_after(Path(directory)) == []


def test_the_engine_changes_neither_this_machine_s_interfaces_nor_its_firewall(yard: Yard):
    yard.run("busybox", name="sleeper", user=65534, command=SLEEP)

    bridges = subprocess.check_output(["ip", "-o", "link", "show", "type", "bridge"], text=True)
    rules = subprocess.check_output(["iptables-save"], text=True)

    network = yard.client.networks.get(yard.inner)
    assert network.id is not None
    assert f"br-{network.id[:12]}" not in bridges
    assert network.id[:12] not in rules


def test_two_engines_have_networks_of_their_own_although_their_subnets_are_equal(engine: Engine):
    directory = Path(tempfile.mkdtemp(prefix="imd-"))
    other = Engine(directory, HostNetwork.create())
    other.start()
    try:
        assert other.network.number != engine.network.number
        assert other.network.clients[0] != engine.network.clients[0]
        assert "172.31.255.1/24" in other.network.run("ip", "address")
        assert "172.31.255.1/24" in engine.network.run("ip", "address")
    finally:
        other.remove()


SLEEP = ("sh", "-c", "trap exit TERM; sleep 600 & wait")


# After a crash the next dockerd stops what still runs; `unless-stopped` then takes it for stopped by hand (20.10).
@pytest.mark.parametrize(
    ("crash", "policy"), [(False, "unless-stopped"), (False, "always"), (True, "always")]
)
def test_containers_that_are_to_restart_and_their_volumes_survive_the_engine(
    crash: bool, policy: str, engine: Engine, yard: Yard
):
    yard.volume("kept", 65534, {"file": "kept"})
    running = yard.run(
        "busybox", name="sleeper", user=65534, command=SLEEP, mounts={"/v": "kept"},
        restart_policy={"Name": policy},
    )  # fmt: skip
    old = host.host_pid(running)

    engine.restart(crash=crash)

    host.wait_restarted(running, old)
    assert host.execute(running, "cat", "/v/file") == "kept"


def test_a_container_whose_process_is_killed_comes_back_by_its_restart_policy(yard: Yard):
    running = yard.run(
        "busybox", name="sleeper", user=65534, command=SLEEP, restart_policy={"Name": "always"}
    )
    old = host.kill_process(running)
    host.wait_restarted(running, old)
    assert host.state(running).restarts == 1


def test_an_engine_that_cannot_start_says_what_its_log_says(engine: Engine):
    directory = Path(tempfile.mkdtemp(prefix="imd-"))
    broken = Engine(directory, engine.network)
    (directory / "data").write_text("no folder")
    try:
        with pytest.raises(EngineError, match="points to a file"):
            broken.start(10)
    finally:
        broken.end_mounts()
        shutil.rmtree(directory)


def test_a_socket_path_that_is_too_long_is_refused_before_anything_is_started(engine: Engine):
    with pytest.raises(EngineError, match="shorter TMPDIR"):
        Engine(Path("/tmp") / ("x" * 90), engine.network)


def test_what_is_missing_is_named_with_the_package_that_has_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "docker.io" in " ".join(missing_parts())


def test_a_published_port_is_reached_where_it_is_published_and_sees_the_client_s_address(
    yard: Yard, host_network: HostNetwork
):
    outer = yard.network("outer", internal=False)
    yard.run(
        "busybox", name="shower", user=65534, networks=[outer],
        health=["sh", "-c", "netstat -tln | grep -q :8080"],
        command=["nc", "-ll", "-p", "8080", "-e", "netstat", "-tn"],
        ports={8080: (host_network.address, 18080)},
    )  # fmt: skip

    def answer(to: str, source: str | None) -> bytes:
        door = Door(host_network, to, 18080, source=source)
        connection = door.connect(5)
        try:
            assert connection.sock is not None
            return connection.sock.recv(1 << 16)
        finally:
            connection.close()

    for source in host_network.clients:
        assert source.encode() in answer(host_network.address, source)
    with pytest.raises(OSError, match="refused"):
        answer(host_network.other_address, host_network.clients[0])
    with pytest.raises(OSError, match="refused"):
        answer("127.0.0.1", None)
    assert (host_network.address, 18080) in host_network.listening()
    assert {port[1:] for port in host.published_ports(yard.client) if port[0].startswith(yard.prefix)} == {
        (host_network.address, 18080, 8080)
    }


def test_content_is_the_same_for_the_same_seed_and_different_for_another():
    size = 3 * (1 << 20) + 17
    first, second, other = (b"".join(content(size, seed)) for seed in (1, 1, 2))
    assert len(first) == size
    assert first == second != other
    assert b"\0" not in first

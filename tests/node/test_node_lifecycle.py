"""A node goes as a whole, whatever became of its processes, and two nodes do not meet."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.kube import CLUSTERS
from tests.harness.stacks import free_text
from tests.node.place import Place
from toolchain.offline.cluster.layout import ClusterError, Layout
from toolchain.offline.cluster.lifecycle import Options, start, status, stop
from toolchain.offline.cluster.real_node import RealNode

pytestmark = [
    pytest.mark.node,
    pytest.mark.deep(unless_changed=("toolchain/offline/cluster",)),
]

OPTIONS = Options(real=True, controllers=True)


@pytest.fixture
def root(place: Place) -> Iterator[Path]:
    """The folder of another cluster, beside the one that all tests share."""
    made = CLUSTERS / f"own-{free_text()}"
    yield made
    stop(made)
    shutil.rmtree(made, ignore_errors=True)


def left_of(node: RealNode, link: str) -> list[str]:
    """What there still is of a node, outside its folder."""
    places = [
        node.network,
        Path("/sys/class/net", link),
        *Path("/sys/fs/cgroup").glob(f"**/{node.name}"),
    ]
    processes: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(node.folder) in line for line in (process / "mountinfo").read_text().splitlines()):
                processes.append((process / "cmdline").read_text())
        except OSError:
            continue
    return [*(str(one) for one in places if one.exists()), *processes]


def of_this_machine() -> set[str]:
    return {
        str(path)
        for folder in ("/var/lib", "/var/log", "/run/netns")
        for path in Path(folder).iterdir()
        if path.name in {"cni", "kubelet", "pods", "containers"} or path.name.startswith("cni-")
    }


@pytest.mark.parametrize("forgotten", [False, True], ids=["all-killed", "all-killed-and-forgotten"])
def test_a_node_leaves_nothing_behind_when_everything_was_killed(root: Path, forgotten: bool) -> None:
    before = of_this_machine()
    running = start(root, OPTIONS, lambda _line: None)
    assert running.running
    node = RealNode(Layout(root))
    link = node.link
    assert len(left_of(node, link)) > 10
    for process in running.processes:
        os.kill(process.pid, signal.SIGKILL)
    assert left_of(node, link)  # containers live on: nobody is there who would end them
    if forgotten:
        Layout(root).state.unlink()
    stop(root)
    assert left_of(node, link) == []
    assert not node.folder.exists()
    assert of_this_machine() == before


def test_a_node_ends_beside_another_that_goes_on(root: Path, place: Place) -> None:
    start(root, OPTIONS, lambda _line: None)
    stop(root)
    assert status(place.kube.status.root).running
    # A pod that starts now gets an address that no other has: what the node has written down is still there.
    for name in ("first", "second"):
        place.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "beside"}})
        place.stranger("beside", name, "docker.io/library/busybox-debian:1.35")
    addresses = [pod.address for namespace in ("kube-system", "beside") for pod in place.pods(namespace)]
    assert len(set(addresses)) == len(addresses) >= 3


def test_a_start_that_fails_takes_back_what_it_made(root: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tar"
    broken.write_text("no archive")
    with pytest.raises(ClusterError, match=r"broken\.tar"):
        start(root, Options(real=True, controllers=True, images=[broken]), lambda _line: None)
    node = RealNode(Layout(root))
    assert left_of(node, node.link) == []

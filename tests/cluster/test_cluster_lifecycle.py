"""Starting and stopping the throw-away cluster: by its command line, twice, interrupted, killed, and without parts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.test_throwaway_cluster import eventually
from tests.harness import kube as harness
from toolchain.offline.cluster.layout import REPO_ROOT
from toolchain.offline.cluster.lifecycle import Options
from toolchain.offline.cluster.process import Owned, identity_of

pytestmark = pytest.mark.deep(unless_changed=("toolchain/offline/cluster",))


def cluster(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "toolchain.offline.cluster",
        arguments[0],
        "--dir",
        str(root),
        *arguments[1:],
    ]
    return subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, timeout=150, check=False)


@pytest.mark.timeout(300)
def test_start_twice_is_one_cluster_and_stop_leaves_no_process(cluster_parts: None, tmp_path: Path) -> None:
    root = tmp_path / "own"
    empty = cluster(root, "status", "--json")
    assert (empty.returncode, json.loads(empty.stdout)["running"]) == (3, False)

    first = cluster(root, "start")
    try:
        assert first.returncode == 0, first.stderr
        path, export = first.stdout.splitlines()
        assert export == f"export KUBECONFIG={path}"
        assert Path(path).stat().st_mode & 0o777 == 0o600
        before = json.loads(cluster(root, "status", "--json").stdout)
        assert cluster(root, "start").stdout == first.stdout
        after = json.loads(cluster(root, "status", "--json").stdout)
        assert after["processes"] == before["processes"]
        assert [one["name"] for one in after["processes"]] == ["etcd", "kube-apiserver"]
        assert cluster(root, "kubeconfig").stdout.strip() == path
    finally:
        stopped = cluster(root, "stop")
    assert stopped.returncode == 0, stopped.stderr
    assert all(identity_of(one["pid"]) is None for one in before["processes"])
    assert not Path(path).exists()
    assert cluster(root, "kubeconfig").returncode == 1
    again = cluster(root, "stop")
    assert again.returncode == 0
    assert "no cluster runs" in again.stderr


@pytest.mark.timeout(300)
def test_stop_spares_a_stranger_and_start_recovers_from_a_dead_server(
    cluster_parts: None, tmp_path: Path
) -> None:
    root = tmp_path / "own"
    started = cluster(root, "start", "--json")
    assert started.returncode == 0, started.stderr
    stranger = subprocess.Popen(["sleep", "300"])
    try:
        pids = {one["name"]: one["pid"] for one in json.loads(started.stdout)["processes"]}
        os.kill(pids["kube-apiserver"], signal.SIGKILL)
        eventually("the end of the API server", lambda: identity_of(pids["kube-apiserver"]) is None, 10)
        assert cluster(root, "status").returncode == 3
        restarted = cluster(root, "start", "--json")
        assert restarted.returncode == 0, restarted.stderr
        state = root / "cluster.json"
        recorded = json.loads(state.read_text(encoding="utf-8"))
        pids = {one["name"]: one["pid"] for one in recorded["processes"]}
        # As if the system had given a recorded pid to another program since.
        recorded["processes"].append({"name": "kwok", "pid": stranger.pid, "identity": "another start"})
        state.write_text(json.dumps(recorded), encoding="utf-8")
        assert cluster(root, "stop").returncode == 0
        assert stranger.poll() is None
        assert all(identity_of(pid) is None for pid in pids.values())
    finally:
        cluster(root, "stop")
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_leaves_nothing_behind(cluster_parts: None, tmp_path: Path, number: int) -> None:
    roots = (tmp_path / f"own-{attempt}" for attempt in range(5))
    code, said, pids = interrupted_start(root := next(roots), number)
    while code == 0:
        # On a busy machine the start may be over before the signal comes.
        assert cluster(root, "stop").returncode == 0
        code, said, pids = interrupted_start(root := next(roots), number)
    assert code == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert len(pids) == 2
    assert all(identity_of(pid) is None for pid in pids)


def interrupted_start(root: Path, number: int) -> tuple[int, str, list[int]]:
    """How a start ends that gets a signal while it waits for its servers, what it said, and the pids of those."""
    state = root / "cluster.json"
    command = [sys.executable, "-m", "toolchain.offline.cluster", "start", "--dir", str(root)]
    with subprocess.Popen(command, cwd=REPO_ROOT, stderr=subprocess.PIPE, text=True) as starting:
        eventually("a started server", lambda: "kube-apiserver" in text_of(state), 60)
        pids = [one["pid"] for one in json.loads(text_of(state))["processes"]]
        starting.send_signal(number)
        code = starting.wait(timeout=30)
        assert starting.stderr is not None
        return code, starting.stderr.read(), pids


def text_of(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.exists() else ""


def test_the_clusters_of_a_killed_run_are_cleared_by_the_next(
    cluster_parts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, str(tmp_path)],
        cwd=REPO_ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    pids: list[int] = json.loads(killed.stdout)
    assert all(identity_of(pid) for pid in pids)
    monkeypatch.setattr(harness, "CLUSTERS", tmp_path)
    with harness.shared_cluster("api", Options()) as running:
        assert running.api.request("GET", "/readyz").ok
        assert all(identity_of(pid) is None for pid in pids)
    assert [one.name for one in tmp_path.iterdir()] == [".lock"]


KILLED_RUN = """
import json, os, pathlib, signal, sys
from tests.harness import kube
from toolchain.offline.cluster.lifecycle import Options
os.environ["PYTEST_XDIST_TESTRUNUID"] = "killed"
kube.CLUSTERS = pathlib.Path(sys.argv[1])
with kube.shared_cluster("api", Options()) as running:
    print(json.dumps([one.pid for one in running.status.processes]), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_is_not_another_one_with_the_same_pid() -> None:
    identity = identity_of(os.getpid())
    assert identity is not None
    assert Owned("this", os.getpid(), identity).running
    assert not Owned("this", os.getpid(), identity + "0").running


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("start", "--nodes", "-1"), "must be 0 or more, and -1 was given"),
        (("start", "--nodes", "1", "--no-controllers"), "Nodes need controllers"),
        (("start", "--provision"), "give --nodes 1 or more"),
        (("start", "--crds", "/nonexistent"), "/nonexistent"),
    ],
)
def test_a_contradiction_is_told_in_words(
    cluster_parts: None, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    result = cluster(tmp_path / "own", *arguments)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert cluster(tmp_path / "own", "status").returncode == 3


def test_crds_that_the_server_refuses_stop_what_was_started(cluster_parts: None, tmp_path: Path) -> None:
    broken = tmp_path / "crds"
    broken.mkdir()
    (broken / "broken.yaml").write_text(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b.example}\n"
        "spec: {group: b.example, scope: Namespaced, names: {plural: other, kind: A}, versions: []}\n",
        encoding="utf-8",
    )
    result = cluster(tmp_path / "own", "start", "--crds", str(broken))
    assert result.returncode == 1
    assert "The CRD a.b.example was refused" in result.stderr
    assert cluster(tmp_path / "own", "status").returncode == 3


def test_a_machine_without_etcd_is_told_what_to_install(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "toolchain.offline.cluster", "start", "--dir", str(tmp_path)],
        cwd=REPO_ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "apt-get install etcd-server" in result.stderr
    assert "Traceback" not in result.stderr

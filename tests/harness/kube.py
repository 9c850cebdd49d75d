"""One throw-away cluster for all workers of a test run, stopped by the last one that leaves.

Clusters of tests live below `.toolchain/test-clusters/<run>/<kind>`. Every worker that uses one leaves a note with
its pid; whoever removes the last note stops the cluster, and a later run clears what a killed run left behind.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from kubernetes import config as kubernetes_config
from kubernetes.dynamic import DynamicClient

from toolchain import crds
from toolchain.offline.cluster import control_plane
from toolchain.offline.cluster.api import Api
from toolchain.offline.cluster.build import built
from toolchain.offline.cluster.layout import REPO_ROOT, ClusterError
from toolchain.offline.cluster.lifecycle import Options, Status, start, status, stop
from toolchain.offline.cluster.process import Owned, identity_of

CLUSTERS = REPO_ROOT / ".toolchain" / "test-clusters"


def missing_parts() -> list[str]:
    """What this machine lacks for a cluster with CRDs, each with what to do; empty when nothing is missing."""
    missing: list[str] = []
    try:
        control_plane.find_etcd()
    except ClusterError:
        missing.append("etcd is not on PATH (Debian: apt-get install etcd-server; macOS: brew install etcd)")
    if not built():
        missing.append(
            "kube-apiserver and kwok are not built (python -m toolchain.offline.cluster.build, needs Go)"
        )
    if crds.find() is None:
        missing.append(f"there are no CRDs ({crds.MISSING})")
    return missing


@dataclass(frozen=True)
class Kube:
    """A running API server as tests use it."""

    status: Status

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, for the CLI and its plugins."""
        return self.status.kubeconfig

    @cached_property
    def api(self) -> Api:
        """The small client: strict validation, dry runs, warnings."""
        return Api.from_kubeconfig(self.kubeconfig)

    @cached_property
    def client(self) -> DynamicClient:
        """The official dynamic client; its discovery cache is of this process alone, because ports are used again."""
        cache = self.status.root / f"discovery-{os.getpid()}.json"
        access = kubernetes_config.new_client_from_config(config_file=str(self.kubeconfig))
        return DynamicClient(access, cache_file=str(cache))

    def new_namespace(self, prefix: str = "test", labels: Mapping[str, str] | None = None) -> str:
        """Create a namespace that nobody else uses and return its name; it ends with the cluster.

        Without controllers it gets the ServiceAccount `default` here, which they would make.
        """
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        documents = [
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": dict(labels or {})},
            }
        ]
        if not self.status.controllers:
            documents.append(
                {
                    "apiVersion": "v1",
                    "kind": "ServiceAccount",
                    "metadata": {"name": "default", "namespace": name},
                }
            )
        for document in documents:
            answer = self.api.apply(document)
            assert answer.ok, (
                f"{document['kind']} for the test namespace {name} was refused: {answer.message}"
            )
        return name

    @contextmanager
    def exclusive(self) -> Generator[None]:
        """Keep the other workers' exclusive tests away: for manifests whose names and namespaces are fixed."""
        with (self.status.root / "exclusive.lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def shared_cluster(kind: str, options: Options) -> Generator[Kube]:
    """The cluster of this kind in this test run: started by the first worker, stopped by the last."""
    run = CLUSTERS / (os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"pid-{os.getpid()}")
    root = run / kind
    notes = run / f"{kind}-users"
    note = notes / f"{os.getpid()}.json"
    with _locked():
        _clear_abandoned(run)
        notes.mkdir(parents=True, exist_ok=True)
        identity = identity_of(os.getpid())
        assert identity is not None
        note.write_text(json.dumps(asdict(Owned("worker", os.getpid(), identity))), encoding="utf-8")
    try:
        kube = Kube(start(root, options, lambda _line: None))
        try:
            yield kube
        finally:
            kube.api.close()
    finally:
        with _locked():
            note.unlink(missing_ok=True)
            if not _in_use(notes):
                stop(root)
                shutil.rmtree(root, ignore_errors=True)
                shutil.rmtree(notes, ignore_errors=True)
                if not any(run.iterdir()):
                    run.rmdir()


def _in_use(notes: Path) -> bool:
    return any(Owned(**json.loads(file.read_text(encoding="utf-8"))).running for file in notes.glob("*.json"))


def _clear_abandoned(current: Path) -> None:
    """Stop the clusters of runs of which no worker lives any more (the run was killed)."""
    for run in CLUSTERS.iterdir():
        if run == current or not run.is_dir() or any(_in_use(notes) for notes in run.glob("*-users")):
            continue
        for root in run.iterdir():
            if not root.name.endswith("-users") and status(root).processes:
                stop(root)
        shutil.rmtree(run, ignore_errors=True)


@contextmanager
def _locked() -> Generator[None]:
    CLUSTERS.mkdir(parents=True, exist_ok=True)
    with (CLUSTERS / ".lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

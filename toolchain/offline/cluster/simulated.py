"""What makes pods Ready without machines: Node objects, kwok's stages, storage and runtime classes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolchain.offline.cluster.api import Api, Json
from toolchain.offline.cluster.build import stage_files
from toolchain.offline.cluster.layout import MODULE_DIR, ClusterError

STORAGE_CLASSES = ("standard", "local-path", "longhorn")
"""StorageClasses that a cluster with controllers offers unless told otherwise; the first is the default class."""

STAND_IN_PROVISIONER = "stand-in.throw-away-cluster/host-path"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
"""Kubernetes' own name for «volumes are made by hand» (docs: Storage Classes, Local)."""

CAPACITY = {
    "cpu": "64",
    "memory": "256Gi",
    "ephemeral-storage": "1Ti",
    "pods": "110",
    "nvidia.com/gpu": "4",
    "amd.com/gpu": "4",
    "gpu.intel.com/i915": "4",
}
"""What each node says it has: enough for any stack, with the extended resources that GPU plugins announce."""

NOT_READY_TAINT = "node.kubernetes.io/not-ready"


def stages_text(bin_dir: Path, *, provision: bool) -> str:
    """kwok's configuration: its own fast stages, and the stand-in provisioner's if asked for."""
    files = [*stage_files(bin_dir), *([MODULE_DIR / "stand_in_provisioner.yaml"] if provision else [])]
    return "---\n".join(file.read_text(encoding="utf-8") for file in files)


def create_nodes(api: Api, count: int, labels: Mapping[str, str]) -> None:
    """Create `node-1` to `node-<count>`, wait for each to be Ready, and take the not-ready taint off.

    Admission puts that taint on every new node; the controller that would remove it judges heartbeats and is off.
    """
    for name in node_names(count):
        _must_apply(api, _node(name, labels))
    for name in node_names(count):
        node = _wait_until_ready(api, name)
        taints = [taint for taint in node["spec"].get("taints", []) if taint["key"] != NOT_READY_TAINT]
        answer = api.request(
            "PATCH",
            f"/api/v1/nodes/{name}",
            {"spec": {"taints": taints or None}},
            content_type="application/merge-patch+json",
        )
        if not answer.ok:
            raise ClusterError(f"The taint of {name} could not be removed: {answer.message}")


def node_names(count: int) -> list[str]:
    """Names of the simulated nodes."""
    return [f"node-{number}" for number in range(1, count + 1)]


def create_classes(api: Api, names: Sequence[str], *, provision: bool) -> None:
    """Create the StorageClasses, all waiting for a first consumer, and the RuntimeClass `nvidia`.

    A StorageClass cannot change its provisioner, so one of another kind of cluster is deleted first.
    """
    provisioner = STAND_IN_PROVISIONER if provision else NO_PROVISIONER
    for index, name in enumerate(names):
        wanted: Json = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": name,
                "annotations": {
                    "storageclass.kubernetes.io/is-default-class": "true" if index == 0 else "false"
                },
            },
            "provisioner": provisioner,
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
            "allowVolumeExpansion": True,
        }
        live = api.get(wanted)
        if live.ok and live.body.get("provisioner") != provisioner:
            api.request("DELETE", api.path_of(wanted))
        _must_apply(api, wanted)
    # What a GPU operator installs; admission refuses pods that name a RuntimeClass which does not exist.
    _must_apply(
        api,
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": "nvidia"},
            "handler": "nvidia",
        },
    )


def _node(name: str, labels: Mapping[str, str]) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                **labels,
            },
            "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
        },
        "status": {"capacity": CAPACITY, "allocatable": CAPACITY},
    }


def _wait_until_ready(api: Api, name: str, seconds: float = 30.0) -> Json:
    deadline = time.monotonic() + seconds
    while True:
        node = api.request("GET", f"/api/v1/nodes/{name}").body
        conditions: list[Json] = node.get("status", {}).get("conditions", [])
        if any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
            return node
        if time.monotonic() > deadline:
            raise ClusterError(
                f"The simulated node {name} did not become Ready within {seconds:.0f} s; see kwok's log."
            )
        time.sleep(0.1)


def _must_apply(api: Api, document: Json) -> None:
    answer = api.apply(document)
    if not answer.ok:
        raise ClusterError(f"{document['kind']} {document['metadata']['name']} was refused: {answer.message}")

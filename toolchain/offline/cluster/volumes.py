"""A stand-in for a storage provisioner: a folder of the node for every claim, as a `local` volume.

`python -m toolchain.offline.cluster.volumes KUBECONFIG FOLDER`. As with a provisioner of local volumes, the folder is
root's at first and fsGroup is applied to it; it goes with its volume.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from toolchain.offline.cluster.api import Api, Json
from toolchain.offline.cluster.simulated import STAND_IN_PROVISIONER

_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
_NODE = "volume.kubernetes.io/selected-node"


def volume_of(claim: Json, folder: Path) -> Json | None:
    """The volume that a claim waits for, None where it waits for none."""
    metadata, spec = claim["metadata"], claim["spec"]
    notes: dict[str, str] = metadata.get("annotations") or {}
    if spec.get("volumeName") or notes.get(_PROVISIONER) != STAND_IN_PROVISIONER or _NODE not in notes:
        return None
    hostname: Json = {"key": "kubernetes.io/hostname", "operator": "In", "values": [notes[_NODE]]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": f"pvc-{metadata['uid']}",
            "annotations": {"pv.kubernetes.io/provisioned-by": STAND_IN_PROVISIONER},
        },
        "spec": {
            "accessModes": spec["accessModes"],
            "capacity": spec["resources"]["requests"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": spec["storageClassName"],
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                **{key: metadata[key] for key in ("name", "namespace", "uid")},
            },
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [hostname]}]}},
            "local": {
                "path": str(folder / f"{metadata['namespace']}-{metadata['name']}-{metadata['uid'][:8]}")
            },
        },
    }


def provide(api: Api, folder: Path) -> None:
    """Make the volumes that are waited for, and delete those that were given back."""
    for claim in _items(api, "persistentvolumeclaims"):
        volume = volume_of(claim, folder)
        if volume is not None:
            Path(volume["spec"]["local"]["path"]).mkdir(mode=0o755, exist_ok=True)
            api.apply(volume)
    for volume in _items(api, "persistentvolumes"):
        notes: dict[str, str] = volume["metadata"].get("annotations") or {}
        given_back = (volume.get("status", {}).get("phase"), volume["spec"]["persistentVolumeReclaimPolicy"])
        if notes.get("pv.kubernetes.io/provisioned-by") == STAND_IN_PROVISIONER and given_back == (
            "Released",
            "Delete",
        ):
            api.request("DELETE", f"/api/v1/persistentvolumes/{volume['metadata']['name']}")
            shutil.rmtree(volume["spec"]["local"]["path"], ignore_errors=True)


def _items(api: Api, plural: str) -> list[Any]:
    return api.request("GET", f"/api/v1/{plural}").body.get("items") or []


if __name__ == "__main__":
    opened = Api.from_kubeconfig(Path(sys.argv[1]))
    while True:
        try:
            provide(opened, Path(sys.argv[2]))
        except OSError as error:
            print(error, flush=True)
        time.sleep(0.5)

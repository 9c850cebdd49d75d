"""PersistentVolumes and claims. Whatever is made here holds data: it is retained at every level."""

from __future__ import annotations

from components.model.workload import VolumeRequest
from components.platform.kubernetes.pods import Manifest


def claim_name(request: VolumeRequest) -> str:
    """Name of the claim, also where it exists already."""
    return request.existing_claim or request.claim_name or f"immich-{request.name}"


def volume_name(request: VolumeRequest, namespace: str) -> str:
    """Name of the static volume; volumes belong to the whole cluster, so the namespace is in it."""
    return f"{namespace}-{claim_name(request)}"


def claim(request: VolumeRequest, namespace: str) -> Manifest:
    """The PersistentVolumeClaim of a request."""
    spec: Manifest = {
        "accessModes": [request.access_mode],
        "resources": {"requests": {"storage": str(request.size)}},
    }
    if _is_static(request):
        spec["volumeName"] = volume_name(request, namespace)
        spec["storageClassName"] = request.storage_class or ""
    elif request.storage_class is not None:
        spec["storageClassName"] = request.storage_class
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {}, "spec": spec}


def volume(request: VolumeRequest, namespace: str) -> Manifest | None:
    """The static PersistentVolume of a request, or None where the cluster provisions it."""
    if not _is_static(request):
        return None
    spec: Manifest = {
        "accessModes": [request.access_mode],
        "capacity": {"storage": str(request.size)},
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": request.storage_class or "",
        "volumeMode": "Filesystem",
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "name": claim_name(request),
            "namespace": namespace,
        },
    }
    if request.nfs is not None:
        nfs = request.nfs
        # Mount options of an NFS claim are honoured on the volume, so they are never left to a StorageClass.
        spec["mountOptions"] = list(nfs.mount_options)
        if nfs.csi:
            spec["csi"] = {
                "driver": "nfs.csi.k8s.io",
                "volumeHandle": f"{nfs.server}{nfs.path}##{volume_name(request, namespace)}",
                "volumeAttributes": {"server": nfs.server, "share": nfs.path},
                **({"readOnly": True} if nfs.read_only else {}),
            }
        else:
            spec["nfs"] = {
                "server": nfs.server,
                "path": nfs.path,
                **({"readOnly": True} if nfs.read_only else {}),
            }
    elif request.smb is not None:
        smb = request.smb
        spec["mountOptions"] = list(smb.mount_options)
        spec["csi"] = {
            "driver": "smb.csi.k8s.io",
            "volumeHandle": f"{smb.source}##{volume_name(request, namespace)}",
            "volumeAttributes": {"source": smb.source},
            "nodeStageSecretRef": {"name": smb.credentials_secret, "namespace": namespace},
            **({"readOnly": True} if smb.read_only else {}),
        }
    else:
        spec["hostPath"] = {"path": request.host_path, "type": "Directory"}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {}, "spec": spec}


def _is_static(request: VolumeRequest) -> bool:
    return request.nfs is not None or request.smb is not None or request.host_path is not None

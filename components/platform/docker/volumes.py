"""Where data is on the host: named volumes, folders, network shares. Pure."""

from __future__ import annotations

from components.model.workload import VolumeRequest
from components.platform.docker.objects import Inputs, labelled
from components.platform.docker.options import DockerPlatformArgs


def volume_name(request: VolumeRequest, options: DockerPlatformArgs) -> str:
    """Name of the volume on the engine; with `existing_claim` somebody else's."""
    return request.existing_claim or request.claim_name or f"{options.prefix}-{request.name}"


def is_made(request: VolumeRequest) -> bool:
    """Whether the engine is asked for a volume; a folder of the host is there already."""
    return request.existing_claim is None and request.host_path is None


def volume(request: VolumeRequest, options: DockerPlatformArgs) -> Inputs:
    """A volume. The engine knows no sizes. Raises `ValueError` for a share whose password everybody could read."""
    if request.smb is not None:
        raise ValueError(f"{request.name}: an SMB share's password would stand in the volume's options")
    inputs: Inputs = {
        "name": volume_name(request, options),
        "driver": "local",
        "labels": labelled({"immich.stack": options.stack, "immich.volume": request.name}),
    }
    if request.nfs is not None:
        share = request.nfs
        inputs["driverOpts"] = {
            "type": "nfs",
            "o": ",".join((f"addr={share.server}", *share.mount_options)),
            "device": f":{share.path}",
        }
    return inputs

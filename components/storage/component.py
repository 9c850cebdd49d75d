"""Media, folders of their own and external libraries: volumes, and how pods mount them."""

from __future__ import annotations

from dataclasses import dataclass, field

import pulumi

from components.model.values import Quantity
from components.model.workload import NfsTarget, SmbTarget, VolumeRequest
from components.model.workload import Storage as Mounted
from components.platform.base import Platform
from components.storage import settings

MEDIA = "/data"
"""Immich's media root. The image declares a volume there: anything else would be an anonymous one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageArgs:
    """What `Storage` is made of."""

    platform: Platform
    """Where it is: a `KubernetesPlatform` or a `DockerPlatform`."""
    settings: settings.Storage = field(default_factory=settings.Storage)
    """Media, folders of their own, libraries, as the section `immich:storage` has them."""


class Storage(pulumi.ComponentResource):
    """Every volume with photos. All are protected and kept; no change of settings replaces one.

    On a cluster: a PersistentVolumeClaim for each, and a PersistentVolume for NFS, SMB and folders of nodes.
    On a host: volumes, or folders of the machine.
    """

    mounts: tuple[Mounted, ...]
    """Where a server pod mounts them: the same in every pod."""
    machine_learning_mounts: tuple[Mounted, ...]
    """Libraries that machine learning sees as well, read-only."""
    shared: bool
    """Whether pods on several nodes can have all of it mounted at the same time."""

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Storage", name, {}, opts)
        for request in volume_requests(args.settings):
            args.platform.volume(request, parent=self)
        self.mounts = server_mounts(args.settings)
        self.shared = all(settings.shared_by_nodes(source) for _, source in args.settings.sources())
        self.machine_learning_mounts = tuple(
            Mounted(volume=f"library-{library.name}", path=library.mount_path, read_only=True)
            for library in args.settings.external_libraries
            if library.machine_learning
        )
        self.register_outputs({})


def server_mounts(storage: settings.Storage) -> tuple[Mounted, ...]:
    """Mounts of a server pod: the media root first, so that folders come on top of it."""
    return (
        Mounted(volume="media", path=MEDIA),
        *(Mounted(volume=folder, path=f"{MEDIA}/{folder}") for folder in storage.folders()),
        *(
            Mounted(volume=f"library-{library.name}", path=library.mount_path, read_only=library.read_only)
            for library in storage.external_libraries
        ),
    )


def volume_requests(storage: settings.Storage) -> list[VolumeRequest]:
    """What to ask of the platform for."""
    read_only = {f"library-{library.name}" for library in storage.external_libraries if library.read_only}
    return [volume_request(name, source, read_only=name in read_only) for name, source in storage.sources()]


def volume_request(name: str, source: settings.VolumeSource, *, read_only: bool) -> VolumeRequest:
    """What to ask of the platform for one source.

    A share or folder that is only read holds nothing of this deployment: its volume may go, and be made again.
    """
    holds_data = not read_only
    match source:
        case settings.Volume():
            return VolumeRequest(
                name=name,
                size=source.size,
                access_mode=source.access_mode,
                storage_class=source.storage_class,
                claim_name=source.claim_name,
            )
        case settings.Nfs() | settings.Smb():
            return VolumeRequest(
                name=name,
                size=source.size,
                access_mode="ReadOnlyMany" if read_only else source.access_mode,
                storage_class=source.storage_class if isinstance(source, settings.Nfs) else None,
                claim_name=source.claim_name,
                holds_data=holds_data,
                nfs=_nfs(source, read_only=read_only) if isinstance(source, settings.Nfs) else None,
                smb=None if isinstance(source, settings.Nfs) else _smb(source, read_only=read_only),
            )
        case settings.HostPath():
            return VolumeRequest(
                name=name,
                size=Quantity("1Ti"),
                access_mode="ReadWriteMany",
                host_path=source.path,
                holds_data=holds_data,
            )
        case settings.ExistingClaim():
            return VolumeRequest(
                name=name,
                size=Quantity("1Gi"),
                access_mode=source.access_mode,
                existing_claim=source.claim_name,
            )


def _nfs(source: settings.Nfs, *, read_only: bool) -> NfsTarget:
    given = source.mount_options
    return NfsTarget(
        server=source.server,
        path=source.path,
        mount_options=given if not read_only or "ro" in given else ("ro", *given),
        csi=source.driver != "in-tree",
        read_only=read_only,
    )


def _smb(source: settings.Smb, *, read_only: bool) -> SmbTarget:
    if source.credentials_secret is None:
        raise ValueError(f"{source.source}: an SMB share needs credentialsSecret")
    return SmbTarget(
        source=source.source,
        credentials_secret=source.credentials_secret,
        mount_options=source.mount_options,
        read_only=read_only,
    )

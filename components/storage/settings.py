"""Where photos live: the media volume, folders on volumes of their own, external libraries."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.fields.base import Deferred, Section, default_kind
from components.fields.grammar import HostFolder, MountOption, MountPath, StorageClassName
from components.model.values import AbsolutePath, Bytes, ClaimName, ObjectName, ServerAddress, VolumeSize

AccessMode = Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod", "ReadOnlyMany"]


class Volume(Section):
    """A volume that the platform provisions: a PersistentVolumeClaim, or a named volume on one host."""

    kind: Literal["volume"] = "volume"
    """`volume`."""
    size: VolumeSize = VolumeSize("100Gi")
    """How much to ask for. It can grow later where the storage class permits; it never shrinks."""
    storage_class: Deferred[StorageClassName] | None = None
    """StorageClass; none takes the cluster's default."""
    access_mode: AccessMode = "ReadWriteOnce"
    """`ReadWriteMany` lets pods on several nodes share it."""
    claim_name: ObjectName | None = None
    """Name of the claim; none derives it from the folder's name."""


class Nfs(Section):
    """A folder of an NFS server."""

    kind: Literal["nfs"]
    """`nfs`."""
    server: ServerAddress
    """Address or name of the NFS server."""
    path: AbsolutePath
    """The exported path."""
    size: VolumeSize = VolumeSize("1Ti")
    """Size that the volume claims to have; NFS does not enforce it."""
    mount_options: tuple[MountOption, ...] = ("nfsvers=4.2", "hard", "noatime")
    """Options of the mount."""
    driver: Literal["nfs.csi.k8s.io", "in-tree"] = "nfs.csi.k8s.io"
    """The NFS CSI driver, or the kubelet's own NFS client."""
    storage_class: StorageClassName = ""
    """Name that ties volume and claim together; it need not exist as a StorageClass."""
    access_mode: Literal["ReadWriteMany", "ReadOnlyMany"] = "ReadWriteMany"
    """External libraries that are read-only become `ReadOnlyMany` by themselves."""
    claim_name: ObjectName | None = None
    """Name of the claim; none derives it from the folder's name."""


class Smb(Section):
    """A share of an SMB server, by `smb.csi.k8s.io`."""

    kind: Literal["smb"]
    """`smb`."""
    source: str = Field(pattern=r"^//[A-Za-z0-9.-]+/[^\s]+$", examples=["//nas.lan/photos"])
    """The share: `//server/share/folder`."""
    credentials_secret: ObjectName | None = None
    """An existing Secret with `username` and `password` in the namespace of Immich; it is needed."""
    size: VolumeSize = VolumeSize("1Ti")
    """Size that the volume claims to have."""
    mount_options: tuple[MountOption, ...] = (
        "vers=3.1.1",
        "uid=1000",
        "gid=1000",
        "file_mode=0640",
        "dir_mode=0750",
    )
    """Options of the mount; SMB has no owners of its own, so uid and gid must be those of the server."""
    access_mode: Literal["ReadWriteMany", "ReadOnlyMany"] = "ReadWriteMany"
    """External libraries that are read-only become `ReadOnlyMany` by themselves."""
    claim_name: ObjectName | None = None
    """Name of the claim; none derives it from the folder's name."""


class HostPath(Section):
    """A folder of the host itself. On a cluster it ties the pods to the nodes that have it."""

    kind: Literal["hostPath"]
    """`hostPath`."""
    path: HostFolder
    """The folder; it must exist and belong to `server.user` (of a bundled database to 999): the kubelet gives no folder
    of a node away, and on one host only an empty one is."""


class ExistingClaim(Section):
    """A PersistentVolumeClaim, or a named volume on one host, that somebody else made and keeps."""

    kind: Literal["existingClaim"]
    """`existingClaim`."""
    claim_name: ClaimName
    """Its name, in the namespace of Immich."""
    access_mode: AccessMode = "ReadWriteOnce"
    """What the claim permits; several pods need `ReadWriteMany`."""


VolumeSource = Annotated[
    Volume | Nfs | Smb | HostPath | ExistingClaim, Field(discriminator="kind"), default_kind("volume")
]


class ExternalLibrary(Section):
    """Photos that Immich indexes where they are."""

    name: ObjectName
    """A short name, unique."""
    mount_path: MountPath
    """Where the pods see it; the import path to enter in Immich."""
    source: VolumeSource
    """Where it is."""
    read_only: bool = True
    """Immich can then neither delete nor write sidecar files."""
    machine_learning: bool = False
    """Mount it into machine learning as well. Immich sends images over HTTP, so nothing needs this."""


_OWN_FOLDERS = ("thumbs", "encoded_video", "profile", "backups")


class Storage(Section):
    """Immich's media root `/data` and what hangs below it."""

    media: VolumeSource = Volume()
    """The media root: `upload` and `library`, and every folder without a volume of its own."""
    thumbs: VolumeSource | None = None
    """Own volume for thumbnails and previews, about 10 to 15 % of the originals; can be made again."""
    encoded_video: VolumeSource | None = None
    """Own volume for transcoded videos; can be made again."""
    profile: VolumeSource | None = None
    """Own volume for profile pictures."""
    backups: VolumeSource | None = None
    """Own volume for the database dumps that Immich writes."""
    expected_photos: Bytes | None = None
    """How much photos and videos you expect; the output `diskHeadroom` says whether there is room for twice that."""
    external_libraries: tuple[ExternalLibrary, ...] = ()
    """Any number of external libraries."""

    @model_validator(mode="after")
    def _libraries_do_not_collide(self) -> Self:
        names = [str(library.name) for library in self.external_libraries]
        paths = [str(library.mount_path) for library in self.external_libraries]
        for label, values in (("name", names), ("mountPath", paths)):
            repeated = sorted({value for value in values if values.count(value) > 1})
            if repeated:
                raise ValueError(f"externalLibraries: {label} used twice: {', '.join(repeated)}")
        for path in paths:
            inside = [
                other for other in (*paths, "/data") if path != other and f"{path}/".startswith(f"{other}/")
            ]
            if inside or path == "/data":
                raise ValueError(
                    f"externalLibraries: mountPath {path} lies inside {inside[0] if inside else '/data'}"
                )
        return self

    @model_validator(mode="after")
    def _immich_can_write(self) -> Self:
        for name, source in (("media", self.media), *self.folders().items()):
            if not isinstance(source, HostPath) and source.access_mode == "ReadOnlyMany":
                raise ValueError(
                    f"{name}: accessMode is ReadOnlyMany, but Immich writes there; use ReadWriteMany"
                )
        return self

    def folders(self) -> dict[str, VolumeSource]:
        """Folders of the media root that have volumes of their own, by Immich's folder name."""
        given = {name.replace("_", "-"): getattr(self, name) for name in _OWN_FOLDERS}
        return {name: source for name, source in given.items() if source is not None}

    def sources(self) -> list[tuple[str, VolumeSource]]:
        """Every volume source with a name: `media`, the folders, `library-<name>`."""
        libraries = [(f"library-{library.name}", library.source) for library in self.external_libraries]
        return [("media", self.media), *self.folders().items(), *libraries]


def shared_by_nodes(source: VolumeSource) -> bool:
    """Whether pods on several nodes can write to it at the same time."""
    match source:
        case Nfs() | Smb():
            return True
        case Volume() | ExistingClaim():
            return source.access_mode == "ReadWriteMany"
        case HostPath():
            return False

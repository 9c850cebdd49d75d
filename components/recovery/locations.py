"""Where a stack keeps what: the real names of its volumes, folders, shares, claims and containers. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from components.backup.target_settings import LocalTarget
from components.cache.settings import BundledCache
from components.database.component import POSTGRES_UID
from components.database.settings import BundledDatabase, CloudNativePg
from components.machine_learning import component as machine_learning
from components.machine_learning.settings import BundledMachineLearning
from components.model.naming import APP, object_name
from components.model.task import BACKUP_VOLUME
from components.model.values import Quantity
from components.server.settings import SplitWorkers
from components.settings.backup_rules import takes_dumps
from components.settings.locations import HERE, machine_of
from components.settings.model import Settings
from components.storage.settings import ExistingClaim, HostPath, Nfs, Smb, Volume, VolumeSource

Kind = Literal["volume", "folder", "nfs", "smb", "existing"]
ENGINE_DISK: Final = "the engine's own folder"
"""Where named volumes of one host are."""
_ENGINE_MEDIUM: Final = "the disk of /var"
"""Docker's folder is /var/lib/docker where nobody has moved it."""
CLUSTER: Final = "the cluster"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One volume of a stack."""

    name: str
    """Short name: `media`, `thumbs`, `database`, `wal`, `cache`, `backup`, `target-<name>`, `library-<name>`."""
    kind: Kind
    where: str
    """Its real name: of the engine's volume, the claim, the folder, `server:/path` or `//server/share`."""
    size: Quantity | None
    """None where nothing has or enforces one."""
    key: str
    """The setting of its size; empty where there is none."""
    storage: str
    """What the bytes are on, in words."""
    medium: str
    """The disk below, as far as it can be told: places with the same text are taken to be lost together."""
    machine: str
    """Which machine that is in: `this host`, `the cluster`, or an address."""
    claim: str = ""
    """The PersistentVolumeClaim on a cluster, or the volume of the engine; empty for a folder of one host."""


def places(settings: Settings, stack: str) -> dict[str, Place]:
    """Every volume of the stack by its short name, the media first."""
    return {place.name: place for place in _places(settings, stack)}


def _places(settings: Settings, stack: str) -> Iterator[Place]:
    storage = settings.storage
    keys = {"media": "media", "encoded-video": "encodedVideo"}
    libraries = {f"library-{one.name}": index for index, one in enumerate(storage.external_libraries)}
    for name, source in storage.sources():
        if name in libraries:
            key = f"storage.externalLibraries[{libraries[name]}].source"
        else:
            key = f"storage.{keys.get(name, name)}"
        yield _of_source(settings, stack, name, source, key)
    database = settings.database
    if isinstance(database, BundledDatabase):
        source = (
            HostPath(kind="hostPath", path=database.host_path)
            if database.host_path is not None
            else Volume(size=database.size, storage_class=database.storage_class)
        )
        yield _of_source(settings, stack, "database", source, "database")
    if isinstance(database, CloudNativePg):
        yield from _of_cluster(database)
    learning = settings.machine_learning
    if isinstance(learning, BundledMachineLearning):
        cache = learning.cache
        source = Volume(size=cache.size, storage_class=cache.storage_class, claim_name=cache.claim_name)
        yield _of_source(settings, stack, f"{machine_learning.NAME}-cache", source, "machineLearning.cache")
    if isinstance(settings.cache, BundledCache):
        source = Volume(size=settings.cache.size, storage_class=settings.cache.storage_class)
        yield _of_source(settings, stack, "cache", source, "cache")
    if settings.backup is not None:
        if settings.backup.targets or takes_dumps(settings.backup, database):
            yield _of_source(settings, stack, BACKUP_VOLUME, settings.backup.volume, "backup.volume")
        for index, target in enumerate(settings.backup.targets):
            if isinstance(target, LocalTarget):
                key = f"backup.targets[{index}].source"
                yield _of_source(settings, stack, f"target-{target.name}", target.source, key)


def _of_source(settings: Settings, stack: str, name: str, source: VolumeSource, key: str) -> Place:
    host = settings.docker is not None
    own = f"{APP}-{stack}-{name}" if host else f"{APP}-{name}"
    claim = own if isinstance(source, HostPath) else str(source.claim_name or own)
    here = HERE if host else CLUSTER
    match source:
        case Volume():
            by_class = (
                f"storage class {source.storage_class}"
                if source.storage_class
                else "the default storage class"
            )
            return Place(
                name=name, kind="volume", where=claim, claim=claim, machine=here,
                size=None if host else source.size, key="" if host else f"immich:{key}.size",
                storage=ENGINE_DISK if host else by_class,
                medium=by_class if not host else ENGINE_DISK if _rootless(settings) else _ENGINE_MEDIUM,
            )  # fmt: skip
        case HostPath():
            return Place(
                name=name, kind="folder", where=str(source.path), claim="" if host else claim, machine=here,
                size=None, key="", storage=_disk(str(source.path)), medium=_disk(str(source.path)),
            )  # fmt: skip
        case Nfs():
            server = machine_of(source.server)
            disks = _disk(source.path) if server == HERE else f"disks of {server}"
            return Place(
                name=name, kind="nfs", where=f"{source.server}:{source.path}", claim=claim, machine=server, size=None,
                key="", storage=disks, medium=disks,
            )  # fmt: skip
        case Smb():
            server = machine_of(source.source.removeprefix("//").partition("/")[0])
            return Place(
                name=name, kind="smb", where=source.source, claim=claim, machine=server, size=None, key="",
                storage=f"disks of {server}", medium=f"disks of {server}",
            )  # fmt: skip
        case ExistingClaim():
            return Place(
                name=name, kind="existing", where=claim, claim=claim, machine=here, size=None, key="",
                storage=f"the volume {claim}", medium=f"the volume {claim}",
            )  # fmt: skip


def _rootless(settings: Settings) -> bool:
    """Podman of a user, which keeps its volumes in the user's home."""
    return settings.docker is not None and settings.docker.engine == "podman"


def _disk(path: str) -> str:
    """What a folder is on: its mount point where disks are mounted by custom, else the whole of its first folder.

    Two folders of /srv are taken to be one disk: better one copy counted too few than one that is lost with the photos.
    """
    parts = path.split("/")
    mounted = 4 if parts[1:3] == ["run", "media"] else 3 if parts[1] in {"mnt", "media"} else 2
    return f"the disk of {'/'.join(parts[:mounted])}"


def _of_cluster(database: CloudNativePg) -> Iterator[Place]:
    name = str(database.cluster_name)
    on = f"storage class {database.storage_class}" if database.storage_class else "the default storage class"
    yield Place(
        name="database", kind="volume", where=f"{name}-1", claim=f"{name}-1", size=database.size,
        key="immich:database.size", storage=on, medium=on, machine=CLUSTER,
    )  # fmt: skip
    if database.wal_size is not None:
        yield Place(
            name="wal", kind="volume", where=f"{name}-1-wal", claim=f"{name}-1-wal", size=database.wal_size,
            key="immich:database.walSize", storage=on, medium=on, machine=CLUSTER,
        )  # fmt: skip


def owner(place: Place, settings: Settings) -> tuple[int, int]:
    """User and group that a folder of a host must belong to."""
    if place.name == "database":
        return POSTGRES_UID, POSTGRES_UID
    return settings.server.user, settings.server.group


def container(stack: str, workload: str) -> str:
    """Name of a workload's container on one host."""
    return f"{APP}-{stack}-{workload}"


def server_workloads(settings: Settings) -> tuple[str, ...]:
    """Workloads that write photos and the database."""
    return ("server", "microservices") if isinstance(settings.server.workers, SplitWorkers) else ("server",)


def controller(workload: str) -> str:
    """What `kubectl` calls a workload: `deployment/immich-server`, `statefulset/immich-database`."""
    kind = "statefulset" if workload in {"database", "cache"} else "deployment"
    return f"{kind}/{object_name(workload)}"


def database_namespace(settings: Settings) -> str:
    """Namespace of the database on a cluster."""
    database = settings.database
    given = database.namespace if isinstance(database, CloudNativePg) else None
    return str(given or settings.kubernetes.namespace)

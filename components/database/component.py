"""PostgreSQL: bundled, kept by CloudNativePG, or external. The only writer of `DB_*` variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pulumi

from components import versions
from components.database.archive_settings import Archive as ArchiveSettings
from components.database.lineage import archive_base, cluster_name, lineage
from components.database.settings import SUPERUSER, BundledDatabase, CloudNativePg, ExternalDatabase
from components.model.connection import Connection
from components.model.naming import cluster_peer
from components.model.secret_text import SecretText
from components.model.specs import EXTENSIONS, Archive, DatabaseCluster, PublishedSecret
from components.model.values import ImageRef, Quantity
from components.model.workload import (
    CommandCheck,
    ConfigFiles,
    Egress,
    Ingress,
    Link,
    Mount,
    Port,
    Probe,
    Scratch,
    SecretFiles,
    VolumeRequest,
    Workload,
)
from components.model.workload import Storage as Mounted
from components.platform.base import Platform
from components.platform.inputs import as_text
from components.secrets.component import Secrets, own_secrets
from components.sizing import healthy, placement, postgres_parameters, resources
from components.templates import render

NAME = "database"
PASSWORD = "databasePassword"
_FOLDER = "/run/secrets/database"
_CA_FOLDER = "/etc/immich/database"
POSTGRES_UID = 999
_START_FOLDER = "/etc/immich-database"
_SOCKETS = "/var/run/postgresql"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterMonitor:
    """How the numbers of a database cluster are read."""

    labels: Mapping[str, str]
    """Labels that the Prometheus selects by."""
    interval: str
    """A duration of Prometheus."""
    queries: str
    """What the operator asks the database, as postgres_exporter's file of queries."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AtStart:
    """What the superuser of a bundled database does at each start beside what Immich needs."""

    name: str
    """A word for it, such as `metrics`."""
    sql: str
    """Statements for psql, in Immich's database. They are run again at each start."""
    passwords: Mapping[str, str]
    """Files that the statements read, in `AtStart.folder` -> config keys of the passwords in them."""

    @staticmethod
    def folder(name: str) -> str:
        """Where the passwords of the one of this name are."""
        return f"/run/secrets/database-{name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class DatabaseArgs:
    """What `Database` is made of."""

    platform: Platform
    """Where it runs: a `KubernetesPlatform` or a `DockerPlatform`."""
    settings: BundledDatabase | CloudNativePg | ExternalDatabase = field(default_factory=BundledDatabase)
    """Which kind, and its details, as the section `immich:database` has them. Values that another resource gives, such
    as the host of an external database, may be outputs."""
    password: pulumi.Input[str] | None = None
    """Password of Immich's role; None makes one at random. Not used with `secrets`."""
    secrets: Secrets | None = None
    """Secrets of a deployment, `databasePassword` among them; None makes the component's own."""
    archive: ArchiveSettings | None = None
    """Continuous archive; with CloudNativePG only."""
    allow: tuple[Ingress, ...] = ()
    """Who may connect beside the components that are given its `connection`; with a bundled one."""
    start: bool = True
    """Whether it starts at once; else when `start` is called, with what must come before, such as a backup of the data
    that an update is about to change."""
    monitoring_namespace: str | None = None
    """Namespace of whoever reads the metrics."""
    monitor: ClusterMonitor | None = None
    """What a cluster's Prometheus operator reads of a database cluster beside its own numbers."""
    at_start: AtStart | None = None
    """What a bundled one does at each start beside what Immich needs; with `secrets`."""


class Database(pulumi.ComponentResource):
    """PostgreSQL with VectorChord, and its credentials. Immich's role owns the database and is no superuser.

    On a cluster: StatefulSet, Service, PersistentVolumeClaim and Secret, or a Cluster of CloudNativePG with its
    ScheduledBackup and ObjectStore; of an external one the Secret alone.
    On a host: a container with a volume, and a network with those that connect.
    """

    connection: Connection
    """For the server, backups and whoever else connects: variables, files, links."""
    ready: tuple[pulumi.Resource, ...]
    """What the server waits for; set when it has started."""
    host: pulumi.Output[str]
    """Host name or address, as workloads that may connect reach it."""
    port: pulumi.Output[int]
    """TCP port."""
    database: pulumi.Output[str]
    """Name of the database."""
    username: pulumi.Output[str]
    """Immich's role."""
    password: pulumi.Output[str] | None
    """Its password, secret; None where an external store has it."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Database", name, {}, opts)
        self._name, self._args, settings = name, args, args.settings
        child = pulumi.ResourceOptions(parent=self)
        self._secrets = args.secrets or own_secrets(name, {PASSWORD: args.password}, child)
        args.platform.publish(
            PublishedSecret(name=name, items={"password": SecretText.of(PASSWORD)}),
            self._secrets.values,
            parent=self,
        )
        self.connection = connection(settings, args.platform, name)
        self.host = pulumi.Output.from_input(_host(settings, args.platform, name))
        self.port = pulumi.Output.from_input(
            settings.port if isinstance(settings, ExternalDatabase) else 5432
        )
        self.database = pulumi.Output.from_input(str(settings.name))
        self.username = pulumi.Output.from_input(str(settings.user))
        self.password = self._secrets.value(PASSWORD)
        self.ready = ()
        self.register_outputs(
            {
                "host": self.host,
                "port": self.port,
                "database": self.database,
                "username": self.username,
                "password": self.password,
            }
        )
        if args.start:
            self.start()

    def start(self, after: Sequence[pulumi.Resource] = ()) -> None:
        """Run it once `after` is there; `ready` says when it is."""
        args = self._args
        match args.settings:
            case BundledDatabase():
                self._bundled(args.settings, after)
            case CloudNativePg():
                self._cluster(args, args.settings, after)
            case ExternalDatabase():
                self.ready = tuple(after)

    def _bundled(self, settings: BundledDatabase, after: Sequence[pulumi.Resource]) -> None:
        platform, at_start = self._args.platform, self._args.at_start
        passwords: Mapping[str, str] = at_start.passwords if at_start is not None else {}
        if at_start is not None:
            platform.publish(
                PublishedSecret(
                    name=f"{self._name}-{at_start.name}",
                    items={file: SecretText.of(key) for file, key in passwords.items()},
                ),
                self._secrets.values,
                parent=self,
            )
        platform.volume(
            VolumeRequest(
                name=self._name,
                size=settings.size,
                storage_class=settings.storage_class,
                host_path=settings.host_path,
            ),
            parent=self,
        )
        ready = platform.workload(
            replace(bundled_workload(settings, self._name, at_start), ingress=self._args.allow),
            parent=self,
            after=after,
            fingerprints=self._secrets.fingerprints((PASSWORD, *passwords.values())),
        )
        self.ready = (ready,)

    def _cluster(
        self, args: DatabaseArgs, settings: CloudNativePg, before: Sequence[pulumi.Resource]
    ) -> None:
        platform, secrets, backup = args.platform, self._secrets, args.archive
        owner = f"{self._name}-owner"
        platform.publish(
            PublishedSecret(
                name=owner,
                namespace=settings.namespace,
                type="kubernetes.io/basic-auth",
                # The operator applies a changed password when it sees this label.
                labels={"cnpg.io/reload": "true"},
                items={"username": SecretText.plain(settings.user), "password": SecretText.of(PASSWORD)},
            ),
            secrets.values,
            parent=self,
        )
        archive = None
        if backup is not None:
            archive = _archive(settings, backup)
            platform.publish(
                PublishedSecret(
                    name=archive.credentials,
                    namespace=settings.namespace,
                    items={
                        "ACCESS_KEY_ID": SecretText.of("backupAccessKeyId"),
                        "SECRET_ACCESS_KEY": SecretText.of("backupSecretAccessKey"),
                    },
                ),
                secrets.values,
                parent=self,
            )
        base = archive_base(settings, backup) if backup is not None else ""
        spec = cluster_spec(settings, owner, archive, args.monitoring_namespace, base)
        if args.monitor is not None:
            spec = replace(
                spec,
                monitor_labels=args.monitor.labels,
                monitor_interval=args.monitor.interval,
                queries=args.monitor.queries,
            )
        _, ready = platform.database_cluster(spec, parent=self, after=before)
        self.ready = (ready,)


def connection(
    settings: BundledDatabase | CloudNativePg | ExternalDatabase, platform: Platform, of: str = NAME
) -> Connection:
    """How the database called `of` is reached, whether or not it was made already."""
    match settings:
        case BundledDatabase():
            host, link = platform.address(of), Link(to=of, port=5432)
        case CloudNativePg():
            name = cluster_name(settings)
            host, link = (
                platform.cluster_address(name, settings.namespace),
                Link(to=cluster_peer(name), port=5432),
            )
        case ExternalDatabase():
            return _external(settings, of)
    return _connection(of, host, 5432, settings.name, settings.user, link=link)


def _host(
    settings: BundledDatabase | CloudNativePg | ExternalDatabase, platform: Platform, of: str
) -> pulumi.Input[str]:
    match settings:
        case BundledDatabase():
            return platform.full_address(of)
        case CloudNativePg():
            return platform.cluster_address(cluster_name(settings), settings.namespace)
        case ExternalDatabase():
            return settings.host


def bundled_image(settings: BundledDatabase) -> ImageRef | pulumi.Output[str]:
    """Its image: the table's, or the one given."""
    return settings.image or versions.database_images("bundled")[str(settings.postgres), settings.vectorchord]


def start_files(
    settings: BundledDatabase,
    at_start: AtStart | None = None,
    *,
    folder: str = _START_FOLDER,
    sockets: str = _SOCKETS,
    password: str = f"{_FOLDER}/password",
) -> dict[str, str]:
    """The script that starts a bundled database, and what it runs; the folders are those of the container."""
    statements = {
        "prepare.sql": render("database-prepare.sql.j2", {"password": password, "extensions": EXTENSIONS})
    }
    if at_start is not None:
        statements[f"{at_start.name}.sql"] = at_start.sql
    values = {"role": settings.user, "files": [*statements], "folder": folder, "sockets": sockets}
    return {
        "start.sh": render("database-start.sh.j2", values),
        **statements,
        "update.sql": render("database-update.sql.j2", {"extensions": EXTENSIONS}),
    }


_OF_ITS_OWN = "-c search_path=pg_catalog -c role=none"
"""For the image's check, the superuser in Immich's database: settings that Immich's role gave that do not count."""


def bundled_workload(
    settings: BundledDatabase, name: str = NAME, at_start: AtStart | None = None
) -> Workload:
    """One PostgreSQL from Immich's own image, as its compose file runs it, without root."""
    env = {
        "POSTGRES_USER": SUPERUSER,
        "POSTGRES_DB": settings.name,
        # The image makes no superuser without a password; the start takes it away again.
        "POSTGRES_PASSWORD_FILE": f"{_FOLDER}/password",
        "POSTGRES_INITDB_ARGS": "--data-checksums",
        # A folder of its own: a mount point has a lost+found, and images of PostgreSQL 18 moved their default.
        "PGDATA": "/var/lib/postgresql/data/pgdata",
        "DB_STORAGE_TYPE": settings.storage_type,
    }
    if settings.ignore_filesystem_check:
        env["IGNORE_DATABASE_FSTYPE"] = "true"
    alive = Probe(
        check=CommandCheck(command=("env", f"PGOPTIONS={_OF_ITS_OWN}", "/usr/local/bin/healthcheck.sh")),
        timeout=10,
        failures=6,
        startup_budget=600,
    )
    # By TCP: while the image makes the database, its server answers on the socket only.
    asked = f"test -e {_SOCKETS}/prepared && pg_isready -q -h 127.0.0.1 -U {settings.user} -d {settings.name}"
    ready = healthy(Probe(check=CommandCheck(command=("sh", "-c", asked))), settings.health)
    passwords: tuple[Mount, ...] = ()
    if at_start is not None:
        passwords = (
            SecretFiles(
                secret=f"{name}-{at_start.name}",
                path=AtStart.folder(at_start.name),
                items={file: file for file in at_start.passwords},
            ),
        )
    return Workload(
        name=name,
        image=bundled_image(settings),
        resources=resources("database", settings.resources),
        user=POSTGRES_UID,
        group=POSTGRES_UID,
        command=("bash", f"{_START_FOLDER}/start.sh"),
        env=env,
        ports=(Port(name="postgres", number=5432),),
        liveness=alive,
        readiness=ready,
        stateful=True,
        exclusive=True,
        mounts=(
            Mounted(volume=name, path="/var/lib/postgresql/data"),
            SecretFiles(secret=name, path=_FOLDER, items={"password": "password"}),
            *passwords,
            ConfigFiles(name=f"{name}-start", path=_START_FOLDER, files=start_files(settings, at_start)),
            Scratch(path="/dev/shm", size=settings.shared_memory, memory=True),
            Scratch(path=_SOCKETS, size=Quantity("16Mi"), memory=True),
            # The image's entrypoint writes its configuration there (immich#21614).
            Scratch(path="/etc/postgresql", size=Quantity("16Mi"), memory=True),
            Scratch(path="/tmp", size=Quantity("1Gi")),
        ),
        # A checkpoint of a busy database takes longer than the usual 30 seconds.
        termination_grace=120,
        start_timeout=900,
        placement=placement(settings.placement),
    )


def cluster_spec(
    settings: CloudNativePg,
    credentials: str,
    archive: Archive | None,
    monitoring_namespace: str | None = None,
    base: str = "",
) -> DatabaseCluster:
    """The cluster for the operator; `base` is the folder in the store of its first generation."""
    amounts = resources("database", settings.resources)
    image = (
        settings.image or versions.database_images("cloudnative-pg")[settings.postgres, settings.vectorchord]
    )
    found = lineage(settings)
    return DatabaseCluster(
        name=cluster_name(settings),
        namespace=settings.namespace,
        operator_namespace=settings.operator_namespace,
        instances=settings.instances,
        image=image,
        database=settings.name,
        owner=settings.user,
        size=settings.size,
        storage_class=settings.storage_class,
        wal_size=settings.wal_size,
        parameters={
            **postgres_parameters(
                amounts.memory_limit, settings.instances, settings.wal_size or settings.size
            ),
            **settings.parameters,
        },
        resources=amounts,
        placement=placement(settings.placement),
        pod_monitor=settings.pod_monitor,
        credentials=credentials,
        monitoring_namespace=monitoring_namespace,
        archive=archive,
        recovery=found.recovery(base) if archive is not None else None,
        kept=found.kept_clusters(str(settings.cluster_name)),
    )


def _archive(settings: CloudNativePg, backup: ArchiveSettings) -> Archive:
    store = backup.object_store
    return Archive(
        name=store.name,
        destination_path=store.destination_path,
        endpoint_url=store.endpoint_url,
        compression=store.compression,
        schedule=backup.schedule,
        retention=backup.retention,
        server_name=lineage(settings).server_name(archive_base(settings, backup)),
        immediate=backup.immediate,
        credentials="backup",
    )


def _external(settings: ExternalDatabase, of: str) -> Connection:
    env = {"DB_SSL_MODE": settings.ssl_mode}
    mounts: tuple[Mount, ...] = ()
    if settings.ca_certificate is not None:
        env["NODE_EXTRA_CA_CERTS"] = f"{_CA_FOLDER}/ca.crt"
        mounts = (ConfigFiles(name=f"{of}-ca", path=_CA_FOLDER, files={"ca.crt": settings.ca_certificate}),)
    if settings.vector_extension is not None:
        env["DB_VECTOR_EXTENSION"] = settings.vector_extension
    outside = Egress.to_host("the external database", settings.host, settings.port)
    return _connection(
        of,
        settings.host,
        settings.port,
        settings.name,
        settings.user,
        link=None,
        extra=env,
        mounts=mounts,
        egress=(outside,),
    )


def _connection(
    of: str,
    host: pulumi.Input[str],
    port: pulumi.Input[int],
    name: str,
    user: str,
    *,
    link: Link | None,
    extra: Mapping[str, str] | None = None,
    mounts: tuple[Mount, ...] = (),
    egress: tuple[Egress, ...] = (),
) -> Connection:
    return Connection(
        env={
            "DB_HOSTNAME": host,
            "DB_PORT": as_text(port),
            "DB_DATABASE_NAME": name,
            "DB_USERNAME": user,
            "DB_PASSWORD_FILE": f"{_FOLDER}/password",
            **(extra or {}),
        },
        mounts=(SecretFiles(secret=of, path=_FOLDER, items={"password": "password"}), *mounts),
        link=link,
        egress=egress,
        secrets=(PASSWORD,),
    )

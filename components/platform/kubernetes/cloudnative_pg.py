"""A database cluster as CloudNativePG 1.30 and the barman-cloud plugin 0.14 read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import pulumi

from components.model.specs import EXTENSIONS, Archive, DatabaseCluster
from components.platform.kubernetes.existing_secrets import Entry, Located
from components.platform.kubernetes.pods import Manifest, placement, resources

GROUP = "postgresql.cnpg.io/v1"
BARMAN = "barman-cloud.cloudnative-pg.io"
_START_SECONDS = 1200
_QUERIES_KEY = "queries.yaml"
_RECOVERY_SECONDS = 24 * 3600
"""The most that a recovery may take: a base backup is copied, then every change since is applied."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One object of a database cluster, and how it is registered."""

    manifest: Manifest
    name: str
    after: tuple[str, ...] = ()
    """What has to be there before: kinds of earlier pieces, or logical names of secrets."""
    holds_data: bool = False
    timeout: int | None = None
    """Seconds that it may take."""
    ignore: tuple[str, ...] = ()
    """Properties that matter when it is made and never again."""
    must_exist: bool = False
    """It is there, and is never made."""

    @property
    def kind(self) -> str:
        """Kind of the object."""
        return str(self.manifest["kind"])


def pieces(
    spec: DatabaseCluster, secrets: Mapping[str, str], located: Mapping[str, Located] | None = None
) -> list[Piece]:
    """Everything of a database cluster, in order; `secrets` and `located` as in `PodContext`.

    Of the kept generations, nothing is said but that they are there.
    """
    found = [
        Piece(manifest=kept(kind), name=name, holds_data=True, ignore=("metadata", "spec"), must_exist=True)
        for before in spec.kept
        for kind, name in (("Cluster", before), ("Database", database_name(before, spec.database)))
    ]
    needed: tuple[str, ...] = (spec.credentials,)
    archive = spec.archive
    if archive is not None:
        needed = (*needed, archive.credentials)
        elsewhere = (located or {}).get(archive.credentials)
        store = object_store(archive, secrets[archive.credentials], elsewhere.entries if elsewhere else {})
        found.append(Piece(manifest=store, name=archive.name, after=needed, holds_data=True))
        needed = (*needed, "ObjectStore")
    if spec.queries is not None:
        found.append(Piece(manifest=queries(spec.queries), name=queries_name(spec)))
        needed = (*needed, "ConfigMap")
    found += [
        Piece(
            manifest=cluster(spec, secrets[spec.credentials]),
            name=spec.name,
            after=needed,
            holds_data=True,
            timeout=_START_SECONDS if spec.recovery is None else _RECOVERY_SECONDS,
            # The operator reads them once, when it makes the cluster.
            ignore=("spec.bootstrap", "spec.externalClusters"),
        ),
        Piece(
            manifest=database(spec),
            name=database_name(spec.name, spec.database),
            after=("Cluster",),
            holds_data=True,
            timeout=600,
        ),
    ]
    if archive is not None:
        found.append(Piece(manifest=scheduled_backup(spec, archive), name=spec.name, after=("Cluster",)))
    if spec.pod_monitor:
        found.append(Piece(manifest=pod_monitor(spec), name=spec.name, after=("Cluster",)))
    return found


def archive_ports(spec: DatabaseCluster) -> list[int]:
    """Ports of the object store beside those that every cluster may reach."""
    url = spec.archive.endpoint_url if spec.archive is not None else None
    if not url:
        return []
    parts = urlsplit(url)
    return [parts.port or {"http": 80, "https": 443}[parts.scheme]]


def cluster(spec: DatabaseCluster, secret: str) -> Manifest:
    """The Cluster. `secret` is the basic-auth Secret of the owner."""
    body: Manifest = {
        "instances": spec.instances,
        "imageName": str(spec.image),
        "enableSuperuserAccess": False,
        "enablePDB": spec.instances > 1,
        "primaryUpdateStrategy": "unsupervised",
        "bootstrap": _bootstrap(spec, secret),
        "postgresql": {
            "shared_preload_libraries": ["vchord.so"],
            "parameters": dict(sorted(spec.parameters.items())),
        },
        "managed": {
            "roles": [
                {
                    "name": spec.owner,
                    "ensure": "present",
                    "login": True,
                    "superuser": False,
                    "passwordSecret": {"name": secret},
                }
            ]
        },
        "storage": _storage(str(spec.size), spec.storage_class),
        "resources": resources(spec.resources),
        "affinity": {
            "enablePodAntiAffinity": spec.instances > 1,
            "topologyKey": "kubernetes.io/hostname",
            **{
                name: value
                for name, value in placement(spec.placement).items()
                if name != "priorityClassName"
            },
        },
    }
    if spec.queries is not None:
        body["monitoring"] = {
            "customQueriesConfigMap": [{"name": queries_name(spec), "key": _QUERIES_KEY}],
        }
    if spec.placement.priority_class is not None:
        body["priorityClassName"] = spec.placement.priority_class
    if spec.wal_size is not None:
        body["walStorage"] = _storage(str(spec.wal_size), spec.storage_class)
    if spec.recovery is not None and spec.archive is not None:
        body["externalClusters"] = [
            {
                "name": spec.recovery.server_name,
                "plugin": {
                    "name": BARMAN,
                    "parameters": {
                        "barmanObjectName": spec.archive.name,
                        "serverName": spec.recovery.server_name,
                    },
                },
            }
        ]
    if spec.archive is not None:
        body["plugins"] = [
            {
                "name": BARMAN,
                "isWALArchiver": True,
                "parameters": {"barmanObjectName": spec.archive.name, "serverName": spec.archive.server_name},
            }
        ]
    return {
        "apiVersion": GROUP,
        "kind": "Cluster",
        "metadata": {"annotations": _wait("condition=Ready")},
        "spec": body,
    }


def _bootstrap(spec: DatabaseCluster, secret: str) -> Manifest:
    """How the data comes to be: an empty database, or that of an archive, with the same owner and password."""
    owner: Manifest = {"database": spec.database, "owner": spec.owner, "secret": {"name": secret}}
    if spec.recovery is None:
        return {
            "initdb": {
                **owner,
                "dataChecksums": True,
                "encoding": "UTF8",
                "localeCollate": "C",
                "localeCType": "C",
            }
        }
    recovery: Manifest = {"source": spec.recovery.server_name, **owner}
    if spec.recovery.target_time is not None:
        recovery["recoveryTarget"] = {"targetTime": spec.recovery.target_time}
    elif spec.recovery.backup_id is not None:
        # The id alone only says where to begin: all later changes would be applied (plugin-barman-cloud#667).
        recovery["recoveryTarget"] = {"backupID": spec.recovery.backup_id, "targetImmediate": True}
    return {"recovery": recovery}


def kept(kind: str) -> Manifest:
    """A Cluster or Database that exists and stays as it is: nothing of it but its name is said."""
    return {"apiVersion": GROUP, "kind": kind, "metadata": {}, "spec": {}}


def database_name(cluster: str, database: str) -> str:
    """Name of the Database of a cluster: PostgreSQL's names have underscores, Kubernetes' have not."""
    return f"{cluster}-{database.replace('_', '-').strip('-') or 'database'}"


def database(spec: DatabaseCluster) -> Manifest:
    """The Database: extensions that only a superuser may create, made by the operator. Kept when it is removed."""
    return {
        "apiVersion": GROUP,
        "kind": "Database",
        "metadata": {"annotations": _wait("jsonpath={.status.applied}=true")},
        "spec": {
            "name": spec.database,
            "owner": spec.owner,
            "cluster": {"name": spec.name},
            "ensure": "present",
            "databaseReclaimPolicy": "retain",
            "extensions": [{"name": name, "ensure": "present"} for name in EXTENSIONS],
        },
    }


def object_store(archive: Archive, secret: str, elsewhere: Mapping[str, Entry]) -> Manifest:
    """Where backups go, with the credentials of `secret`, or of the entries `elsewhere`.

    `serverName` stays out of it: it belongs to the Cluster (plugin documentation).
    """
    compression = {} if archive.compression == "none" else {"compression": archive.compression}
    data = {"compression": archive.compression} if archive.compression in {"gzip", "bzip2", "snappy"} else {}
    credentials = {"accessKeyId": "ACCESS_KEY_ID", "secretAccessKey": "SECRET_ACCESS_KEY"}
    entries = {place: elsewhere.get(item, (secret, item)) for place, item in credentials.items()}
    configuration: Manifest = {
        "destinationPath": archive.destination_path,
        "s3Credentials": {place: {"name": name, "key": key} for place, (name, key) in entries.items()},
        "wal": {**compression, "maxParallel": 2},
        "data": data,
    }
    body: Manifest = {"configuration": configuration, "retentionPolicy": archive.retention}
    if archive.endpoint_url is not None:
        configuration["endpointURL"] = archive.endpoint_url
        # Stores that are not AWS refuse the newer checksum headers of its SDK (anchors, part E).
        body["instanceSidecarConfiguration"] = {
            "env": [
                {"name": "AWS_REQUEST_CHECKSUM_CALCULATION", "value": "when_required"},
                {"name": "AWS_RESPONSE_CHECKSUM_VALIDATION", "value": "when_required"},
            ]
        }
    if not data:
        del configuration["data"]
    return {"apiVersion": "barmancloud.cnpg.io/v1", "kind": "ObjectStore", "metadata": {}, "spec": body}


def scheduled_backup(spec: DatabaseCluster, archive: Archive) -> Manifest:
    """Base backups; six cron fields, seconds first."""
    return {
        "apiVersion": GROUP,
        "kind": "ScheduledBackup",
        "metadata": {},
        "spec": {
            "cluster": {"name": spec.name},
            "schedule": archive.schedule,
            "immediate": archive.immediate,
            "backupOwnerReference": "self",
            "method": "plugin",
            "pluginConfiguration": {"name": BARMAN},
            "target": "prefer-standby",
        },
    }


def pod_monitor(spec: DatabaseCluster) -> Manifest:
    """Metrics of every instance; the Cluster's own `enablePodMonitor` is deprecated."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"labels": dict(spec.monitor_labels)} if spec.monitor_labels else {},
        "spec": {
            "selector": {"matchLabels": {"cnpg.io/cluster": spec.name}},
            "podMetricsEndpoints": [
                {"port": "metrics", **({"interval": spec.monitor_interval} if spec.monitor_interval else {})}
            ],
        },
    }


def queries_name(spec: DatabaseCluster) -> str:
    """Name of the ConfigMap with the queries."""
    return f"{spec.name}-queries"


def queries(text: str) -> Manifest:
    """The ConfigMap with the queries; by its label the operator sees that it changed."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"labels": {"cnpg.io/reload": "true"}},
        "data": {_QUERIES_KEY: text},
    }


def _storage(size: str, storage_class: pulumi.Input[str] | None) -> Manifest:
    return {"size": size, **({"storageClass": storage_class} if storage_class is not None else {})}


def _wait(condition: str) -> Manifest:
    return {"pulumi.com/waitFor": condition}

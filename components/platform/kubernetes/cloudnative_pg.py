"""A database cluster as CloudNativePG 1.30 and the barman-cloud plugin 0.14 read it."""

from __future__ import annotations

from components.platform.kubernetes.pods import Manifest, placement, resources
from components.platform.specs import Archive, DatabaseCluster

GROUP = "postgresql.cnpg.io/v1"
BARMAN = "barman-cloud.cloudnative-pg.io"
EXTENSIONS = ("vector", "vchord", "cube", "earthdistance")
"""What Immich needs and its role may not create (postgres-standalone.md): vchord needs vector, earthdistance cube."""


def cluster(spec: DatabaseCluster, secret: str) -> Manifest:
    """The Cluster. `secret` is the basic-auth Secret of the owner."""
    body: Manifest = {
        "instances": spec.instances,
        "imageName": str(spec.image),
        "enableSuperuserAccess": False,
        "enablePDB": spec.instances > 1,
        "primaryUpdateStrategy": "unsupervised",
        "bootstrap": {
            "initdb": {
                "database": spec.database,
                "owner": spec.owner,
                "secret": {"name": secret},
                "dataChecksums": True,
                "encoding": "UTF8",
                "localeCollate": "C",
                "localeCType": "C",
            }
        },
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
    if spec.placement.priority_class is not None:
        body["priorityClassName"] = spec.placement.priority_class
    if spec.wal_size is not None:
        body["walStorage"] = _storage(str(spec.wal_size), spec.storage_class)
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


def object_store(archive: Archive, secret: str) -> Manifest:
    """Where backups go. `serverName` stays out of it: it belongs to the Cluster (plugin documentation)."""
    compression = {} if archive.compression == "none" else {"compression": archive.compression}
    data = {"compression": archive.compression} if archive.compression in {"gzip", "bzip2", "snappy"} else {}
    configuration: Manifest = {
        "destinationPath": archive.destination_path,
        "s3Credentials": {
            "accessKeyId": {"name": secret, "key": "ACCESS_KEY_ID"},
            "secretAccessKey": {"name": secret, "key": "SECRET_ACCESS_KEY"},
        },
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
        "metadata": {},
        "spec": {
            "selector": {"matchLabels": {"cnpg.io/cluster": spec.name}},
            "podMetricsEndpoints": [{"port": "metrics"}],
        },
    }


def _storage(size: str, storage_class: str | None) -> Manifest:
    return {"size": size, **({"storageClass": storage_class} if storage_class is not None else {})}


def _wait(condition: str) -> Manifest:
    return {"pulumi.com/waitFor": condition}

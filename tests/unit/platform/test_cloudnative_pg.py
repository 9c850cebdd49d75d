"""A database cluster as the operator and the barman-cloud plugin read it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.model.specs import Archive, DatabaseCluster
from components.model.values import ImageRef, Quantity
from components.model.workload import Placement, Resources, Toleration
from components.platform.kubernetes import cloudnative_pg

ARCHIVE = Archive(
    name="immich-backup",
    destination_path="s3://bucket/immich",
    endpoint_url="http://192.168.10.133:30293",
    compression="gzip",
    schedule="0 0 2 * * *",
    retention="30d",
    server_name="immich-database",
    immediate=True,
    credentials="backup",
)
SPEC = DatabaseCluster(
    name="immich-database",
    namespace="databases",
    operator_namespace="cnpg-system",
    instances=3,
    image=ImageRef("ghcr.io/tensorchord/cloudnative-vectorchord:18.4-1.1.1"),
    database="immich",
    owner="immich",
    size=Quantity("50Gi"),
    storage_class="fast",
    wal_size=Quantity("8Gi"),
    parameters={"work_mem": "16MB", "shared_buffers": "512MB"},
    resources=Resources(
        cpu_request=Quantity("1"),
        memory_request=Quantity("1Gi"),
        cpu_limit=Quantity("2"),
        memory_limit=Quantity("2Gi"),
    ),
    placement=Placement(
        node_selector={"disk": "fast"},
        tolerations=(Toleration(operator="Exists", key="db"),),
        priority_class="high",
    ),
    pod_monitor=True,
    credentials="database-owner",
    archive=ARCHIVE,
)


def cluster(**changed: Any) -> dict[str, Any]:
    return cloudnative_pg.cluster(replace(SPEC, **changed), "owner-secret")["spec"]


def store(**changed: Any) -> dict[str, Any]:
    return cloudnative_pg.object_store(replace(ARCHIVE, **changed), "keys", {})["spec"]


def test_the_owner_is_no_superuser_and_there_is_no_other_way_in() -> None:
    found = cluster()
    assert found["enableSuperuserAccess"] is False
    assert found["managed"]["roles"] == [
        {
            "name": "immich",
            "ensure": "present",
            "login": True,
            "superuser": False,
            "passwordSecret": {"name": "owner-secret"},
        }
    ]


def test_the_database_is_made_with_checksums_and_belongs_to_the_owner() -> None:
    assert cluster()["bootstrap"] == {
        "initdb": {
            "database": "immich",
            "owner": "immich",
            "secret": {"name": "owner-secret"},
            "dataChecksums": True,
            "encoding": "UTF8",
            "localeCollate": "C",
            "localeCType": "C",
        }
    }


def test_vectorchord_is_loaded_at_the_start() -> None:
    assert cluster()["postgresql"] == {
        "shared_preload_libraries": ["vchord.so"],
        "parameters": {"shared_buffers": "512MB", "work_mem": "16MB"},
    }


def test_the_operator_makes_the_extensions_that_the_owner_may_not_make() -> None:
    found = cloudnative_pg.database(SPEC)["spec"]
    names = [extension["name"] for extension in found["extensions"]]
    assert set(names) == {"vector", "vchord", "cube", "earthdistance"}
    assert names.index("vector") < names.index("vchord"), "vchord needs vector"
    assert names.index("cube") < names.index("earthdistance"), "earthdistance needs cube"
    assert all(extension["ensure"] == "present" for extension in found["extensions"])
    assert (found["name"], found["owner"], found["cluster"]) == (
        "immich",
        "immich",
        {"name": "immich-database"},
    )


def test_removing_the_database_object_never_drops_the_database() -> None:
    assert cloudnative_pg.database(SPEC)["spec"]["databaseReclaimPolicy"] == "retain"


def test_data_and_log_have_volumes_of_their_own_where_that_is_asked_for() -> None:
    assert cluster()["storage"] == {"size": "50Gi", "storageClass": "fast"}
    assert cluster()["walStorage"] == {"size": "8Gi", "storageClass": "fast"}
    assert "walStorage" not in cluster(wal_size=None)
    assert cluster(storage_class=None)["storage"] == {"size": "50Gi"}


@pytest.mark.parametrize(("instances", "several"), [(1, False), (3, True)])
def test_several_instances_are_kept_apart_and_one_does_not_block_its_node(
    instances: int, several: bool
) -> None:
    found = cluster(instances=instances)
    assert found["instances"] == instances
    assert found["enablePDB"] is several, "the budget of a single instance blocks every drain"
    assert found["affinity"]["enablePodAntiAffinity"] is several


def test_placement_is_where_the_operator_reads_it() -> None:
    found = cluster()
    assert found["affinity"]["nodeSelector"] == {"disk": "fast"}
    assert found["affinity"]["tolerations"] == [{"key": "db", "operator": "Exists"}]
    assert found["priorityClassName"] == "high"
    assert "priorityClassName" not in found["affinity"]


def test_the_log_is_archived_by_the_plugin_and_not_by_what_the_operator_drops() -> None:
    assert cluster()["plugins"] == [
        {
            "name": "barman-cloud.cloudnative-pg.io",
            "isWALArchiver": True,
            "parameters": {"barmanObjectName": "immich-backup", "serverName": "immich-database"},
        }
    ]
    assert "backup" not in cluster(), "in-tree barman ends with CloudNativePG 1.31"
    assert "plugins" not in cluster(archive=None)


def test_the_store_has_bucket_keys_and_retention_but_no_server_name() -> None:
    found = store()
    assert found["configuration"] == {
        "destinationPath": "s3://bucket/immich",
        "endpointURL": "http://192.168.10.133:30293",
        "s3Credentials": {
            "accessKeyId": {"name": "keys", "key": "ACCESS_KEY_ID"},
            "secretAccessKey": {"name": "keys", "key": "SECRET_ACCESS_KEY"},
        },
        "wal": {"compression": "gzip", "maxParallel": 2},
        "data": {"compression": "gzip"},
    }
    assert found["retentionPolicy"] == "30d"
    assert "serverName" not in str(found), "the plugin wants it empty there"


def test_stores_that_are_not_aws_get_the_older_checksums() -> None:
    assert {one["name"]: one["value"] for one in store()["instanceSidecarConfiguration"]["env"]} == {
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }
    aws = store(endpoint_url=None)
    assert "instanceSidecarConfiguration" not in aws
    assert "endpointURL" not in aws["configuration"]


@pytest.mark.parametrize(
    ("compression", "wal", "data"), [("bzip2", "bzip2", "bzip2"), ("lz4", "lz4", None), ("none", None, None)]
)
def test_a_compression_that_only_the_log_knows_is_not_asked_for_data(
    compression: str, wal: str | None, data: str | None
) -> None:
    found = store(compression=compression)["configuration"]
    assert found["wal"].get("compression") == wal
    assert found.get("data", {}).get("compression") == data


def test_base_backups_are_scheduled_with_six_fields_by_the_plugin() -> None:
    found = cloudnative_pg.scheduled_backup(SPEC, ARCHIVE)["spec"]
    assert found == {
        "cluster": {"name": "immich-database"},
        "schedule": "0 0 2 * * *",
        "immediate": True,
        "backupOwnerReference": "self",
        "method": "plugin",
        "pluginConfiguration": {"name": "barman-cloud.cloudnative-pg.io"},
        "target": "prefer-standby",
    }
    assert len(found["schedule"].split()) == 6


def test_metrics_of_every_instance_are_scraped_by_a_monitor_of_our_own() -> None:
    found = cloudnative_pg.pod_monitor(SPEC)
    assert found["spec"] == {
        "selector": {"matchLabels": {"cnpg.io/cluster": "immich-database"}},
        "podMetricsEndpoints": [{"port": "metrics"}],
    }
    assert "monitoring" not in cluster(), "enablePodMonitor is deprecated"

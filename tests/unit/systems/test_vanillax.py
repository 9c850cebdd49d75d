"""vanillax: one test a demand of the system's own document; docs/systems/vanillax.md is the table."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pytest

from tests.harness.mocks import Run
from tests.harness.program import ROOT, from_file, manifests, shared_run
from tests.unit.systems.audit import faults
from toolchain.runbook import stack_pages
from toolchain.stack_settings import settings_without_secrets, stack_texts


@functools.cache
def _run() -> Run:
    return shared_run(from_file(ROOT / "Pulumi.vanillax.yaml"))


@functools.cache
def _objects() -> dict[tuple[str, str], Any]:
    found = manifests(_run())
    return {(str(one["kind"]), str(one["metadata"]["name"])): one for one in found}


def _one(kind: str, name: str) -> Any:
    return _objects()[kind, name]


def _pod(kind: str, name: str) -> Any:
    return _one(kind, name)["spec"]["template"]["spec"]


def _container(kind: str, name: str) -> Any:
    return _pod(kind, name)["containers"][0]


def _env(name: str) -> dict[str, str]:
    return {one["name"]: one["value"] for one in _container("Deployment", name)["env"]}


def _mounted(name: str) -> dict[str, Any]:
    """Claim -> its mount, with whether the pod has it read-only."""
    pod = _pod("Deployment", name)
    claims = {
        one["name"]: one["persistentVolumeClaim"] for one in pod["volumes"] if "persistentVolumeClaim" in one
    }
    return {
        claims[mount["name"]]["claimName"]: (mount["mountPath"], bool(claims[mount["name"]].get("readOnly")))
        for mount in pod["containers"][0]["volumeMounts"]
        if mount["name"] in claims
    }


def test_the_server_runs_the_release_of_the_document() -> None:
    image = _container("Deployment", "immich-server")["image"]
    assert re.fullmatch(r"ghcr\.io/immich-app/immich-server:v2\.5\.5@sha256:[0-9a-f]{64}", image)


def test_machine_learning_runs_the_same_release() -> None:
    image = _container("Deployment", "immich-machine-learning")["image"]
    assert re.fullmatch(r"ghcr\.io/immich-app/immich-machine-learning:v2\.5\.5@sha256:[0-9a-f]{64}", image)


def test_valkey_is_there_with_a_password_and_evicts_nothing() -> None:
    template = _one("ExternalSecret", "immich-cache")["spec"]["target"]["template"]["data"]
    assert "maxmemory-policy noeviction" in template["valkey.conf"]
    assert "appendonly yes" in template["valkey.conf"]
    assert re.search(r"requirepass \{\{ \.cachePassword.*\}\}", template["valkey.conf"])
    assert _container("StatefulSet", "immich-cache")["args"][-1].endswith("/valkey.conf")


def test_everything_of_immich_is_in_its_namespace() -> None:
    namespaces = {one["metadata"].get("namespace") for one in _objects().values()}
    assert namespaces == {None, "immich", "cloudnative-pg"}
    assert ("Namespace", "immich") in _objects()


def test_the_database_cluster_is_in_the_operators_namespace() -> None:
    cluster = _one("Cluster", "immich-database")
    assert cluster["apiVersion"] == "postgresql.cnpg.io/v1"
    assert cluster["metadata"]["namespace"] == "cloudnative-pg"
    assert cluster["spec"]["instances"] == 1


def test_the_database_volume_is_20Gi_of_longhorn() -> None:  # noqa: N802 - the unit is written so
    assert _one("Cluster", "immich-database")["spec"]["storage"] == {
        "size": "20Gi",
        "storageClass": "longhorn",
    }


def test_the_database_image_is_postgres_17_with_vectorchord_0_5_3() -> None:
    image = _one("Cluster", "immich-database")["spec"]["imageName"]
    assert re.fullmatch(
        r"ghcr\.io/tensorchord/cloudnative-vectorchord:17\.\d+-0\.5\.3@sha256:[0-9a-f]{64}", image
    )


def test_the_extensions_are_declared() -> None:
    declared = {one["name"] for one in _one("Database", "immich-database-immich")["spec"]["extensions"]}
    assert declared == {"vchord", "vector", "earthdistance", "cube"}
    assert _one("Cluster", "immich-database")["spec"]["postgresql"]["shared_preload_libraries"] == [
        "vchord.so"
    ]


def test_the_server_talks_to_the_service_of_the_document() -> None:
    env = _env("immich-server")
    assert env["DB_HOSTNAME"] == "immich-database-rw.cloudnative-pg.svc.cluster.local"
    assert env["DB_PORT"] == "5432"


@pytest.mark.parametrize(
    ("name", "namespace"), [("immich-db-credentials", "immich"), ("immich-app-secret", "cloudnative-pg")]
)
def test_the_credentials_come_from_1password_under_the_names_of_the_document(
    name: str, namespace: str
) -> None:
    external = _one("ExternalSecret", name)
    assert external["metadata"]["namespace"] == namespace
    assert external["spec"]["secretStoreRef"] == {"kind": "ClusterSecretStore", "name": "1password"}
    assert external["spec"]["target"]["name"] == name
    assert external["spec"]["data"][0]["remoteRef"]["key"] == "immich-db-credentials"


def test_no_secret_is_rendered() -> None:
    kinds = {kind for kind, _ in _objects()}
    assert "Secret" not in kinds
    assert not [one for one in _run().resources if one.type.startswith("random:")]


def test_backups_go_to_rustfs_by_the_barman_cloud_plugin() -> None:
    store = _one("ObjectStore", "immich-backup")
    assert store["spec"]["configuration"]["endpointURL"] == "http://192.168.10.133:30293"
    plugin = _one("Cluster", "immich-database")["spec"]["plugins"][0]
    assert plugin["name"] == "barman-cloud.cloudnative-pg.io"
    assert plugin["isWALArchiver"] is True
    assert plugin["parameters"]["barmanObjectName"] == "immich-backup"
    keys = store["spec"]["configuration"]["s3Credentials"]
    published = _one("ExternalSecret", keys["accessKeyId"]["name"])
    assert {keys["accessKeyId"]["key"], keys["secretAccessKey"]["key"]} == set(
        published["spec"]["target"]["template"]["data"]
    )


def test_the_backup_runs_daily_at_two() -> None:
    backup = _one("ScheduledBackup", "immich-database")["spec"]
    assert backup["schedule"] == "0 0 2 * * *"
    assert backup["method"] == "plugin"
    assert backup["cluster"] == {"name": "immich-database"}


def test_the_library_claim_is_50Gi_of_longhorn() -> None:  # noqa: N802 - the unit is written so
    claim = _one("PersistentVolumeClaim", "library")["spec"]
    assert claim["resources"]["requests"]["storage"] == "50Gi"
    assert claim["storageClassName"] == "longhorn"
    assert _mounted("immich-server")["library"] == ("/data", False)


def test_machine_learning_does_not_mount_the_library() -> None:
    assert "library" not in _mounted("immich-machine-learning")


def test_the_model_cache_is_10Gi_of_longhorn() -> None:  # noqa: N802 - the unit is written so
    claim = _one("PersistentVolumeClaim", "immich-ml-cache")["spec"]
    assert claim["resources"]["requests"]["storage"] == "10Gi"
    assert claim["storageClassName"] == "longhorn"
    assert _mounted("immich-machine-learning")["immich-ml-cache"] == ("/cache", False)


def test_the_photos_are_a_read_only_nfs_volume_of_2Ti() -> None:  # noqa: N802 - the unit is written so
    claim = _one("PersistentVolumeClaim", "nfs-photos")["spec"]
    volume = _one("PersistentVolume", claim["volumeName"])["spec"]
    assert claim["storageClassName"] == volume["storageClassName"] == "nfs-immich-photos"
    assert volume["capacity"]["storage"] == claim["resources"]["requests"]["storage"] == "2Ti"
    assert volume["csi"]["driver"] == "nfs.csi.k8s.io"
    assert volume["csi"]["volumeAttributes"] == {
        "server": "192.168.10.133",
        "share": "/mnt/BigTank/photos/All",
    }
    assert volume["csi"]["readOnly"] is True
    assert "ro" in volume["mountOptions"]
    assert volume["accessModes"] == ["ReadOnlyMany"]


@pytest.mark.parametrize("name", ["immich-server", "immich-machine-learning"])
def test_photos_are_mounted_read_only_in_server_and_machine_learning(name: str) -> None:
    assert _mounted(name)["nfs-photos"] == ("/mnt/photos", True)


def test_the_photos_are_an_external_library_of_immichs_without_a_click() -> None:
    (library,) = json.loads(_one("ConfigMap", "immich-setup")["data"]["plan.json"])["libraries"]
    assert library["importPaths"] == ["/mnt/photos"]
    assert not any("/mnt/photos" in str(step) for step in _run().outputs["nextSteps"])


def test_the_route_is_on_the_internal_gateway() -> None:
    route = _one("HTTPRoute", "immich-server")["spec"]
    assert route["hostnames"] == ["photos.vanillax.me"]
    assert route["parentRefs"][0]["name"] == "gateway-internal"
    assert route["parentRefs"][0]["sectionName"] == "https"
    assert route["rules"][0]["timeouts"]["request"] == "0s"
    assert route["rules"][0]["backendRefs"][0]["port"] == 2283


def test_nfs_to_the_nas_is_allowed() -> None:
    rule = _one("CiliumNetworkPolicy", "immich-lan-allowances")["spec"]["egress"][0]
    assert rule["toCIDR"] == ["192.168.10.133/32"]
    assert rule["toPorts"] == [{"ports": [{"port": "2049", "protocol": "TCP"}]}]


def _steps(name: str) -> list[dict[str, Any]]:
    """Containers of a CronJob, in the order in which they run."""
    pod = _one("CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return [*pod.get("initContainers", ()), *pod["containers"]]


def _script(name: str) -> str:
    return _one("ConfigMap", f"immich-{name}")["data"]["run.sh"]


def test_the_library_and_a_dump_go_to_rustfs_daily_at_three() -> None:
    job = _one("CronJob", "immich-backup")["spec"]
    assert (job["schedule"], job["timeZone"], job["suspend"]) == ("0 3 * * *", "America/New_York", False)
    assert [one["name"] for one in _steps("immich-backup")] == ["backup-dump", "backup-copy"]
    claim = _one("PersistentVolumeClaim", "immich-backup")["spec"]
    assert claim["resources"]["requests"]["storage"] == "20Gi"
    assert claim["storageClassName"] == "longhorn"
    copy = _script("backup-copy")
    assert "s3:http://192.168.10.133:30293/immich-files/files" in copy
    assert "for path in /data/upload /data/library /data/profile " in copy
    assert "pg_dump --no-password" in _script("backup-dump")


def test_originals_on_the_nas_are_not_copied() -> None:
    mounted = {one["mountPath"] for step in _steps("immich-backup") for one in step["volumeMounts"]}
    assert "/data" in mounted
    assert "/mnt/photos" not in mounted
    assert "/mnt/photos" not in _script("backup-copy")


def test_a_drill_restores_the_newest_copy_each_sunday() -> None:
    assert _one("CronJob", "immich-drill")["spec"]["schedule"] == "30 4 * * 0"
    steps = ["drill-fetch", "drill-database", "drill-originals"]
    assert [one["name"] for one in _steps("immich-drill")] == steps


def test_the_pages_have_the_names_of_this_stack() -> None:
    pages = stack_pages("vanillax")
    assert "immich:database.lineage.generation" in pages["database-lost.md"]
    assert "kubectl" in pages["disk-lost.md"]
    assert "make restore STACK=vanillax FILE=" in pages["photo-deleted.md"]


def test_what_the_audit_names_exists() -> None:
    tests = {name for name in globals() if name.startswith("test_")} - {"test_what_the_audit_names_exists"}
    settings, _ = settings_without_secrets("vanillax", *stack_texts(ROOT / "Pulumi.vanillax.yaml"))
    assert faults("vanillax", settings, tests) == []

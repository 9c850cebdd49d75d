"""A stack that starts from a dump that Immich made: one step, which reads the media and changes nothing in it."""

from __future__ import annotations

from typing import Any

from tests.harness.objects import items, pods_of
from tests.harness.program import Runs, host_stack, manifests, with_secrets

NAME = "immich-db-backup-20261120T020000-v3.3.1-pg18.1.sql.gz"
RESTORE: dict[str, Any] = {"backup": {}, "restore": {"what": "database", "from": NAME}}
BACKUPS = {"backups": {"kind": "volume", "size": "1Gi"}}
RUNS = Runs(
    {
        "cluster": with_secrets(
            "cluster",
            {
                **RESTORE,
                "host": {"name": "photos.example.com"},
                "kubernetes": {"target": "render"},
                "storage": BACKUPS,
            },
        ),
        "host": host_stack(
            "host",
            {
                **RESTORE,
                "docker": {},
                "host": {"name": "localhost", "https": False, "port": 2283},
                "proxy": {"expose": [{"kind": "publishedPort", "address": "127.0.0.1"}]},
            },
        ),
    }
)


def test_on_a_cluster_one_container_reads_the_dumps_of_the_media() -> None:
    (pod,) = [
        pods
        for one in manifests(RUNS["cluster"])
        for pods in pods_of(one)
        if pods.owner.endswith("immich-restore")
    ]
    (container,) = pod.containers
    assert container["name"] == "restore-database"
    media = {mount["mountPath"]: mount for mount in items(container, "volumeMounts")}
    assert [media[path].get("readOnly") for path in ("/data", "/data/backups")] == [True, True]
    assert media["/backup"].get("readOnly") is None


def test_on_a_host_it_is_the_only_step_and_reads_the_media_too() -> None:
    (step,) = [
        one
        for one in RUNS["host"].of_type("docker:index/container:Container")
        if "restore" in one.name and not one.name.endswith("-files")
    ]
    assert step.name == "immich-host-restore-database"
    mounts = {mount["target"]: mount for mount in step.props["mounts"]}
    assert (mounts["/data"]["readOnly"], mounts["/backup"].get("readOnly", False)) == (True, False)

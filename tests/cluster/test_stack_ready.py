"""With nodes: an up ends when pods are Ready, and the server starts after its database."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.standins import StandInOperators, at_work, load_stand_ins
from tests.harness.kube import Kube
from tests.harness.objects import Manifest, at
from tests.harness.stacks import Deployment, changes, free_text, require_cli

pytestmark = [pytest.mark.cluster, pytest.mark.engine]


def get(kube: Kube, path: str) -> Manifest:
    answer = kube.api.request("GET", path)
    assert answer.ok, answer.message
    return answer.body


def made(kube: Kube, directory: Path, sections: dict[str, Any]) -> Deployment:
    return Deployment.create(directory, require_cli(), "ready", sections, kubeconfig=kube.kubeconfig)


def test_the_stack_dev_is_awaited_until_every_pod_is_ready(
    kube_with_nodes: Kube, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    where = f"ready-{free_text()}"
    stack = made(kube_with_nodes, tmp_path, {"kubernetes": {"namespace": where}})
    started = time.monotonic()
    stack.up()
    seconds = time.monotonic() - started
    record_property("seconds", round(seconds, 1))
    print(f"dev with every pod Ready: {seconds:.1f} s")

    workloads = [
        one
        for plural in ("deployments", "statefulsets")
        for one in get(kube_with_nodes, f"/apis/apps/v1/namespaces/{where}/{plural}")["items"]
    ]
    assert len(workloads) == 5
    wanted = {at(one, "metadata", "name"): at(one, "spec", "replicas") for one in workloads}
    assert {at(one, "metadata", "name"): at(one, "status", "readyReplicas") for one in workloads} == wanted
    claims = get(kube_with_nodes, f"/api/v1/namespaces/{where}/persistentvolumeclaims")["items"]
    assert {at(one, "status", "phase") for one in claims} == {"Bound"}
    assert changes(stack.up("--expect-no-changes")) == {}

    # A change of the server waits for the new pod, and the old one is gone: the media can be mounted once.
    stack.change("server", timezone="Asia/Tokyo")
    stack.up()
    server = get(kube_with_nodes, f"/apis/apps/v1/namespaces/{where}/deployments/immich-server")
    assert at(server, "status", "observedGeneration") == at(server, "metadata", "generation")
    assert at(server, "status", "readyReplicas") == at(server, "status", "updatedReplicas") == 1
    assert at(server, "spec", "strategy", "type") == "Recreate"


def test_the_server_starts_after_a_cluster_of_cloudnative_pg_is_ready(
    kube_with_nodes: Kube, tmp_path: Path
) -> None:
    load_stand_ins(kube_with_nodes.api)
    where = f"ready-{free_text()}"
    stack = made(
        kube_with_nodes,
        tmp_path,
        {
            "kubernetes": {"namespace": where},
            "database": {"kind": "cloudnative-pg"},
            "machineLearning": {"kind": "off"},
        },
    )
    operator = StandInOperators(kube_with_nodes, (where,), seconds=4)
    started = time.monotonic()
    with at_work(operator):
        stack.up()
    assert time.monotonic() - started >= 4
    ready = operator.said["clusters/immich-database"]
    applied = operator.said["databases/immich-database-immich"]
    server = get(kube_with_nodes, f"/apis/apps/v1/namespaces/{where}/deployments/immich-server")
    # Times of the API server are whole seconds, in a form that sorts.
    assert at(server, "metadata", "creationTimestamp") >= applied >= ready
    cluster = get(kube_with_nodes, f"/apis/postgresql.cnpg.io/v1/namespaces/{where}/clusters/immich-database")
    assert at(cluster, "metadata", "creationTimestamp") < ready
    assert at(server, "status", "readyReplicas") == 1
    assert changes(stack.up("--expect-no-changes")) == {}


@pytest.mark.deep
def test_an_upgrade_takes_its_backup_and_leaves_the_files_of_backups_where_they_are(
    kube_with_nodes: Kube, tmp_path: Path
) -> None:
    where = f"ready-{free_text()}"
    targets = [{"name": "shelf", "kind": "local", "source": {"kind": "volume", "size": "1Gi"}}]
    sections = {
        "kubernetes": {"namespace": where},
        "machineLearning": {"kind": "off"},
        "server": {"version": "3.2.4"},
        "backup": {"targets": targets},
    }
    stack = made(kube_with_nodes, tmp_path, sections)
    stack.up()
    path = f"/api/v1/namespaces/{where}/configmaps/immich-backup-stack"
    uid = at(get(kube_with_nodes, path), "metadata", "uid")
    for version in ("3.3.0", "3.3.1"):
        stack.change("server", version=version)
        stack.up()
        assert at(get(kube_with_nodes, path), "metadata", "uid") == uid
        assert changes(stack.up("--expect-no-changes")) == {}


@pytest.mark.deep
def test_a_cluster_that_never_gets_ready_ends_the_up_with_its_name(
    kube_with_nodes: Kube, tmp_path: Path
) -> None:
    load_stand_ins(kube_with_nodes.api)
    where = f"ready-{free_text()}"
    stack = made(
        kube_with_nodes,
        tmp_path,
        {
            "kubernetes": {"namespace": where},
            "database": {"kind": "cloudnative-pg"},
            "machineLearning": {"kind": "off"},
        },
    )
    lines: list[str] = []
    with stack.engine.begin("up", "--yes", "--skip-preview") as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if "waiting for the condition Ready" in line:
                # As Ctrl-C does: the CLI ends in its own order.
                process.send_signal(signal.SIGINT)
                break
        lines.append(process.stdout.read())
    assert process.returncode != 0
    said = "".join(lines)
    assert f"postgresql.cnpg.io/v1:Cluster ({where}/immich-database)" in said
    assert "interrupted while waiting for the condition Ready" in said
    assert "Traceback" not in said
    # Nothing that needs the database was begun, and what was made is known.
    deployments = get(kube_with_nodes, f"/apis/apps/v1/namespaces/{where}/deployments")["items"]
    assert "immich-server" not in {at(one, "metadata", "name") for one in deployments}
    assert [one.name for one in stack.state() if one.type.endswith(":Cluster")] == [
        f"{where}/immich-database"
    ]
    with at_work(StandInOperators(kube_with_nodes, (where,), seconds=0)):
        stack.up()
    assert changes(stack.up("--expect-no-changes")) == {}

"""What the API server and the engine answer, as units, openings and status files."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.unit.verify.parts import target
from toolchain.offline.plugins.kubernetes.client import ApiError, Client
from toolchain.offline.plugins.kubernetes.objects import GroupKind
from toolchain.tasks_kubernetes import Cluster
from toolchain.verify.checks.exposure import openings
from toolchain.verify.cluster import KubernetesCluster
from toolchain.verify.docker_host import unpack
from toolchain.verify.running import Opening, RunningError, Unit


class RecordedApi:
    """An API server that has these objects."""

    def __init__(
        self, objects: Mapping[str, list[dict[str, Any]]], texts: Mapping[str, str | ApiError]
    ) -> None:
        self.objects, self.texts = objects, texts
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.deleted: list[tuple[str, str, str, str]] = []

    def list(self, kind: GroupKind, namespace: str = "", **_: str) -> list[dict[str, Any]]:
        assert namespace == "immich"
        return self.objects.get(kind.kind, [])

    def delete(self, kind: GroupKind, namespace: str, name: str, propagation: str) -> bool:
        self.deleted.append((kind.kind, namespace, name, propagation))
        return True

    def path(self, kind: GroupKind, namespace: str, name: str = "") -> str:
        return f"/api/v1/namespaces/{namespace}/{kind.kind.lower()}s" + (f"/{name}" if name else "")

    def text(self, path: str, query: Mapping[str, str]) -> str:
        self.asked.append((path, query))
        found = self.texts[path]
        if isinstance(found, ApiError):
            raise found
        return found


def cluster(
    texts: Mapping[str, str | ApiError] | None = None, **objects: Any
) -> tuple[KubernetesCluster, RecordedApi]:
    api = RecordedApi(objects, texts or {})
    return KubernetesCluster(Cluster(client=cast("Client", api), namespace="immich", stack="unit")), api


def pod(component: str, state: dict[str, Any], *, ready: bool = True, **status: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": component, "app.kubernetes.io/instance": "unit"}
    return {
        "metadata": {"name": f"immich-{component}-0", "namespace": "immich", "labels": labels},
        "spec": {"containers": [{"name": component, "image": f"ghcr.io/x/{component}:v3.3.1@sha256:ab"}]},
        "status": {
            "phase": "Running",
            "podIP": "10.244.0.7",
            "containerStatuses": [{"state": state, "ready": ready, "restartCount": 0, **status}],
        },
    }


RUNS = {"running": {"startedAt": "2026-11-21T10:00:00Z"}}


def only(found: KubernetesCluster) -> Unit:
    (unit,) = found.units()
    return unit


def test_a_restart_deletes_the_pod() -> None:
    found, api = cluster(Pod=[pod("server", RUNS)])
    found.restart(only(found))
    assert api.deleted == [("Pod", "immich", "immich-server-0", "Background")]


def test_a_pod_that_is_ready_is_healthy() -> None:
    found, _ = cluster(Pod=[pod("server", RUNS)])
    unit = only(found)
    assert (unit.workload, unit.state, unit.health, unit.since) == (
        "server",
        "running",
        "healthy",
        1_795_255_200,
    )
    assert unit.images == ("ghcr.io/x/server:v3.3.1@sha256:ab",)
    assert found.networks() == ["10.244.0.7/32"]


@pytest.mark.parametrize(
    ("given", "state", "health"),
    [
        (pod("server", RUNS, ready=False), "running", "unhealthy"),
        (pod("server", {"waiting": {"reason": "CrashLoopBackOff"}}), "CrashLoopBackOff", ""),
        (pod("server", {"terminated": {"exitCode": 1}}), "Running", ""),
        ({**pod("server", {}), "status": {"phase": "Pending"}}, "Pending", ""),
    ],
)
def test_other_pods_are_what_the_cluster_calls_them(given: dict[str, Any], state: str, health: str) -> None:
    unit = only(cluster(Pod=[given])[0])
    assert (unit.state, unit.health) == (state, health)


def test_restarts_and_want_of_memory_are_read() -> None:
    last = {"terminated": {"reason": "OOMKilled"}}
    unit = only(cluster(Pod=[pod("server", RUNS, restartCount=4, lastState=last)])[0])
    assert (unit.restarts, unit.killed_for_memory) == (4, True)


def test_pods_of_jobs_are_tasks_and_other_stacks_are_not_ours() -> None:
    job, other = pod("backup", RUNS), pod("server", RUNS)
    job["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "x"}]
    other["metadata"]["labels"]["app.kubernetes.io/instance"] = "another"
    assert only(cluster(Pod=[job, other])[0]).task


def test_what_a_cluster_opens() -> None:
    def service(name: str, **spec: Any) -> dict[str, Any]:
        return {"metadata": {"name": name}, "spec": spec}

    host = pod("proxy", RUNS)
    host["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 8080}]
    host["spec"]["hostNetwork"] = True
    services = [
        service("immich-server", type="ClusterIP", ports=[{"port": 2283}]),
        service("immich-proxy-lan", type="LoadBalancer", ports=[{"port": 80, "nodePort": 30080}]),
        service("immich-database", type="NodePort", ports=[{"port": 5432, "nodePort": 30432}]),
        service("immich-cache", type="ClusterIP", ports=[{"port": 6379}], externalIPs=["203.0.113.5"]),
    ]
    found, _ = cluster(Pod=[host], Service=services)
    assert set(found.openings()) == {
        Opening(owner="immich-proxy-lan", kind="LoadBalancer", address="", port=80),
        Opening(owner="immich-database", kind="NodePort", address="", port=30432),
        Opening(owner="immich-cache", kind="externalIPs", address="203.0.113.5", port=6379),
        Opening(owner="proxy", kind="hostNetwork", address="", port=0),
        Opening(owner="proxy", kind="hostPort", address="", port=8080),
    }
    (check,) = openings(replace(target(cluster=True), running=found))
    assert check.outcome == "fail"
    assert all(word in check.found for word in ("30432", "203.0.113.5", "hostPort", "LoadBalancer"))


def test_a_load_balancer_of_the_settings_is_no_surprise() -> None:
    way = {"expose": [{"kind": "loadBalancer", "address": "192.168.1.20"}]}
    services = [
        {"metadata": {"name": "immich-proxy-lan"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}
    ]
    from tests.unit.verify.parts import settings

    wanted = replace(target(cluster=True), settings=settings(cluster=True, host={"port": None}, proxy=way))
    assert openings(replace(wanted, running=cluster(Service=services)[0]))[0].outcome == "pass"
    (missing,) = openings(replace(wanted, running=cluster()[0]))
    assert (missing.outcome, "not open although" in missing.found) == ("fail", True)


def test_logs_and_questions_go_by_the_api_server() -> None:
    paths = {
        "/api/v1/namespaces/immich/pods/immich-server-0/log": "a line",
        "/api/v1/namespaces/immich/services/immich-server:2283/proxy/api/server/ping": '{"res":"pong"}',
        "/api/v1/namespaces/immich/services/immich-machine-learning:3003/proxy/ping": ApiError(
            503, "", "no endpoints"
        ),
    }
    found, api = cluster(paths, Pod=[pod("server", RUNS)])
    assert found.logs(only(found)) == "a line"
    assert api.asked[0][1] == {
        "tailLines": "2000",
        "container": "server",
    }
    assert found.ask("server", 2283, "/api/server/ping") == (200, '{"res":"pong"}')
    assert found.ask("machine-learning", 3003, "/ping") == (503, "no endpoints")


def archive(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as opened:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"status/{name.replace('_', '.')}")
            entry.size = len(content)
            opened.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def test_status_files_come_from_an_archive() -> None:
    content = json.dumps({"result": "success"}).encode()
    assert unpack(archive(dump_json=content, dump_prom=b"immich_backup_success 1")) == {
        "dump": {"result": "success"}
    }
    for wrong in (b"{", b"[]"):
        with pytest.raises(RunningError, match=r"status/dump\.json is no JSON object"):
            unpack(archive(dump_json=wrong))

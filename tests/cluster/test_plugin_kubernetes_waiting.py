"""The offline kubernetes plugin waits as the official one does, on a cluster whose Pods become ready."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.harness.engine import Engine, Missing, Result, find_cli
from tests.harness.kube import Kube
from tests.harness.live_api import LiveApi

pytestmark = [
    pytest.mark.deep(unless_changed=("toolchain/offline/plugins",)),
    pytest.mark.cluster,
    pytest.mark.engine,
]

PROGRAM = """
import pulumi
import pulumi_kubernetes as k8s
provider = k8s.Provider("cluster", kubeconfig={kubeconfig!r})
ns = {namespace!r}
labels = {{"app": "web"}}

def options(seconds=60):
    limits = pulumi.CustomTimeouts(create=f"{{seconds}}s", update=f"{{seconds}}s", delete=f"{{seconds}}s")
    return pulumi.ResourceOptions(provider=provider, custom_timeouts=limits)

def pods(**more):
    containers = [{{"name": "c", "image": "example.invalid/i:1"}}]
    spec = {{"containers": containers, "terminationGracePeriodSeconds": 1, **more}}
    return {{"metadata": {{"labels": labels}}, "spec": spec}}
"""

DEPLOYMENT = """
k8s.apps.v1.Deployment("web", metadata={"name": "web", "namespace": ns},
    spec={"replicas": %d, "selector": {"match_labels": labels}, "template": pods(%s)}, opts=options(%d))
"""


class Lab:
    """One project on the cluster, with a namespace of its own."""

    def __init__(self, engine: Engine, kube: Kube) -> None:
        self.engine = engine
        self.kubeconfig = str(kube.kubeconfig)
        self.api = LiveApi(self.kubeconfig)
        self.namespace = kube.new_namespace("waiting")

    def program(self, body: str) -> None:
        self.engine.program(PROGRAM.format(kubeconfig=self.kubeconfig, namespace=self.namespace) + body)

    def up(self, body: str, *, check: bool = True) -> Result:
        self.program(body)
        return self.engine.up(check=check)


@pytest.fixture
def lab(kube_with_nodes: Kube, tmp_path: Path) -> Lab:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    return Lab(Engine.create(tmp_path, cli), kube_with_nodes)


def test_a_deployment_and_its_service_are_ready_when_up_returns_and_gone_after_destroy(lab: Lab) -> None:
    service = """
k8s.core.v1.Service("svc", metadata={"name": "svc", "namespace": ns},
    spec={"selector": labels, "ports": [{"port": 80}]}, opts=options())
"""
    lab.up(DEPLOYMENT % (2, "", 60) + service)
    outputs = lab.engine.resources()["web"]["outputs"]
    assert outputs["status"]["readyReplicas"] == 2
    assert lab.up(DEPLOYMENT % (2, "", 60) + service).changes == {}
    assert lab.up(DEPLOYMENT % (3, "", 60) + service).changes == {"web": ["update"]}
    assert lab.engine.resources()["web"]["outputs"]["status"]["readyReplicas"] == 3
    lab.engine.refresh()
    assert lab.up(DEPLOYMENT % (3, "", 60) + service).changes == {}
    lab.engine.destroy()
    assert lab.api.get("apps/v1", "Deployment", "web", lab.namespace) is None
    assert lab.api.get("v1", "Service", "svc", lab.namespace) is None


def test_a_deployment_that_cannot_start_stays_says_why_and_the_next_up_waits_again(lab: Lab) -> None:
    nowhere = 'nodeSelector={"no-such-label": "x"}'
    failed = lab.up(DEPLOYMENT % (1, nowhere, 4), check=False)
    assert failed.returncode != 0
    assert "not ready after 4 s" in failed.text
    assert "not scheduled" in failed.text
    stored = lab.engine.resources()["web"]
    assert stored["initErrors"]
    assert stored["id"] == f"{lab.namespace}/web"
    again = lab.up(DEPLOYMENT % (1, nowhere, 2), check=False)
    assert again.returncode != 0
    assert again.changes == {"web": ["update"]}
    fixed = lab.up(DEPLOYMENT % (1, "", 60))
    assert fixed.changes == {"web": ["update"]}
    assert "initErrors" not in lab.engine.resources()["web"]


def test_a_stateful_set_with_its_claim_is_awaited(lab: Lab) -> None:
    lab.up(
        """
claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "standard",
         "resources": {"requests": {"storage": "1Gi"}}}}
k8s.apps.v1.StatefulSet("db", metadata={"name": "db", "namespace": ns}, spec={"replicas": 1, "service_name": "db",
    "selector": {"match_labels": labels}, "template": pods(), "volume_claim_templates": [claim]}, opts=options())
"""
    )
    assert lab.engine.resources()["db"]["outputs"]["status"]["readyReplicas"] == 1


def test_a_claim_that_waits_for_its_first_consumer_does_not_block(lab: Lab) -> None:
    name = f"late-{lab.namespace}"
    lab.api.create(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": "example.invalid/none",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    )
    started = time.monotonic()
    lab.up(
        f"""
k8s.core.v1.PersistentVolumeClaim("data", metadata={{"name": "data", "namespace": ns}}, spec={{
    "access_modes": ["ReadWriteOnce"], "storage_class_name": {name!r},
    "resources": {{"requests": {{"storage": "1Gi"}}}}}}, opts=options(60))
"""
    )
    assert time.monotonic() - started < 30
    assert lab.engine.resources()["data"]["outputs"]["status"]["phase"] == "Pending"
    lab.api.delete("storage.k8s.io/v1", "StorageClass", name)


def test_skip_await_returns_at_once_for_what_never_becomes_ready(lab: Lab) -> None:
    body = (DEPLOYMENT % (1, 'nodeSelector={"no-such-label": "x"}', 60)).replace(
        '"namespace": ns}', '"namespace": ns, "annotations": {"pulumi.com/skipAwait": "true"}}'
    )
    started = time.monotonic()
    lab.up(body)
    assert time.monotonic() - started < 30
    assert "initErrors" not in lab.engine.resources()["web"]


def test_a_failed_job_fails_the_up_without_waiting_for_the_time_limit(lab: Lab) -> None:
    job = """
k8s.batch.v1.Job("job", metadata={"name": "job", "namespace": ns}, spec={"active_deadline_seconds": 1,
    "backoff_limit": 0, "template": pods(restartPolicy="Never", nodeSelector={"no-such-label": "x"})},
    opts=options(120))
"""
    started = time.monotonic()
    failed = lab.up(job, check=False)
    assert failed.returncode != 0
    assert "the Job failed: [DeadlineExceeded]" in failed.text
    assert time.monotonic() - started < 60


def test_an_interrupted_wait_ends_soon_and_keeps_the_object_in_the_state(lab: Lab) -> None:
    lab.program(DEPLOYMENT % (1, 'nodeSelector={"no-such-label": "x"}', 120))
    command = lab.engine.begin("up", "--yes", "--skip-preview")
    try:
        deadline = time.monotonic() + 60
        while (
            lab.api.get("apps/v1", "Deployment", "web", lab.namespace) is None and time.monotonic() < deadline
        ):
            time.sleep(0.2)
        command.send_signal(signal.SIGINT)
        text, _ = command.communicate(timeout=30)
    finally:
        command.kill()
        command.wait()
    assert command.returncode != 0
    assert "interrupted while waiting" in text
    assert "Traceback" not in text
    assert lab.engine.resources()["web"]["id"] == f"{lab.namespace}/web"

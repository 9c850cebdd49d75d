"""Tasks on a real API server whose controllers start Jobs and whose scheduler places their pods."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.harness.engine import Engine, Missing, Result, find_cli
from tests.harness.kube import Kube
from tests.harness.objects import Manifest, at, items
from toolchain import tasks_kubernetes
from toolchain.failure import ToolchainError
from toolchain.offline.plugins.kubernetes.client import Client
from toolchain.offline.plugins.kubernetes.settings import Settings

pytestmark = [pytest.mark.cluster, pytest.mark.engine]

PROGRAM = """
from dataclasses import replace

import pulumi
import pulumi_kubernetes

from components.platform.kubernetes.options import KubernetesPlatformArgs
from components.platform.kubernetes.platform import KubernetesPlatform
from components.model.task import Task
from components.model.values import Quantity
from components.model.workload import ConfigFiles, Link, Placement, Scratch, VolumeRequest
from tests.unit.platform.test_tasks import BACKUP, MEDIA, step

provider = pulumi_kubernetes.Provider("cluster", kubeconfig={kubeconfig!r})
platform = KubernetesPlatform(
    "platform",
    KubernetesPlatformArgs(
        stack="test", namespace={namespace!r}, create_namespace=False, server_volumes=frozenset({{"media"}}),
    ),
    pulumi.ResourceOptions(providers=[provider]),
)
for name in ("media", "backup"):
    platform.volume(VolumeRequest(name=name, size=Quantity("1Gi"), holds_data=False), parent=platform)
tmp = Scratch(path="/tmp", size=Quantity("1Mi"))
script = ConfigFiles(name="backup-scripts", path="/scripts", files={{"dump.sh": "true"}})
dump = step("dump", BACKUP, tmp, script, links=(Link(to="server", port=2283),))
copy = step("copy", BACKUP, MEDIA, tmp, script)
{body}
platform.finish()
"""
SERVER = """
# The scheduler would rather have anything else on the other node.
busy = replace(step("x").resources, cpu_request=Quantity("20"), cpu_limit=Quantity("20"))
platform.workload(
    step("server", replace(MEDIA, read_only=False), exclusive=True, resources=busy), parent=platform
)
"""
BACKUP = """
platform.task(
    Task(name="backup", steps=(dump, copy), schedule={schedule!r}, timezone="Europe/Berlin", deadline=600),
    parent=platform,
)
"""
ONCE = """
gate = Placement(node_selector={{"tasks.test/gate": {namespace!r}}})
done = platform.task(
    Task(name="restore", steps=(dump, replace(copy, placement=gate)), deadline={deadline}), parent=platform
)
platform.workload(step("server", MEDIA), parent=platform, after=[done])
"""


class Lab:
    """A project with tasks, in a namespace of its own that takes only restricted pods."""

    def __init__(self, engine: Engine, kube: Kube) -> None:
        self.engine = engine
        self.kube = kube
        marks = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        self.namespace = kube.new_namespace("tasks", marks)
        client = Client(Settings(kubeconfig=str(kube.kubeconfig)))
        self.cluster = tasks_kubernetes.Cluster(client=client, namespace=self.namespace, stack="test")

    def up(self, body: str, *, check: bool = True) -> Result:
        kubeconfig = str(self.kube.kubeconfig)
        self.engine.program(PROGRAM.format(kubeconfig=kubeconfig, namespace=self.namespace, body=body))
        return self.engine.up(check=check)

    def get(self, path: str) -> Manifest:
        answer = self.kube.api.request("GET", path.format(self.namespace))
        assert answer.ok, answer.message
        return answer.body

    def node_of(self, component: str) -> str:
        """Node of the only pod of a component."""
        label = f"app.kubernetes.io/component={component}"
        found = items(self.get(f"/api/v1/namespaces/{{}}/pods?labelSelector={label}"), "items")
        (node,) = {str(at(pod, "spec", "nodeName")) for pod in found}
        return node

    def label(self, node: str, value: str | None) -> None:
        change = {"metadata": {"labels": {"tasks.test/gate": value}}}
        answer = self.kube.api.request(
            "PATCH", f"/api/v1/nodes/{node}", change, content_type="application/merge-patch+json"
        )
        assert answer.ok, answer.message


@pytest.fixture
def lab(kube_with_nodes: Kube, tmp_path: Path) -> Lab:
    cli = find_cli()
    if isinstance(cli, Missing):
        pytest.skip(cli.reason)
    return Lab(Engine.create(tmp_path, cli), kube_with_nodes)


def changed(result: Result) -> dict[str, set[str]]:
    """Names and what was done to an object of that name."""
    done = {name: {op for op in ops if op != "same"} for name, ops in result.ops.items()}
    return {name: ops for name, ops in done.items() if ops}


def test_a_scheduled_task_waits_for_its_time_and_runs_at_once_when_asked(lab: Lab) -> None:
    body = SERVER + BACKUP.format(schedule="0 2 29 2 7")
    lab.up(body)
    path = "/apis/batch/v1/namespaces/{}/cronjobs/immich-backup"
    made = lab.get(path)
    assert at(made, "spec", "schedule") == "0 2 29 2 0"
    assert changed(lab.up(body)) == {}
    lab.engine.refresh()
    assert changed(lab.up(body)) == {}
    assert tasks_kubernetes.read_status(lab.cluster) == {}, "it never ran"
    with pytest.raises(ToolchainError, match=rf"no task drill in the namespace {lab.namespace} .*: backup\."):
        tasks_kubernetes.run(lab.cluster, "drill")

    said: list[str] = []
    assert tasks_kubernetes.run(lab.cluster, "backup", pause=0.2, tell=said.append) == 0
    assert said[-1] == "backup: succeeded"
    (job,) = items(lab.get("/apis/batch/v1/namespaces/{}/jobs"), "items")
    name = str(at(job, "metadata", "name"))
    assert f"backup: started (Job {lab.namespace}/{name})" in said
    assert at(job, "metadata", "ownerReferences")[0]["uid"] == at(made, "metadata", "uid")
    # Both mount a volume that is on one node at a time.
    assert lab.node_of("backup") == lab.node_of("server")

    (status,) = tasks_kubernetes.read_status(lab.cluster).values()
    assert (status["name"], status["run"], status["result"], status["verdict"]) == (
        "run-backup",
        name,
        "success",
        "ok",
    )
    assert isinstance(status["lastSuccess"], int)
    assert abs(status["lastSuccess"] - time.time()) < 300
    # A run that somebody started is no change of the program.
    assert changed(lab.up(body)) == {}


@pytest.mark.deep
def test_the_clock_starts_runs_on_the_servers_node(lab: Lab) -> None:
    lab.up(SERVER + BACKUP.format(schedule="* * * * *"))
    deadline = time.monotonic() + 90
    while not (found := lab.cluster.jobs("backup")):
        assert time.monotonic() < deadline, "no run within a minute and a half"
        time.sleep(1)
    while tasks_kubernetes.read_status(lab.cluster)["run-backup"]["result"] == "running":
        assert time.monotonic() < deadline + 30
        time.sleep(1)
    assert tasks_kubernetes.read_status(lab.cluster)["run-backup"]["result"] == "success"
    assert at(found[0], "metadata", "labels", "app.kubernetes.io/instance") == "test"
    assert lab.node_of("backup") == lab.node_of("server")


def test_a_run_that_must_succeed_stops_the_up_and_is_made_anew_by_the_next(lab: Lab) -> None:
    # The same for both runs: the one that succeeds must fit into it on a machine that is busy.
    body = ONCE.format(namespace=lab.namespace, deadline=10)
    name = f"{lab.namespace}/immich-restore"
    failed = lab.up(body, check=False)
    assert failed.returncode != 0
    assert "the Job failed: [DeadlineExceeded]" in failed.text
    assert "Traceback" not in failed.text
    deployments = "/apis/apps/v1/namespaces/{}/deployments"
    assert items(lab.get(deployments), "items") == [], "the server does not start after a restore that failed"
    status = tasks_kubernetes.read_status(lab.cluster)["run-restore"]
    assert (status["result"], status["verdict"]) == ("failed", "deadline-exceeded")
    uid = at(lab.get("/apis/batch/v1/namespaces/{}/jobs/immich-restore"), "metadata", "uid")

    # With the same program, once what was missing is there.
    node = "node-1"
    lab.label(node, lab.namespace)
    try:
        again = lab.up(body)
    finally:
        lab.label(node, None)
    assert changed(again)[name] & {"create-replacement", "replace", "create"}
    job = lab.get("/apis/batch/v1/namespaces/{}/jobs/immich-restore")
    assert at(job, "metadata", "uid") != uid
    assert at(job, "status", "succeeded") == 1
    assert at(job, "spec", "ttlSecondsAfterFinished") is None
    assert len(items(lab.get(deployments), "items")) == 1

    # It is done: neither the next up nor a refresh runs it again.
    assert changed(lab.up(body)) == {}
    lab.engine.refresh()
    assert changed(lab.up(body)) == {}
    assert at(lab.get("/apis/batch/v1/namespaces/{}/jobs/immich-restore"), "metadata", "uid") == at(
        job, "metadata", "uid"
    )


def test_a_run_that_fails_says_why_and_ends_with_one(lab: Lab) -> None:
    body = BACKUP.format(schedule="0 2 * * *").replace("deadline=600", "deadline=2")
    lab.up(body.replace("steps=(dump, copy)", 'steps=(dump, replace(copy, architecture="s390x"))'))
    said: list[str] = []
    assert tasks_kubernetes.run(lab.cluster, "backup", pause=0.2, tell=said.append) == 1
    assert any(line.startswith("backup: waiting for a node:") for line in said)
    assert "backup: failed: it took longer than 2 s" in said

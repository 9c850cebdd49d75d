"""What a stack goes through on a real node, beside every day: a restart of the node, folders of it, another release."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.docker.host import until
from tests.harness.objects import at, items
from tests.harness.stacks import Deployment, free_text, require_cli
from tests.node.place import NodeStack, Place, Pod
from tests.node.stacks import BEFORE, image, sections
from toolchain.offline.cluster.lifecycle import Options, start, stop

pytestmark = [pytest.mark.node, pytest.mark.engine, pytest.mark.deep]

MakeStack = Callable[..., NodeStack]


@pytest.fixture
def make_stack(place: Place, tmp_path: Path) -> Iterator[MakeStack]:
    """`make_stack(server={...})`: nginx, server, database and cache alone, with other settings; gone after the test."""
    made: list[NodeStack] = []

    def create(**changes: dict[str, Any]) -> NodeStack:
        where = f"own-{free_text()}"
        settings = {**sections(where, place.lan), "machineLearning": {"kind": "off"}}
        for section in ("cloudflare", "monitoring", "setup"):
            del settings[section]
        settings["proxy"] = {**settings["proxy"], "expose": [{"kind": "clusterIp"}]}
        for section, change in changes.items():
            settings[section] = {**settings[section], **change}
        deployment = Deployment.create(
            tmp_path / where, require_cli(), "real", settings, kubeconfig=place.kube.kubeconfig
        )
        made.append(NodeStack(place, deployment, where))
        return made[-1]

    yield create
    for one in made:
        place.kube.api.request("DELETE", f"/api/v1/namespaces/{one.namespace}")


def identities(pods: Mapping[str, Pod]) -> dict[str, set[str]]:
    return {
        name: {str(one["containerID"]) for one in items(pod.document, "status", "containerStatuses")}
        for name, pod in pods.items()
    }


def test_every_pod_comes_back_when_the_node_starts_again(stack: NodeStack, place: Place) -> None:
    before, root = stack.pods(), place.kube.status.root
    old = identities(before)
    stop(root, keep=True)
    place.kube.api.close()
    start(root, Options(real=True, controllers=True), lambda _line: None)

    def back() -> bool:
        found = stack.pods()
        # What is recorded of a pod is as it was until its kubelet has looked.
        new = identities(found)
        return all(pod.ready for pod in found.values()) and all(
            new[name].isdisjoint(ids) for name, ids in old.items()
        )

    until(back, "the return of every pod", 150)
    after = stack.pods()
    assert {name: pod.name for name, pod in after.items()} == {name: pod.name for name, pod in before.items()}
    # It starts while the names of the cluster are not known yet, waits for them, and does not end over it.
    container = items(after["proxy"].document, "status", "containerStatuses")[0]
    ended = at(container, "lastState", "terminated", "reason")
    assert after["proxy"].restarts["proxy"] == before["proxy"].restarts["proxy"] + 1, ended
    until(lambda: stack.door().get("/api/server/ping").status == 200, "an answer")


def test_folders_of_the_node_work_with_the_owners_that_are_named_before(
    make_stack: MakeStack, place: Place
) -> None:
    folder = place.node.folder / f"disk-{free_text()}"
    stack = make_stack(
        storage={"media": {"kind": "hostPath", "path": f"{folder}/media"}},
        database={"hostPath": f"{folder}/database", "size": "2Gi"},
        server={"placement": {"nodeSelector": {"kubernetes.io/hostname": "node-1"}}},
    )
    folder.mkdir(mode=0o755)
    planned = stack.deployment.do("preview").text
    told = [
        line.partition("before: sudo ")[2].strip(' ",')
        for line in planned.splitlines()
        if "before: sudo " in line
    ]
    assert len(told) >= 2
    for command in told:
        subprocess.run(command.split(), check=True)
    stack.deployment.up()
    assert {name for name, pod in stack.pods().items() if not pod.ready} == set()
    assert {name: pod.restarts for name, pod in stack.pods().items() if any(pod.restarts.values())} == {}
    assert (folder / "media" / "upload" / ".immich").is_file()


def test_another_release_comes_with_its_backup_and_a_photo_comes_back(make_stack: MakeStack) -> None:
    version = BEFORE.removeprefix("v")
    stack = make_stack(server={"version": version, "image": image("server", BEFORE)})
    stack.deployment.up()
    stack.furnish(3)
    stack.deployment.change("server", version="3.3.1", image=image("server"))
    stack.deployment.up()
    job = f"/apis/batch/v1/namespaces/{stack.namespace}/jobs/immich-backup-3-3-0-to-3-3-1"
    assert at(stack.place.get(job), "status", "succeeded") == 1
    server = stack.wait_for("server")
    assert items(server.document, "spec", "containers")[0]["image"] == image("server")

    assert stack.make("toolchain.tasks", "run", "real", "backup").returncode == 0
    media = stack.volume("immich-media")
    photo = next(path for path in sorted((media / "upload").rglob("*.jpg")) if path.is_file())
    content = photo.read_bytes()
    photo.unlink()
    done = stack.make("toolchain.restore", "real", "--file", str(photo.relative_to(media)))
    assert done.returncode == 0, done.stdout
    assert photo.read_bytes() == content

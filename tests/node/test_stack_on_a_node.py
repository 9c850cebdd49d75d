"""One stack on a real node: it starts in order, is isolated, loses nothing, is kept and comes back."""

from __future__ import annotations

import contextlib
import json
import stat
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from components.model.specs import Peer
from components.platform.kubernetes import network_policies
from components.platform.kubernetes.network_policies import Connected
from tests.docker.host import until
from tests.docker.host_network import ContainerNetwork
from tests.docker.transfer import Answer as Page
from tests.docker.transfer import Door
from tests.harness.objects import at, items
from tests.harness.program import Stack, run_stack
from tests.harness.stacks import changes, data_bearing, steps
from tests.node.place import Answer, NodeStack, Place, Pod, Question
from tests.node.stacks import SECRETS, image

pytestmark = [
    pytest.mark.node,
    pytest.mark.engine,
    pytest.mark.deep(unless_changed=("toolchain/offline/cluster", "tests/node")),
]

EXPORTERS = {"postgres-exporter", "valkey-exporter", "door-exporter"}
WORKLOADS = EXPORTERS | {
    "server",
    "microservices",
    "machine-learning",
    "database",
    "cache",
    "proxy",
    "cloudflared",
}
METADATA, NAS = "169.254.169.254", "192.168.213.7"


def test_every_pod_is_ready_without_a_restart_and_a_second_up_changes_nothing(stack: NodeStack) -> None:
    born = stack.born
    assert born.keys() == WORKLOADS
    assert {name for name, pod in born.items() if not pod.ready} == set()
    # Whoever starts before what it needs would have ended and come back.
    assert {name: pod.restarts for name, pod in born.items() if any(pod.restarts.values())} == {}
    assert changes(stack.deployment.up("--expect-no-changes")) == {}


def connected(stack: NodeStack) -> dict[str, Connected]:
    """The workloads of the program with these settings, by the model."""
    found: dict[str, Connected] = {}
    made = network_policies.workload_policy

    def noted(one: Connected, others: Sequence[Connected], peers: Mapping[str, Peer]) -> dict[str, Any]:
        found[one.name] = one
        return made(one, others, peers)

    with mock.patch.object(network_policies, "workload_policy", noted):
        run_stack(Stack("real", stack.deployment.settings(), SECRETS))
    return {name: one for name, one in found.items() if name in WORKLOADS}


def ports_of(pod: Pod) -> set[int]:
    """What the containers of a pod say they listen at."""
    containers = items(pod.document, "spec", "containers")
    return {int(port["containerPort"]) for one in containers for port in items(one, "ports")}


def settled(place: Place, asked: Sequence[Question], wanted: Mapping[Answer, bool]) -> dict[Answer, bool]:
    """What is reached; what differs is asked again for a while, since policies are applied after a pod has started."""
    found = place.matrix(asked)
    deadline = time.monotonic() + 15
    while found != wanted and time.monotonic() < deadline:
        time.sleep(1)
        again = [one for one in asked if found[one[0], one[2], one[4]] != wanted[one[0], one[2], one[4]]]
        found |= place.matrix(again)
    return found


def test_packets_reach_whom_links_name_and_nobody_else(stack: NodeStack, place: Place) -> None:
    model, pods = connected(stack), stack.pods()
    assert model.keys() == WORKLOADS
    for name in ("elsewhere", "monitoring"):
        place.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    busybox = image("busybox")
    strangers = {
        "a pod of another namespace": place.stranger("elsewhere", "stranger", busybox),
        # Labels of another namespace are nobody's.
        "a server of another namespace": place.stranger(
            "elsewhere", "server", busybox, at(pods["server"].document, "metadata", "labels")
        ),
        "a pod without labels": place.stranger(stack.namespace, "unlabelled", busybox),
        "the monitoring": place.stranger("monitoring", "prometheus", busybox),
    }
    links = {link for one in model.values() for link in one.links}
    listening = {
        name: ports_of(pod) | {one.port for one in links if one.to == name} for name, pod in pods.items()
    }
    sources: dict[str, Pod | str] = {**pods, **strangers, "the LAN": place.clients[1]}
    asked = [
        (source, where, target, pods[target].address, port)
        for source, where in sources.items()
        for target in pods
        for port in listening[target]
        if source != target
    ]
    assert len(asked) > 100

    def expected(source: str, target: str, port: int) -> bool:
        if source in model:
            return any((link.to, link.port) == (target, port) for link in model[source].links)
        rules = [rule for rule in model[target].ingress if rule.port == port]
        if source == "the LAN":
            return any(rule.anyone or place.lan in rule.cidrs for rule in rules)
        return any(
            rule.anyone or (source == "the monitoring" and rule.namespace == "monitoring") for rule in rules
        )

    # Every port that is asked for answers to somebody: else a closed one would prove nothing.
    wanted = {(source, target, port): expected(source, target, port) for source, _, target, _, port in asked}
    opened = {(target, port) for (_, target, port), yes in wanted.items() if yes}
    assert opened >= {(link.to, link.port) for link in links}
    found = settled(place, asked, wanted)
    assert {key: yes for key, yes in found.items() if yes != wanted[key]} == {}

    outside = {"public": place.clients[0], "a NAS": NAS, "metadata": METADATA, "the node": place.node.address}
    ports = {"the node": 10250}
    asked = [
        (name, pod, target, address, ports.get(target, 443))
        for name, pod in {**pods, **strangers}.items()
        for target, address in outside.items()
    ]
    # Nothing isolates a pod of another namespace: it shows that what is not reached could be.
    free = {name for name, pod in strangers.items() if pod.namespace != stack.namespace}
    by_name = {
        name: [rule for rule in one.egress if rule.names and 443 in rule.ports] for name, one in model.items()
    }

    def goes(name: str, target: str) -> bool:
        rules = by_name.get(name, [])
        private = any(rule.private for rule in rules)
        return name in free or (target == "public" and bool(rules)) or (target == "a NAS" and private)

    wanted = {(name, target, port): goes(name, target) for name, _, target, _, port in asked}
    with place.neighbours(place.clients[0], NAS, METADATA, port=443):
        found = settled(place, asked, wanted)
    assert {key: yes for key, yes in found.items() if yes != wanted[key]} == {}


def test_the_monitoring_reads_the_numbers_of_every_exporter(stack: NodeStack, place: Place) -> None:
    place.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}})
    prometheus = place.stranger("monitoring", "prometheus", image("busybox"))
    ports = {
        (name, str(port["name"])): (pod.address, int(port["containerPort"]))
        for name, pod in stack.pods().items()
        for container in items(pod.document, "spec", "containers")
        for port in items(container, "ports")
        if str(port["name"]).startswith("metrics")
    }
    network = ContainerNetwork(place.pids(prometheus)[0])

    def page(where: tuple[str, int]) -> Page | None:
        # A pod that has just started is refused until the policies know its address.
        with contextlib.suppress(ConnectionRefusedError):
            return Door(network, *where).get("/metrics")
        return None

    read = {key: until(lambda one=one: page(one), f"the page of {key}", 15) for key, one in ports.items()}
    assert {key for key, answer in read.items() if answer.status != 200} == set()
    text = b"".join(answer.body for answer in read.values()).decode()
    for said in ("pg_up 1", "redis_up 1", "nginx_up 1", "immich_users_total"):
        assert f"\n{said}" in text, said


def test_an_upload_through_the_load_balancer_arrives_with_its_sender_s_address(stack: NodeStack) -> None:
    for source in (1, 2):
        answer, digest = stack.door(source).upload(8 << 20, seed=source)
        assert answer.status == 201, answer.body
        assert answer.json()["checksum"] == digest
        told = stack.door(source).get("/api/standin/client").json()
        assert told["address"] == stack.place.clients[source]


def test_secrets_are_files_of_their_readers_and_no_root_can_be_written(stack: NodeStack) -> None:
    secrets = 0
    for name, pod in stack.pods().items():
        for container in items(pod.document, "spec", "containers"):
            pid = stack.place.pids(pod, container["name"])[0]
            status = dict(
                line.split(":\t", 1)
                for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                if ":\t" in line
            )
            user, groups = int(status["Uid"].split()[0]), set(map(int, status["Groups"].split()))
            groups |= {int(status["Gid"].split()[0])}
            what = f"{name}/{container['name']}"
            assert user != 0, what
            assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), what
            assert {status[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {
                "0" * 16
            }, what
            mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
            (root,) = [one for one in mounts if one[4] == "/"]
            assert "ro" in root[5].split(","), what
            for folder in (one[4] for one in mounts if one[4].startswith("/run/secrets")):
                for file in Path(f"/proc/{pid}/root{folder}").rglob("*"):
                    if not file.is_file():
                        continue
                    secrets += 1
                    seen = file.stat()
                    readable = seen.st_uid == user or seen.st_gid in groups
                    assert readable, f"{what}: {file} is of {seen.st_uid}:{seen.st_gid}"
                    assert stat.S_IMODE(seen.st_mode) & 0o037 == 0, f"{what}: {file} {seen.st_mode:o}"
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            for secret in SECRETS.values():
                assert secret.encode() not in environment, what
    assert secrets >= 6


def test_containers_that_are_killed_come_back(stack: NodeStack, place: Place) -> None:
    before = stack.pods()

    def back(killed: Mapping[str, Pod]) -> bool:
        found = stack.pods()
        return all(
            name in found
            and found[name].ready
            and found[name].name == pod.name
            and all(found[name].restarts[one] > times for one, times in pod.restarts.items())
            for name, pod in killed.items()
        )

    stores = {name: before.pop(name) for name in ("database", "cache", "machine-learning")}
    # A server that starts before its database ends again, and is started less and less often.
    for killed in (stores, before):
        place.kill(killed.values())
        until(lambda killed=killed: back(killed), f"the return of {', '.join(killed)}", 90)
    stack.wait_until_whole()


def test_an_upload_ends_before_the_server_that_receives_it_is_drained(stack: NodeStack, place: Place) -> None:
    """The stand-in dies at SIGTERM with what it receives, as Immich does: what waits is the pod."""
    pod = stack.wait_for("server")
    door = stack.door()
    sent, drained = threading.Event(), threading.Event()

    said: list[int] = []

    def body() -> Iterator[bytes]:
        for number in range(12):
            if number == 2:
                sent.set()
                drained.wait(30)
            elif number > 2:
                time.sleep(0.4)  # still under way when the pod is told to end
            yield bytes([number]) * (256 << 10)

    def upload() -> None:
        headers = {"Content-Length": str(12 * (256 << 10)), "Content-Type": "application/octet-stream"}
        said.append(door.request("POST", "/api/assets", body(), headers).status)

    sender = threading.Thread(target=upload)
    sender.start()
    assert sent.wait(30)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.name, "namespace": pod.namespace},
    }
    path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/eviction"
    answer = place.kube.api.request("POST", path, eviction)
    assert answer.ok, answer.message
    drained.set()
    sender.join(60)
    assert said == [201]
    assert stack.wait_for("server", other_than=pod.name).name != pod.name
    stack.wait_until_whole()


def test_backup_drill_status_and_verify_as_they_are_typed(stack: NodeStack) -> None:
    for task in ("backup", "drill"):
        done = stack.make("toolchain.tasks", "run", "real", task)
        assert done.returncode == 0, done.stdout
    # No name is known here: the internet's door is not asked.
    connect = ("--connect", f"photos.example.com:80={stack.balancer()}:80")
    told = stack.make("toolchain.status", "real", "--json", *connect)
    status = json.loads(told.stdout[told.stdout.index("{") :])
    assert {one["workload"] for one in status["components"]} >= WORKLOADS
    assert {one["health"] for one in status["components"]} == {"healthy"}, status
    assert status["problems"] == [], status["problems"]
    seen = stack.make("toolchain.verify", "real", "--json", "--door", "lan", *connect)
    checks = json.loads(seen.stdout[seen.stdout.index("{") :])["checks"]
    passed = {(one["subject"], one["name"]) for one in checks if one["outcome"] == "pass"}
    assert passed >= {
        ("door lan http://photos.example.com", "client-address"),
        ("door lan http://photos.example.com", "upload"),
        ("backup drill", "proven"),
        ("container server", "health"),
        ("exposure", "published-ports"),
    }
    # Another test of this file kills containers, and that is told.
    failed = [one for one in checks if one["outcome"] == "fail" and one["name"] != "restarts"]
    assert failed == [], json.dumps(failed, indent=1)


def test_destroy_keeps_what_holds_data_and_the_next_up_finds_it(stack: NodeStack, place: Place) -> None:
    answer, _ = stack.door().upload(1 << 20, seed=7)
    asset = answer.json()["id"]
    path = f"/api/v1/namespaces/{stack.namespace}/persistentvolumeclaims"

    def claims() -> dict[str, str]:
        found = items(place.get(path), "items")
        return {str(at(one, "metadata", "name")): str(at(one, "metadata", "uid")) for one in found}

    before = claims()
    try:
        stack.deployment.do("destroy", "--exclude-protected")
        until(lambda: stack.pods() == {}, "the end of the pods", 90)
        after = claims()
    finally:
        again = stack.deployment.up()
    # Models are downloaded again.
    assert after == {name: uid for name, uid in before.items() if name != "immich-machine-learning-cache"}
    assert after != before
    assert [step for step in steps(again) if data_bearing(step.urn, step.inputs)] == []
    assert claims().items() >= after.items()
    assert stack.door().get(f"/api/assets/{asset}/original").status == 200

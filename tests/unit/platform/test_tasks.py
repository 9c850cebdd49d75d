"""Tasks on a cluster: one pod whose containers are the steps in order, on the node of whoever shares its volumes."""

from __future__ import annotations

import json
import types
from dataclasses import replace
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.fields.schedule import CronExpression
from components.model.naming import labels, selector
from components.model.specs import Peer
from components.model.task import Task
from components.model.values import ImageRef, Quantity
from components.model.workload import (
    ConfigFiles,
    Egress,
    Ingress,
    Link,
    Mount,
    Placement,
    Port,
    Relaxation,
    Resources,
    Scratch,
    SecretFiles,
    Storage,
    Toleration,
    VolumeRequest,
    Workload,
)
from components.platform.kubernetes import cilium, network_policies, tasks
from components.platform.kubernetes.options import KubernetesPlatformArgs
from components.platform.kubernetes.platform import KubernetesPlatform
from components.platform.kubernetes.pods import PodContext
from tests.harness import mocks
from tests.harness.hardening import problems
from tests.harness.policy_eval import DNS, Outside, Pod, open_between

AMOUNTS = Resources(
    cpu_request=Quantity("100m"), memory_request=Quantity("64Mi"), cpu_limit=Quantity("1"), memory_limit=Quantity("1Gi")
)  # fmt: skip
IMAGE = ImageRef(f"example.com/restic:1@sha256:{'a' * 64}")
CONTEXT = PodContext(
    claims={"media": "immich-media", "backup": "immich-backup", "usb": "immich-usb"},
    secrets={"backup": "immich-backup", "database": "immich-database"},
    labels=labels("backup", "test"),
)
BACKUP = Storage(volume="backup", path="/backup")
MEDIA = Storage(volume="media", path="/data", read_only=True)
ONCE = {"media": "ReadWriteOnce", "backup": "ReadWriteOnce", "usb": "ReadWriteOnce"}


def step(name: str, *mounts: Mount, **more: Any) -> Workload:
    given_: dict[str, Any] = {"command": ("sh", name), "resources": AMOUNTS, **more}
    return Workload(name=name, image=IMAGE, user=1000, group=1001, mounts=mounts, **given_)


def task(*steps: Workload, **more: Any) -> Task:
    given_: dict[str, Any] = {
        "name": "backup",
        "schedule": "0 2 * * *",
        "steps": steps or (step("dump", BACKUP),),
        **more,
    }
    return Task(**given_)


def pod(of: Task, beside: tuple[str, ...] = ()) -> dict[str, Any]:
    return tasks.job(of, CONTEXT, beside)["spec"]["template"]


def volumes(of: Task) -> dict[str, dict[str, Any]]:
    found = pod(of)["spec"]["volumes"]
    assert len({one["name"] for one in found}) == len(found)
    return {one["name"]: {key: value for key, value in one.items() if key != "name"} for one in found}


def mounts(of: Task) -> dict[str, dict[str, dict[str, Any]]]:
    """Step -> path -> mount."""
    spec = pod(of)["spec"]
    containers = [*spec.get("initContainers", []), *spec["containers"]]
    return {one["name"]: {each["mountPath"]: each for each in one["volumeMounts"]} for one in containers}


def test_the_steps_run_one_after_the_other_and_the_last_one_is_the_container() -> None:
    spec = pod(task(step("dump"), step("copy-nas"), step("check")))["spec"]
    assert [one["name"] for one in spec["initContainers"]] == ["dump", "copy-nas"]
    assert [one["name"] for one in spec["containers"]] == ["check"]
    assert spec["restartPolicy"] == "Never"
    assert "initContainers" not in pod(task(step("dump")))["spec"]


def test_a_scheduled_task_runs_alone_and_ends_and_leaves_a_few_runs_to_look_at() -> None:
    found = tasks.cron_job(task(timezone="Europe/Berlin", deadline=7200), "30 2 * * 1-5", CONTEXT, ())
    spec = found["spec"]
    assert (found["apiVersion"], found["kind"]) == ("batch/v1", "CronJob")
    assert (spec["schedule"], spec["timeZone"], spec["suspend"]) == ("30 2 * * 1-5", "Europe/Berlin", False)
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] >= 60
    assert spec["successfulJobsHistoryLimit"] > 0
    assert spec["failedJobsHistoryLimit"] > 0
    job = spec["jobTemplate"]["spec"]
    assert (job["activeDeadlineSeconds"], job["backoffLimit"]) == (7200, 0)
    assert "ttlSecondsAfterFinished" not in job
    assert spec["jobTemplate"]["metadata"]["labels"] == labels("backup", "test")


def test_a_task_without_a_schedule_is_a_job_that_stays_and_is_made_anew_when_it_failed() -> None:
    found = tasks.job(task(schedule=None), CONTEXT, ())
    assert (found["apiVersion"], found["kind"]) == ("batch/v1", "Job")
    assert found["metadata"]["annotations"] == {"pulumi.com/replaceUnready": "true"}
    assert "ttlSecondsAfterFinished" not in found["spec"]


def test_a_drained_node_is_no_failure_of_a_step() -> None:
    (rule,) = tasks.job(task(), CONTEXT, ())["spec"]["podFailurePolicy"]["rules"]
    assert rule == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def test_every_container_is_held_as_tightly_as_those_of_workloads() -> None:
    of = task(step("dump", BACKUP, Scratch(path="/tmp", size=Quantity("1Gi"))), step("copy", MEDIA))
    for made in (tasks.job(of, CONTEXT, ("backup",)), tasks.cron_job(of, "0 2 * * *", CONTEXT, ())):
        assert problems([{**made, "metadata": {"name": "immich-backup", "namespace": "immich"}}]) == []
    security = pod(of)["spec"]["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (1000, 1001, 1001)


def test_a_relaxation_of_a_step_is_its_own_and_stated_on_the_pod() -> None:
    loose = step("a", relaxations=(Relaxation(what="writable-root", reason="it writes"),))
    found = pod(task(loose, step("b")))
    assert found["metadata"]["annotations"] == {"relaxation.immich/writable-root": "it writes"}
    (first,), (last,) = found["spec"]["initContainers"], found["spec"]["containers"]
    assert first["securityContext"]["readOnlyRootFilesystem"] is False
    assert last["securityContext"]["readOnlyRootFilesystem"] is True


def test_all_steps_know_the_run_by_one_name_that_no_other_run_has() -> None:
    spec = pod(task(step("dump", env={"A": "1"}), step("copy")))["spec"]
    for one in (*spec["initContainers"], *spec["containers"]):
        given_ = {each["name"]: each for each in one["env"]}
        assert given_["RUN_ID"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert {"name": "A", "value": "1"} in spec["initContainers"][0]["env"]
    assert all(each["name"] != "A" for each in spec["containers"][0]["env"])


def test_a_volume_is_in_the_pod_once_and_each_step_mounts_what_is_its_own() -> None:
    of = task(step("dump", BACKUP), step("copy", BACKUP, MEDIA))
    assert volumes(of) == {
        "backup": {"persistentVolumeClaim": {"claimName": "immich-backup"}},
        "media": {"persistentVolumeClaim": {"claimName": "immich-media", "readOnly": True}},
    }
    assert mounts(of) == {
        "dump": {"/backup": {"name": "backup", "mountPath": "/backup"}},
        "copy": {
            "/backup": {"name": "backup", "mountPath": "/backup"},
            "/data": {"name": "media", "mountPath": "/data", "readOnly": True},
        },
    }


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_a_step_that_only_reads_a_volume_does_not_keep_another_from_writing(order: tuple[bool, bool]) -> None:
    of = task(*(step(f"s{number}", replace(MEDIA, read_only=given_)) for number, given_ in enumerate(order)))
    assert volumes(of)["media"] == {"persistentVolumeClaim": {"claimName": "immich-media"}}
    assert ["readOnly" in one["/data"] for one in mounts(of).values()] == list(order)


def test_scratch_ends_with_its_step_and_a_step_sees_no_more_of_a_secret_than_it_asked_for() -> None:
    password = SecretFiles(secret="backup", path="/run/secrets/backup", items={"password": "password"})
    keys = replace(password, items={"password": "password", "key": "key"})
    scratch = Scratch(path="/tmp", size=Quantity("1Gi"))
    of = task(step("a", password, scratch), step("b", keys, scratch), step("c", password))
    found, used = volumes(of), mounts(of)
    assert used["a"]["/tmp"]["name"] != used["b"]["/tmp"]["name"]
    secret = {
        name: found[one["/run/secrets/backup"]["name"]]["secret"]["items"] for name, one in used.items()
    }
    assert [each["key"] for each in secret["a"]] == ["password"]
    assert [each["key"] for each in secret["b"]] == ["password", "key"]
    assert used["c"]["/run/secrets/backup"]["name"] == used["a"]["/run/secrets/backup"]["name"]


def test_names_of_volumes_stay_short_enough() -> None:
    secret = SecretFiles(secret="backup", path="/a", items={"a": "a"})
    of = task(step("s" * 60, Scratch(path="/t", size=Quantity("1Mi")), secret), step("t", secret))
    assert all(len(name) <= 63 for name in volumes(of))


def test_the_steps_wishes_for_a_node_are_joined_and_those_that_no_node_meets_are_refused() -> None:
    taint = Toleration(operator="Exists", key="nas")
    one = step(
        "a", placement=Placement(node_selector={"disk": "big"}, tolerations=(taint,)), architecture="amd64"
    )
    two = step(
        "b", placement=Placement(node_selector={"zone": "1"}, tolerations=(taint,), priority_class="low")
    )
    spec = pod(task(one, two))["spec"]
    assert spec["nodeSelector"] == {"disk": "big", "zone": "1", "kubernetes.io/arch": "amd64"}
    assert spec["tolerations"] == [{"key": "nas", "operator": "Exists"}]
    assert spec["priorityClassName"] == "low"
    for wrong in (
        replace(two, placement=Placement(node_selector={"disk": "small"})),
        replace(two, architecture="arm64"),
    ):
        with pytest.raises(ValueError, match="share one pod"):
            pod(task(one, wrong))
    with pytest.raises(ValueError, match="priority classes high, low"):
        pod(task(two, replace(one, placement=Placement(priority_class="high"))))


def test_what_must_make_a_job_run_again_is_on_its_pod() -> None:
    assert pod(task(step("a", revision={"immich": "3.4.0"})))["metadata"]["annotations"] == {
        "immich/revision-immich": "3.4.0"
    }
    assert "annotations" not in pod(task())["metadata"]


# Where it runs


def test_who_shares_a_volume_of_one_node_is_found_over_any_number_of_others() -> None:
    server = step("server", replace(MEDIA, read_only=False))
    copies = task(step("copy", MEDIA, BACKUP), name="copies")
    drill = task(step("drill", BACKUP), name="drill")
    alone = task(step("usb", Storage(volume="usb", path="/usb")), name="usb")
    assert tasks.neighbours(drill, [server, copies], ONCE) == ("copies", "drill", "server")
    assert tasks.neighbours(copies, [server], ONCE) == ("copies", "server")
    assert tasks.neighbours(drill, [server], ONCE) == ("drill",)
    assert tasks.neighbours(alone, [server, copies, drill], ONCE) == ("usb",)


def test_a_server_that_is_registered_later_is_reckoned_with() -> None:
    copies = task(step("copy", MEDIA), name="copies")
    assert tasks.neighbours(copies, [], ONCE, server_volumes={"media"}) == ("copies", "server")
    assert tasks.neighbours(copies, [], ONCE) == ("copies",)


@pytest.mark.parametrize("mode", ["ReadWriteMany", "ReadOnlyMany"])
def test_volumes_of_many_nodes_tie_nobody(mode: str) -> None:
    server = step("server", MEDIA)
    assert tasks.neighbours(task(step("a", MEDIA)), [server], {"media": mode}, {"media"}) == ()
    assert "affinity" not in pod(task(step("a", MEDIA)))["spec"]


def test_the_scheduler_is_told_whose_node_it_is() -> None:
    (term,) = pod(task(), ("backup", "server"))["spec"]["affinity"]["podAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"] == {
        "matchLabels": {"app.kubernetes.io/name": "immich", "app.kubernetes.io/instance": "test"},
        "matchExpressions": [
            {"key": "app.kubernetes.io/component", "operator": "In", "values": ["backup", "server"]}
        ],
    }
    # The first one may go anywhere only because it is chosen by its own term.
    own = pod(task(), ("backup", "server"))["metadata"]["labels"]
    assert own.items() >= term["labelSelector"]["matchLabels"].items()
    assert own["app.kubernetes.io/component"] == "backup"


# What no pod can run


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (task(step("a", MEDIA), name="server"), "a workload or another task has this name"),
        (task(name="b" * 46), "at most 45 characters"),
        (task(step("a"), step("a")), "two steps are called a"),
        (task(step("a", ports=(Port(name="x", number=8080),))), "a is a step: one copy, no ports"),
        (task(step("a", replicas=2)), "a is a step: one copy, no ports"),
        (task(step("a", env={"RUN_ID": "x"})), "a sets RUN_ID"),
        (
            task(step("a", Storage(volume="usb", path="/u"))),
            "volume usb has the access mode ReadWriteOncePod",
        ),
    ],
)
def test_a_task_that_no_pod_can_run_is_refused(wrong: Task, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tasks.check(wrong, ["server"], {"usb": "ReadWriteOncePod"})
    tasks.check(task(step("a", MEDIA)), ["server"], {"usb": "ReadWriteOncePod"})
    tasks.check(task(name="b" * 45), [], {})


# When it runs


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("0 2 * * *", "0 2 * * *"),
        ("7 7 7 7 *", "7 7 7 7 *"),
        ("0 2 * * */7", "0 2 * * */7"),
        ("0 2 * * mon-fri", "0 2 * * mon-fri"),
        ("0 2 * * 7", "0 2 * * 0"),
        ("0 2 * * 5-7", "0 2 * * 0,5,6"),
        ("0 2 * * 1,7", "0 2 * * 0,1"),
        ("0 2 * * sat,7", "0 2 * * 0,6"),
        ("0 2 * * fri-7", "0 2 * * 0,5,6"),
        ("0 2 * * 1-7/2", "0 2 * * 0,1,3,5"),
    ],
)
def test_sunday_has_the_number_that_kubernetes_knows(given_: str, expected: str) -> None:
    assert tasks.kubernetes_schedule(given_) == expected


DAYS = st.integers(0, 7)
SPANS = st.tuples(DAYS, DAYS).map(lambda pair: f"{min(pair)}-{max(pair)}")


@given(st.lists(DAYS.map(str) | SPANS, min_size=1, max_size=4))
def test_a_schedule_keeps_its_days(items: list[str]) -> None:
    text = f"0 2 * * {','.join(items)}"
    made = tasks.kubernetes_schedule(str(CronExpression(text)))
    assert _days(made) == _days(text)
    assert "7" not in made.split()[4]


def _days(schedule: str) -> set[int]:
    found: set[int] = set()
    for item in schedule.split()[4].split(","):
        first, _, last = item.partition("-")
        found |= {day % 7 for day in range(int(first), int(last or first) + 1)}
    return found


@pytest.mark.parametrize("wrong", ["0 0 2 * * *", "@daily", "", "0 2 * * 7,8"])
def test_what_is_no_schedule_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"minute hour day month weekday|day of the week: expected 0-7"):
        tasks.kubernetes_schedule(wrong)


# Isolation


@pytest.mark.parametrize("flavour", [network_policies, cilium], ids=["kubernetes", "cilium"])
def test_a_tasks_pods_reach_what_any_step_is_linked_to_and_nothing_else(flavour: types.ModuleType) -> None:
    of = task(
        step("dump", links=(Link(to="database", port=5432),)),
        step(
            "copy",
            egress=(Egress.to_host("the backup target", "192.168.1.5", 8000),),
            links=(Link(to="pg", port=5432),),
        ),
        step(
            "dump-again",
            links=(Link(to="database", port=5432),),
            ingress=(Ingress(reason="watching", port=9000, namespace="monitoring"),),
        ),
    )
    members: list[network_policies.Connected] = [
        step("server", links=(Link(to="database", port=5432),)),
        step("database"),
        step("cache"),
        tasks.member(of),
    ]
    peers = {"pg": Peer(namespace=None, labels={"cnpg.io/cluster": "pg"})}
    made: list[dict[str, Any]] = [flavour.default_deny()]
    made += [flavour.workload_policy(one, members, peers) for one in members]
    clients = [(member.name, link.port) for member in members for link in member.links if link.to == "pg"]
    made.append(
        network_policies.peer_policy(
            peers["pg"], clients, namespace="immich", operator_namespace="cnpg-system", archive_ports=[]
        )
    )
    made = [{**one, "metadata": {"namespace": "immich"}} for one in made]
    run, database, cache, server = (
        Pod("immich", selector(name), f"10.244.0.{number}")
        for number, name in enumerate(("backup", "database", "cache", "server"), start=10)
    )
    assert open_between(made, run, database, 5432)
    operated = Pod("immich", {"cnpg.io/cluster": "pg"}, "10.244.0.3")
    assert open_between(made, run, operated, 5432)
    assert not open_between(made, server, operated, 5432)
    assert open_between(made, run, Outside("192.168.1.5"), 8000)
    assert open_between(made, run, DNS, 53, "UDP")
    assert open_between(made, Pod("monitoring", {}, "10.244.0.99"), run, 9000)
    for target, port in ((cache, 6379), (server, 2283), (database, 5433), (Outside("192.168.1.5"), 22)):
        assert not open_between(made, run, target, port)
    for source in (server, cache, database):
        assert not open_between(made, source, run, 9000)
    without = [one for one in made if json.dumps(selector("backup")) not in json.dumps(one["spec"])]
    assert not open_between(without, run, database, 5432), "a Job is denied until it has a policy of its own"


# On the platform


def options(server_volumes: frozenset[str] = frozenset()) -> KubernetesPlatformArgs:
    return KubernetesPlatformArgs(
        stack="test",
        namespace="immich",
        server_volumes=server_volumes,
    )


def platform_with(
    *made: Task, mode: str = "ReadWriteOnce", server_volumes: frozenset[str] = frozenset()
) -> mocks.Run:
    def program() -> None:
        platform = KubernetesPlatform("platform", options(server_volumes))
        parent = pulumi.ComponentResource("test:index:Backup", "backup", {})
        for name in ("media", "backup"):
            platform.volume(
                VolumeRequest(
                    name=name, size=Quantity("1Gi"), access_mode=mode if name == "media" else "ReadWriteOnce"
                ),
                parent=parent,
            )
        platform.workload(step("database"), parent=parent)
        ready = [platform.task(one, parent=parent) for one in made]
        platform.workload(step("server", links=(Link(to="database", port=5432),)), parent=parent, after=ready)
        platform.finish()

    return mocks.run(program)


def one(run: mocks.Run, kind: str, name: str) -> mocks.Recorded:
    (found,) = [
        each for each in run.resources if each.type.endswith(f":{kind}") and each.name == f"immich/{name}"
    ]
    return found


def test_a_run_that_must_succeed_comes_before_what_needs_it_and_has_time_to() -> None:
    script = ConfigFiles(name="restore-script", path="/scripts", files={"a.sh": "true"})
    run = platform_with(
        task(step("restore", BACKUP, MEDIA, script), name="restore", schedule=None, deadline=1000)
    )
    job = one(run, "Job", "immich-restore")
    assert one(run, "ConfigMap", "immich-restore-script").urn in job.dependencies
    assert job.urn in one(run, "Deployment", "immich-server").dependencies
    assert int(job.timeouts["create"].removesuffix("s")) > 1000
    assert not job.protect
    assert job.props["metadata"]["labels"]["app.kubernetes.io/component"] == "restore"


def test_the_database_admits_the_pods_of_a_task() -> None:
    run = platform_with(task(step("dump", BACKUP, links=(Link(to="database", port=5432),))))
    port = [{"port": 5432, "protocol": "TCP"}]
    admitted = one(run, "NetworkPolicy", "immich-database").props["spec"]["ingress"]
    assert {"from": [{"podSelector": {"matchLabels": selector("backup")}}], "ports": port} in admitted
    own = one(run, "NetworkPolicy", "immich-backup").props["spec"]
    assert own["podSelector"] == {"matchLabels": selector("backup")}
    assert "ingress" not in own
    assert {"to": [{"podSelector": {"matchLabels": selector("database")}}], "ports": port} in own["egress"]


def test_a_tasks_node_is_the_servers_where_both_mount_a_volume_of_one_node() -> None:
    made = task(step("copy", MEDIA, BACKUP))
    tied = one(platform_with(made, server_volumes=frozenset({"media"})), "CronJob", "immich-backup")
    assert '"values": ["backup", "server"]' in json.dumps(tied.props)
    free = one(
        platform_with(made, mode="ReadWriteMany", server_volumes=frozenset({"media"})),
        "CronJob",
        "immich-backup",
    )
    assert '"values": ["backup"]' in json.dumps(free.props), "its own volume is of one node all the same"


def test_a_volume_of_one_pod_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"media has the access mode ReadWriteOncePod.*use ReadWriteOnce"):
        platform_with(task(step("copy", MEDIA)), mode="ReadWriteOncePod")

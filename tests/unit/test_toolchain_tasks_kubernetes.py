"""Following a run and reading what runs said, from a stand-in API server with logs: simulated nodes have none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from toolchain import tasks_kubernetes
from toolchain.failure import ToolchainError
from toolchain.offline.plugins.kubernetes.client import Client
from toolchain.offline.plugins.kubernetes.settings import Settings

NAMES = {"app.kubernetes.io/name": "immich", "app.kubernetes.io/instance": "home"}
TYPES = {
    "/api/v1": [{"name": "pods", "kind": "Pod", "namespaced": True}],
    "/apis/batch/v1": [
        {"name": "jobs", "kind": "Job", "namespaced": True},
        {"name": "cronjobs", "kind": "CronJob", "namespaced": True},
    ],
}


@dataclass
class StandInApi:
    """A few objects and logs, as an API server answers for them. Only what is asked for here is known."""

    cron_jobs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    jobs: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    pods: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    logs: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    made: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    on_create: Callable[[dict[str, Any]], None] = lambda _: None
    asked_logs: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    url: str = ""

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        if path in TYPES:
            return 200, {"resources": TYPES[path]}
        parts = path.split("/")
        if parts[-1] == "log":
            key = (parts[-2], query["container"][0])
            self.asked_logs.append(key)
            if key not in self.logs:
                return 404, {"message": "no such log", "reason": "NotFound"}
            lines = self.logs[key].splitlines(keepends=True)
            return 200, "".join(lines[-int(query["tailLines"][0]) :])
        if method == "POST":
            self.made.append(body)
            self.jobs.append(body)
            self.on_create(body)
            return 201, body
        known = {"jobs": self.jobs, "cronjobs": self.cron_jobs, "pods": self.pods}
        if parts[-1] in known:
            wanted = dict(one.split("=") for one in query.get("labelSelector", [""])[0].split(",") if one)
            found = [
                one for one in known[parts[-1]] if wanted.items() <= one["metadata"].get("labels", {}).items()
            ]
            return 200, {"items": found}
        found = [one for one in known[parts[-2]] if one["metadata"]["name"] == parts[-1]]
        return (200, found[0]) if found else (404, {"message": "not found", "reason": "NotFound"})


def job(name: str, task: str, created: str, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": "immich",
            "creationTimestamp": created,
            "labels": {**NAMES, "app.kubernetes.io/component": task},
        },
        "spec": {"activeDeadlineSeconds": 600},
        "status": status,
    }


def done(kind: str, at: str = "2026-11-21T02:10:00Z", **more: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": at, **more}]}


def pod(of: str, *steps: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    names = [{"name": name} for name, _ in steps]
    states = [{"name": name, "state": state} for name, state in steps]
    return {
        "metadata": {
            "name": f"{of}-abcde",
            "creationTimestamp": "2026-11-21T02:00:00Z",
            "labels": {"batch.kubernetes.io/job-name": of},
        },
        "spec": {"initContainers": names[:-1], "containers": names[-1:]},
        "status": {"initContainerStatuses": states[:-1], "containerStatuses": states[-1:]},
    }


def ended(code: int = 0) -> dict[str, Any]:
    return {"terminated": {"exitCode": code}}


def status(name: str, result: str = "success", **more: Any) -> str:
    return f"2026-11-21T02:00:00Z immich-status: {json.dumps({'version': 1, 'name': name, 'result': result, **more})}"


@pytest.fixture
def api() -> Iterator[StandInApi]:
    stand_in = StandInApi()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            code, found = stand_in.answer(self.command, parts.path, parse_qs(parts.query), body)
            text = found if isinstance(found, str) else json.dumps(found)
            self.send_response(code)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        stand_in.url = f"http://127.0.0.1:{server.server_port}"
        yield stand_in
        server.shutdown()
        thread.join(5)


def cluster_at(url: str) -> tasks_kubernetes.Cluster:
    kubeconfig = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    client = Client(Settings(kubeconfig=json.dumps(kubeconfig)))
    return tasks_kubernetes.Cluster(client=client, namespace="immich", stack="home")


@pytest.fixture
def cluster(api: StandInApi) -> tasks_kubernetes.Cluster:
    return cluster_at(api.url)


def cron_job(task: str, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": f"immich-{task}",
            "namespace": "immich",
            "uid": f"uid-of-{task}",
            "labels": {**NAMES, "app.kubernetes.io/component": task},
        },
        "spec": {
            "jobTemplate": {
                "metadata": {"labels": {**NAMES, "app.kubernetes.io/component": task}},
                "spec": {"backoffLimit": 0},
            }
        },
        **more,
    }


def test_each_step_says_its_status_and_the_last_line_counts(
    api: StandInApi, cluster: tasks_kubernetes.Cluster
) -> None:
    api.jobs = [job("immich-backup-1", "backup", "2026-11-21T02:00:00Z", **done("Complete"))]
    api.pods = [pod("immich-backup-1", ("dump", ended()), ("copy-nas", ended()))]
    api.logs["immich-backup-1-abcde", "dump"] = (
        f"{status('dump', 'running')}\nwork\n{status('dump', bytes=7)}\n"
    )
    api.logs["immich-backup-1-abcde", "copy-nas"] = f"{status('copy-nas')}\n{status('check-nas')}\n"
    found = tasks_kubernetes.read_status(cluster)
    assert sorted(found) == ["check-nas", "copy-nas", "dump", "run-backup"]
    assert found["run-backup"]["result"] == "success"
    assert (found["dump"]["result"], found["dump"]["bytes"]) == ("success", 7)


def test_what_the_newest_run_did_not_come_to_is_told_by_the_one_before(
    api: StandInApi, cluster: tasks_kubernetes.Cluster
) -> None:
    failed = done("Failed", reason="PodFailurePolicy", message="a step failed")
    api.jobs = [
        job("immich-backup-1", "backup", "2026-11-20T02:00:00Z", **done("Complete")),
        job("immich-backup-2", "backup", "2026-11-21T02:00:00Z", **failed),
        job("immich-backup-0", "backup", "2026-11-19T02:00:00Z", **done("Complete")),
    ]
    api.pods = [
        pod("immich-backup-2", ("dump", ended(1)), ("copy-nas", {"waiting": {"reason": "PodInitializing"}})),
        pod("immich-backup-1", ("dump", ended()), ("copy-nas", ended())),
        pod("immich-backup-0", ("dump", ended()), ("copy-nas", ended())),
    ]
    api.logs["immich-backup-2-abcde", "dump"] = status("dump", "failed", verdict="database-gone")
    api.logs["immich-backup-1-abcde", "dump"] = status("dump")
    api.logs["immich-backup-1-abcde", "copy-nas"] = status("copy-nas", run="1")
    api.logs["immich-backup-0-abcde", "copy-nas"] = status("copy-nas", run="0")
    found = tasks_kubernetes.read_status(cluster)
    assert {name: one["result"] for name, one in found.items()} == {
        "run-backup": "failed",
        "dump": "failed",
        "copy-nas": "success",
    }
    assert found["copy-nas"]["run"] == "1"
    assert ("immich-backup-2-abcde", "copy-nas") not in api.asked_logs, "it did not begin"
    assert not any(name.startswith("immich-backup-0") for name, _ in api.asked_logs), "all is known by then"


def test_a_step_that_was_killed_is_no_success_although_nothing_says_so(
    api: StandInApi, cluster: tasks_kubernetes.Cluster
) -> None:
    failed = done(
        "Failed", reason="BackoffLimitExceeded", message="Job has reached the specified backoff limit"
    )
    api.jobs = [
        job("immich-backup-1", "backup", "2026-11-20T02:00:00Z", **done("Complete")),
        job("immich-backup-2", "backup", "2026-11-21T02:00:00Z", **failed),
    ]
    api.pods = [
        pod("immich-backup-2", ("dump", ended()), ("copy-nas", ended(137))),
        pod("immich-backup-1", ("dump", ended()), ("copy-nas", ended())),
    ]
    api.logs["immich-backup-2-abcde", "dump"] = status("dump")
    api.logs["immich-backup-2-abcde", "copy-nas"] = "working\n"
    api.logs["immich-backup-1-abcde", "copy-nas"] = status("copy-nas")
    api.cron_jobs = [cron_job("backup", status={"lastSuccessfulTime": "2026-11-20T02:10:00Z"})]
    found = tasks_kubernetes.read_status(cluster)
    assert found["run-backup"] == {
        "version": 1,
        "name": "run-backup",
        "run": "immich-backup-2",
        "started": 0,
        "finished": 1795227000,
        "result": "failed",
        "verdict": "backoff-limit-exceeded",
        "message": "the Job immich-backup-2 failed: Job has reached the specified backoff limit",
        "lastSuccess": 1795140600,
    }
    assert {found["dump"]["result"], found["copy-nas"]["result"]} == {"success"}


def test_a_run_without_logs_is_told_by_its_job(api: StandInApi, cluster: tasks_kubernetes.Cluster) -> None:
    times = {"startTime": "2026-11-21T02:00:00Z", "completionTime": "2026-11-21T02:05:00Z"}
    api.jobs = [
        job("immich-drill-1", "drill", "2026-11-21T02:00:00Z", **times, **done("Complete")),
        job("immich-backup-1", "backup", "2026-11-21T02:00:00Z", startTime="2026-11-21T02:00:00Z"),
    ]
    found = tasks_kubernetes.read_status(cluster)
    assert (found["run-drill"]["result"], found["run-drill"]["started"], found["run-drill"]["finished"]) == (
        "success",
        1795226400,
        1795226700,
    )
    assert found["run-drill"]["lastSuccess"] == 1795226700
    assert (found["run-backup"]["result"], found["run-backup"]["lastSuccess"]) == ("running", 0)


def test_a_status_that_cannot_be_read_is_told_and_the_others_count(
    api: StandInApi, cluster: tasks_kubernetes.Cluster
) -> None:
    api.jobs = [job("immich-backup-1", "backup", "2026-11-21T02:00:00Z", **done("Complete"))]
    api.pods = [pod("immich-backup-1", ("dump", ended()))]
    wrong = ["immich-status: {", "immich-status: []", 'immich-status: {"name": 1}', "immich-status: {}"]
    api.logs["immich-backup-1-abcde", "dump"] = "\n".join([*wrong, status("dump")])
    said: list[str] = []
    assert list(tasks_kubernetes.read_status(cluster, complain=said.append)) == ["run-backup", "dump"]
    assert len(said) == len(wrong)
    assert all(one.startswith("immich-backup-1-abcde, dump: its log has a status") for one in said)


def test_a_run_is_made_from_the_cron_job_and_belongs_to_it(
    api: StandInApi, cluster: tasks_kubernetes.Cluster
) -> None:
    api.cron_jobs = [cron_job("backup")]
    api.on_create = lambda made: made.update(status=done("Complete"))
    assert tasks_kubernetes.run(cluster, "backup", pause=0, tell=lambda _: None, now=lambda: 1795226400) == 0
    (made,) = api.made
    assert made["metadata"]["name"] == "immich-backup-20261121020000"
    assert made["metadata"]["labels"]["app.kubernetes.io/component"] == "backup"
    assert made["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "name": "immich-backup",
            "uid": "uid-of-backup",
            "controller": True,
        }
    ]
    assert made["spec"] == {"backoffLimit": 0}


def test_a_run_that_goes_on_is_waited_for_first(api: StandInApi, cluster: tasks_kubernetes.Cluster) -> None:
    running = job("immich-backup-1", "backup", "2026-11-21T02:00:00Z")
    api.jobs, api.cron_jobs = [running], [cron_job("backup")]
    api.pods = [
        pod("immich-backup-1", ("dump", ended()), ("copy", {"running": {}})),
        pod("immich-backup-20261121020000", ("dump", ended()), ("copy", ended())),
    ]
    api.logs["immich-backup-20261121020000-abcde", "dump"] = status("dump", verdict="ok", message="7 bytes")
    api.on_create = lambda made: made.update(status=done("Complete"))
    said: list[str] = []

    def tell(line: str) -> None:
        said.append(line)
        if "copy: running" in line:
            assert api.made == []
            running["status"] = done("Failed")

    assert tasks_kubernetes.run(cluster, "backup", pause=0, tell=tell, now=lambda: 1795226400) == 0
    assert said == [
        "backup: a run goes on since 2026-11-21T02:00:00Z (Job immich-backup-1); this one comes after it",
        "backup: step 2 of 2, copy: running",
        "backup: started (Job immich/immich-backup-20261121020000)",
        "backup: every step is done",
        "dump: success, ok: 7 bytes",
        "backup: succeeded",
    ]


def test_a_failed_run_shows_the_end_of_the_failed_steps_log_and_nothing_else(
    api: StandInApi, cluster: tasks_kubernetes.Cluster
) -> None:
    api.cron_jobs = [cron_job("backup")]
    api.pods = [
        pod(
            "immich-backup-20261121020000",
            ("dump", ended(3)),
            ("copy", {"waiting": {"reason": "PodInitializing"}}),
        )
    ]
    lines = [f"line {number}" for number in range(100)]
    name = "immich-backup-20261121020000-abcde"
    api.logs[name, "dump"] = "\n".join([*lines, status("dump", "failed")])
    api.on_create = lambda made: made.update(
        status=done("Failed", reason="BackoffLimitExceeded", message="too often")
    )
    said: list[str] = []
    assert tasks_kubernetes.run(cluster, "backup", pause=0, tell=said.append, now=lambda: 1795226400) == 1
    assert "backup: step 1 of 2, dump: failed with exit code 3" in said
    assert "backup: failed: too often" in said
    assert said[-1] == "    line 99"
    assert "    line 50" not in said
    assert set(api.asked_logs) == {(name, "dump")}


def test_a_step_whose_image_cannot_be_had_is_told(api: StandInApi, cluster: tasks_kubernetes.Cluster) -> None:
    api.cron_jobs = [cron_job("backup")]
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    api.pods = [pod("immich-backup-20261121020000", ("dump", waiting), ("copy", {}))]
    said: list[str] = []

    def tell(line: str) -> None:
        said.append(line)
        late = done("Failed", reason="DeadlineExceeded", message="was active longer")
        api.jobs[0].update(status=late, spec={"activeDeadlineSeconds": 600})

    assert tasks_kubernetes.run(cluster, "backup", pause=0, tell=tell, now=lambda: 1795226400) == 1
    assert "backup: step 1 of 2, dump: ImagePullBackOff no such image" in said
    assert said[-1] == "backup: failed: it took longer than 600 s"


def test_a_job_that_somebody_deletes_ends_the_following(
    api: StandInApi, cluster: tasks_kubernetes.Cluster
) -> None:
    api.cron_jobs = [cron_job("backup")]

    def tell(line: str) -> None:
        if "waiting for its pod" in line:
            api.jobs.clear()

    with pytest.raises(ToolchainError, match=r"immich/immich-backup-\d+ was deleted by somebody else"):
        tasks_kubernetes.run(cluster, "backup", pause=0, tell=tell)


def test_interrupting_ends_the_following_and_not_the_run(
    api: StandInApi, cluster: tasks_kubernetes.Cluster
) -> None:
    api.cron_jobs = [cron_job("backup")]
    said: list[str] = []

    def tell(line: str) -> None:
        said.append(line)
        if "waiting for its pod" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tasks_kubernetes.run(cluster, "backup", pause=0, tell=tell, now=lambda: 1795226400)
    assert said[-1] == "backup: the run goes on in the cluster (Job immich/immich-backup-20261121020000)"


def test_a_cluster_that_does_not_answer_is_a_sentence() -> None:
    # Port 9 is for discarding; nothing listens there.
    away = cluster_at("http://127.0.0.1:9")
    for ask in (lambda: tasks_kubernetes.read_status(away), lambda: tasks_kubernetes.run(away, "backup")):
        with pytest.raises(ToolchainError, match="cannot be reached"):
            ask()


def test_a_kubeconfig_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ToolchainError, match="cannot read the kubeconfig"):
        tasks_kubernetes.Cluster.connect("home", "immich")


@pytest.mark.parametrize("line", ["", "a line", "status: {}", "immich-status {}"])
def test_other_lines_are_no_status(line: str) -> None:
    assert tasks_kubernetes.parse_status(line) is None

"""Tasks of a stack on a cluster: run one now and follow it, and read what the last runs said about themselves.

A run is a Job made from the task's CronJob, as `kubectl create job --from` makes it. Nothing can look into a volume
that no pod mounts, so each step says its status in its log as well, in one line: `immich-status: {...}`, the same
object as in `/backup/status/<name>.json`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from toolchain.failure import ToolchainError
from toolchain.offline.plugins.kubernetes.client import ApiError, Client
from toolchain.offline.plugins.kubernetes.objects import GroupKind, metadata, name_of
from toolchain.offline.plugins.kubernetes.readiness import condition
from toolchain.offline.plugins.kubernetes.settings import Settings
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, Value, as_object, as_text, dig, plain
from toolchain.progress import say, warn

STATUS_PREFIX: Final = "immich-status: "
"""What stands before a step's status in its log."""

RUN_PREFIX: Final = "run-"
"""What stands before a task's name where its last run as a whole is meant."""

_CRON_JOB: Final = GroupKind("batch/v1", "CronJob")
_JOB: Final = GroupKind("batch/v1", "Job")
_POD: Final = GroupKind("v1", "Pod")
_COMPONENT: Final = "app.kubernetes.io/component"
_MANAGER: Final = "immich-toolchain"
_PAUSE: Final = 2.0
_HEARTBEAT: Final = 15.0
_TAIL: Final = 40
"""Lines of a failed step's log that are shown."""
_STATUS_TAIL: Final = 200
"""Lines from the end of a log in which its status is looked for."""

Json = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where the tasks of a stack are."""

    client: Client
    namespace: str
    stack: str

    @classmethod
    def connect(cls, stack: str, namespace: str, context: str | None = None) -> Cluster:
        """The cluster of $KUBECONFIG or ~/.kube/config; nothing is asked of it yet.

        Raises `ToolchainError` for a kubeconfig that is missing, broken or without the context.
        """
        try:
            client = Client(Settings(context=context or ""))
        except ProviderError as error:
            raise ToolchainError(str(error)) from None
        return cls(client=client, namespace=namespace, stack=stack)

    @property
    def selector(self) -> str:
        """Labels of everything of the stack."""
        return f"app.kubernetes.io/name=immich,app.kubernetes.io/instance={self.stack}"

    def jobs(self, task: str | None = None) -> list[Object]:
        """Runs that are still known, the newest first."""
        wanted = self.selector if task is None else f"{self.selector},{_COMPONENT}={task}"
        found = self.client.list(_JOB, self.namespace, labelSelector=wanted)
        return sorted(found, key=lambda job: as_text(metadata(job).get("creationTimestamp")), reverse=True)

    def pods(self, job: Object) -> list[Object]:
        """Pods of a run, the newest first."""
        wanted = f"batch.kubernetes.io/job-name={name_of(job)}"
        found = self.client.list(_POD, self.namespace, labelSelector=wanted)
        return sorted(found, key=lambda pod: as_text(metadata(pod).get("creationTimestamp")), reverse=True)

    def log(self, pod: Object, container: str, lines: int) -> list[str] | None:
        """The end of a container's log; None where there is none (any more)."""
        path = f"{self.client.path(_POD, self.namespace, name_of(pod))}/log"
        try:
            text = self.client.text(path, {"container": container, "tailLines": str(lines)})
        except ApiError as error:
            if error.code in {400, 404, 500, 502, 503, 504}:
                return None  # not started, gone with its node, or the node does not answer
            raise
        return text.splitlines()


def run(
    cluster: Cluster,
    task: str,
    *,
    pause: float = _PAUSE,
    tell: Callable[[str], None] = say,
    now: Callable[[], float] = time.time,
) -> int:
    """Run a task now and follow it to its end: 0 when it succeeded, 1 when it failed, with the end of its log.

    A run that goes on already is waited for first. Ctrl-C ends the following and not the run. Raises
    `ToolchainError` when there is no such task or no cluster answers.
    """
    try:
        for before in cluster.jobs(task):
            if _ended(before) is None:
                since = as_text(metadata(before).get("creationTimestamp"))
                tell(f"{task}: a run goes on since {since} (Job {name_of(before)}); this one comes after it")
                _follow(cluster, task, before, pause, tell)
        job = _begin(cluster, task, tell, now)
        try:
            job = _follow(cluster, task, job, pause, tell)
        except KeyboardInterrupt:
            tell(f"{task}: the run goes on in the cluster (Job {cluster.namespace}/{name_of(job)})")
            raise
        return _report(cluster, task, job, tell)
    except ProviderError as error:
        raise ToolchainError(str(error)) from None


def read_status(cluster: Cluster, *, complain: Callable[[str], None] = warn) -> dict[str, Json]:
    """What is known of every task of the stack, by status name: `dump`, `copy-<target>`, `drill` ...

    The newest status line of each name, as far as logs are kept; `run-<task>` is how each task ended last, as its Job
    says. Raises `ToolchainError` when no cluster answers.
    """
    found: dict[str, Json] = {}
    complete: set[str] = set()
    try:
        for job in cluster.jobs():
            task = as_text(dig(job, "metadata", "labels", _COMPONENT))
            # A step that was killed says nothing, so the Job is heard as well.
            found.setdefault(f"{RUN_PREFIX}{task}", _status_of_job(job, task))
            if task in complete:
                continue
            for status in _status_lines(cluster, job, complain):
                found.setdefault(_text(status["name"]), status)
                if _ended(job):
                    complete.add(task)
        for cron_job in cluster.client.list(_CRON_JOB, cluster.namespace, labelSelector=cluster.selector):
            _last_success(found, cron_job)
    except ProviderError as error:
        raise ToolchainError(str(error)) from None
    return found


def parse_status(line: str) -> Json | None:
    """The status that a line of a log says, None for any other line.

    Raises `ValueError` for a line that begins like one and is not a JSON object with a name.
    """
    _, found, text = line.partition(STATUS_PREFIX)
    if not found:
        return None
    status = as_object(plain(json.loads(text)))
    if not as_text(status.get("name")):
        raise ValueError("no object with a name")
    return dict(status)


# Making a run


def _begin(cluster: Cluster, task: str, tell: Callable[[str], None], now: Callable[[], float]) -> Object:
    cron_job = cluster.client.get(_CRON_JOB, cluster.namespace, f"immich-{task}")
    if cron_job is None:
        listed = cluster.client.list(_CRON_JOB, cluster.namespace, labelSelector=cluster.selector)
        known = ", ".join(sorted(as_text(dig(one, "metadata", "labels", _COMPONENT)) for one in listed))
        raise ToolchainError(
            f"The stack {cluster.stack} has no task {task} in the namespace {cluster.namespace} of "
            f"{cluster.client.server}. Tasks there: {known or 'none'}. Its settings make them, with the next `make up`."
        )
    made = cluster.client.create(_job_from(cron_job, task, now()), _MANAGER)
    tell(f"{task}: started (Job {cluster.namespace}/{name_of(made)})")
    return made


def _job_from(cron_job: Object, task: str, when: float) -> Object:
    template = as_object(dig(cron_job, "spec", "jobTemplate"))
    stamp = datetime.fromtimestamp(when, UTC).strftime("%Y%m%d%H%M%S")
    given = metadata(template)
    annotations: Object = {
        **as_object(given.get("annotations")),
        "cronjob.kubernetes.io/instantiate": "manual",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"immich-{task}-{stamp}",
            "namespace": as_text(metadata(cron_job).get("namespace")),
            "labels": as_object(given.get("labels")),
            "annotations": annotations,
            # The CronJob's limits then clear it away as they do its own.
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "CronJob",
                    "name": name_of(cron_job),
                    "uid": as_text(metadata(cron_job).get("uid")),
                    "controller": True,
                }
            ],
        },
        "spec": as_object(template.get("spec")),
    }


# Following it


def _ended(job: Object) -> bool | None:
    """Whether a run succeeded; None while it has not ended."""
    if condition(job, "Complete").get("status") == "True":
        return True
    return False if condition(job, "Failed").get("status") == "True" else None


def _follow(cluster: Cluster, task: str, job: Object, pause: float, tell: Callable[[str], None]) -> Object:
    """The Job once it has ended."""
    name, said, spoken = name_of(job), "", time.monotonic()
    started = time.monotonic()
    while True:
        pods = cluster.pods(job)
        news = _progress(pods[0]) if pods else "waiting for its pod"
        if news != said:
            said, spoken = news, time.monotonic()
            tell(f"{task}: {news}")
        elif time.monotonic() - spoken >= _HEARTBEAT:
            spoken = time.monotonic()
            tell(f"{task}: {news}, {time.monotonic() - started:.0f} s so far")
        if _ended(job) is not None:
            return job
        time.sleep(pause)
        current = cluster.client.get(_JOB, cluster.namespace, name)
        if current is None:
            raise ToolchainError(f"{task}: the Job {cluster.namespace}/{name} was deleted by somebody else")
        job = current


def _progress(pod: Object) -> str:
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"waiting for a node: {as_text(scheduled.get('message'))}"
    names = _steps(pod)
    states = {as_text(one.get("name")): as_object(one.get("state")) for one in _statuses(pod)}
    for number, name in enumerate(names, start=1):
        state = states.get(name, {})
        place = f"step {number} of {len(names)}, {name}"
        waiting = as_object(state.get("waiting"))
        if "running" in state:
            return f"{place}: running"
        if waiting and as_text(waiting.get("reason")) not in {"PodInitializing", "ContainerCreating", ""}:
            return f"{place}: {as_text(waiting.get('reason'))} {as_text(waiting.get('message'))}".rstrip()
        if _exit_code(state) not in {None, 0}:
            return f"{place}: failed with exit code {_exit_code(state)}"
        if "terminated" not in state:
            return f"{place}: starting"
    return "every step is done"


def _report(cluster: Cluster, task: str, job: Object, tell: Callable[[str], None]) -> int:
    for status in _status_lines(cluster, job, warn):
        said = (status.get(key) for key in ("name", "result", "verdict", "message"))
        tell("{}: {}, {}: {}".format(*said))
    if _ended(job):
        tell(f"{task}: succeeded")
        return 0
    failed = condition(job, "Failed")
    reason = as_text(failed.get("reason"))
    why = (
        f"it took longer than {dig(job, 'spec', 'activeDeadlineSeconds')} s"
        if reason == "DeadlineExceeded"
        else as_text(failed.get("message")) or reason
    )
    tell(f"{task}: failed: {why}")
    for pod in cluster.pods(job)[:1]:
        for name in _failed_steps(pod):
            lines = cluster.log(pod, name, _TAIL)
            if lines is None:
                tell(f"{task}: the log of {name} is not there any more")
                continue
            tell(f"{task}: the end of the log of {name}:")
            for line in lines:
                if STATUS_PREFIX not in line:
                    tell(f"    {line}")
    return 1


def _failed_steps(pod: Object) -> list[str]:
    """Steps that ended badly; where none did, such as at a deadline, the one that was at work."""
    states = {as_text(one.get("name")): as_object(one.get("state")) for one in _statuses(pod)}
    failed = [name for name in _steps(pod) if _exit_code(states.get(name, {})) not in {None, 0}]
    return failed or [name for name in _steps(pod) if "running" in states.get(name, {})]


def _steps(pod: Object) -> list[str]:
    return [
        as_text(one.get("name"))
        for one in (*_list(pod, "spec", "initContainers"), *_list(pod, "spec", "containers"))
    ]


def _statuses(pod: Object) -> list[Object]:
    return [*_list(pod, "status", "initContainerStatuses"), *_list(pod, "status", "containerStatuses")]


def _list(item: Object, *path: str) -> list[Object]:
    found = dig(item, *path)
    return [as_object(one) for one in found] if isinstance(found, list) else []


def _exit_code(state: Object) -> Value:
    return as_object(state.get("terminated")).get("exitCode")


# Reading what runs said


def _status_lines(cluster: Cluster, job: Object, complain: Callable[[str], None]) -> Iterator[Json]:
    """The last status of each name in the logs of a run."""
    for pod in cluster.pods(job)[:1]:
        states = {as_text(one.get("name")): as_object(one.get("state")) for one in _statuses(pod)}
        newest: dict[str, Json] = {}
        for name in _steps(pod):
            if not {"running", "terminated"} & states.get(name, {}).keys():
                continue
            for line in cluster.log(pod, name, _STATUS_TAIL) or []:
                try:
                    status = parse_status(line)
                except ValueError:
                    complain(
                        f"{name_of(pod)}, {name}: its log has a status that cannot be read: {line[:200]!r}"
                    )
                    continue
                if status is not None:
                    newest[_text(status["name"])] = status
        yield from newest.values()


def _status_of_job(job: Object, task: str) -> Json:
    """What the Job alone says, in the form of a status."""
    ended = _ended(job)
    status = as_object(job.get("status"))
    failed = condition(job, "Failed")
    finished = _epoch(status.get("completionTime")) or _epoch(failed.get("lastTransitionTime"))
    result = "running" if ended is None else "success" if ended else "failed"
    verdict = {"running": "running", "success": "ok"}.get(result) or _kebab(as_text(failed.get("reason")))
    message = {
        "running": f"the Job {name_of(job)} is under way",
        "success": f"the Job {name_of(job)} succeeded",
    }.get(result, f"the Job {name_of(job)} failed: {as_text(failed.get('message'))}")
    return {
        "version": 1,
        "name": f"{RUN_PREFIX}{task}",
        "run": name_of(job),
        "started": _epoch(status.get("startTime")),
        "finished": finished,
        "result": result,
        "verdict": verdict,
        "message": message,
        "lastSuccess": finished if ended else 0,
    }


def _last_success(found: dict[str, Json], cron_job: Object) -> None:
    """What the CronJob remembers longer than its Jobs."""
    task = as_text(dig(cron_job, "metadata", "labels", _COMPONENT))
    last = _epoch(dig(cron_job, "status", "lastSuccessfulTime"))
    status = found.get(f"{RUN_PREFIX}{task}")
    if status is not None and not status.get("lastSuccess"):
        status["lastSuccess"] = last


def _epoch(value: Value) -> int:
    """Seconds since 1970 of a time of the API server; 0 for none."""
    text = as_text(value)
    return int(datetime.fromisoformat(text).timestamp()) if text else 0


def _kebab(words: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", words).lower() or "failed"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

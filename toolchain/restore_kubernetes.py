"""One photo or folder back on a cluster: a Job of the step that copies alone, with the media writable."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final

from toolchain.failure import ToolchainError
from toolchain.offline.plugins.kubernetes.objects import GroupKind, metadata, name_of
from toolchain.offline.plugins.kubernetes.readiness import condition
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, Value, as_object, as_text, dig
from toolchain.progress import say
from toolchain.restore_request import COPY_STEP, RESTORE_ONE, Request, said
from toolchain.tasks_kubernetes import Cluster

NAME: Final = "restore-one"
_CRON_JOB: Final = GroupKind("batch/v1", "CronJob")
_JOB: Final = GroupKind("batch/v1", "Job")
_COMPONENT: Final = "app.kubernetes.io/component"
_MANAGER: Final = "immich-toolchain"
_PAUSE: Final = 1.0
_HEARTBEAT: Final = 15.0
_LINES: Final = 100_000
_KEPT: Final = 600
"""Seconds that the cluster keeps an ended one whose owner did not come to remove it."""


def run(
    wanted: Request, cluster: Cluster, *, pause: float = _PAUSE, tell: Callable[[str], None] = say
) -> int:
    """The script's exit code. ToolchainError when the stack is not up, or the pod cannot run."""
    try:
        cron_job = cluster.client.get(_CRON_JOB, cluster.namespace, "immich-backup")
        if cron_job is None:
            raise ToolchainError(
                f"the stack {wanted.stack} is not up, or was brought up without backups: there is no CronJob "
                f"immich-backup in the namespace {cluster.namespace} of {cluster.client.server}. "
                f"`make up STACK={wanted.stack}` makes it"
            )
        made = job(cron_job, wanted, secrets.token_hex(4))
        try:
            return _follow(cluster, cluster.client.create(made, _MANAGER), pause, tell)
        finally:
            # Background: the pod is asked to end and takes away what it has not finished.
            cluster.client.delete(_JOB, cluster.namespace, name_of(made), "Background")
    except ProviderError as error:
        raise ToolchainError(str(error)) from None


def job(cron_job: Object, wanted: Request, token: str) -> Object:
    """The Job to ask for. ToolchainError when the CronJob has no step that copies: it has no targets."""
    template = as_object(dig(cron_job, "spec", "jobTemplate"))
    spec = as_object(template.get("spec"))
    pod_template = as_object(spec.get("template"))
    pod = as_object(pod_template.get("spec"))
    steps = [*_list(pod, "initContainers"), *_list(pod, "containers")]
    step = next((one for one in steps if one.get("name") == COPY_STEP), None)
    if step is None:
        raise ToolchainError(
            f"the CronJob immich-backup has no step {COPY_STEP}: the stack {wanted.stack} was brought up before it "
            f"had a target. `make up STACK={wanted.stack}` makes it"
        )
    container, volumes = _writable(step, _list(pod, "volumes"), wanted)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"immich-{NAME}-{token}",
            "namespace": as_text(metadata(cron_job).get("namespace")),
            # Not those of a backup, whose last runs are told from Jobs by their labels.
            "labels": {**as_object(metadata(template).get("labels")), _COMPONENT: NAME},
            # Removed with the CronJob, and none of its runs: it is neither counted nor waited for.
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "CronJob",
                    "name": name_of(cron_job),
                    "uid": as_text(metadata(cron_job).get("uid")),
                }
            ],
        },
        "spec": {
            **spec,
            "ttlSecondsAfterFinished": _KEPT,
            "template": {
                **pod_template,
                "spec": {**pod, "initContainers": [], "containers": [container], "volumes": volumes},
            },
        },
    }


def _writable(step: Object, volumes: list[Object], wanted: Request) -> tuple[Object, list[Value]]:
    """The container with the script as its command and photos writable, and the volumes that it mounts."""
    mounts: list[Value] = []
    kept: dict[str, bool] = {}
    for mount in _list(step, "volumeMounts"):
        name = as_text(mount.get("name"))
        photos = mount.get("mountPath") in wanted.media
        kept[name] = kept.get(name, False) or photos
        mounts.append(_without_read_only(mount) if photos else mount)
    found: list[Value] = []
    for volume in volumes:
        name = as_text(volume.get("name"))
        if name not in kept:
            continue
        claim = as_object(volume.get("persistentVolumeClaim"))
        found.append(
            {**volume, "persistentVolumeClaim": _without_read_only(claim)} if kept[name] and claim else volume
        )
    container: Object = {
        **step,
        "command": ["/bin/sh", RESTORE_ONE],
        "args": [_literal(one) for one in wanted.arguments],
        "volumeMounts": mounts,
    }
    return container, found


def _literal(argument: str) -> str:
    """The argument as the kubelet gives it on unchanged: it takes `$(NAME)` for a variable."""
    return argument.replace("$", "$$")


def _without_read_only(item: Object) -> Object:
    return {key: value for key, value in item.items() if key != "readOnly"}


def _follow(cluster: Cluster, job: Object, pause: float, tell: Callable[[str], None]) -> int:
    name, told, news = name_of(job), 0, ""
    began = spoken = time.monotonic()
    while True:
        pod = next(iter(cluster.pods(job)), None)
        state = _state(pod) if pod is not None else {}
        if pod is not None and {"running", "terminated"} & state.keys():
            # Read after the state: what has ended has said everything.
            lines = cluster.log(pod, COPY_STEP, _LINES) or []
            for line in lines[told:]:
                spoken = time.monotonic()
                tell(said(line))
            told = max(told, len(lines))
            code = as_object(state.get("terminated")).get("exitCode")
            if isinstance(code, int | float):
                return int(code)
            now = ""
        else:
            now = _waiting(pod, state)
        if now != news:
            news, spoken = now, time.monotonic()
            if now:
                tell(now)
        elif time.monotonic() - spoken >= _HEARTBEAT:
            spoken = time.monotonic()
            tell(f"{news or 'it is at work'}, {spoken - began:.0f} s so far")
        _judge(cluster, name)
        time.sleep(pause)


def _judge(cluster: Cluster, name: str) -> None:
    """ToolchainError for a Job that is gone, or that has failed and whose pod tells no exit code."""
    current = cluster.client.get(_JOB, cluster.namespace, name)
    if current is None:
        raise ToolchainError(f"the Job {cluster.namespace}/{name} was deleted by somebody else")
    failed = condition(current, "Failed")
    if failed.get("status") == "True" and not any(
        "terminated" in _state(pod) for pod in cluster.pods(current)
    ):
        why = as_text(failed.get("message")) or as_text(failed.get("reason"))
        raise ToolchainError(f"the Job {cluster.namespace}/{name} failed: {why}")


def _state(pod: Object) -> Object:
    statuses = _list(as_object(pod.get("status")), "containerStatuses")
    found = next((one for one in statuses if one.get("name") == COPY_STEP), None)
    return as_object(found.get("state")) if found is not None else {}


def _waiting(pod: Object | None, state: Object) -> str:
    if pod is None:
        return "waiting for its pod"
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"waiting for a node: {as_text(scheduled.get('message'))}"
    waiting = as_object(state.get("waiting"))
    return f"starting {as_text(waiting.get('reason'))} {as_text(waiting.get('message'))}".rstrip()


def _list(item: Object, key: str) -> list[Object]:
    found = item.get(key)
    return [as_object(one) for one in found] if isinstance(found, list) else []

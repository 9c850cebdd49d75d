"""CronJob and Job of a Task: its steps are the init containers and the container of one pod, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from components.model.cron import FIELDS
from components.model.naming import APP, object_name
from components.model.task import Task
from components.model.workload import (
    ConfigFiles,
    Egress,
    Ingress,
    Link,
    Mount,
    Placement,
    Scratch,
    Storage,
    Toleration,
    Workload,
)
from components.platform.kubernetes.pods import (
    Manifest,
    PodContext,
    common,
    composing,
    container,
    placement,
    template,
    volume_name,
    volume_of,
)

RUN_ID = "RUN_ID"
"""Variable that all steps of a run have, with the same value: the name of the run's pod."""
_LONGEST_CRON_JOB = 52
"""Kubernetes adds eleven characters to a CronJob's name for each Job."""
_LATEST_START = 3600
"""Seconds that a run may start late, after the controllers were away. Without any, a CronJob that missed a hundred
starts never runs again (Kubernetes documentation, CronJob limitations)."""
_KEPT_RUNS = 3
_Found = TypeVar("_Found")


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """The pods of a task as isolation sees them: what any of the steps needs."""

    name: str
    links: tuple[Link, ...]
    egress: tuple[Egress, ...]
    ingress: tuple[Ingress, ...]


def member(task: Task) -> Member:
    """Links, egress and ingress of all steps: one pod has one network."""
    return Member(
        name=task.name,
        links=_once(link for step in task.steps for link in step.links),
        egress=_once(rule for step in task.steps for rule in step.egress),
        ingress=_once(rule for step in task.steps for rule in step.ingress),
    )


def check(task: Task, taken: Iterable[str], access_modes: Mapping[str, str]) -> None:
    """Raises `ValueError` for a task that no pod can run.

    `taken` are the names of workloads and other tasks, whose pods it would share policies with; `access_modes` those
    of the claims, by volume.
    """
    if task.name in taken:
        raise ValueError(f"{task.name}: a workload or another task has this name already")
    if len(object_name(task.name)) > _LONGEST_CRON_JOB:
        raise ValueError(
            f"{task.name}: the name of a task has at most {_LONGEST_CRON_JOB - len(APP) - 1} characters"
        )
    names = [step.name for step in task.steps]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{task.name}: two steps are called {name}")
    for step in task.steps:
        if step.ports or step.sidecars or step.liveness or step.readiness or step.replicas != 1:
            raise ValueError(f"{task.name}: {step.name} is a step: one copy, no ports, probes or sidecars")
        if RUN_ID in step.env:
            raise ValueError(
                f"{task.name}: {step.name} sets {RUN_ID}, which every run has a value of its own for"
            )
        for mount in step.mounts:
            if isinstance(mount, Storage) and access_modes.get(mount.volume) == "ReadWriteOncePod":
                raise ValueError(
                    f"{task.name}: the volume {mount.volume} has the access mode ReadWriteOncePod, so that no second "
                    f"pod can mount it while the server runs; use ReadWriteOnce"
                )


def neighbours(
    task: Task,
    others: Iterable[Workload | Task],
    access_modes: Mapping[str, str],
    server_volumes: Iterable[str] = (),
) -> tuple[str, ...]:
    """Components whose pods the task's pod must be on one node with, itself among them; empty where it is free.

    A ReadWriteOnce volume is on one node at a time, so whoever mounts one of the same volumes, over any number of
    others, has to be there. `server_volumes` are mounted by the server, which may be registered after the task.
    """
    once = {volume for volume, mode in access_modes.items() if mode == "ReadWriteOnce"}
    mounted: dict[str, set[str]] = {"server": set(server_volumes) & once}
    for one in (*others, task):
        steps = one.steps if isinstance(one, Task) else (one,)
        volumes = {mount.volume for step in steps for mount in step.mounts if isinstance(mount, Storage)}
        mounted.setdefault(one.name, set()).update(volumes & once)
    held = set(mounted[task.name])
    if not held:
        return ()
    found = {task.name}
    while joining := {name for name, volumes in mounted.items() if name not in found and volumes & held}:
        found |= joining
        held.update(*(mounted[name] for name in joining))
    return tuple(sorted(found))


def cron_job(task: Task, schedule: str, context: PodContext, beside: Sequence[str]) -> Manifest:
    """The CronJob: one run at a time, and one that fails is not tried again before its next time."""
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {},
        "spec": {
            "schedule": kubernetes_schedule(schedule),
            "timeZone": task.timezone,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": _LATEST_START,
            "successfulJobsHistoryLimit": _KEPT_RUNS,
            "failedJobsHistoryLimit": _KEPT_RUNS,
            "suspend": False,
            "jobTemplate": {
                "metadata": {"labels": dict(context.labels)},
                "spec": _job_spec(task, context, beside),
            },
        },
    }


def job(
    task: Task, context: PodContext, beside: Sequence[str], secrets: Mapping[str, Any] | None = None
) -> Manifest:
    """The Job, which the engine waits for. One that failed is made anew by the next update.

    `secrets` are hashes of secrets by name: when one changes the Job is made anew, and so runs again.

    It is never removed after its end: the engine would take that for a change and run it again.
    """
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"annotations": {"pulumi.com/replaceUnready": "true"}},
        "spec": _job_spec(task, context, beside, secrets),
    }


def kubernetes_schedule(text: str) -> str:
    """Five cron fields as Kubernetes takes them: Sunday is 0 and never 7. Raises `ValueError` for what is none."""
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise ValueError(
            f"{text!r} is no schedule: expected minute hour day month weekday, such as '0 2 * * *'"
        )
    weekday = fields.pop()
    if not any("7" in item.partition("/")[0] for item in weekday.split(",")):
        return text
    days = {day % 7 for day in FIELDS[-1].values(weekday)}
    return " ".join([*fields, ",".join(str(day) for day in sorted(days))])


def _job_spec(
    task: Task, context: PodContext, beside: Sequence[str], secrets: Mapping[str, Any] | None = None
) -> Manifest:
    return {
        "backoffLimit": 0,
        "activeDeadlineSeconds": task.deadline,
        # A node that is drained is no failure of a step: the run starts again elsewhere.
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
            ]
        },
        "template": _pod(task, context, beside, secrets or {}),
    }


def _pod(task: Task, context: PodContext, beside: Sequence[str], secrets: Mapping[str, Any]) -> Manifest:
    first = task.steps[0]
    volumes: dict[str, Manifest] = {}
    containers = [_step(step, volumes, context, tells=task.tells) for step in task.steps]
    composers, read = composing(_once(mount for step in task.steps for mount in step.mounts), context)
    groups = sorted({group for step in task.steps for group in step.supplemental_groups})
    grace = max(step.termination_grace for step in task.steps)
    revision = {name: value for step in task.steps for name, value in step.revision.items()}
    spec: Manifest = {
        **common(first.user, first.group, groups, grace),
        "restartPolicy": "Never",
        "initContainers": [*composers, *containers[:-1]],
        "containers": containers[-1:],
        "volumes": [*volumes.values(), *read],
        **_placement(task),
    }
    if beside:
        # The scheduler lets the first of them go anywhere, since it matches its own rule.
        names = {"key": "app.kubernetes.io/component", "operator": "In", "values": list(beside)}
        spec["affinity"] = {
            "podAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": {
                            "matchLabels": _application(context),
                            "matchExpressions": [names],
                        },
                    }
                ]
            }
        }
    relaxations = _once(one for step in task.steps for one in step.relaxations)
    annotations: dict[str, Any] = {f"immich/revision-{name}": revision[name] for name in sorted(revision)}
    annotations |= {f"immich/secret-{name}": secrets[name] for name in sorted(secrets)}
    return template(task.name, spec, relaxations, context, annotations)


def _application(context: PodContext) -> Manifest:
    wanted = ("app.kubernetes.io/name", "app.kubernetes.io/instance")
    return {name: context.labels[name] for name in wanted if name in context.labels}


def _step(step: Workload, volumes: dict[str, Manifest], context: PodContext, *, tells: bool) -> Manifest:
    """The container of a step; what it mounts is added to `volumes`."""
    mounts = [_mount(step, mount, index, volumes, context) for index, mount in enumerate(step.mounts)]
    body = container(step, mounts)
    if tells:
        # The pod's status then has the end of its log, which `kubectl describe` shows.
        body["terminationMessagePolicy"] = "FallbackToLogsOnError"
    body["env"] = [
        {"name": RUN_ID, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
        *body.get("env", []),
    ]
    return body


def _mount(
    step: Workload, mount: Mount, index: int, volumes: dict[str, Manifest], context: PodContext
) -> Manifest:
    volume, mounted = volume_of(mount, index, context)
    name = str(volume["name"])
    if not isinstance(mount, (Storage, ConfigFiles)):
        # Scratch ends with its step, and a step sees no more of a secret than it asked for.
        same = volumes.get(name)
        if isinstance(mount, Scratch) or (same is not None and same != volume):
            name = volume_name(f"{step.name}-{name}")
    known = volumes.setdefault(name, {**volume, "name": name})
    claim, wanted = known.get("persistentVolumeClaim"), volume.get("persistentVolumeClaim")
    if claim is not None and wanted is not None and "readOnly" not in wanted:
        # One step writes: the others have it read-only by their own mounts.
        volumes[name] = {**known, "persistentVolumeClaim": wanted}
    return {"name": name, **mounted}


def _placement(task: Task) -> Manifest:
    """Where all steps may run: one pod is on one node."""
    selector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    classes: set[str] = set()
    architectures: set[str] = set()
    for step in task.steps:
        for name, value in step.placement.node_selector.items():
            if selector.setdefault(name, value) != value:
                raise ValueError(
                    f"{task.name}: its steps want nodes with {name} {selector[name]} and {value}, but share one pod"
                )
        tolerations += [one for one in step.placement.tolerations if one not in tolerations]
        classes |= {one for one in (step.placement.priority_class,) if one is not None}
        architectures |= {one for one in (step.architecture,) if one is not None}
    for what, found in (("priority classes", classes), ("architectures", architectures)):
        if len(found) > 1:
            raise ValueError(
                f"{task.name}: its steps want the {what} {', '.join(sorted(found))}, but share one pod"
            )
    where = Placement(
        node_selector=selector,
        tolerations=tuple(tolerations),
        priority_class=next(iter(classes), None),
    )
    return placement(where, next(iter(architectures), None))


def _once(found: Iterable[_Found]) -> tuple[_Found, ...]:
    kept: list[_Found] = []
    for one in found:
        if one not in kept:
            kept.append(one)
    return tuple(kept)

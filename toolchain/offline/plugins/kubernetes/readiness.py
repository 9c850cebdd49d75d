"""When an object is ready: for each kind that pulumi-kubernetes waits for, the same conditions, as pure
functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from toolchain.offline.plugins.kubernetes.client import Client
from toolchain.offline.plugins.kubernetes.objects import GroupKind, metadata, name_of, namespace_of
from toolchain.offline.plugins.values import Object, Value, as_object, as_text, dig

SETTLE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class State:
    """How far an object is. `failed` means that waiting longer cannot help."""

    ready: bool
    message: str
    failed: bool = False


@dataclass(kw_only=True)
class Watching:
    """What is known about one object while it is awaited.

    `bound_before` says that this is an update of an object that was in place, `elapsed` is seconds since the
    start, `settled_since` when the endpoints were last seen to change.
    """

    client: Client
    updating: bool = False
    elapsed: float = 0.0
    settled_since: float = 0.0
    last_endpoints: str = field(default="")


Check = Callable[[Object, Watching], State]


def number(value: Value) -> int:
    """A count of a status: absent means none."""
    return value if isinstance(value, int) else 0


def conditions(item: Object) -> Iterator[Object]:
    """The entries of `status.conditions`."""
    listed = dig(item, "status", "conditions")
    for entry in listed if isinstance(listed, list) else []:
        yield as_object(entry)


def condition(item: Object, kind: str) -> Object:
    """The condition of that type (case does not matter), {} when it is not there."""
    for entry in conditions(item):
        if as_text(entry.get("type")).lower() == kind.lower():
            return entry
    return {}


def _observed(item: Object) -> bool:
    return number(dig(item, "status", "observedGeneration")) >= number(metadata(item).get("generation"))


def _deployment(item: Object, _watching: Watching) -> State:
    wanted = number(dig(item, "spec", "replicas"))
    updated = number(dig(item, "status", "updatedReplicas"))
    available = number(dig(item, "status", "availableReplicas"))
    progressing = condition(item, "Progressing")
    message = f"waiting for the Deployment's Pods: {min(updated, available)} of {wanted} available"
    if progressing.get("status") == "False":
        return State(
            ready=False,
            message=f"{message} [{as_text(progressing.get('reason'))}] {as_text(progressing.get('message'))}",
        )
    rolled_out = not progressing or progressing.get("reason") == "NewReplicaSetAvailable"
    paused = dig(item, "spec", "paused") is True
    return State(
        ready=_observed(item)
        and (
            paused
            or (rolled_out and condition(item, "Available").get("status") == "True" and updated >= wanted)
        ),
        message=message,
    )


def _stateful_set(item: Object, _watching: Watching) -> State:
    status = as_object(item.get("status"))
    wanted = number(dig(item, "spec", "replicas"))
    have = number(status.get("replicas"))
    ready = number(status.get("readyReplicas"))
    message = f"waiting for the StatefulSet's Pods: {min(ready, have)} of {wanted} ready"
    on_delete = (
        dig(item, "spec", "updateStrategy", "type") == "OnDelete"
        and number(metadata(item).get("generation")) > 1
    )
    current, target = as_text(status.get("currentRevision")), as_text(status.get("updateRevision"))
    rolled_out = on_delete or (
        bool(current) and current == target and number(status.get("currentReplicas")) == wanted
    )
    return State(ready=_observed(item) and have == wanted and ready == wanted and rolled_out, message=message)


def _daemon_set(item: Object, _watching: Watching) -> State:
    status = as_object(item.get("status"))
    wanted = number(status.get("desiredNumberScheduled"))
    updated = number(status.get("updatedNumberScheduled"))
    available = number(status.get("numberAvailable"))
    return State(
        ready=_observed(item) and updated >= wanted and available >= wanted,
        message=f"waiting for the DaemonSet's Pods: {min(updated, available)} of {wanted} available",
    )


def _job(item: Object, _watching: Watching) -> State:
    failed = condition(item, "Failed")
    if failed.get("status") == "True":
        text = f"the Job failed: [{as_text(failed.get('reason'))}] {as_text(failed.get('message'))}"
        return State(ready=False, message=text, failed=True)
    done = number(dig(item, "status", "succeeded"))
    return State(
        ready=condition(item, "Complete").get("status") == "True",
        message=f"waiting for the Job to complete: {done} of {number(dig(item, 'spec', 'completions'))} Pods succeeded",
    )


def _pod(item: Object, _watching: Watching) -> State:
    phase = as_text(dig(item, "status", "phase"))
    ready = phase == "Succeeded" or condition(item, "Ready").get("status") == "True"
    return State(
        ready=ready,
        message=f"waiting for the Pod to be ready: phase {phase or 'unknown'}",
        failed=phase == "Failed",
    )


def _has_address(item: Object) -> bool:
    return bool(dig(item, "status", "loadBalancer", "ingress"))


def _service(item: Object, watching: Watching) -> State:
    spec = as_object(item.get("spec"))
    kind = as_text(spec.get("type"), "ClusterIP")
    if kind == "LoadBalancer" and not _has_address(item):
        return State(ready=False, message="waiting for the load balancer's address")
    if kind == "ExternalName" or spec.get("clusterIP") == "None" or not as_object(spec.get("selector")):
        return State(ready=True, message="")
    endpoints = watching.client.get(GroupKind("v1", "Endpoints"), namespace_of(item), name_of(item))
    if endpoints is None:
        return State(ready=False, message="waiting for the Service's endpoints")
    version = as_text(metadata(endpoints).get("resourceVersion"))
    if version != watching.last_endpoints:
        watching.last_endpoints, watching.settled_since = version, watching.elapsed
    listed = endpoints.get("subsets")
    subsets = [as_object(subset) for subset in listed] if isinstance(listed, list) else []
    if any(subset.get("notReadyAddresses") for subset in subsets):
        return State(ready=False, message="waiting for the Pods behind the Service to be ready")
    # Pods may only come later than their Service: no endpoint at all is accepted once it has settled.
    settled = watching.elapsed - watching.settled_since >= SETTLE_SECONDS
    ready = any(subset.get("addresses") for subset in subsets) or settled
    return State(ready=ready, message="waiting for the Service's endpoints to settle")


def _ingress(item: Object, _watching: Watching) -> State:
    return State(ready=_has_address(item), message="waiting for the Ingress controller to give an address")


def _volume(item: Object, _watching: Watching) -> State:
    phase = as_text(dig(item, "status", "phase"))
    return State(
        ready=phase in ("Available", "Bound"), message=f"waiting for the volume: phase {phase or 'unknown'}"
    )


def _claim(item: Object, watching: Watching) -> State:
    phase = as_text(dig(item, "status", "phase"))
    if phase == "Bound":
        return State(ready=True, message="")
    name = as_text(dig(item, "spec", "storageClassName"))
    storage_class = (
        watching.client.get(GroupKind("storage.k8s.io/v1", "StorageClass"), "", name) if name else None
    )
    waits = storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
    return State(
        ready=waits and phase == "Pending",
        message=f"waiting for the claim to be bound: phase {phase or 'unknown'}",
    )


CHECKS: dict[GroupKind, Check] = {
    GroupKind("apps/v1", "Deployment"): _deployment,
    GroupKind("apps/v1", "StatefulSet"): _stateful_set,
    GroupKind("apps/v1", "DaemonSet"): _daemon_set,
    GroupKind("batch/v1", "Job"): _job,
    GroupKind("v1", "Pod"): _pod,
    GroupKind("v1", "Service"): _service,
    GroupKind("networking.k8s.io/v1", "Ingress"): _ingress,
    GroupKind("v1", "PersistentVolume"): _volume,
    GroupKind("v1", "PersistentVolumeClaim"): _claim,
}

# Not awaited when an object is only looked at (refresh), as there.
READ_CHECKS = {kind: check for kind, check in CHECKS.items() if not kind.kind.startswith("PersistentVolume")}

_DEFAULT_SECONDS = 600.0
_CLAIM_SECONDS = 300.0


def default_timeout(kind: GroupKind) -> float:
    """How long an object may take when neither the program nor an annotation says, in seconds."""
    return _CLAIM_SECONDS if kind.kind.startswith("PersistentVolume") else _DEFAULT_SECONDS


def established(item: Object) -> bool:
    """Whether a CustomResourceDefinition's type can be used."""
    return condition(item, "Established").get("status") == "True"


def pod_problems(client: Client, item: Object) -> list[str]:
    """Why the Pods of a workload are not ready, in the words of Kubernetes: image pull errors, crashes, no
    node.
    """
    labels = as_object(dig(item, "spec", "selector", "matchLabels"))
    if not labels:
        return []
    selector = ",".join(f"{key}={as_text(value)}" for key, value in labels.items())
    problems: list[str] = []
    for pod in client.list(GroupKind("v1", "Pod"), namespace_of(item), labelSelector=selector):
        scheduled = condition(pod, "PodScheduled")
        if scheduled.get("status") == "False":
            problems.append(f"Pod {name_of(pod)}: not scheduled: {as_text(scheduled.get('message'))}")
        for section in ("initContainerStatuses", "containerStatuses"):
            listed = dig(pod, "status", section)
            for entry in listed if isinstance(listed, list) else []:
                waiting = as_object(dig(entry, "state", "waiting"))
                reason = as_text(waiting.get("reason"))
                if reason and reason not in ("ContainerCreating", "PodInitializing"):
                    container = as_text(as_object(entry).get("name"))
                    problems.append(
                        f"Pod {name_of(pod)}: container {container}: [{reason}] "
                        f"{as_text(waiting.get('message'))}"
                    )
    return problems[:10]

"""A stack on a cluster, by its API server."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from components.model.naming import object_name
from toolchain.failure import ToolchainError
from toolchain.offline.plugins.kubernetes.client import ApiError
from toolchain.offline.plugins.kubernetes.objects import GroupKind, metadata, name_of
from toolchain.offline.plugins.provider import ProviderError
from toolchain.offline.plugins.values import Object, as_object, as_text, dig
from toolchain.tasks_kubernetes import Cluster, read_status
from toolchain.verify.running import Opening, RunningError, Unit

if TYPE_CHECKING:
    from components.settings.kubernetes import Kubernetes

_POD: Final = GroupKind("v1", "Pod")
_SERVICE: Final = GroupKind("v1", "Service")
_COMPONENT: Final = "app.kubernetes.io/component"
_INSTANCE: Final = "app.kubernetes.io/instance"
_FOR_MEMORY: Final = "OOMKilled"


class KubernetesCluster:
    """See `Running`."""

    def __init__(self, cluster: Cluster, context: str | None = None) -> None:
        self._cluster, self._context = cluster, context

    @classmethod
    def connect(cls, stack: str, settings: Kubernetes) -> KubernetesCluster:
        """The cluster of the kubeconfig. `RunningError` for one that cannot be used."""
        try:
            found = Cluster.connect(stack, str(settings.namespace), settings.context)
        except ToolchainError as error:
            raise RunningError(str(error)) from None
        return cls(found, settings.context)

    def units(self) -> Sequence[Unit]:
        return sorted((_unit(pod) for pod in self._pods()), key=lambda unit: unit.name)

    def openings(self) -> Sequence[Opening]:
        found: list[Opening] = []
        for service in self._list(_SERVICE):
            found += _opened_by_service(service)
        for pod in self._list(_POD):
            found += _opened_by_pod(pod)
        return sorted(found, key=lambda one: (one.owner, one.kind, one.port))

    def strangers(self) -> Sequence[str]:
        """Nobody: on a cluster NetworkPolicies choose by label, and the namespace may hold others."""
        return []

    def networks(self) -> Sequence[str]:
        """Each pod's own address: the API server does not tell the network of the pods."""
        addresses = [as_text(dig(pod, "status", "podIP")) for pod in self._pods()]
        return [f"{address}/{128 if ':' in address else 32}" for address in addresses if address]

    def gateways(self) -> Sequence[str]:
        return []

    def run(self, unit: Unit, command: Sequence[str], seconds: float = 15) -> tuple[int, str]:
        from toolchain.verify.pod_exec import execute

        if unit.state != "running":
            raise RunningError(f"{unit.name} does not run ({unit.state})")
        return execute(
            self._cluster.namespace,
            unit.name,
            self._main_container(unit),
            ["timeout", str(int(seconds)), *command],
            seconds=seconds + 5,
            context=self._context,
        )

    def restart(self, unit: Unit) -> None:
        try:
            self._cluster.client.delete(_POD, self._cluster.namespace, unit.name, "Background")
        except ProviderError as error:
            raise RunningError(f"{unit.name} cannot be restarted: {error}") from None

    def logs(self, unit: Unit, *, lines: int = 2000) -> str:
        query = {"tailLines": str(lines)}
        if (main := self._main_container(unit)) is not None:
            query["container"] = main
        path = f"{self._cluster.client.path(_POD, self._cluster.namespace, unit.name)}/log"
        try:
            return self._cluster.client.text(path, query)
        except ProviderError as error:
            raise RunningError(f"the log of {unit.name} cannot be read: {error}") from None

    def statuses(self) -> Mapping[str, Mapping[str, object]]:
        complaints: list[str] = []
        try:
            found = read_status(self._cluster, complain=complaints.append)
        except ToolchainError as error:
            raise RunningError(str(error)) from None
        if complaints and not found:
            raise RunningError(complaints[0])
        return found

    def ask(self, workload: str, port: int, path: str) -> tuple[int, str]:
        service = f"{object_name(workload)}:{port}"
        prefix = self._cluster.client.path(_SERVICE, self._cluster.namespace)
        try:
            return 200, self._cluster.client.text(f"{prefix}/{service}/proxy{path}", {})
        except ApiError as error:
            return error.code, str(error)
        except ProviderError as error:
            raise RunningError(str(error)) from None

    def _pods(self) -> list[Object]:
        stack = self._cluster.stack
        return [pod for pod in self._list(_POD) if dig(pod, "metadata", "labels", _INSTANCE) == stack]

    def _list(self, kind: GroupKind) -> list[Object]:
        try:
            return self._cluster.client.list(kind, self._cluster.namespace)
        except ProviderError as error:
            raise RunningError(str(error)) from None

    def _main_container(self, unit: Unit) -> str | None:
        pod = next((one for one in self._pods() if name_of(one) == unit.name), None)
        containers = _objects(pod or {}, "spec", "containers")
        return as_text(containers[0].get("name")) if containers else None


def _unit(pod: Object) -> Unit:
    """A pod as its first container is: sidecars come after it."""
    statuses = _objects(pod, "status", "containerStatuses")
    main: Object = statuses[0] if statuses else {}
    state, last = as_object(main.get("state")), as_object(main.get("lastState"))
    phase = as_text(dig(pod, "status", "phase")) or "Unknown"
    waiting = as_text(as_object(state.get("waiting")).get("reason"))
    ended = as_object(state.get("terminated"))
    health = ""
    if "running" in state:
        health = "healthy" if all(one.get("ready") is True for one in statuses) else "unhealthy"
    code = ended.get("exitCode")
    images = [as_text(as_object(one).get("image")) for one in _objects(pod, "spec", "containers")[:1]]
    owners = [as_text(one.get("kind")) for one in _objects(pod, "metadata", "ownerReferences")]
    return Unit(
        name=name_of(pod),
        workload=as_text(dig(pod, "metadata", "labels", _COMPONENT)),
        state="running" if "running" in state else waiting or phase,
        health=health,
        restarts=sum(int(cast("Any", one.get("restartCount") or 0)) for one in statuses),
        since=_epoch(as_text(as_object(state.get("running")).get("startedAt"))),
        killed_for_memory=as_text(as_object(last.get("terminated")).get("reason")) == _FOR_MEMORY,
        images=tuple(images),
        task="Job" in owners,
        exit_code=int(cast("Any", code)) if isinstance(code, int | float) else None,
    )


def _opened_by_service(service: Object) -> list[Opening]:
    name, kind = name_of(service), as_text(dig(service, "spec", "type"))
    found: list[Opening] = []
    for port in _objects(service, "spec", "ports"):
        number, node = int(cast("Any", port.get("port") or 0)), port.get("nodePort")
        if kind == "LoadBalancer":
            found.append(Opening(owner=name, kind=kind, address="", port=number))
        elif kind == "NodePort" and node:
            found.append(Opening(owner=name, kind=kind, address="", port=int(cast("Any", node))))
        outside = dig(service, "spec", "externalIPs")
        for address in outside if isinstance(outside, list) else []:
            found.append(Opening(owner=name, kind="externalIPs", address=as_text(address), port=number))
    return found


def _opened_by_pod(pod: Object) -> list[Opening]:
    name = as_text(dig(metadata(pod), "labels", _COMPONENT)) or name_of(pod)
    found: list[Opening] = []
    if dig(pod, "spec", "hostNetwork") is True:
        found.append(Opening(owner=name, kind="hostNetwork", address="", port=0))
    for container in _objects(pod, "spec", "containers"):
        for port in _objects(container, "ports"):
            if host := port.get("hostPort"):
                address = as_text(port.get("hostIP"))
                found.append(
                    Opening(owner=name, kind="hostPort", address=address, port=int(cast("Any", host)))
                )
    return found


def _objects(item: Object, *path: str) -> list[Object]:
    found = dig(item, *path)
    return [as_object(one) for one in found] if isinstance(found, list) else []


def _epoch(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp() if text else 0

"""From a Workload to a pod: the only place where security contexts, probes and mounts are written."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from components.model.naming import object_name, selector
from components.model.workload import (
    CommandCheck,
    ConfigFiles,
    Device,
    HttpCheck,
    Mount,
    Placement,
    Port,
    Probe,
    Relaxation,
    Resources,
    Scratch,
    SecretFiles,
    Sidecar,
    Storage,
    Workload,
)
from components.platform.kubernetes.existing_secrets import Entry, Located, script, sources
from components.versions import current

Manifest = dict[str, Any]
SERVICE_ACCOUNT = "immich"
_LONGEST_NAME = 63
_STARTUP_PERIOD: Final = 2
"""Seconds between two looks at a start. Nothing else is asked before the first success, so what starts in a second is
Ready no sooner than the second look, and whoever waits for it starts as much later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodContext:
    """Names that pods need and the platform knows."""

    claims: Mapping[str, str]
    """Volume name -> claim name."""
    secrets: Mapping[str, str]
    """Logical secret name -> object name."""
    labels: Mapping[str, str]
    """Labels for the pod beside the selector."""
    located: Mapping[str, Located] = field(default_factory=dict[str, Located])
    """Logical name -> where the items are of a secret that is not one Secret alone."""


def pod_template(workload: Workload, context: PodContext, annotations: Mapping[str, Any]) -> Manifest:
    """The pod template of a workload. `annotations` may hold Pulumi outputs."""
    volumes, mounts = _volumes(workload, context)
    composers, read = composing(workload.mounts, context)
    spec: Manifest = {
        **common(workload.user, workload.group, workload.supplemental_groups, workload.termination_grace),
        "initContainers": composers,
        "containers": [
            container(workload, mounts),
            *(_sidecar(sidecar, mounts) for sidecar in workload.sidecars),
        ],
        "volumes": [*volumes, *read],
        **placement(workload.placement, workload.architecture),
    }
    if workload.gpu is not None and workload.gpu.runtime_class is not None:
        spec["runtimeClassName"] = workload.gpu.runtime_class
    if workload.replicas > 1:
        spec["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector(workload.name)},
            }
        ]
    return template(workload.name, spec, workload.relaxations, context, annotations)


def template(
    name: str,
    spec: Manifest,
    relaxations: Sequence[Relaxation],
    context: PodContext,
    annotations: Mapping[str, Any],
) -> Manifest:
    """A pod template of `spec` with the labels that policies and Services select."""
    metadata: Manifest = {"labels": {**context.labels, **selector(name)}}
    # Whoever reviews the pod sees why it is held less tightly.
    reasons = {f"relaxation.immich/{step.what}": step.reason for step in relaxations}
    if annotations or reasons:
        metadata["annotations"] = {**reasons, **annotations}
    return {
        "metadata": metadata,
        "spec": {key: value for key, value in spec.items() if value not in ({}, [])},
    }


def common(user: int, group: int, supplemental_groups: Sequence[int], termination_grace: int) -> Manifest:
    """What every pod of Immich has: its account without a token, its user, its way of asking for names."""
    return {
        "serviceAccountName": SERVICE_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": termination_grace,
        "securityContext": _pod_security(user, group, supplemental_groups),
        "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
    }


def placement(where: Placement, architecture: str | None = None) -> Manifest:
    """Node selector, tolerations and priority, as a pod has them."""
    labels = {**({"kubernetes.io/arch": architecture} if architecture else {}), **where.node_selector}
    spec: Manifest = {}
    if labels:
        spec["nodeSelector"] = labels
    if where.tolerations:
        spec["tolerations"] = [
            {
                name: value
                for name, value in (
                    ("key", taint.key),
                    ("operator", taint.operator),
                    ("value", taint.value),
                    ("effect", taint.effect),
                )
                if value is not None
            }
            for taint in where.tolerations
        ]
    if where.priority_class is not None:
        spec["priorityClassName"] = where.priority_class
    return spec


def resources(amounts: Resources) -> Manifest:
    """Requests and limits of a container."""
    return {
        "requests": {"cpu": str(amounts.cpu_request), "memory": str(amounts.memory_request)},
        "limits": {"cpu": str(amounts.cpu_limit), "memory": str(amounts.memory_limit)},
    }


def _relaxed(workload: Workload, what: str) -> bool:
    return any(relaxation.what == what for relaxation in workload.relaxations)


def _pod_security(user: int, group: int, supplemental_groups: Sequence[int]) -> Manifest:
    context: Manifest = {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": group,
        "fsGroup": group,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if supplemental_groups:
        context["supplementalGroups"] = list(supplemental_groups)
    return context


def _container_security(workload: Workload) -> Manifest:
    if _relaxed(workload, "privileged"):
        return {"privileged": True, "readOnlyRootFilesystem": not _relaxed(workload, "writable-root")}
    return _hardened(writable_root=_relaxed(workload, "writable-root"))


def _hardened(*, writable_root: bool = False) -> Manifest:
    return {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": not writable_root,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container(workload: Workload, mounts: list[Manifest]) -> Manifest:
    """The container of a workload."""
    amounts = resources(workload.resources)
    if workload.gpu is not None and workload.gpu.resource is not None:
        amounts["limits"][workload.gpu.resource] = str(workload.gpu.count)
    body: Manifest = {
        "name": workload.name,
        "image": str(workload.image) if isinstance(workload.image, str) else workload.image,
        "command": list(workload.command),
        "args": list(workload.args),
        "env": [{"name": name, "value": value} for name, value in sorted(workload.env.items())],
        "ports": _ports(workload.ports),
        "resources": amounts,
        "securityContext": _container_security(workload),
        "volumeMounts": mounts,
    }
    if workload.liveness is not None:
        probe = workload.liveness
        if probe.startup_budget is not None:
            period = min(probe.period, _STARTUP_PERIOD)
            body["startupProbe"] = {
                **_check(probe),
                "periodSeconds": period,
                "timeoutSeconds": probe.timeout,
                "failureThreshold": math.ceil(probe.startup_budget / period),
            }
        if probe.restarts:
            body["livenessProbe"] = _probe(probe)
    if workload.readiness is not None:
        body["readinessProbe"] = _probe(workload.readiness)
    return {key: value for key, value in body.items() if value not in ([], {})}


def _sidecar(sidecar: Sidecar, mounts: list[Manifest]) -> Manifest:
    container: Manifest = {
        "name": sidecar.name,
        "image": str(sidecar.image),
        "args": list(sidecar.args),
        "ports": _ports(sidecar.ports),
        "resources": resources(sidecar.resources),
        "securityContext": _hardened(),
        "volumeMounts": [dict(one) for one in mounts if one["mountPath"] == sidecar.configuration],
    }
    if sidecar.readiness is not None:
        container["readinessProbe"] = _probe(sidecar.readiness)
    return {key: value for key, value in container.items() if value not in ([], {})}


def _ports(ports: Sequence[Port]) -> list[Manifest]:
    return [{"name": port.name, "containerPort": port.number, "protocol": "TCP"} for port in ports]


def _probe(probe: Probe) -> Manifest:
    return {
        **_check(probe),
        "periodSeconds": probe.period,
        "timeoutSeconds": probe.timeout,
        "failureThreshold": probe.failures,
    }


def _check(probe: Probe) -> Manifest:
    match probe.check:
        case HttpCheck(port=port, path=path):
            return {"httpGet": {"path": path, "port": port, "scheme": "HTTP"}}
        case CommandCheck(command=command):
            return {"exec": {"command": list(command)}}


def _volumes(workload: Workload, context: PodContext) -> tuple[list[Manifest], list[Manifest]]:
    volumes: dict[str, Manifest] = {}
    mounts: list[Manifest] = []
    for index, mount in enumerate(workload.mounts):
        volume, mounted = volume_of(mount, index, context)
        volumes.setdefault(str(volume["name"]), volume)
        mounts.append({"name": volume["name"], **mounted})
    return list(volumes.values()), mounts


def is_made(mount: SecretFiles, located: Located) -> bool:
    """Whether the pod puts together files of the mount."""
    return any(item in located.made for item in mount.items)


def composing(mounts: Sequence[Mount], context: PodContext) -> tuple[list[Manifest], list[Manifest]]:
    """Containers that write files made of several secrets before the pod starts, and the volumes that they read."""
    containers: list[Manifest] = []
    volumes: list[Manifest] = []
    for mount in mounts:
        if not isinstance(mount, SecretFiles) or mount.secret not in context.located:
            continue
        located = context.located[mount.secret]
        if not is_made(mount, located):
            continue
        name = f"secret-{mount.secret}"
        containers.append(
            {
                "name": name,
                "image": str(current("busybox")),
                "command": ["sh", "-c", script(located, mount.items, "/read", "/written")],
                "resources": {
                    "requests": {"cpu": "10m", "memory": "16Mi"},
                    "limits": {"cpu": "100m", "memory": "32Mi"},
                },
                "securityContext": _hardened(),
                "volumeMounts": [
                    {"name": f"{name}-read", "mountPath": "/read", "readOnly": True},
                    {"name": name, "mountPath": "/written"},
                ],
            }
        )
        volumes.append({"name": f"{name}-read", **_projected(sources(located, mount.items))})
    return containers, volumes


def _projected(files: Mapping[str, Entry]) -> Manifest:
    """Files of several Secrets in one folder, by their paths."""
    listed = [
        {"secret": {"name": name, "items": [{"key": key, "path": path}]}}
        for path, (name, key) in files.items()
    ]
    return {"projected": {"defaultMode": 0o440, "sources": listed}}


def volume_name(volume: str) -> str:
    """A pod's names for volumes have at most 63 characters; a library's name alone may have that many."""
    if len(volume) <= _LONGEST_NAME:
        return volume
    return f"{volume[: _LONGEST_NAME - 9]}-{hashlib.sha256(volume.encode()).hexdigest()[:8]}"


def volume_of(mount: Mount, index: int, context: PodContext) -> tuple[Manifest, Manifest]:
    """The pod's volume for a mount, and the mount without the volume's name; `index` tells apart what has no name."""
    match mount:
        case Storage():
            claim: Manifest = {"claimName": context.claims[mount.volume]}
            if mount.read_only:
                claim["readOnly"] = True
            mounted: Manifest = {"mountPath": mount.path}
            if mount.read_only:
                mounted["readOnly"] = True
            if mount.sub_path is not None:
                mounted["subPath"] = mount.sub_path
            return {"name": volume_name(mount.volume), "persistentVolumeClaim": claim}, mounted
        case Scratch():
            empty: Manifest = {"sizeLimit": str(mount.size)}
            if mount.memory:
                empty["medium"] = "Memory"
            return {"name": f"scratch-{index}", "emptyDir": empty}, {"mountPath": mount.path}
        case SecretFiles() if mount.secret in context.located:
            located = context.located[mount.secret]
            source: Manifest = (
                {"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
                if is_made(mount, located)
                else _projected({file: located.entries[item] for item, file in mount.items.items()})
            )
            return {"name": f"secret-{mount.secret}", **source}, {"mountPath": mount.path, "readOnly": True}
        case SecretFiles():
            source = {
                "secretName": context.secrets[mount.secret],
                "defaultMode": 0o440,
                "items": [{"key": key, "path": file} for key, file in mount.items.items()],
            }
            return {"name": f"secret-{mount.secret}", "secret": source}, {
                "mountPath": mount.path,
                "readOnly": True,
            }
        case ConfigFiles():
            return (
                {
                    "name": f"config-{mount.name}",
                    "configMap": {"name": object_name(mount.name), "defaultMode": 0o444},
                },
                {"mountPath": mount.path, "readOnly": True},
            )
        case Device():
            return (
                {"name": f"device-{index}", "hostPath": {"path": mount.path}},
                {"mountPath": mount.path, **({"readOnly": True} if mount.read_only else {})},
            )

"""From a Workload to a container's inputs: where its limits, rights, checks and mounts are written. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from components.model.exposure import TraefikSpec
from components.model.workload import (
    ConfigFiles,
    Device,
    Gpu,
    HttpCheck,
    Probe,
    Resources,
    Scratch,
    SecretFiles,
    Sidecar,
    Storage,
    Workload,
)
from components.platform.docker import traefik
from components.platform.docker.networks import published
from components.platform.docker.objects import Inputs, labelled
from components.platform.docker.options import DockerPlatformArgs
from components.platform.inputs import assignment

_MIB = 2**20
_SHARES_OF_A_CORE = 1024
_PERIOD = 100_000
"""Microseconds in which the CPU time is counted: the engine's default."""
_HOSTNAME = 63
"""The most that the kernel takes for a host's name."""
_PROCESSES = 16384
"""Processes and threads of the container's user on the whole host: the provider has no limit for one container, so this
only stops what multiplies without end."""
_RECORDED = ("cpuPeriod", "cpuQuota", "healthcheck", "tmpfs")
"""Inputs whose change the provider writes down and does not carry out."""
_OF_THE_IMAGE = "workingDir"
"""What a refresh reads back of the image and a program that does not give it is taken to remove."""
_PODMAN_ADDS = ("capabilities", "cpus", "logOpts", "mounts", "securityOpts", "tmpfs", "ulimits")
"""Inputs that Podman gives back otherwise than it got them: each would replace the container at every update."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """Where a volume of the deployment is: a volume of the engine, or a folder of the host."""

    volume: str | None = None
    path: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerContext:
    """What the platform knows about a container's surroundings."""

    options: DockerPlatformArgs
    image: Any
    """Id of its image; an output."""
    networks: tuple[tuple[Any, str | None], ...]
    """Names of its networks, outputs for those of this stack, each with the name that others call the container by
    there; None where other stacks are as well."""
    folders: Mapping[str, Folder]
    """Volumes by their short name."""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Volume of the engine by the path that its files are mounted at."""
    labels: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Labels beside its own; values may be outputs."""


def container(workload: Workload, context: ContainerContext, copy: int = 0) -> Inputs:
    """One copy of a workload."""
    options = context.options
    inputs: Inputs = {
        "name": container_name(workload.name, options, copy),
        "image": context.image,
        # Engines since 25 let others find a container by it: it must be no other stack's.
        "hostname": container_name(workload.name, options, copy)[:_HOSTNAME],
        "user": f"{workload.user}:{workload.group}",
        "envs": [assignment(name, value) for name, value in sorted(workload.env.items())],
        "networksAdvanced": [
            {"name": name} if alias is None else {"name": name, "aliases": [alias]}
            for name, alias in context.networks
        ],
        "stopTimeout": workload.termination_grace,
        "destroyGraceSeconds": workload.termination_grace,
        **_common(options, workload.resources, workload.priority.niceness),
        **_rights(workload),
        **_mounts(workload, context),
        **_gpu(workload.gpu, options),
    }
    if not context.networks:
        inputs["networkMode"] = "none"
        del inputs["networksAdvanced"]
    if workload.command:
        inputs["entrypoints"] = list(workload.command)
    if workload.args:
        inputs["command"] = list(workload.args)
    if workload.supplemental_groups:
        inputs["groupAdds"] = [str(group) for group in workload.supplemental_groups]
    if workload.priority.lock_memory:
        inputs["ulimits"] = [*inputs["ulimits"], {"name": "memlock", "soft": -1, "hard": -1}]
    if options.dns:
        inputs["dns"] = list(options.dns)
    if ports := published(workload):
        inputs["ports"] = [
            {"internal": one.port, "external": one.listen, "ip": one.address, "protocol": "tcp"}
            for one in ports
        ]
    inputs |= _health(
        workload.readiness or workload.liveness,
        workload.liveness,
        workload.start_timeout,
        podman=options.podman,
    )
    reasons = {f"relaxation.immich/{step.what}": step.reason for step in workload.relaxations}
    routes: dict[str, str] = {}
    for way in workload.ways:
        if isinstance(way, TraefikSpec):
            routes |= traefik.labels(way, options.prefix)
    inputs["labels"] = labelled(
        {**_labels(workload.name, options), **reasons, **routes, **context.labels, **_hidden(inputs, options)}
    )
    return inputs


def sidecar(one: Sidecar, workload: Workload, context: ContainerContext, beside: Any) -> Inputs:
    """A second container in the network of the first, whose id is `beside`."""
    options = context.options
    name = f"{workload.name}-{one.name}"
    inputs: Inputs = {
        "name": container_name(name, options),
        "image": context.image,
        "user": f"{workload.user}:{workload.group}",
        "networkMode": beside,
        "readOnly": True,
        "capabilities": {"drops": ["ALL"]},
        "securityOpts": ["no-new-privileges:true"],
        **_common(options, one.resources, 0),
    }
    if one.args:
        inputs["command"] = list(one.args)
    if one.configuration is not None:
        inputs["mounts"] = [_files(one.configuration, context)]
    inputs["labels"] = labelled({**_labels(name, options), **_hidden(inputs, options)})
    return inputs


def ignored(options: DockerPlatformArgs) -> tuple[str, ...]:
    """Inputs whose differences are the engine's own; a label has the hash of what this program gave."""
    return (_OF_THE_IMAGE, *(_PODMAN_ADDS if options.podman else ()))


def container_name(workload: str, options: DockerPlatformArgs, copy: int = 0) -> str:
    """`immich-<stack>-<workload>`; further copies have a number."""
    return f"{options.prefix}-{workload}{f'-{copy + 1}' if copy else ''}"


def _labels(workload: str, options: DockerPlatformArgs) -> dict[str, str]:
    return {"immich.stack": options.stack, "immich.workload": workload}


def _hidden(inputs: Inputs, options: DockerPlatformArgs) -> dict[str, str]:
    """A hash of inputs whose change alone would change nothing: as a label it makes the container anew."""
    names = (*_RECORDED, *ignored(options))
    text = json.dumps({name: inputs[name] for name in names if name in inputs}, sort_keys=True)
    return {"immich.inputs": hashlib.sha256(text.encode()).hexdigest()[:16]}


def _common(options: DockerPlatformArgs, amounts: Resources, niceness: int) -> Inputs:
    memory = math.ceil(amounts.memory_limit.amount / _MIB)
    return {
        "restart": options.restart,
        "mustRun": True,
        "memory": memory,
        # As much with swap as without: swapping would only hide that it is too little.
        "memorySwap": memory,
        # Not `cpus`: engines refuse more than the machine has, and a limit above that is no mistake.
        "cpuPeriod": _PERIOD,
        "cpuQuota": round(amounts.cpu_limit.amount * _PERIOD),
        "cpuShares": _shares(amounts, niceness),
        "ulimits": [{"name": "nproc", "soft": _PROCESSES, "hard": _PROCESSES}],
        "logDriver": options.log_driver,
        "logOpts": dict(options.log_options),
    }


def _shares(amounts: Resources, niceness: int) -> int:
    """Weight of its CPU time: 1024 for a core asked for; a step of `nice` is a quarter, as the kernel has it."""
    asked = float(amounts.cpu_request.amount) * _SHARES_OF_A_CORE * 1.25**-niceness
    return max(2, min(262_144, round(asked)))


def _rights(workload: Workload) -> Inputs:
    found = {step.what for step in workload.relaxations}
    options = ["no-new-privileges:true"]
    if "unmasked-paths" in found:
        options += ["systempaths=unconfined", "apparmor=unconfined"]
    return {
        "readOnly": "writable-root" not in found,
        # `privileged` is what a cluster needs for a device; here devices are given one by one.
        "capabilities": {"drops": ["ALL"]},
        "securityOpts": options,
    }


def _mounts(workload: Workload, context: ContainerContext) -> Inputs:
    mounts: list[Inputs] = []
    labelled_folders: list[Inputs] = []
    tmpfs: dict[str, str] = {}
    devices: list[Inputs] = []
    inputs: Inputs = {}
    for mount in workload.mounts:
        match mount:
            case Storage():
                _storage(mount, context, mounts, labelled_folders)
            case Scratch():
                size = _scratch_size(mount, workload.resources)
                if mount.path == "/dev/shm":
                    inputs["shmSize"] = math.ceil(size / _MIB)
                else:
                    tmpfs[mount.path] = (
                        f"rw,nosuid,nodev,{'noexec' if mount.memory else 'exec'},mode=1777,size={size}"
                        f"{_owner(workload, context.options)}"
                    )
            case SecretFiles() | ConfigFiles():
                mounts.append(_files(mount.path, context))
            case Device() if mount.path.startswith("/dev/"):
                devices.append(_device(mount.path))
            case Device():
                mounts.append(_bind(mount.path, mount.path, mount.read_only))
            case _:
                assert_never(mount)
    if workload.gpu is not None and not _is_nvidia(workload.gpu):
        devices += [_device(path) for path in workload.gpu.devices]
    for name, value in (
        ("mounts", mounts),
        ("volumes", labelled_folders),
        ("tmpfs", tmpfs),
        ("devices", devices),
    ):
        if value:
            inputs[name] = value
    return inputs


def _owner(workload: Workload, options: DockerPlatformArgs) -> str:
    """Whose a folder in memory is: its user's, as runc gives it the mode of the image's folder at each later start.

    Where the image has no such folder that is one of root, mode 755. Podman knows neither option and needs none.
    """
    return "" if options.podman else f",uid={workload.user},gid={workload.group}"


def _files(path: str, context: ContainerContext) -> Inputs:
    return {"type": "volume", "source": context.files[path], "target": path, "readOnly": True}


def _storage(
    mount: Storage, context: ContainerContext, mounts: list[Inputs], labelled_folders: list[Inputs]
) -> None:
    if mount.sub_path is not None:
        raise ValueError(f"{mount.path}: engines older than 26 mount no part of a volume")
    add_folder(
        context.folders[mount.volume],
        mount.path,
        mounts,
        labelled_folders,
        read_only=mount.read_only,
        selinux=context.options.selinux,
    )


def add_folder(
    folder: Folder,
    target: str,
    mounts: list[Inputs],
    labelled_folders: list[Inputs],
    *,
    read_only: bool,
    selinux: bool,
) -> None:
    """Mount a volume or a folder of the host: a folder that gets a SELinux label is not among the `mounts`."""
    if folder.path is None:
        mounts.append({"type": "volume", "source": folder.volume, "target": target, "readOnly": read_only})
    elif selinux:
        labelled_folders.append(
            {
                "hostPath": folder.path,
                "containerPath": target,
                "readOnly": read_only,
                "selinuxRelabel": "z",
            }
        )
    else:
        mounts.append(_bind(folder.path, target, read_only))


def _bind(source: str, target: str, read_only: bool) -> Inputs:
    return {"type": "bind", "source": source, "target": target, "readOnly": read_only}


def _device(path: str) -> Inputs:
    return {"hostPath": path, "containerPath": path, "permissions": "rwm"}


def _scratch_size(mount: Scratch, amounts: Resources) -> int:
    """What is written there is memory on one host, so it takes a quarter of the container's at most."""
    size = int(mount.size.amount)
    return size if mount.memory else min(size, int(amounts.memory_limit.amount) // 4)


def _is_nvidia(gpu: Gpu) -> bool:
    return (gpu.resource or "").startswith("nvidia.com/")


def _gpu(gpu: Gpu | None, options: DockerPlatformArgs) -> Inputs:
    if gpu is None or not _is_nvidia(gpu):
        return {}
    if options.cdi:
        return {
            "deviceRequests": [
                {"driver": "cdi", "deviceIds": [f"nvidia.com/gpu={one}" for one in gpu.ids or ("all",)]}
            ]
        }
    return {"gpus": f"device={','.join(gpu.ids)}" if gpu.ids else "all"}


def _health(probe: Probe | None, start: Probe | None, start_timeout: int, *, podman: bool) -> Inputs:
    """The engine asks from within the container; what has no way to be asked there is well as long as it runs.

    Podman joins the words of a command and splits them at every space; what it hands to a shell it leaves as it is.
    """
    if probe is None:
        return {}
    command = probe.check.inside if isinstance(probe.check, HttpCheck) else probe.check.command
    if not command:
        return {}
    budget = start.startup_budget if start is not None else probe.startup_budget
    check: Inputs = {
        "tests": ["CMD-SHELL", shlex.join(command)]
        if podman and any(len(word.split()) != 1 for word in command)
        else ["CMD", *command],
        "interval": _go(probe.period),
        "timeout": _go(probe.timeout),
        "retries": probe.failures,
        "startPeriod": _go(budget if budget is not None else 30),
    }
    return {"healthcheck": check, "wait": True, "waitTimeout": start_timeout}


def _go(seconds: int) -> str:
    """Seconds as Go writes a duration, which is how the provider gives it back: `15m0s`."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    return f"{text}{left}s"

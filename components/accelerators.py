"""How containers reach an accelerator: resource of a device plugin or devices, groups, environment, per backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.fields.placement import GpuAccess
from components.model.workload import Device, Gpu, Relaxation


@dataclass(frozen=True, kw_only=True, slots=True)
class Accelerator:
    """What a workload gets."""

    gpu: Gpu | None = None
    devices: tuple[Device, ...] = ()
    groups: tuple[int, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    relaxations: tuple[Relaxation, ...] = ()


NO_NVIDIA = {"NVIDIA_VISIBLE_DEVICES": "void"}
"""The server image asks for every GPU; on nodes whose default runtime is nvidia it would get them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Default:
    resource: str | None = None
    devices: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])


def _nvidia(capabilities: str) -> _Default:
    return _Default(
        resource="nvidia.com/gpu",
        env={"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": capabilities},
    )


_ROCKCHIP = frozenset({"rkmpp", "rknn"})
_DEFAULTS: Mapping[str, _Default] = {
    "nvenc": _nvidia("compute,video,utility"),
    "qsv": _Default(resource="gpu.intel.com/i915", devices=("/dev/dri",), env=NO_NVIDIA),
    "vaapi": _Default(env=NO_NVIDIA),
    "rkmpp": _Default(env=NO_NVIDIA),
    "cuda": _nvidia("compute,utility"),
    "rocm": _Default(resource="amd.com/gpu", devices=("/dev/dri", "/dev/kfd")),
    "openvino": _Default(resource="gpu.intel.com/i915", devices=("/dev/dri",)),
    "armnn": _Default(),
    "rknn": _Default(),
}
"""Per backend, from docker/hwaccel.transcoding.yml and docker/hwaccel.ml.yml of immich-app/immich."""


def accelerator(backend: str, access: GpuAccess) -> Accelerator:
    """What a workload needs for `backend` (`nvenc` ... or `cuda` ...; `disabled` and `cpu` need nothing)."""
    if backend in {"disabled", "cpu"}:
        return Accelerator(groups=access.groups, env=NO_NVIDIA if backend == "disabled" else {})
    default = _DEFAULTS[backend]
    paths = access.opened(backend)
    resource = access.resource if access.resource is not None or paths else default.resource
    return Accelerator(
        gpu=Gpu(
            resource=resource,
            count=access.count,
            runtime_class=access.runtime_class,
            ids=access.ids,
            devices=default.devices,
        )
        if resource is not None or access.runtime_class is not None
        else None,
        devices=tuple(Device(path=path) for path in paths),
        groups=access.groups,
        env=default.env,
        relaxations=_relaxations(backend, paths),
    )


def _relaxations(backend: str, paths: tuple[str, ...]) -> tuple[Relaxation, ...]:
    if not paths:
        return ()
    opened = Relaxation(what="privileged", reason=f"{backend} opens {', '.join(paths)} of the host")
    if backend not in _ROCKCHIP:
        return (opened,)
    return (
        opened,
        Relaxation(what="unmasked-paths", reason=f"{backend} reads what the board is in /proc and /sys"),
    )

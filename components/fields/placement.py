"""Where pods run: node selector, tolerations, groups and GPU resources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.fields.base import Section, WholeNumber
from components.fields.grammar import ClassName, ExtendedResource, Labels, LabelValue, QualifiedName
from components.model.values import AbsolutePath


class Toleration(Section):
    """A taint that the pods put up with (Kubernetes `tolerations`)."""

    key: QualifiedName | None = None
    """The taint's key; none with `operator: Exists` means every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """`Equal` compares `value`, `Exists` does not."""
    value: LabelValue | None = None
    """The taint's value, for `Equal`."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Which effect is tolerated; none is all of them."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("operator Exists takes no value; leave it out or use Equal")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("operator Equal needs a key")
        return self


class Placement(Section):
    """Which nodes may run the pods."""

    node_selector: Labels = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints that the pods put up with."""
    priority_class: ClassName | None = None
    """An existing PriorityClass."""


HOST_DEVICES: Mapping[str, tuple[str, ...]] = {
    "vaapi": ("/dev/dri",),
    "rkmpp": ("/dev/rga", "/dev/dri", "/dev/dma_heap", "/dev/mpp_service"),
    "armnn": ("/dev/mali0",),
    "rknn": ("/dev/dri",),
}
"""Backends that open devices of the host unless a resource is named (immich-app/immich, docker/hwaccel.*.yml)."""


class GpuAccess(Section):
    """How pods reach an accelerator; every value has a default for its backend."""

    resource: ExtendedResource | None = None
    """Extended resource to ask for, such as `nvidia.com/gpu`, `gpu.intel.com/i915`, `amd.com/gpu`."""
    count: WholeNumber = Field(default=1, ge=1, le=16)
    """How many of `resource`."""
    runtime_class: ClassName | None = None
    """An existing RuntimeClass, such as `nvidia`; none uses the node's default runtime."""
    devices: tuple[AbsolutePath, ...] | None = None
    """Device paths to mount from the host instead of asking for a resource, such as `/dev/dri`."""
    ids: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")], ...] = ()
    """Which NVIDIA GPUs of the host, by number or UUID, where there is no device plugin; none is all of them."""
    groups: tuple[Annotated[WholeNumber, Field(ge=0, le=2**31 - 1)], ...] = ()
    """Numbers of the node's `video` and `render` groups, needed by a non-root process (immich#14050)."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.resource is not None and self.devices is not None:
            raise ValueError(
                "give resource (a device plugin hands it out) or devices (mounted from the host), not both"
            )
        return self

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        for name, given in (("devices", self.devices or ()), ("ids", self.ids), ("groups", self.groups)):
            repeated = sorted({str(one) for one in given if tuple(given).count(one) > 1})
            if repeated:
                raise ValueError(f"{name}: given twice: {', '.join(repeated)}")
        return self

    def opened(self, backend: str) -> tuple[str, ...]:
        """Devices of the host that a pod opens for `backend`; such a pod must be privileged."""
        if self.devices is not None:
            return tuple(self.devices)
        return () if self.resource is not None else HOST_DEVICES.get(backend, ())

"""Accelerators: what each backend gives a container, and what it costs in hardening."""

from __future__ import annotations

from typing import Any

import pytest

from components.accelerators import accelerator
from components.fields.placement import GpuAccess

TRANSCODING = ("nvenc", "qsv", "vaapi", "rkmpp")
LEARNING = ("cuda", "rocm", "openvino", "armnn", "rknn")


def access(**given: Any) -> GpuAccess:
    return GpuAccess.model_validate(given)


@pytest.mark.parametrize(
    ("backend", "resource", "devices"),
    [
        ("nvenc", "nvidia.com/gpu", ()),
        ("qsv", "gpu.intel.com/i915", ()),
        ("vaapi", None, ("/dev/dri",)),
        ("rkmpp", None, ("/dev/rga", "/dev/dri", "/dev/dma_heap", "/dev/mpp_service")),
        ("cuda", "nvidia.com/gpu", ()),
        ("rocm", "amd.com/gpu", ()),
        ("openvino", "gpu.intel.com/i915", ()),
        ("armnn", None, ("/dev/mali0",)),
        ("rknn", None, ("/dev/dri",)),
    ],
)
def test_a_backend_asks_for_the_resource_or_devices_that_immich_documents(
    backend: str, resource: str | None, devices: tuple[str, ...]
) -> None:
    found = accelerator(backend, access())
    assert (found.gpu.resource if found.gpu else None) == resource
    assert tuple(device.path for device in found.devices) == devices


@pytest.mark.parametrize("backend", ["disabled", "cpu"])
def test_no_acceleration_needs_nothing(backend: str) -> None:
    found = accelerator(backend, access())
    assert (found.gpu, found.devices, found.relaxations) == (None, (), ())


@pytest.mark.parametrize("backend", [*TRANSCODING, *LEARNING])
def test_only_devices_of_the_host_need_privilege_and_the_reason_names_them(backend: str) -> None:
    found = accelerator(backend, access())
    assert bool(found.relaxations) == bool(found.devices) == bool(access().opened(backend))
    if found.relaxations:
        first, *others = found.relaxations
        assert first.what == "privileged"
        assert first.reason.startswith(f"{backend} opens /dev/")
        # docker/hwaccel.*.yml of Immich unmask paths for Rockchip's boards alone.
        assert [step.what for step in others] == (["unmasked-paths"] if backend in {"rkmpp", "rknn"} else [])


@pytest.mark.parametrize("backend", [*TRANSCODING, *LEARNING])
def test_a_device_plugin_takes_the_place_of_devices_and_of_privilege(backend: str) -> None:
    given = access(resource="example.com/gpu", count=2)
    found = accelerator(backend, given)
    assert found.gpu is not None
    assert (found.gpu.resource, found.gpu.count) == ("example.com/gpu", 2)
    assert (found.devices, found.relaxations) == ((), ())
    assert not given.opened(backend)


@pytest.mark.parametrize("backend", [*TRANSCODING, *LEARNING])
def test_devices_that_are_given_take_the_place_of_the_resource(backend: str) -> None:
    found = accelerator(backend, access(devices=["/dev/dri/renderD129"], groups=[105]))
    assert found.gpu is None
    assert [device.path for device in found.devices] == ["/dev/dri/renderD129"]
    assert found.groups == (105,)
    assert access(devices=["/dev/dri/renderD129"]).opened(backend) == ("/dev/dri/renderD129",)


def test_nvidia_is_told_what_the_container_may_do_with_the_gpu() -> None:
    nvenc, cuda = (accelerator(backend, access()).env for backend in ("nvenc", "cuda"))
    assert nvenc["NVIDIA_VISIBLE_DEVICES"] == cuda["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert "video" in nvenc["NVIDIA_DRIVER_CAPABILITIES"].split(",")
    assert set(cuda["NVIDIA_DRIVER_CAPABILITIES"].split(",")) == {"compute", "utility"}


@pytest.mark.parametrize("backend", ["disabled", "qsv", "vaapi", "rkmpp"])
def test_transcoding_without_nvidia_sees_no_nvidia_gpu(backend: str) -> None:
    assert accelerator(backend, access()).env == {"NVIDIA_VISIBLE_DEVICES": "void"}


def test_a_runtime_class_is_kept_with_the_resource() -> None:
    found = accelerator("cuda", access(runtimeClass="nvidia"))
    assert found.gpu is not None
    assert (found.gpu.resource, found.gpu.runtime_class) == ("nvidia.com/gpu", "nvidia")

"""Machine learning: ours with one of six backends, somebody else's, or off."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from components.fields.base import AUTO, Deferred, Section, WholeNumber, default_kind
from components.fields.grammar import StorageClassName, each_once
from components.fields.health import Health
from components.fields.placement import GpuAccess, Placement
from components.fields.resources import Resources
from components.fields.urls import BaseUrl
from components.model.values import ImageRef, ObjectName, VolumeSize
from components.storage.settings import AccessMode

Backend = Literal["cpu", "cuda", "rocm", "openvino", "armnn", "rknn"]
ARCHITECTURES: dict[Backend, tuple[str, ...]] = {
    "cpu": ("amd64", "arm64"),
    "cuda": ("amd64",),
    "rocm": ("amd64",),
    "openvino": ("amd64",),
    "armnn": ("arm64",),
    "rknn": ("arm64",),
}
"""CPU architectures that each backend's image is built for (immich docker.yml)."""
Threads = Annotated[Annotated[WholeNumber, Field(ge=1, le=256)] | None, AUTO]


class ServiceUrl(BaseUrl):
    """Scheme, host and port: Immich asks for `/predict` there and drops a path."""

    __slots__ = ()
    accepted: ClassVar[str] = "an address such as http://192.168.1.13:3003, without path"

    @classmethod
    def check(cls, text: str) -> str:
        url = super().check(text)
        if urlsplit(url).path:
            raise ValueError(f"expected {cls.accepted}")
        return url


class ModelCache(Section):
    """The volume of downloaded models. They can be downloaded again: `make destroy` removes it."""

    size: VolumeSize = VolumeSize("10Gi")
    """Size; the default models take about 2 GB."""
    storage_class: StorageClassName | None = None
    """StorageClass; none takes the cluster's default."""
    access_mode: AccessMode = "ReadWriteOnce"
    """Several replicas need `ReadWriteMany`."""
    claim_name: ObjectName | None = None
    """Name of the claim; none is `immich-machine-learning-cache`."""


class Preload(Section):
    """Models to load at the start; names as Hugging Face's `immich-app` has them. Empty: loaded on first use."""

    clip_textual: tuple[str, ...] = ()
    """For the text of searches."""
    clip_visual: tuple[str, ...] = ()
    """For images."""
    facial_recognition_detection: tuple[str, ...] = ()
    """Finds faces."""
    facial_recognition_recognition: tuple[str, ...] = ()
    """Tells faces apart."""
    ocr_detection: tuple[str, ...] = ()
    """Finds text in images."""
    ocr_recognition: tuple[str, ...] = ()
    """Reads text in images."""


class BundledMachineLearning(Section):
    """Immich's machine-learning service, always at the server's version."""

    kind: Literal["bundled"] = "bundled"
    """`bundled`."""
    backend: Backend = "cpu"
    """Which image and devices: cpu, cuda (NVIDIA), rocm (AMD), openvino (Intel), armnn (Mali), rknn (Rockchip)."""
    architecture: Literal["amd64", "arm64"] | None = None
    """CPU architecture of the nodes; none takes what the backend is built for."""
    image: Deferred[ImageRef] | None = None
    """Another image than the table's; its tag must carry the server's version."""
    gpu: GpuAccess = GpuAccess()
    """How the pods reach the accelerator."""
    replicas: WholeNumber = Field(default=1, ge=1, le=16)
    """Number of replicas; each loads its own models, and with a GPU each needs one."""
    workers: WholeNumber = Field(default=1, ge=1, le=16)
    """Processes in a replica, each with its own models (`MACHINE_LEARNING_WORKERS`)."""
    request_threads: Threads = None
    """Requests processed at a time; auto is 1."""
    inter_op_threads: Threads = None
    """Operators run in parallel; auto is min(2, cores - 2), at least 1."""
    intra_op_threads: Threads = None
    """Threads of one operator; auto is max(1, cores - 2). Cores are those of the CPU limit."""
    model_ttl: WholeNumber = Field(default=300, ge=0, le=86_400)
    """Seconds without a request after which models are unloaded; 0 keeps them."""
    model_ttl_poll: WholeNumber = Field(default=10, ge=1, le=3_600)
    """Seconds between checks of `modelTtl`."""
    preload: Preload = Preload()
    """Models to load at the start."""
    cache: ModelCache = ModelCache()
    """Volume of downloaded models."""
    resources: Resources = Resources()
    """CPU and memory."""
    placement: Placement = Placement()
    """Node selector, tolerations and priority class."""
    niceness: WholeNumber = Field(default=0, ge=-20, le=19)
    """Share of the CPU on one host when it is short, on the scale of `nice`: -20 is the most, 19 the least."""
    lock_memory: bool = False
    """On one host: may keep memory from being swapped out, as CUDA wants to."""
    health: Health = Health()
    """Health check: interval, timeout, number of failures."""

    @model_validator(mode="after")
    def _backend_fits(self) -> Self:
        built = ARCHITECTURES[self.backend]
        if self.architecture is not None and self.architecture not in built:
            raise ValueError(
                f"backend {self.backend} is built for {' and '.join(built)} only, not for {self.architecture}"
            )
        if self.backend == "cpu" and (self.gpu.resource or self.gpu.devices or self.gpu.runtime_class):
            raise ValueError(
                "gpu is given but backend is cpu, which uses none; set backend to cuda, rocm, openvino ..."
            )
        if self.replicas > 1 and self.cache.access_mode != "ReadWriteMany":
            raise ValueError(
                f"replicas is {self.replicas} but cache.accessMode is {self.cache.access_mode}; "
                "replicas on several nodes share the model cache only with ReadWriteMany"
            )
        return self


class ExternalMachineLearning(Section):
    """Machine learning that runs elsewhere, at the server's version. It has no authentication of its own."""

    kind: Literal["external"]
    """`external`."""
    urls: Annotated[tuple[Deferred[ServiceUrl], ...], Field(min_length=1), AfterValidator(each_once)]
    """Addresses, tried in this order: `http://192.168.1.13:3003`."""


class NoMachineLearning(Section):
    """No smart search, faces or text recognition."""

    kind: Literal["off"]
    """`off`."""


MachineLearning = Annotated[
    BundledMachineLearning | ExternalMachineLearning | NoMachineLearning,
    Field(discriminator="kind"),
    default_kind("bundled"),
]

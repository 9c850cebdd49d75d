"""Machine learning: Immich's own service with one of six backends, somebody else's, or none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import pulumi

from components import versions
from components.accelerators import accelerator
from components.machine_learning.settings import (
    ARCHITECTURES,
    BundledMachineLearning,
    ExternalMachineLearning,
    NoMachineLearning,
    Preload,
)
from components.model.connection import HttpService
from components.model.values import ImageRef, Quantity
from components.model.workload import (
    Egress,
    HttpCheck,
    Ingress,
    Link,
    Mount,
    Port,
    Priority,
    Probe,
    Scratch,
    VolumeRequest,
    Workload,
)
from components.model.workload import Storage as Mounted
from components.platform.base import Platform
from components.sizing import healthy, inter_op_threads, intra_op_threads, placement, resources, whole_cores

NAME = "machine-learning"
_PORT = 3003
_PING = HttpCheck(
    port="http",
    path="/ping",
    inside=(
        "python3",
        "-c",
        f"import urllib.request as u; u.urlopen('http://127.0.0.1:{_PORT}/ping', timeout=9)",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MachineLearningArgs:
    """What `MachineLearning` is made of."""

    platform: Platform
    """Where it runs: a `KubernetesPlatform` or a `DockerPlatform`."""
    settings: BundledMachineLearning | ExternalMachineLearning | NoMachineLearning = field(
        default_factory=BundledMachineLearning
    )
    """Ours with one of six backends, somebody else's, or none, as the section `immich:machineLearning` has it."""
    version: str = versions.NEWEST
    """Release of Immich, such as 3.3.1: the same as the server's."""
    libraries: tuple[Mounted, ...] = ()
    """External libraries that it sees as well."""
    user: int = 1000
    """Number of the user that it runs as."""
    group: int = 1000
    """Number of that user's group."""
    allow: tuple[Ingress, ...] = ()
    """Who may connect beside the server that is given its `service`."""
    after: tuple[pulumi.Resource, ...] = ()
    """What comes before a new release."""


class MachineLearning(pulumi.ComponentResource):
    """Machine learning and its cache of models, on CPU or GPU. It has no authentication: isolation keeps others away.

    On a cluster: Deployment, Service and PersistentVolumeClaim.
    On a host: a container with a volume and the devices of its backend, and a network with those that connect.
    """

    service: HttpService
    """For the server: addresses and links; no address when it is off."""
    url: pulumi.Output[str] | None
    """Its address, as workloads that may connect reach it; None when it is off."""

    def __init__(
        self, name: str, args: MachineLearningArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("immich:index:MachineLearning", name, {}, opts)
        self.service, self.url = HttpService(), None
        match args.settings:
            case BundledMachineLearning():
                cache = args.settings.cache
                args.platform.volume(
                    VolumeRequest(
                        name=f"{name}-cache",
                        size=cache.size,
                        access_mode=cache.access_mode,
                        storage_class=cache.storage_class,
                        claim_name=cache.claim_name,
                        holds_data=False,
                    ),
                    parent=self,
                )
                args.platform.workload(
                    replace(
                        workload(
                            args.settings, args.version, args.libraries, args.user, args.group, name=name
                        ),
                        ingress=args.allow,
                    ),
                    parent=self,
                    after=args.after,
                )
                self.service = HttpService(
                    urls=(f"http://{args.platform.address(name)}:{_PORT}",), link=Link(to=name, port=_PORT)
                )
                self.url = pulumi.Output.from_input(f"http://{args.platform.full_address(name)}:{_PORT}")
            case ExternalMachineLearning():
                urls = args.settings.urls
                self.service = HttpService(urls=urls, egress=tuple(_outside(url) for url in urls))
                self.url = pulumi.Output.from_input(urls[0])
            case NoMachineLearning():
                pass
        self.register_outputs({"url": self.url})


def image(settings: BundledMachineLearning, version: str) -> ImageRef | pulumi.Output[str]:
    """Its image: the table's, or the one given."""
    return settings.image or versions.machine_learning_image(version, settings.backend)


def workload(
    settings: BundledMachineLearning,
    version: str,
    libraries: tuple[Mounted, ...],
    user: int,
    group: int,
    *,
    name: str = NAME,
) -> Workload:
    """The service. Its first answer comes after preloaded models were downloaded, so the start may take long."""
    amounts = resources("machineLearning", settings.resources)
    cores = whole_cores(amounts.cpu_limit)
    device = accelerator(settings.backend, settings.gpu)
    preloads = preload_environment(settings.preload)
    env = {
        # The default [::] fails on nodes without IPv6 (immich#24413).
        "IMMICH_HOST": "0.0.0.0",  # noqa: S104 - inside a pod that only links reach
        "IMMICH_PORT": str(_PORT),
        "MACHINE_LEARNING_CACHE_FOLDER": "/cache",
        "TRANSFORMERS_CACHE": "/cache",
        "HF_HOME": "/cache/hf-cache",
        "HF_XET_CACHE": "/cache/huggingface-xet",
        "MPLCONFIGDIR": "/cache/matplotlib-config",
        "MACHINE_LEARNING_WORKERS": str(settings.workers),
        "MACHINE_LEARNING_MODEL_TTL": str(settings.model_ttl),
        "MACHINE_LEARNING_MODEL_TTL_POLL_S": str(settings.model_ttl_poll),
        # The default is the node's CPU count, whatever the limit (immich_ml/config.py).
        "MACHINE_LEARNING_REQUEST_THREADS": str(settings.request_threads or 1),
        "MACHINE_LEARNING_MODEL_INTER_OP_THREADS": str(settings.inter_op_threads or inter_op_threads(cores)),
        "MACHINE_LEARNING_MODEL_INTRA_OP_THREADS": str(settings.intra_op_threads or intra_op_threads(cores)),
        **preloads,
        **device.env,
    }
    mounts: list[Mount] = [
        Mounted(volume=f"{name}-cache", path="/cache"),
        Scratch(path="/tmp", size=Quantity("4Gi")),
        *libraries,
        *device.devices,
    ]
    if versions.machine_learning_writes_home(version):
        mounts += [
            Scratch(path="/.cache", size=Quantity("256Mi")),
            Scratch(path="/.config", size=Quantity("64Mi")),
        ]
    budget = 1800 if preloads else 600
    return Workload(
        name=name,
        image=image(settings, version),
        resources=amounts,
        user=user,
        group=group,
        env=env,
        ports=(Port(name="http", number=_PORT),),
        # A model being loaded keeps the process busy for longer than the usual second (immich-charts#27).
        liveness=Probe(check=_PING, timeout=10, failures=6, startup_budget=budget),
        readiness=healthy(Probe(check=_PING, timeout=10), settings.health),
        mounts=tuple(mounts),
        replicas=settings.replicas,
        # One GPU, or one cache that can be mounted once: the old copy must go first.
        exclusive=settings.cache.access_mode != "ReadWriteMany" or device.gpu is not None,
        supplemental_groups=device.groups,
        gpu=device.gpu,
        egress=(
            Egress(
                reason="download of models",
                names=("huggingface.co", "*.huggingface.co", "*.hf.co", "*.xethub.hf.co"),
            ),
        ),
        termination_grace=60,
        start_timeout=budget + 300,
        relaxations=device.relaxations,
        priority=Priority(niceness=settings.niceness, lock_memory=settings.lock_memory),
        placement=placement(settings.placement),
        architecture=settings.architecture
        or (ARCHITECTURES[settings.backend][0] if len(ARCHITECTURES[settings.backend]) == 1 else None),
    )


def preload_environment(preload: Preload) -> dict[str, str]:
    """Variables of models to load at the start; the names of Immich 3, which 2.x knows too."""
    given = {
        "CLIP__TEXTUAL": preload.clip_textual,
        "CLIP__VISUAL": preload.clip_visual,
        "FACIAL_RECOGNITION__DETECTION": preload.facial_recognition_detection,
        "FACIAL_RECOGNITION__RECOGNITION": preload.facial_recognition_recognition,
        "OCR__DETECTION": preload.ocr_detection,
        "OCR__RECOGNITION": preload.ocr_recognition,
    }
    return {f"MACHINE_LEARNING_PRELOAD__{name}": ",".join(models) for name, models in given.items() if models}


def _outside(url: str | pulumi.Output[str]) -> Egress:
    reason = "machine learning elsewhere"
    if isinstance(url, str):
        return Egress.to_host(reason, *_host_and_port(url))
    both = url.apply(_host_and_port)
    return Egress.to_host(reason, both.apply(lambda known: known[0]), both.apply(lambda known: known[1]))


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]

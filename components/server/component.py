"""The Immich server: one pod with both workers, or API and background pods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from components import versions
from components.accelerators import NO_NVIDIA, Accelerator, accelerator
from components.model.connection import Connection, DirectExposure, HttpService
from components.model.values import ImageRef, Quantity
from components.model.watch import UNSEEN, Seen
from components.model.workload import (
    CommandCheck,
    Egress,
    HttpCheck,
    Ingress,
    Link,
    Mount,
    Port,
    Probe,
    Scratch,
    SecretFiles,
    Workload,
    scrapers,
)
from components.model.workload import Storage as Mounted
from components.platform.base import Platform
from components.secrets.component import Secrets
from components.server.app.file import AppFile
from components.server.egress import MAP_TILES, VERSION_CHECK
from components.server.settings import Metrics, SplitWorkers
from components.server.settings import Server as ServerSettings
from components.sizing import healthy, placement, resources
from components.templates import render

NAME = "server"
MICROSERVICES = "microservices"
PORT = 2283
_CONFIG_FOLDER = "/run/secrets/app"
_HEALTH_SCRIPT = "/usr/src/app/server/bin/immich-healthcheck"
_GRACE_OF_JOBS = 120
_TIME_TO_END = 5
"""Seconds of the grace that are left for Immich itself, which is gone within one (seen: 2.5.0, 2.7.5, 3.0.3)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerArgs:
    """What `Server` is made of."""

    platform: Platform
    """Where it runs: a `KubernetesPlatform` or a `DockerPlatform`."""
    settings: ServerSettings = field(default_factory=ServerSettings)
    """Version, workers, transcoding, metrics, as the section `immich:server` has them."""
    database: Connection
    """`Database.connection`."""
    cache: Connection
    """`Cache.connection`."""
    machine_learning: HttpService = field(default_factory=HttpService)
    """`MachineLearning.service`; the default has none."""
    mounts: tuple[Mounted, ...]
    """`Storage.mounts`."""
    shared_media: bool = False
    """`Storage.shared`."""
    app: AppFile | None = None
    """Immich's own configuration file; None leaves Immich's settings to its web page."""
    egress: tuple[Egress, ...] = (VERSION_CHECK, MAP_TILES)
    """Names outside that it talks to, beside its database, cache and machine learning."""
    exposed: DirectExposure = field(default_factory=DirectExposure)
    """How it is exposed without nginx in front; the default lets in nobody but whoever links to it."""
    allow: tuple[Ingress, ...] = ()
    """Who may connect beside a `Proxy`."""
    secrets: Secrets | None = None
    """Secrets of a deployment that `app` takes values from, and whose change restarts the server."""
    after: tuple[pulumi.Resource, ...] = ()
    """What it waits for, such as `Database.ready`."""
    monitoring_namespace: str | None = None
    """Namespace of whoever reads the metrics."""
    seen: Seen = UNSEEN
    """What follows from somebody reading them."""


class Server(pulumi.ComponentResource):
    """The server. It starts after its database and cache, and is given 15 minutes for migrations.

    On a cluster: Deployment and Service, and a second Deployment where background jobs run apart.
    On a host: a container, or two, and a network with those that connect.
    """

    ready: pulumi.Resource
    """What a proxy waits for."""
    link: Link
    """For a proxy."""
    url: pulumi.Output[str]
    """Its address, as workloads that may connect reach it."""

    def __init__(self, name: str, args: ServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Server", name, {}, opts)
        if args.app is not None and args.secrets is None:
            raise ValueError(f"{name}: `app` takes its values from `secrets`: give them as well")
        keys = tuple(
            dict.fromkeys(
                (*args.database.secrets, *args.cache.secrets, *(args.app.secrets if args.app else ()))
            )
        )
        fingerprints = args.secrets.fingerprints(keys) if args.secrets is not None else None
        ready: list[pulumi.Resource] = []
        for workload in workloads(args, name):
            # The API is registered first and runs the migrations; background jobs start once it is there.
            ready.append(
                args.platform.workload(
                    workload, parent=self, after=[*args.after, *ready], fingerprints=fingerprints
                )
            )
        self.ready, self.link = ready[0], Link(to=name, port=PORT)
        self.url = pulumi.Output.from_input(f"http://{args.platform.full_address(name)}:{PORT}")
        self.register_outputs({"url": self.url})


def image(settings: ServerSettings) -> ImageRef:
    """Its image: the table's, or the one given."""
    return settings.image or versions.server_image(settings.version)


def workloads(args: ServerArgs, name: str = NAME) -> list[Workload]:
    """One workload with both workers, or the API and then the background jobs."""
    jobs_name = MICROSERVICES if name == NAME else f"{name}-{MICROSERVICES}"
    settings = args.settings
    device = accelerator(settings.acceleration, settings.gpu)
    if not isinstance(settings.workers, SplitWorkers):
        return [_workload(args, name, "server", device, api=True, jobs=True, replicas=1)]
    no_device = Accelerator(env=NO_NVIDIA)
    return [
        _workload(args, name, "api", no_device, api=True, jobs=False, replicas=settings.workers.api_replicas),
        _workload(
            args, jobs_name, "microservices", device,
            api=False, jobs=True, replicas=settings.workers.microservices_replicas,
        ),
    ]  # fmt: skip


def _workload(
    args: ServerArgs, name: str, container: str, device: Accelerator, *, api: bool, jobs: bool, replicas: int
) -> Workload:
    settings = args.settings
    amounts = (
        settings.workers.api_resources
        if container == "api" and isinstance(settings.workers, SplitWorkers)
        else settings.resources
    )
    env = {**environment(args, name), **device.env}
    if not (api and jobs):
        env["IMMICH_WORKERS_INCLUDE"] = "api" if api else "microservices"
    mounts: list[Mount] = [
        *args.mounts,
        *args.database.mounts,
        *args.cache.mounts,
        Scratch(path="/tmp", size=Quantity("2Gi")),
        *device.devices,
    ]
    if args.app is not None:
        mounts.append(SecretFiles(secret="app", path=_CONFIG_FOLDER, items={"immich.json": "immich.json"}))
    services = (args.database, args.cache, args.machine_learning)
    grace = settings.termination_grace.seconds if api else _GRACE_OF_JOBS
    check = _check(settings.metrics, api=api)
    ports = _ports(settings.metrics, api=api, jobs=jobs)
    return Workload(
        name=name,
        image=image(settings),
        resources=resources(container, amounts),
        user=settings.user,
        group=settings.group,
        args=_args(args.cache, start_script(grace) if api else None),
        env=env,
        ports=ports,
        liveness=Probe(check=check, timeout=5, failures=6, startup_budget=settings.startup_budget.seconds),
        readiness=healthy(Probe(check=check, timeout=5), settings.health),
        mounts=tuple(mounts),
        replicas=replicas,
        # Two background workers would split people up, also for the moment of a roll-out.
        exclusive=jobs or not args.shared_media,
        supplemental_groups=device.groups,
        gpu=device.gpu,
        links=tuple(one.link for one in services if one.link is not None),
        ways=(*(args.exposed.ways if api else ()), *args.seen.of(name)),
        meets=args.seen.meets,
        egress=(*(rule for one in services for rule in one.egress), *args.egress),
        ingress=(
            *((*args.exposed.ingress, *args.allow) if api else ()),
            *scrapers(ports, args.monitoring_namespace),
        ),
        termination_grace=grace,
        start_timeout=settings.startup_budget.seconds + 300,
        relaxations=device.relaxations,
        placement=placement(settings.placement),
        revision={"app": args.app.revision} if args.app is not None else {},
    )


def environment(args: ServerArgs, name: str = NAME) -> dict[str, pulumi.Input[str]]:
    """Variables that every server pod has, whichever worker it runs."""
    settings, learning = args.settings, args.machine_learning.urls
    trusted = (
        settings.trusted_proxies
        if settings.trusted_proxies is not None
        else args.exposed.proxies or args.platform.sources(name)
    )
    env: dict[str, pulumi.Input[str]] = {
        "TZ": settings.timezone,
        "IMMICH_PORT": str(PORT),
        "IMMICH_MEDIA_LOCATION": "/data",
        "IMMICH_LOG_LEVEL": settings.log_level,
        "IMMICH_LOG_FORMAT": settings.log_format,
        "IMMICH_TRUSTED_PROXIES": ",".join(trusted),
        "IMMICH_ALLOW_SETUP": _text(settings.allow_setup),
        **args.database.env,
        **args.cache.env,
        **_telemetry(settings.metrics),
    }
    if args.app is not None:
        env["IMMICH_CONFIG_FILE"] = f"{_CONFIG_FOLDER}/immich.json"
    elif not learning:
        env["IMMICH_MACHINE_LEARNING_ENABLED"] = "false"
    else:
        # Only the default of the setting: what is chosen on the web page wins.
        env["IMMICH_MACHINE_LEARNING_URL"] = learning[0]
    return env


def _telemetry(metrics: Metrics) -> Mapping[str, str]:
    if not metrics.enabled:
        return {}
    return {
        "IMMICH_TELEMETRY_INCLUDE": ",".join(metrics.include),
        "IMMICH_API_METRICS_PORT": str(metrics.api_port),
        "IMMICH_MICROSERVICES_METRICS_PORT": str(metrics.microservices_port),
    }


def _ports(metrics: Metrics, *, api: bool, jobs: bool) -> tuple[Port, ...]:
    ports: list[Port] = []
    if api:
        ports.append(Port(name="http", number=PORT, app_protocol="kubernetes.io/ws"))
    if metrics.enabled and api:
        ports.append(Port(name="metrics-api", number=metrics.api_port))
    if metrics.enabled and jobs:
        ports.append(Port(name="metrics-jobs", number=metrics.microservices_port))
    return tuple(ports)


def _check(metrics: Metrics, *, api: bool) -> HttpCheck | CommandCheck:
    """A pod without the API answers no ping: its metrics do, or the image's own script (immich-charts#273)."""
    if api:
        return HttpCheck(port="http", path="/api/server/ping", inside=(_HEALTH_SCRIPT,))
    if metrics.enabled:
        return HttpCheck(port="metrics-jobs", path="/metrics", inside=(_HEALTH_SCRIPT,))
    return CommandCheck(command=(_HEALTH_SCRIPT,))


def start_script(grace: int, uploads: str = "/data/upload") -> str:
    """For bash: runs Immich, and when it is told to end lets what is written to the folder `uploads` end before.

    Of the `grace` in seconds the last five are Immich's own.
    """
    return render("server.sh.j2", {"uploads": uploads, "wait": grace - _TIME_TO_END})


def _args(cache: Connection, script: str | None) -> tuple[str, ...]:
    """The image runs `tini -- bash -c start.sh`; the shell reads `REDIS_URL` from its file: it has no `_FILE` form."""
    lines = [] if cache.url_file is None else [f'export REDIS_URL="$(cat {cache.url_file})"']
    if lines or script is not None:
        lines.append(script or "exec start.sh")
    return ("\n".join(lines),) if lines else ()


def _text(value: bool) -> str:
    return "true" if value else "false"

"""What a stack's settings give to read, and the MonitoringPlan that follows. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from components.cache.settings import BundledCache
from components.database.settings import BundledDatabase, CloudNativePg
from components.fields.base import written
from components.machine_learning.settings import BundledMachineLearning, ExternalMachineLearning
from components.model.exposure import PublishedPortSpec
from components.model.naming import object_name
from components.model.task import BACKUP_VOLUME
from components.model.values import Duration
from components.model.watch import Job, Probe, ScrapeTarget, Seen
from components.model.workload import Port
from components.monitoring import exporters, prometheus
from components.monitoring.exporters import Watching
from components.monitoring.settings import (
    PORTS,
    BundledMonitoring,
    NoMonitoring,
    OperatorMonitoring,
    Published,
    ScrapeOnly,
    Watched,
)
from components.proxy import access_log
from components.proxy.doors import Door, doors
from components.proxy.nginx import EXPORTER_PORT
from components.proxy.tls_settings import TlsSelfSigned
from components.server.component import MICROSERVICES
from components.server.component import NAME as SERVER
from components.server.settings import SplitWorkers
from components.settings.backup_rules import takes_dumps
from components.settings.model import Settings
from components.storage.settings import shared_by_nodes

PROXY = "proxy"
CLOUDFLARED = "cloudflared"
MACHINE_LEARNING = "machine-learning"
_LEARNING_PORT = 3003
_PING = "/api/server/ping"
_REPOSITORIES = "immich_([^m]|m[^a]|ma[^c]).*_repository_.*"
"""Thousands of series of the group `repo`: all but those of `machine_learning_repository`."""


def watched(settings: Settings) -> Watched | None:
    """Who watches; None where nobody does."""
    return None if isinstance(settings.monitoring, NoMonitoring) else settings.monitoring


def with_numbers(settings: Settings) -> Settings:
    """The settings with what watching implies: Immich's own numbers, nginx's, and those of a database cluster."""
    if watched(settings) is None:
        return settings
    server, proxy, database = settings.server, settings.proxy, settings.database
    # Of the group `repo` come the quantiles of machine learning.
    groups = tuple(dict.fromkeys((*server.metrics.include, "repo")))
    metrics = server.metrics.model_copy(update={"enabled": True, "include": groups})
    if isinstance(database, CloudNativePg) and isinstance(settings.monitoring, OperatorMonitoring):
        database = database.model_copy(update={"pod_monitor": True})
    return replace(
        settings,
        server=server.model_copy(update={"metrics": metrics}),
        proxy=proxy.model_copy(update={"metrics": True}) if proxy.kind == "nginx" else proxy,
        database=database,
    )


def published_at(settings: Settings) -> str | None:
    """On one host: the address that the ports with numbers are published at."""
    given = settings.monitoring
    return str(given.address) if isinstance(given, ScrapeOnly) and given.address is not None else None


def meets(settings: Settings) -> bool:
    """On one host: whether there is a network in which whoever reads meets whoever is read."""
    return settings.docker is not None and watched(settings) is not None and published_at(settings) is None


def seen(settings: Settings) -> Seen:
    """What Immich's own workloads have more."""
    given = watched(settings)
    if given is None:
        return Seen()
    workloads = dict.fromkeys(one.workload for one in targets(settings))
    return Seen(
        meets=(exporters.NETWORK,) if meets(settings) else (),
        ways={name: published_ports(settings, name) for name in workloads},
        exporter=given.images.get("nginx"),
        access_log=exporters.image("access-log", given) if counts_access_log(settings) else None,
    )


def counts_access_log(settings: Settings) -> bool:
    """Whether an exporter beside nginx counts what its access log says: asked for, or with a digest of its image."""
    given = watched(settings)
    if given is None or settings.proxy.kind != "nginx":
        return False
    return bool(
        given.access_log or (given.access_log is None and exporters.image("access-log", given).digest)
    )


def targets(settings: Settings) -> tuple[ScrapeTarget, ...]:
    """Every port with numbers; none where nobody watches."""
    given = watched(settings)
    if given is None:
        return ()
    every = [*_immich(settings), *_parts(settings), *_exporters(settings, given)]
    address = published_at(settings)
    if address is None:
        return tuple(every)
    # Two containers cannot share a port of the host.
    return tuple(replace(one, listen=_listen(one, given)) for one in every if one.copies == 1)


def prober(settings: Settings) -> ScrapeTarget | None:
    """The exporter that asks the probes; None where there are none."""
    given = watched(settings)
    if given is None or not probes(settings):
        return None
    made = _exporter("doors", "doors")
    return made if published_at(settings) is None else replace(made, listen=_listen(made, given))


def probes(settings: Settings) -> tuple[Probe, ...]:
    """What is asked from outside: ways in by name or address, and machine learning."""
    given = watched(settings)
    if given is None or not given.doors:
        return ()
    found: dict[str, Probe] = {}
    for door in doors(settings.host, settings.proxy, settings.cloudflare):
        if not _is_this_machine(door.url):
            module = exporters.GUARDED if _is_guarded(door, settings) else exporters.OPEN
            found.setdefault(
                door.url, Probe(job="doors", door=door.url, url=f"{door.url}{_PING}", module=module)
            )
    learning: tuple[str, ...] = ()
    if isinstance(settings.machine_learning, BundledMachineLearning):
        learning = (f"http://{object_name(MACHINE_LEARNING)}:{_LEARNING_PORT}",)
    elif isinstance(settings.machine_learning, ExternalMachineLearning):
        learning = tuple(written(url).rstrip("/") for url in settings.machine_learning.urls)
    asked = (
        Probe(job="machine-learning", door=url, url=f"{url}/ping", module=exporters.OPEN) for url in learning
    )
    return (*found.values(), *asked)


def hosts_outside(settings: Settings) -> tuple[tuple[str, int], ...]:
    """Host and port of each probe that is no workload of ours."""
    inside = object_name(MACHINE_LEARNING)
    found: dict[tuple[str, int], None] = {}
    for probe in probes(settings):
        parts = urlsplit(probe.url)
        if parts.hostname is not None and parts.hostname != inside:
            found[parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)] = None
    return tuple(found)


def watching(settings: Settings) -> Watching | None:
    """What the exporter of volumes looks at; None where there is nothing. On clusters the kubelet knows volumes."""
    given = watched(settings)
    if given is None:
        return None
    statuses = _statuses(settings)
    if settings.docker is None:
        return (
            Watching(volumes=(), statuses=statuses, machine=False, sensors=False)
            if statuses is not None
            else None
        )
    read_only = {f"library-{one.name}" for one in settings.storage.external_libraries if one.read_only}
    volumes = [name for name, _ in settings.storage.sources() if name not in read_only]
    volumes += ["database"] if isinstance(settings.database, BundledDatabase) else []
    volumes += ["cache"] if isinstance(settings.cache, BundledCache) else []
    volumes += [statuses] if statuses is not None else []
    return Watching(
        volumes=tuple(volumes),
        statuses=statuses,
        machine=True,
        sensors=given.gpu is not False and bool(_devices(settings) & {"vaapi", "qsv", "openvino", "rocm"}),
    )


def gpus(settings: Settings) -> tuple[str, ...] | None:
    """On one host: ids of the GPUs of NVIDIA that an exporter reads, empty for all; None reads none."""
    given = watched(settings)
    if given is None or settings.docker is None or given.gpu is False:
        return None
    used = bool(_devices(settings) & {"nvenc", "cuda"})
    if not used and given.gpu is None:
        return None
    ids = [*settings.server.gpu.ids]
    if isinstance(settings.machine_learning, BundledMachineLearning):
        ids += settings.machine_learning.gpu.ids
    return tuple(dict.fromkeys(ids))


def duration(given: Duration) -> str:
    """As Prometheus' rules and configuration have it: one number and one unit."""
    seconds = given.seconds
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _immich(settings: Settings) -> Iterable[ScrapeTarget]:
    metrics, workers = settings.server.metrics, settings.server.workers
    port = Port(name="metrics-api", number=metrics.api_port)
    api = ScrapeTarget(job="api", workload=SERVER, port=port, ways=True, dropped=_REPOSITORIES)
    background = replace(
        api, job="microservices", port=Port(name="metrics-jobs", number=metrics.microservices_port)
    )
    if not isinstance(workers, SplitWorkers):
        yield from (api, background)
        return
    yield replace(api, copies=workers.api_replicas)
    yield replace(background, workload=MICROSERVICES, copies=workers.microservices_replicas, ways=False)


def _parts(settings: Settings) -> Iterable[ScrapeTarget]:
    if settings.proxy.kind == "nginx":
        port = Port(name="metrics", number=EXPORTER_PORT)
        yield ScrapeTarget(job="nginx", workload=PROXY, port=port, copies=settings.proxy.replicas, ways=True)
        if counts_access_log(settings):
            yield ScrapeTarget(
                job="access-log",
                workload=PROXY,
                port=access_log.PORT,
                copies=settings.proxy.replicas,
                ways=True,
            )
    tunnel = settings.cloudflare.tunnel if settings.cloudflare is not None else None
    if tunnel is not None:
        port = Port(name="metrics", number=PORTS["cloudflared"])
        yield ScrapeTarget(job="cloudflared", workload=CLOUDFLARED, port=port, copies=tunnel.replicas)


def _exporters(settings: Settings, given: Watched) -> Iterable[ScrapeTarget]:
    del given
    if isinstance(settings.database, BundledDatabase):
        yield _exporter("postgres", "postgres")
    yield _exporter("valkey", "valkey")
    looked = watching(settings)
    if looked is not None and looked.volumes:
        asked = {"collect[]": exporters.collectors(looked)}
        yield replace(_exporter("node", "volumes"), params=asked)
    if looked is not None and looked.statuses is not None:
        yield replace(_exporter("backup", "volumes"), params={"collect[]": ("textfile",)})
    if gpus(settings) is not None:
        yield _exporter("gpu", "gpu")


def _exporter(job: Job, part: Published) -> ScrapeTarget:
    port = Port(name="metrics", number=PORTS[part])
    return ScrapeTarget(job=job, workload=exporters.workload_name(part), port=port)


def _listen(target: ScrapeTarget, given: Watched) -> int:
    found: list[Published] = [part for part, number in PORTS.items() if number == target.port.number]
    part = found[0] if found else None
    if part is None or not isinstance(given, ScrapeOnly) or target.job in {"api", "microservices"}:
        return target.port.number
    return given.ports.get(part, target.port.number)


def _statuses(settings: Settings) -> str | None:
    """The volume with status files, where an exporter may mount it."""
    backup = settings.backup
    if backup is None or not (takes_dumps(backup, settings.database) or backup.targets):
        return None
    # A volume of one node, mounted by another pod for good, could keep a backup's pod from its node.
    return BACKUP_VOLUME if settings.docker is not None or shared_by_nodes(backup.volume) else None


def _devices(settings: Settings) -> set[str]:
    found = {str(settings.server.acceleration)}
    if isinstance(settings.machine_learning, BundledMachineLearning):
        found.add(str(settings.machine_learning.backend))
    return found


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_guarded(door: Door, settings: Settings) -> bool:
    cloudflare = settings.cloudflare
    if cloudflare is None or not any(hop.program == "cloudflare" for hop in door.hops):
        return False
    return cloudflare.access is not None or (
        cloudflare.tunnel is not None and cloudflare.tunnel.access is not None
    )


def own_certificate(settings: Settings) -> bool:
    """Whether nobody vouches for the certificate but this program."""
    return isinstance(settings.proxy.tls, TlsSelfSigned)


def published_ports(settings: Settings, workload: str) -> tuple[PublishedPortSpec, ...]:
    """On one host: ports of the host that lead to the numbers of a workload, or to Grafana."""
    return tuple(one for one in every_published_port(settings) if one.to == workload)


def every_published_port(settings: Settings) -> tuple[PublishedPortSpec, ...]:
    """On one host: ports of the host that lead to numbers, and to Grafana."""
    given, address = watched(settings), published_at(settings)
    if isinstance(given, BundledMonitoring) and given.grafana is not None and settings.docker is not None:
        return (
            PublishedPortSpec(
                name=prometheus.GRAFANA,
                to=prometheus.GRAFANA,
                port=prometheus.PORTS[prometheus.GRAFANA],
                address=str(given.grafana.address),
                listen=given.grafana.port,
            ),
        )
    if address is None:
        return ()
    asker = prober(settings)
    every = (*targets(settings), *((asker,) if asker is not None else ()))
    ports = {(one.workload, one.port): one.listen for one in every if one.listen is not None}
    return tuple(
        PublishedPortSpec(name=port.name, to=workload, port=port.number, address=address, listen=listen)
        for (workload, port), listen in ports.items()
    )

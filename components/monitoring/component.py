"""Who watches, and what is made to be watched: exporters, and what reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pulumi

from components.cache.component import PASSWORD as CACHE_PASSWORD
from components.cache.settings import BundledCache
from components.database.client import database_client
from components.database.settings import BundledDatabase, CloudNativePg
from components.model.connection import Connection, HttpService
from components.model.secret_text import SecretText
from components.model.specs import PublishedSecret
from components.model.watch import ScrapeTarget, Watch
from components.model.workload import VolumeRequest, Workload, scrapers
from components.monitoring import exporters, metrics_role, prometheus, scrapes
from components.monitoring import setup as monitoring_setup
from components.monitoring.dashboard_files import dashboard_files
from components.monitoring.exporters import NETWORK
from components.monitoring.rule_files import rule_body, rule_file
from components.monitoring.settings import BundledMonitoring, OperatorMonitoring
from components.platform.base import Platform
from components.secrets.component import Secrets
from components.settings.model import Settings
from components.sizing import placement


@dataclass(frozen=True, kw_only=True, slots=True)
class MonitoringArgs:
    """What `Monitoring` is made of."""

    platform: Platform
    """Where it runs: a `KubernetesPlatform` or a `DockerPlatform`."""
    settings: Settings
    """Settings of the whole stack: exporters and alerts follow from all sections."""
    stack: str
    """Name of the stack, the label `stack` of every series and alert."""
    database: Connection
    """`Database.connection`."""
    cache: Connection
    """`Cache.connection`."""
    machine_learning: HttpService
    """`MachineLearning.service`."""
    secrets: Secrets
    """Secrets of the deployment: passwords of exporters, Grafana and receivers of alerts are among them."""
    server: pulumi.Resource
    """`Server.ready`: by then the database has its tables."""
    token_ends: int | None = None
    """When the service token of Cloudflare Access ends, in seconds since 1970, as far as it is known."""


class Monitoring(pulumi.ComponentResource):
    """Exporters, and Prometheus, Alertmanager and Grafana, or the objects of a cluster's operator.

    On a cluster: Deployment and Service of each exporter; ServiceMonitor, PodMonitor, PrometheusRule and a ConfigMap
    with dashboards for the Prometheus operator.
    On a host: a container for each, in a network of their own.
    """

    outputs: Mapping[str, pulumi.Output[str]]
    """What a person needs: `grafanaPassword`, secret."""

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Monitoring", name, {}, opts)
        given = scrapes.watched(args.settings)
        assert given is not None, "made only where somebody watches"
        self._args, self._given = args, given
        self.outputs = {}
        if isinstance(given, BundledMonitoring) and given.grafana is not None:
            password = args.secrets.value(prometheus.GRAFANA_PASSWORD)
            self.outputs = {"grafanaPassword": password} if password is not None else {}
        self._database()
        self._cache()
        for workload in self._others():
            self._run(workload)
        match given:
            case OperatorMonitoring():
                args.platform.watch(watch(args.settings, given, args.stack, args.token_ends), parent=self)
            case BundledMonitoring():
                self._bundled(given)
            case _:
                pass
        self.register_outputs(self.outputs)

    def _run(
        self,
        workload: Workload,
        *,
        after: Sequence[pulumi.Resource] = (),
        keys: Sequence[str] = (),
    ) -> pulumi.Resource:
        """An exporter as this stack has it: whoever reads is let in, or its port is published."""
        args = self._args
        made = replace(
            workload,
            ingress=scrapers(workload.ports, args.settings.kubernetes.monitoring_namespace),
            meets=workload.meets if scrapes.meets(args.settings) else (),
            ways=scrapes.published_ports(args.settings, workload.name),
        )
        fingerprints = args.secrets.fingerprints(keys) if keys else None
        return args.platform.workload(made, parent=self, after=after, fingerprints=fingerprints)

    def _database(self) -> None:
        args, settings = self._args, self._args.settings
        database = settings.database
        if not isinstance(database, BundledDatabase | CloudNativePg):
            return
        if isinstance(database, CloudNativePg) and "library" not in monitoring_setup.sources(settings):
            return
        bundled = isinstance(database, BundledDatabase)
        client = database_client(database, args.database)
        if bundled:
            password = PublishedSecret(
                name=exporters.SECRET, items={"password": SecretText.of(exporters.PASSWORD)}
            )
            args.platform.publish(password, args.secrets.values, parent=self)
        functions = args.platform.task(
            metrics_role.task(
                client,
                user=settings.server.user,
                group=settings.server.group,
                placement=placement(settings.server.placement),
            ),
            parent=self,
            after=[args.server],
            fingerprints=args.secrets.fingerprints(client.secrets),
        )
        if bundled:
            self._run(
                exporters.database_exporter(client, self._given),
                after=[functions],
                keys=(exporters.PASSWORD,),
            )

    def _cache(self) -> None:
        args, cache = self._args, self._args.settings.cache
        address = exporters.cache_address(cache, args.platform.address("cache"))
        keys: tuple[str, ...] = ()
        if isinstance(cache, BundledCache) or cache.password:
            keys = (CACHE_PASSWORD,)
            file = exporters.cache_password_file(address, CACHE_PASSWORD)
            args.platform.publish(
                PublishedSecret(name=exporters.CACHE_SECRET, items={"exporter.json": file}),
                args.secrets.values,
                parent=self,
            )
        connection = args.cache
        exporter = exporters.cache_exporter(
            cache,
            address,
            self._given,
            links=(connection.link,) if connection.link is not None else (),
            egress=connection.egress,
        )
        self._run(exporter, after=[args.server], keys=keys)

    def _others(self) -> list[Workload]:
        args, given, settings = self._args, self._given, self._args.settings
        found: list[Workload] = []
        looked = scrapes.watching(settings)
        if looked is not None:
            found.append(
                exporters.volume_exporter(
                    looked, given, user=settings.server.user, group=settings.server.group
                )
            )
        if scrapes.prober(settings) is not None:
            link = args.machine_learning.link
            links = (link,) if link is not None else ()
            found.append(
                exporters.door_exporter(
                    scrapes.hosts_outside(settings),
                    given,
                    links=links,
                    own_certificate=scrapes.own_certificate(settings),
                )
            )
        gpus = scrapes.gpus(settings)
        if gpus is not None:
            found.append(exporters.gpu_exporter(gpus, given))
        return found

    def _bundled(self, given: BundledMonitoring) -> None:
        args, settings = self._args, self._args.settings
        platform = args.platform
        plan = monitoring_setup.plan(settings, args.stack, token_ends=args.token_ends)
        targets, prober = scrapes.targets(settings), scrapes.prober(settings)
        platform.volume(
            VolumeRequest(
                name=prometheus.PROMETHEUS,
                size=given.size,
                storage_class=given.storage_class,
                holds_data=False,
            ),
            parent=self,
        )
        platform.publish(
            PublishedSecret(
                name=prometheus.ALERTMANAGER,
                items={"alertmanager.yml": prometheus.alertmanager_configuration(given.notify)},
            ),
            args.secrets.values,
            parent=self,
        )
        keys = (prometheus.WEBHOOK,) if given.notify is not None else ()
        alertmanager = platform.workload(
            prometheus.alertmanager_workload(given),
            parent=self,
            fingerprints=args.secrets.fingerprints(keys) if keys else None,
        )
        read = (*targets, *((prober,) if prober is not None else ()))
        names = {(one.workload, one.port): self._reached_by(one) for one in read}
        configs = prometheus.scrape_configs(
            targets,
            scrapes.probes(settings),
            prober,
            lambda one: f"{names[one.workload, one.port]}:{one.port.number}",
            jobs=plan.jobs,
            stack=args.stack,
            interval=scrapes.duration(given.interval),
        )
        files = prometheus.prometheus_files(
            configs,
            rule_file(plan),
            platform.address(prometheus.ALERTMANAGER, NETWORK),
            scrapes.duration(given.interval),
        )
        reading = platform.workload(
            prometheus.prometheus_workload(given, files, read), parent=self, after=[alertmanager]
        )
        if given.grafana is not None:
            self._grafana(given, dashboard_files(plan), reading)

    def _reached_by(self, target: ScrapeTarget) -> str:
        """Host name of every copy of a workload at once, where it has several."""
        platform = self._args.platform
        if target.copies == 1:
            return platform.address(target.workload, NETWORK)
        return platform.copies(target.workload, target.port, parent=self, at=NETWORK)

    def _grafana(self, given: BundledMonitoring, files: Mapping[str, str], reading: pulumi.Resource) -> None:
        args, platform = self._args, self._args.platform
        password = SecretText.of(prometheus.GRAFANA_PASSWORD)
        platform.publish(
            PublishedSecret(name=prometheus.GRAFANA, items={"password": password}),
            args.secrets.values,
            parent=self,
        )
        platform.workload(
            prometheus.grafana_workload(
                given,
                prometheus.grafana_files(platform.address(prometheus.PROMETHEUS, NETWORK), files),
                scrapes.published_ports(args.settings, prometheus.GRAFANA),
            ),
            parent=self,
            after=[reading],
            fingerprints=args.secrets.fingerprints((prometheus.GRAFANA_PASSWORD,)),
        )


def watch(settings: Settings, given: OperatorMonitoring, stack: str, token_ends: int | None = None) -> Watch:
    """What a cluster's operator is told; `token_ends` as in `MonitoringArgs`."""
    plan = monitoring_setup.plan(settings, stack, token_ends=token_ends)
    return Watch(
        stack=stack,
        targets=scrapes.targets(settings),
        probes=scrapes.probes(settings),
        prober=scrapes.prober(settings),
        jobs=plan.jobs,
        interval=scrapes.duration(given.interval),
        labels=given.labels,
        rules=rule_body(plan),
        dashboards=dashboard_files(plan) if given.dashboards else {},
        dashboard_labels=given.dashboard_labels,
    )

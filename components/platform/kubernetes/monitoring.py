"""What a Prometheus operator and Grafana's sidecar read: monitors, a PrometheusRule, ConfigMaps. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from components.model.naming import APP, object_name, selector
from components.model.watch import Probe, ScrapeTarget, Watch
from components.model.workload import Port
from components.platform.kubernetes.objects import Manifest

GROUP = "monitoring.coreos.com/v1"
_PROBE_PATH = "/probe"
_PROBE_TIMEOUT = "12s"
"""A little more than the exporter itself waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One object and what it belongs to."""

    manifest: Manifest
    name: str
    component: str


def pieces(watch: Watch, namespace: str) -> Iterator[Piece]:
    """Everything that is told, each with its own name."""
    by_workload: dict[str, list[ScrapeTarget]] = {}
    for target in watch.targets:
        by_workload.setdefault(target.workload, []).append(target)
    for workload, several in by_workload.items():
        make = pod_monitor if any(one.ways for one in several) else service_monitor
        endpoints = [scrape(one, watch) for one in several]
        monitor = make(workload, endpoints, watch=watch, namespace=namespace)
        yield Piece(manifest=monitor, name=object_name(workload), component=workload)
    if watch.prober is not None and watch.probes:
        asked = [probe(one, watch.prober, watch) for one in watch.probes]
        name = watch.prober.workload
        monitor = service_monitor(name, asked, watch=watch, namespace=namespace)
        yield Piece(manifest=monitor, name=object_name(name), component=name)
    yield Piece(manifest=rules(watch), name=object_name("alerts"), component="monitoring")
    for file, text in watch.dashboards.items():
        yield Piece(
            manifest=dashboard(watch, file, text),
            name=object_name(f"dashboard-{file.removesuffix('.json')}"),
            component="monitoring",
        )


def service_monitor(
    workload: str, endpoints: Sequence[Manifest], *, watch: Watch, namespace: str
) -> Manifest:
    """What is read of the one Service of a workload."""
    return {
        "apiVersion": GROUP,
        "kind": "ServiceMonitor",
        "metadata": {"labels": dict(watch.labels)},
        "spec": {**_chosen(workload, watch, namespace), "endpoints": list(endpoints)},
    }


def pod_monitor(workload: str, endpoints: Sequence[Manifest], *, watch: Watch, namespace: str) -> Manifest:
    """What is read of the pods of a workload: of its Services those for ways in do not have every port."""
    return {
        "apiVersion": GROUP,
        "kind": "PodMonitor",
        "metadata": {"labels": dict(watch.labels)},
        "spec": {**_chosen(workload, watch, namespace), "podMetricsEndpoints": list(endpoints)},
    }


def scrape(target: ScrapeTarget, watch: Watch) -> Manifest:
    """A port that is read."""
    found: Manifest = {"port": target.port.name, "interval": watch.interval}
    if target.path != "/metrics":
        found["path"] = target.path
    if target.params:
        found["params"] = {name: list(values) for name, values in target.params.items()}
    if target.dropped:
        found["metricRelabelings"] = [
            {"sourceLabels": ["__name__"], "regex": target.dropped, "action": "drop"}
        ]
    return {**found, "relabelings": _labelled({"job": watch.jobs[target.job], "stack": watch.stack})}


def probe(asked: Probe, prober: ScrapeTarget, watch: Watch) -> Manifest:
    """Something that the exporter of doors is asked about."""
    marks = {
        "job": watch.jobs[asked.job],
        "stack": watch.stack,
        "door": asked.door,
        "instance": asked.url,
    }
    return {
        "port": prober.port.name,
        "path": _PROBE_PATH,
        "interval": watch.interval,
        **({} if _shorter(watch.interval) else {"scrapeTimeout": _PROBE_TIMEOUT}),
        "params": {"module": [asked.module], "target": [asked.url]},
        "relabelings": _labelled(marks),
    }


def rules(watch: Watch) -> Manifest:
    """Alerts and recorded series."""
    return {
        "apiVersion": GROUP,
        "kind": "PrometheusRule",
        "metadata": {"labels": dict(watch.labels)},
        "spec": dict(watch.rules),
    }


def dashboard(watch: Watch, file: str, text: str) -> Manifest:
    """A dashboard for Grafana's sidecar; its file has the stack's name, since it may come from many namespaces."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"labels": dict(watch.dashboard_labels)},
        "data": {f"{APP}-{watch.stack}-{file}": text},
    }


def headless(workload: str, port: Port) -> Manifest:
    """A Service by whose name each pod is found; also those that are not ready have numbers."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": selector(workload),
            "ports": [{"name": port.name, "port": port.number, "targetPort": port.name, "protocol": "TCP"}],
        },
    }


def _chosen(workload: str, watch: Watch, namespace: str) -> Manifest:
    return {
        "selector": {"matchLabels": {**selector(workload), "app.kubernetes.io/instance": watch.stack}},
        "namespaceSelector": {"matchNames": [namespace]},
    }


def _labelled(marks: Mapping[str, str]) -> list[Manifest]:
    return [
        {"action": "replace", "targetLabel": label, "replacement": value} for label, value in marks.items()
    ]


def _shorter(interval: str) -> bool:
    """Whether an interval is no longer than the time that a probe may take: the operator refuses such a timeout."""
    return interval.endswith("s") and int(interval.removesuffix("s")) <= int(_PROBE_TIMEOUT.removesuffix("s"))

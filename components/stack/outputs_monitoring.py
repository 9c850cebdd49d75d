"""Outputs about who watches: where Grafana is, and what a Prometheus elsewhere reads. Pure."""

from __future__ import annotations

from typing import Any

from components.database.settings import CloudNativePg
from components.model.naming import object_name
from components.model.watch import ScrapeTarget
from components.monitoring import prometheus, scrapes, setup
from components.monitoring.exporters import NETWORK
from components.monitoring.settings import BundledMonitoring, ScrapeOnly
from components.settings.model import Settings


def outputs(settings: Settings, stack: str) -> dict[str, object]:
    """What somebody needs who wants to see it, or to read it."""
    given = settings.monitoring
    found: dict[str, object] = {}
    if isinstance(given, BundledMonitoring):
        found["monitoring"] = _bundled(settings, given)
    if isinstance(given, ScrapeOnly):
        found["scrape"] = scrape_file(settings, stack)
        if settings.docker is not None and given.address is None:
            found["monitoring"] = {
                "network": f"immich-{stack}-{NETWORK}",
                "join": f"{settings.docker.engine} network connect immich-{stack}-{NETWORK} <your Prometheus>",
            }
    return found


def scrape_file(settings: Settings, stack: str) -> str:
    """`scrape_configs` for a Prometheus elsewhere. Raises `ValueError` where nobody watches."""
    given = scrapes.watched(settings)
    if given is None:
        raise ValueError(f"nobody watches {stack}")
    configs = prometheus.scrape_configs(
        scrapes.targets(settings),
        scrapes.probes(settings),
        scrapes.prober(settings),
        lambda target: _place(target, settings, stack),
        jobs=setup.jobs(settings),
        stack=stack,
        interval=scrapes.duration(given.interval),
    )
    if settings.docker is None:
        # Alerts tell deployments apart by it, as an operator's Prometheus does.
        for one in configs:
            for static in one.get("static_configs", []):
                static["labels"]["namespace"] = str(settings.kubernetes.namespace)
        if isinstance(settings.database, CloudNativePg):
            configs.append(_instances(settings, settings.database, scrapes.duration(given.interval)))
    return prometheus.scrape_file(configs)


def _bundled(settings: Settings, given: BundledMonitoring) -> dict[str, str]:
    if settings.docker is None:
        forward = f"kubectl -n {settings.kubernetes.namespace} port-forward service/{{0}} {{1}}:{{1}}"
        found = {
            name: f"{forward.format(object_name(name), port)}, then http://localhost:{port}"
            for name, port in prometheus.PORTS.items()
            if name != prometheus.GRAFANA or given.grafana is not None
        }
    elif given.grafana is None:
        return {}
    else:
        address = str(given.grafana.address)
        host = f"[{address}]" if ":" in address else address
        found = {prometheus.GRAFANA: f"http://{host}:{given.grafana.port}"}
    if given.grafana is not None:
        found["signIn"] = "admin, with what `pulumi stack output grafanaPassword --show-secrets` shows"
    return found


def _place(target: ScrapeTarget, settings: Settings, stack: str) -> str:
    """Where a Prometheus elsewhere reaches a target."""
    address = scrapes.published_at(settings)
    if address is not None and target.listen is not None:
        return f"[{address}]:{target.listen}" if ":" in address else f"{address}:{target.listen}"
    if settings.docker is not None:
        # In a network of several, the name that is this stack's alone.
        return f"immich-{stack}-{target.workload}:{target.port.number}"
    cluster = settings.kubernetes
    return f"{object_name(target.workload)}.{cluster.namespace}.svc.{cluster.cluster_domain}:{target.port.number}"


def _instances(settings: Settings, database: CloudNativePg, interval: str) -> dict[str, Any]:
    """The instances of a database cluster, which a Prometheus with rights to the cluster's API finds."""
    namespace = str(database.namespace or settings.kubernetes.namespace)
    chosen = {"role": "pod", "label": f"cnpg.io/cluster={database.cluster_name}"}
    return {
        "job_name": f"{namespace}/{database.cluster_name}",
        "scrape_interval": interval,
        "kubernetes_sd_configs": [
            {"role": "pod", "namespaces": {"names": [namespace]}, "selectors": [chosen]}
        ],
        "relabel_configs": [
            {
                "source_labels": ["__meta_kubernetes_pod_container_port_name"],
                "action": "keep",
                "regex": "metrics",
            },
            {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
            {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        ],
    }

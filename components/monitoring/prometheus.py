"""Prometheus, Alertmanager and Grafana of our own: configuration and workloads, provisioned by files. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from components.model.exposure import PublishedPortSpec
from components.model.secret_text import SecretPart, SecretText
from components.model.values import Quantity
from components.model.watch import Job, Probe, ScrapeTarget
from components.model.workload import (
    ConfigFiles,
    Egress,
    HttpCheck,
    Link,
    Port,
    Scratch,
    SecretFiles,
    Workload,
)
from components.model.workload import Probe as Health
from components.model.workload import Storage as Mounted
from components.monitoring.exporters import NETWORK, NOBODY, WAY_OUT, image, reader, wget
from components.monitoring.settings import BundledMonitoring, Notify
from components.sizing import resources

PROMETHEUS = "prometheus"
ALERTMANAGER = "alertmanager"
GRAFANA = "grafana"
GRAFANA_PASSWORD = "grafanaPassword"
WEBHOOK = "alertWebhookUrl"
_CONFIG = "/etc/immich-prometheus"
_SECRET = "/run/secrets/monitoring"
_GRAFANA_UID = 472
PORTS: Mapping[str, int] = {PROMETHEUS: 9090, ALERTMANAGER: 9093, GRAFANA: 3000}
"""Where they listen."""

FOLLOWS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "ImmichDown",
        # Of requests to a server that is away nginx makes errors.
        (
            "ImmichMicroservicesDown",
            "ImmichDoorDown",
            "ImmichServerErrors",
            "ImmichQueueStuck",
            "ImmichSlowQueueStuck",
        ),
        (),
    ),
    (
        "ImmichDatabaseDown",
        ("ImmichDown", "ImmichMicroservicesDown", "ImmichDoorDown", "ImmichServerErrors"),
        (),
    ),
    ("ImmichCacheDown", ("ImmichQueueStuck", "ImmichSlowQueueStuck"), ()),
    ("ImmichMachineLearningDown", ("ImmichMachineLearningBacklog",), ()),
    ("ImmichStorageFull", ("ImmichStorageFilling", "ImmichStorageFullSoon"), ("volume",)),
    ("ImmichCertificateExpiresNow", ("ImmichCertificateExpires",), ("certificate",)),
)
"""An alert, those that say nothing more while it rings, and the labels that must be the same."""

Place = Callable[[ScrapeTarget], str]
"""Host and port of a target, as whoever reads it names them."""


def scrape_configs(
    targets: Sequence[ScrapeTarget],
    probes: Sequence[Probe],
    prober: ScrapeTarget | None,
    place: Place,
    *,
    jobs: Mapping[Job, str],
    stack: str,
    interval: str,
) -> list[dict[str, Any]]:
    """`scrape_configs`: one for each job and its way of asking, and one that asks the probes through their exporter."""
    found: list[dict[str, Any]] = []
    alike: dict[str, list[ScrapeTarget]] = {}
    for target in targets:
        alike.setdefault(json.dumps([target.job, target.path, _listed(target.params)]), []).append(target)
    for several in alike.values():
        first = several[0]
        one: dict[str, Any] = {"job_name": jobs[first.job], "scrape_interval": interval}
        if first.path != "/metrics":
            one["metrics_path"] = first.path
        if first.params:
            one["params"] = _listed(first.params)
        if first.dropped:
            one["metric_relabel_configs"] = [
                {"source_labels": ["__name__"], "regex": first.dropped, "action": "drop"}
            ]
        fixed = [place(target) for target in several if target.copies == 1 or target.listen is not None]
        if fixed:
            one["static_configs"] = [{"targets": fixed, "labels": {"stack": stack}}]
        copied = [target for target in several if target.copies > 1 and target.listen is None]
        if copied:
            one["dns_sd_configs"] = [
                {"names": [place(target).rpartition(":")[0]], "type": "A", "port": target.port.number}
                for target in copied
            ]
            one["relabel_configs"] = [{"target_label": "stack", "replacement": stack}]
        found.append(one)
    kinds: list[Job] = list(dict.fromkeys(probe.job for probe in probes))
    if prober is not None:
        for job in kinds:
            asked = [probe for probe in probes if probe.job == job]
            one = {"job_name": jobs[job], "scrape_interval": interval}
            found.append({**one, **_probing(asked, place(prober), stack)})
    return found


def _probing(probes: Sequence[Probe], prober: str, stack: str) -> dict[str, Any]:
    """How an exporter is asked for probes."""
    return {
        "metrics_path": "/probe",
        "static_configs": [
            {
                "targets": [probe.url],
                "labels": {"stack": stack, "door": probe.door, "__param_module": probe.module},
            }
            for probe in probes
        ],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__param_target"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": prober},
        ],
    }


def _listed(params: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {name: list(values) for name, values in params.items()}


def prometheus_files(
    scrapes: Sequence[Mapping[str, Any]], rules: str, alertmanager: str, interval: str
) -> dict[str, str]:
    """prometheus.yml and the rules."""
    document: dict[str, Any] = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [f"{_CONFIG}/rules.yml"],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"{alertmanager}:{PORTS[ALERTMANAGER]}"]}]}]
        },
        "scrape_configs": [dict(one) for one in scrapes],
    }
    return {"prometheus.yml": yaml.safe_dump(document, sort_keys=False, width=120), "rules.yml": rules}


def prometheus_workload(
    settings: BundledMonitoring, files: Mapping[str, str], targets: Sequence[ScrapeTarget]
) -> Workload:
    """Prometheus; its numbers are worth keeping, and can be lost without losing a photo."""
    most = int(settings.size.amount * 4 / 5)
    return Workload(
        name=PROMETHEUS,
        image=image("prometheus", settings),
        resources=resources(PROMETHEUS, settings.resources),
        user=NOBODY,
        group=NOBODY,
        args=(
            f"--config.file={_CONFIG}/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            f"--storage.tsdb.retention.time={settings.retention}",
            f"--storage.tsdb.retention.size={most}B",
        ),
        ports=(Port(name="web", number=PORTS[PROMETHEUS]),),
        liveness=_asked(9090, "/-/healthy", budget=300),
        readiness=_asked(9090, "/-/ready"),
        mounts=(
            Mounted(volume=PROMETHEUS, path="/prometheus"),
            ConfigFiles(name=PROMETHEUS, path=_CONFIG, files=files),
            Scratch(path="/tmp", size=Quantity("64Mi")),
        ),
        links=(
            *dict.fromkeys(reader(target) for target in targets),
            Link(to=ALERTMANAGER, port=PORTS[ALERTMANAGER], at=NETWORK),
        ),
        meets=(NETWORK,),
        stateful=True,
        exclusive=True,
        termination_grace=60,
        start_timeout=420,
    )


def alertmanager_configuration(notify: Notify | None) -> SecretText:
    """alertmanager.yml; the address of a webhook is often a password in itself."""
    route: dict[str, Any] = {
        "receiver": "person",
        "group_by": ["alertname", "stack"],
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": str(notify.repeat) if notify is not None else "12h",
    }
    quiet = [
        {
            "source_matchers": [f'alertname="{louder}"'],
            "target_matchers": [f'alertname=~"{"|".join(quieter)}"'],
            "equal": ["stack", *same],
        }
        for louder, quieter, same in FOLLOWS
    ]
    head: dict[str, Any] = {"route": route, "inhibit_rules": quiet}
    text = yaml.safe_dump(head, sort_keys=False)
    if notify is None:
        return SecretText.plain(text + "receivers:\n- name: person\n")
    before = text + "receivers:\n- name: person\n  webhook_configs:\n  - send_resolved: true\n    url: "
    return SecretText(parts=(before, SecretPart(key=WEBHOOK, quoted=True), "\n"))


def alertmanager_workload(settings: BundledMonitoring) -> Workload:
    """Alertmanager: groups messages, and sends them where `notify` says."""
    notify = settings.notify
    egress = (
        tuple(Egress.to_host("messages", str(host), notify.port) for host in notify.hosts) if notify else ()
    )
    return Workload(
        name=ALERTMANAGER,
        image=image("alertmanager", settings),
        resources=resources(ALERTMANAGER, settings.exporter_resources),
        user=NOBODY,
        group=NOBODY,
        args=(
            f"--config.file={_SECRET}/alertmanager.yml",
            "--storage.path=/alertmanager",
            # One of it has nobody to talk to.
            "--cluster.listen-address=",
        ),
        ports=(Port(name="web", number=PORTS[ALERTMANAGER]),),
        liveness=_asked(9093, "/-/healthy", budget=60),
        readiness=_asked(9093, "/-/ready"),
        mounts=(
            SecretFiles(secret=ALERTMANAGER, path=_SECRET, items={"alertmanager.yml": "alertmanager.yml"}),
            Scratch(path="/alertmanager", size=Quantity("64Mi")),
        ),
        egress=egress,
        meets=(NETWORK,),
        way_out=WAY_OUT,
        exclusive=True,
        termination_grace=10,
        start_timeout=120,
    )


def grafana_files(prometheus: str, dashboards: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Folder below Grafana's provisioning -> its files: the source, where dashboards are, the dashboards."""
    sources = {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "Prometheus",
                "uid": "prometheus",
                "type": "prometheus",
                "access": "proxy",
                "url": f"http://{prometheus}:{PORTS[PROMETHEUS]}",
                "isDefault": True,
                "editable": False,
            }
        ],
    }
    providers = {
        "apiVersion": 1,
        "providers": [
            {
                "name": "immich",
                "folder": "Immich",
                "type": "file",
                "options": {"path": "/var/lib/immich-dashboards"},
            }
        ],
    }
    return {
        "datasources": {"prometheus.yaml": yaml.safe_dump(sources, sort_keys=False)},
        "dashboards": {"immich.yaml": yaml.safe_dump(providers, sort_keys=False)},
        "files": dict(dashboards),
    }


def grafana_workload(
    given: BundledMonitoring, files: Mapping[str, Mapping[str, str]], ways: tuple[PublishedPortSpec, ...]
) -> Workload:
    """Grafana: dashboards come from files and are the same after every start.

    Raises `ValueError` for settings without Grafana.
    """
    settings = given.grafana
    if settings is None:
        raise ValueError("these settings have no Grafana")
    folder = "/etc/grafana/provisioning"
    return Workload(
        name=GRAFANA,
        image=image("grafana", given),
        resources=resources(GRAFANA, settings.resources),
        user=_GRAFANA_UID,
        group=_GRAFANA_UID,
        env={
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_PLUGINS_PREINSTALL_DISABLED": "true",
            "GF_SECURITY_ADMIN_PASSWORD__FILE": f"{_SECRET}/password",
            "GF_SECURITY_COOKIE_SAMESITE": "strict",
            "GF_USERS_ALLOW_SIGN_UP": "false",
            "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": "/var/lib/immich-dashboards/overview.json",
        },
        ports=(Port(name="web", number=PORTS[GRAFANA]),),
        liveness=_asked(3000, "/api/health", budget=180),
        readiness=_asked(3000, "/api/health"),
        mounts=(
            SecretFiles(secret=GRAFANA, path=_SECRET, items={"password": "password"}),
            ConfigFiles(name="grafana-sources", path=f"{folder}/datasources", files=files["datasources"]),
            ConfigFiles(name="grafana-providers", path=f"{folder}/dashboards", files=files["dashboards"]),
            ConfigFiles(name="grafana-dashboards", path="/var/lib/immich-dashboards", files=files["files"]),
            # Its own database has nothing that the files do not bring again.
            Scratch(path="/var/lib/grafana", size=Quantity("512Mi")),
            Scratch(path="/tmp", size=Quantity("64Mi")),
        ),
        links=(Link(to=PROMETHEUS, port=PORTS[PROMETHEUS], at=NETWORK),),
        ways=ways,
        meets=(NETWORK,),
        way_out=WAY_OUT,
        exclusive=True,
        termination_grace=30,
        start_timeout=300,
    )


def scrape_file(scrapes: Sequence[Mapping[str, Any]]) -> str:
    """`scrape_configs` for a Prometheus elsewhere, as YAML."""
    return yaml.safe_dump(
        {"scrape_configs": json.loads(json.dumps(list(scrapes)))}, sort_keys=False, width=120
    )


def _asked(port: int, path: str, *, budget: int | None = None) -> Health:
    """Whether it is well, or, with a budget for its start, whether it is to be started again."""
    check = HttpCheck(port="web", path=path, inside=wget(f"{port}{path}"))
    return Health(check=check, startup_budget=budget, failures=3 if budget is None else 6)

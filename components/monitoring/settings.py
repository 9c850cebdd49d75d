"""Who watches a deployment: a cluster's Prometheus operator, a Prometheus of our own, somebody else's, or nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.fields.base import AUTO, Section, TextValue, WholeNumber, default_kind
from components.fields.grammar import LabelValue, QualifiedName, StorageClassName
from components.fields.resources import Resources
from components.model.values import Duration, Hostname, ImageRef, IpAddress, VolumeSize
from components.model.watch import Job

JobLabel = Annotated[TextValue, Field(pattern=r"^[a-zA-Z0-9_-]{1,63}$", examples=["immich-workers"])]
Part = Literal[
    "prometheus",
    "alertmanager",
    "grafana",
    "volumes",
    "doors",
    "postgres",
    "valkey",
    "nginx",
    "access-log",
    "gpu",
]
"""A program of monitoring that has an image."""
Published = Literal["volumes", "doors", "postgres", "valkey", "nginx", "access-log", "cloudflared", "gpu"]
"""Numbers whose port of the host can be another one; those of Immich are `server.metrics`."""

PORTS: Mapping[Published, int] = {
    "volumes": 9100,
    "doors": 9115,
    "postgres": 9187,
    "valkey": 9121,
    "nginx": 9113,
    "access-log": 4040,
    "cloudflared": 2000,
    "gpu": 9400,
}
"""Where they listen."""
PortNumber = Annotated[WholeNumber, Field(ge=1024, le=65535)]


class AlertThresholds(Section):
    """Thresholds of alerts."""

    storage_percent: WholeNumber = Field(default=85, ge=1, le=98)
    """How full a volume may be."""
    machine_learning_queue: WholeNumber = Field(default=100, ge=1, le=10_000_000)
    """Waiting jobs of machine learning."""
    down: Duration = Duration("5m")
    """How long something may be away."""
    gpu_celsius: WholeNumber = Field(default=80, ge=30, le=110)
    """Temperature of a GPU."""
    deleted_photos: WholeNumber = Field(default=50, ge=1, le=10_000_000)
    """Photos that may go within an hour."""
    certificate_days: WholeNumber = Field(default=14, ge=4, le=90)
    """Days that a certificate is to be valid for at least; below 3 it is urgent."""

    @model_validator(mode="after")
    def _down_is_sensible(self) -> Self:
        if not 1 <= self.down.seconds <= Duration("24h").seconds:
            raise ValueError("down must be between 1s and 24h")
        return self


class _Watched(Section):
    """What every kind that watches has."""

    interval: Duration = Duration("30s")
    """Scrape interval, 5s to 1m: alerts look at the last five minutes."""
    thresholds: AlertThresholds = AlertThresholds()
    """Thresholds of alerts."""
    gpu: Annotated[bool | None, AUTO] = None
    """Whether GPUs are watched: on one host by an exporter, and auto is where the settings use one; on a cluster true
    says that NVIDIA's exporter (DCGM) is there, and auto is false."""
    doors: bool = True
    """Whether every way in that has a name or address is probed, with its certificate."""
    access_log: Annotated[bool | None, AUTO] = None
    """Whether the proxy's access log is counted and timed by door, method and status: alone it says that uploads fail,
    and how many answers are errors or slow. For nginx as the proxy. Auto is where the exporter's image has a digest,
    which is not in the table: `images.access-log` with one is enough."""
    runbooks: str = Field(default="docs/alerts.md", pattern=r"^[^\s]+$")
    """Where docs/alerts.md is found; an https address makes the links in messages work."""
    exporter_resources: Resources = Resources()
    """CPU and memory of each exporter."""
    images: dict[Part, ImageRef] = Field(default_factory=dict)
    """Other images than the table's, by program."""

    @model_validator(mode="after")
    def _interval_is_sensible(self) -> Self:
        if not Duration("5s").seconds <= self.interval.seconds <= Duration("1m").seconds:
            raise ValueError(
                "interval must be between 5s and 1m: alerts look at the last five minutes, and need a few numbers in "
                "them"
            )
        return self


class NoMonitoring(Section):
    """Nothing watches."""

    kind: Literal["none"] = "none"
    """`none`."""


class ScrapeOnly(_Watched):
    """Exporters run, and a Prometheus elsewhere reads them; the output `scrape` has its configuration."""

    kind: Literal["scrape-only"]
    """`scrape-only`."""
    address: Annotated[IpAddress | None, AUTO] = None
    """On one host: the address that the ports with numbers are published at, such as 127.0.0.1 or that of a tailnet;
    auto publishes none, for a Prometheus in a container of the same host, which joins the network `monitoring`."""
    ports: dict[Published, PortNumber] = Field(default_factory=dict)
    """Other ports of that address than their own (volumes 9100, doors 9115, postgres 9187, valkey 9121, nginx 9113,
    access-log 4040, cloudflared 2000, gpu 9400), where something else has one of them."""
    jobs: dict[Job, JobLabel] = Field(default_factory=dict)
    """Other names of scrape jobs than `immich-<job>`."""
    traefik: bool = False
    """Whether that Prometheus also reads a Traefik that is a way in here, with `addRoutersLabels`, in the job
    `immich-traefik` or as `jobs` calls it: then alerts count failed uploads by its routers."""


class OperatorMonitoring(_Watched):
    """The Prometheus operator of the cluster: ServiceMonitor, PrometheusRule, and dashboards as ConfigMaps."""

    kind: Literal["operator"]
    """`operator`."""
    labels: dict[QualifiedName, LabelValue] = Field(default_factory=dict)
    """Labels that its Prometheus selects by, such as `release: kube-prometheus-stack`."""
    dashboards: bool = True
    """Whether there are ConfigMaps for Grafana's sidecar."""
    dashboard_labels: dict[QualifiedName, LabelValue] = Field(
        default_factory=lambda: {"grafana_dashboard": "1"}
    )
    """Labels that the sidecar selects by."""


class Grafana(Section):
    """Dashboards in a browser; its password for `admin` is `immich:grafanaPassword`."""

    address: IpAddress = IpAddress("127.0.0.1")
    """On one host: where its port is published; never an address that the internet reaches."""
    port: WholeNumber = Field(default=3000, ge=1024, le=65535)
    """That port."""
    resources: Resources = Resources()
    """CPU and memory."""


class Notify(Section):
    """Where messages go: an address that takes Alertmanager's webhook; it is `immich:alertWebhookUrl`."""

    hosts: tuple[Hostname, ...] = Field(min_length=1, examples=[["ntfy.sh"]])
    """Names that Alertmanager talks to for it: nothing else is opened."""
    port: WholeNumber = Field(default=443, ge=1, le=65535)
    """TCP port of these hosts."""
    repeat: Duration = Duration("12h")
    """How often an alert that still fires is sent again."""


class BundledMonitoring(_Watched):
    """Prometheus, Alertmanager and Grafana of our own. No public door leads to them."""

    kind: Literal["bundled"]
    """`bundled`."""
    retention: TextValue = Field(default="30d", pattern=r"^[1-9][0-9]{0,3}[dwy]$", examples=["30d", "1y"])
    """How long metrics are kept."""
    size: VolumeSize = VolumeSize("10Gi")
    """Size of the volume of metrics; above 80 % of it the oldest metrics are deleted."""
    storage_class: StorageClassName | None = None
    """StorageClass of the volume."""
    grafana: Grafana | None = Grafana()
    """Dashboards; null runs none."""
    notify: Notify | None = None
    """Where alerts are sent; none: they are shown in Grafana only."""
    resources: Resources = Resources()
    """CPU and memory of Prometheus."""


Monitoring = Annotated[
    NoMonitoring | ScrapeOnly | OperatorMonitoring | BundledMonitoring,
    Field(discriminator="kind"),
    default_kind("none"),
]
Watched = ScrapeOnly | OperatorMonitoring | BundledMonitoring

"""What is read for numbers, and what goes with it to whoever reads: plain data, no platform in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from components.model.exposure import PublishedPortSpec
from components.model.values import ImageRef
from components.model.workload import Port

Job = Literal[
    "api",
    "microservices",
    "postgres",
    "valkey",
    "nginx",
    "access-log",
    "traefik",
    "cloudflared",
    "gpu",
    "node",
    "backup",
    "doors",
    "machine-learning",
]
"""A scrape job of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScrapeTarget:
    """A port with numbers."""

    job: Job
    workload: str
    """Name of the workload."""
    port: Port
    path: str = "/metrics"
    params: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Parameters of the request, such as which collectors of node_exporter are asked."""
    copies: int = 1
    """Copies of the workload, each of which is read."""
    dropped: str = ""
    """RE2 for names of series that whoever reads leaves out; empty leaves out none."""
    ways: bool = False
    """Whether ways in may lead to the workload, which then has several Services on a cluster."""
    listen: int | None = None
    """On one host: the port of the address at which it is published; None publishes none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """Something that is asked from outside by an exporter, which says how it went."""

    job: Job
    door: str
    """Its label `door`."""
    url: str
    """What is asked."""
    module: str
    """How, by a name of the exporter's configuration."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """Everything that a Prometheus operator is told of one deployment."""

    stack: str
    targets: tuple[ScrapeTarget, ...]
    probes: tuple[Probe, ...]
    prober: ScrapeTarget | None
    """The exporter that asks the probes."""
    jobs: Mapping[Job, str]
    """Job -> its label `job`."""
    interval: str
    """A duration of Prometheus."""
    labels: Mapping[str, str]
    """Labels that its Prometheus selects monitors and rules by."""
    rules: Mapping[str, Any]
    """`spec` of the PrometheusRule."""
    dashboards: Mapping[str, str]
    """File name -> dashboard as Grafana reads it; none makes none."""
    dashboard_labels: Mapping[str, str]
    """Labels that Grafana's sidecar selects by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a workload has more because somebody reads its numbers."""

    meets: tuple[str, ...] = ()
    """On one host: the network in which it meets whoever reads."""
    ways: Mapping[str, tuple[PublishedPortSpec, ...]] = field(
        default_factory=dict[str, tuple[PublishedPortSpec, ...]]
    )
    """On one host: published ports of numbers, by workload."""
    exporter: ImageRef | None = None
    """Another image of nginx's exporter than the table's."""
    access_log: ImageRef | None = None
    """Image of the exporter that counts nginx's access log; None counts nothing."""

    def of(self, workload: str) -> tuple[PublishedPortSpec, ...]:
        """Published ports of a workload."""
        return self.ways.get(workload, ())


UNSEEN = Seen()
"""Where nobody watches."""

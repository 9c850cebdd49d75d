"""Rules about who watches: what only a cluster has, what only a host has, and who must be let in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.database.settings import CloudNativePg
from components.fields.finding import Finding, Rule
from components.monitoring.settings import (
    PORTS,
    BundledMonitoring,
    NoMonitoring,
    OperatorMonitoring,
    ScrapeOnly,
)
from components.proxy.settings import PublishedPort, TraefikWay

if TYPE_CHECKING:
    from components.database.settings import Database
    from components.monitoring.settings import Monitoring
    from components.proxy.settings import Proxy
    from components.server.settings import Server
    from components.settings.docker import Docker
    from components.settings.kubernetes import Kubernetes


def a_host_has_no_prometheus_operator(monitoring: Monitoring, docker: Docker | None) -> Iterator[Finding]:
    """Its objects are those of a cluster."""
    if docker is not None and isinstance(monitoring, OperatorMonitoring):
        yield Finding(
            key="monitoring.kind",
            given=monitoring.kind,
            reason="needs a cluster with the Prometheus operator",
            hint="use bundled, or scrape-only where a Prometheus runs already",
        )


def a_cluster_publishes_no_ports(monitoring: Monitoring, docker: Docker | None) -> Iterator[Finding]:
    """Addresses of a host."""
    if not isinstance(monitoring, ScrapeOnly):
        return
    if docker is None:
        for key, given in (("address", monitoring.address), ("ports", monitoring.ports)):
            if given:
                yield Finding(
                    key=f"monitoring.{key}",
                    given=str(given),
                    reason="is for one host: on a cluster the Prometheus reads Services",
                    hint="leave it out; the output scrape has the names",
                )
    elif monitoring.ports and monitoring.address is None:
        yield Finding(
            key="monitoring.ports",
            given=", ".join(monitoring.ports),
            reason="no port is published without an address",
            hint="pulumi config set --path 'immich:monitoring.address' 127.0.0.1",
        )


def readers_are_let_in(
    monitoring: Monitoring, kubernetes: Kubernetes, docker: Docker | None
) -> Iterator[Finding]:
    """Isolation denies everybody who is not named."""
    if docker is not None or not isinstance(monitoring, OperatorMonitoring | ScrapeOnly):
        return
    if kubernetes.monitoring_namespace is None and kubernetes.network_policies != "none":
        yield Finding(
            key="kubernetes.monitoringNamespace",
            reason=f"is needed with monitoring.kind {monitoring.kind}: "
            "the namespace of the Prometheus that reads the numbers, which nobody else may reach",
            hint="pulumi config set --path 'immich:kubernetes.monitoringNamespace' monitoring "
            "(kubectl get prometheus -A says where it runs)",
        )


def a_prometheus_of_ours_finds_no_database_pods(
    monitoring: Monitoring, database: Database
) -> Iterator[Finding]:
    """CloudNativePG's instances have their numbers on pods, which only something with rights to the API finds."""
    if isinstance(monitoring, BundledMonitoring) and isinstance(database, CloudNativePg):
        yield Finding(
            key="monitoring.kind",
            given=monitoring.kind,
            reason="database.kind is cloudnative-pg, whose numbers the bundled Prometheus cannot read: "
            "it has no rights to look for pods",
            hint="use operator, or scrape-only",
        )


def only_nginx_has_an_access_log_of_ours(monitoring: Monitoring, proxy: Proxy) -> Iterator[Finding]:
    """What another proxy writes down is not ours to count."""
    if not isinstance(monitoring, NoMonitoring) and monitoring.access_log and proxy.kind != "nginx":
        yield Finding(
            key="monitoring.accessLog",
            given="true",
            reason=f"proxy.kind is {proxy.kind}: only the access log of nginx is counted",
            hint="leave it out, or use proxy.kind nginx",
        )


def a_traefik_that_is_read_is_a_way_in(monitoring: Monitoring, proxy: Proxy) -> Iterator[Finding]:
    """Its routers are known by their names, which are those of this deployment."""
    if not isinstance(monitoring, ScrapeOnly) or not monitoring.traefik:
        return
    if not any(isinstance(way, TraefikWay) for way in proxy.expose):
        yield Finding(
            key="monitoring.traefik",
            given="true",
            reason="no way in proxy.expose leads through a Traefik",
            hint="leave it out",
        )


def published_numbers_have_ports_of_their_own(
    monitoring: Monitoring, server: Server, proxy: Proxy, docker: Docker | None
) -> Iterator[Finding]:
    """Two programs cannot listen at one port of an address."""
    if docker is None or isinstance(monitoring, NoMonitoring | OperatorMonitoring):
        return
    taken: dict[tuple[str, int], str] = {}
    tls = proxy.tls is not None
    for index, way in enumerate(proxy.expose):
        if isinstance(way, PublishedPort):
            taken[str(way.address), way.listen(tls=tls)] = f"proxy.expose[{index}]"
    wanted: list[tuple[str, str, int]] = []
    if isinstance(monitoring, BundledMonitoring):
        if monitoring.grafana is not None:
            wanted.append(
                ("monitoring.grafana.port", str(monitoring.grafana.address), monitoring.grafana.port)
            )
    elif monitoring.address is not None:
        address = str(monitoring.address)
        wanted = [
            ("server.metrics.apiPort", address, server.metrics.api_port),
            ("server.metrics.microservicesPort", address, server.metrics.microservices_port),
            *(
                (f"monitoring.ports.{part}", address, monitoring.ports.get(part, number))
                for part, number in PORTS.items()
            ),
        ]
    for key, address, port in wanted:
        other = next(
            (who for (at, number), who in taken.items() if number == port and _same(at, address)), None
        )
        if other is not None:
            yield Finding(
                key=key,
                given=f"{address}:{port}",
                reason=f"{other} has this port of this address already",
                hint=f"pulumi config set --path 'immich:{key}' <another port>",
            )
        taken[address, port] = key


def _same(one: str, other: str) -> bool:
    return one == other or any(ipaddress.ip_address(each).is_unspecified for each in (one, other))


def numbers_are_no_door(monitoring: Monitoring) -> Iterator[Finding]:
    """What is published has no password, or one that guards more than it should."""
    places: list[tuple[str, str]] = []
    if isinstance(monitoring, ScrapeOnly) and monitoring.address is not None:
        places.append(("monitoring.address", str(monitoring.address)))
    if isinstance(monitoring, BundledMonitoring) and monitoring.grafana is not None:
        places.append(("monitoring.grafana.address", str(monitoring.grafana.address)))
    for key, text in places:
        address = ipaddress.ip_address(text)
        if address.is_unspecified or address.is_global:
            yield Finding(
                key=key,
                given=text,
                reason="numbers are no public door: "
                + (
                    "every address of the host is one"
                    if address.is_unspecified
                    else "the internet reaches it"
                ),
                hint=f"pulumi config set --path 'immich:{key}' 127.0.0.1 (or one of the LAN, or of a tailnet)",
            )


MONITORING_RULES = [
    Rule(("monitoring", "docker"), a_host_has_no_prometheus_operator),
    Rule(("monitoring", "docker"), a_cluster_publishes_no_ports),
    Rule(("monitoring", "kubernetes", "docker"), readers_are_let_in),
    Rule(("monitoring", "database"), a_prometheus_of_ours_finds_no_database_pods),
    Rule(("monitoring", "proxy"), only_nginx_has_an_access_log_of_ours),
    Rule(("monitoring", "proxy"), a_traefik_that_is_read_is_a_way_in),
    Rule(("monitoring", "server", "proxy", "docker"), published_numbers_have_ports_of_their_own),
    Rule(("monitoring",), numbers_are_no_door),
]
"""All of them."""

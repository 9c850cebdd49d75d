"""Rules about the platform: what only a cluster has, and what only a host has."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from components.database.settings import BundledDatabase, CloudNativePg
from components.fields.base import written
from components.fields.finding import Finding, Rule
from components.machine_learning.settings import BundledMachineLearning
from components.proxy.settings import PublishedPort, TraefikLabels
from components.proxy.tls_settings import TlsAcme, TlsCertManager, TlsFiles, TlsSecret
from components.server.settings import SplitWorkers
from components.settings.names import sources
from components.settings.problems import told
from components.settings.secret_source import ExternalSecrets
from components.storage.settings import Smb, Volume

if TYPE_CHECKING:
    from components.cloudflare.settings import Cloudflare
    from components.database.settings import Database
    from components.machine_learning.settings import MachineLearning
    from components.proxy.host_settings import Host
    from components.proxy.settings import Proxy
    from components.server.settings import Server
    from components.settings.docker import Docker
    from components.settings.kubernetes import Kubernetes
    from components.settings.secret_source import SecretSource
    from components.storage.settings import Storage


def one_platform(docker: Docker | None, kubernetes: Kubernetes) -> Iterator[Finding]:
    """A stack is on a cluster or on a host."""
    if docker is not None and kubernetes.model_fields_set:
        fields = type(kubernetes).model_fields
        yield Finding(
            key="kubernetes",
            given=", ".join(sorted(str(fields[name].alias) for name in kubernetes.model_fields_set)),
            reason="immich:docker puts this stack on one host, so there is no cluster",
            hint="leave one of the two sections out",
        )


def a_host_has_no_operators(
    docker: Docker | None, database: Database, secrets: SecretSource
) -> Iterator[Finding]:
    """CloudNativePG and External Secrets run on clusters, which have Secrets."""
    if docker is None:
        return
    if isinstance(database, CloudNativePg):
        yield Finding(
            key="database.kind", given=database.kind, reason="needs a cluster", hint="use bundled or external"
        )
    if isinstance(secrets, ExternalSecrets):
        yield Finding(
            key="secrets.kind",
            given=secrets.kind,
            reason="needs a cluster",
            hint="use pulumi: pulumi config set --secret immich:databasePassword, or let it be made at random",
        )
    elif secrets.existing:
        yield Finding(
            key="secrets.existing",
            given=", ".join(secrets.existing),
            reason="a host has no Secrets of Kubernetes",
            hint=f"pulumi config set --secret immich:{next(iter(secrets.existing))}, or let it be made at random",
        )


def ways_fit_the_platform(
    docker: Docker | None, proxy: Proxy, cloudflare: Cloudflare | None
) -> Iterator[Finding]:
    """Ports of the host and labels here, gateways there; and some way in at all."""
    of_a_host = (PublishedPort, TraefikLabels)
    for index, way in enumerate(proxy.expose):
        if isinstance(way, of_a_host) != (docker is not None):
            yield Finding(
                key=f"proxy.expose[{index}].kind",
                given=way.kind,
                reason="needs a cluster" if docker is not None else "needs one host (immich:docker)",
                hint="use publishedPort or traefikLabels"
                if docker is not None
                else "use clusterIp, loadBalancer, httpRoute, ingress or traefik",
            )
    if not proxy.expose and (cloudflare is None or cloudflare.tunnel is None):
        yield Finding(
            key="proxy.expose",
            given="[]",
            reason="there is no way in",
            hint="give one, or a tunnel (immich:cloudflare.tunnel)",
        )
    tls = proxy.tls
    if docker is not None and isinstance(tls, TlsSecret | TlsCertManager):
        yield Finding(
            key="proxy.tls.kind",
            given=tls.kind,
            reason="needs a cluster",
            hint="use acme, files or selfSigned",
        )
    if docker is None and isinstance(tls, TlsFiles | TlsAcme):
        yield Finding(
            key="proxy.tls.kind",
            given=tls.kind,
            reason="needs one host (immich:docker)",
            hint="use certManager, secret or selfSigned",
        )


def ports_are_given_once(docker: Docker | None, proxy: Proxy) -> Iterator[Finding]:
    """Two listeners at one port of the host: the engine would refuse the second container."""
    if docker is None:
        return
    taken: list[tuple[str, int, int]] = []
    for index, way in enumerate(proxy.expose):
        if not isinstance(way, PublishedPort):
            continue
        tls = proxy.tls is not None and not way.trusted_sources
        ports = [way.listen(tls=tls)]
        if tls and way.redirect_from is not None:
            ports.append(way.redirect_from)
        for number in ports:
            for address, port, other in taken:
                if port == number and _meet(address, str(way.address)):
                    yield Finding(
                        key=f"proxy.expose[{index}].port",
                        given=f"{way.address}:{number}",
                        reason="is given twice" if other == index else f"is taken by proxy.expose[{other}]",
                        hint="give another port (or redirectFrom: null)",
                    )
            taken.append((str(way.address), number, index))


def _meet(first: str, second: str) -> bool:
    one, other = ipaddress.ip_address(first), ipaddress.ip_address(second)
    return one == other or (one.version == other.version and (one.is_unspecified or other.is_unspecified))


def one_host_runs_one_copy(
    docker: Docker | None, server: Server, machine_learning: MachineLearning, proxy: Proxy
) -> Iterator[Finding]:
    """More copies on one host are no faster, and one port cannot lead to two."""
    if docker is None:
        return
    counts = [("proxy.replicas", proxy.replicas)]
    if isinstance(server.workers, SplitWorkers):
        counts.append(("server.workers.apiReplicas", server.workers.api_replicas))
        counts.append(("server.workers.microservicesReplicas", server.workers.microservices_replicas))
    if isinstance(machine_learning, BundledMachineLearning):
        counts.append(("machineLearning.replicas", machine_learning.replicas))
    for key, count in counts:
        if count > 1:
            yield Finding(key=key, given=str(count), reason="one host runs one copy", hint="leave it out")


def a_host_knows_no_nodes(
    docker: Docker | None, server: Server, machine_learning: MachineLearning, proxy: Proxy
) -> Iterator[Finding]:
    """Placement and device plugins are a scheduler's; niceness is an operating system's."""
    bundled = machine_learning if isinstance(machine_learning, BundledMachineLearning) else None
    if docker is None:
        if bundled is not None and (bundled.niceness != 0 or bundled.lock_memory):
            yield Finding(
                key="machineLearning.niceness" if bundled.niceness != 0 else "machineLearning.lockMemory",
                reason="is for one host (immich:docker)",
                hint="use machineLearning.resources.requests and placement.priorityClass",
            )
        return
    sections: list[tuple[str, Any]] = [("server", server), ("proxy", proxy)]
    if bundled is not None:
        sections.append(("machineLearning", bundled))
    for name, section in sections:
        if section.placement.model_fields_set:
            yield Finding(key=f"{name}.placement", reason="there is one machine only", hint="leave it out")
        gpu = getattr(section, "gpu", None)
        if gpu is not None and (gpu.resource or gpu.runtime_class):
            yield Finding(
                key=f"{name}.gpu.resource" if gpu.resource else f"{name}.gpu.runtimeClass",
                given=told(gpu.resource or gpu.runtime_class),
                reason="is a cluster's",
                hint="leave it out; give gpu.devices, gpu.ids and gpu.groups where the defaults are not right",
            )


def sites_have_names_of_their_own(docker: Docker | None, host: Host, proxy: Proxy) -> Iterator[Finding]:
    """A cluster's gateway leads to other sites itself; on one host nginx may be the only one with the ports."""
    if proxy.sites and docker is None:
        yield Finding(
            key="proxy.sites",
            reason="is for one host (immich:docker)",
            hint="let the cluster's gateway or ingress controller lead to other sites",
        )
    taken = {str(name) for name in host.names}
    for index, site in enumerate(proxy.sites):
        if str(site.hostname) in taken:
            yield Finding(
                key=f"proxy.sites[{index}].hostname",
                given=site.hostname,
                reason="leads elsewhere already",
                hint="give each site a name of its own; Immich works only at the root of a name",
            )
        taken.add(str(site.hostname))


def volumes_fit_the_platform(
    docker: Docker | None, storage: Storage, database: Database
) -> Iterator[Finding]:
    """The engine's volumes have no class, and their options can be read by everybody."""
    if docker is None:
        return
    for key, _, source in sources(storage, None):
        if isinstance(source, Smb):
            yield Finding(
                key=f"{key}.kind",
                given="smb",
                reason="the engine would keep the share's password in the volume's options, for everybody to read",
                hint="mount the share on the host (/etc/fstab with credentials=) and use hostPath",
            )
        if isinstance(source, Volume) and source.storage_class is not None:
            yield Finding(
                key=f"{key}.storageClass",
                given=told(written(source.storage_class)),
                reason="is a cluster's",
                hint="leave it out; hostPath names a folder of the host",
            )
    if isinstance(database, BundledDatabase) and database.storage_class is not None:
        yield Finding(
            key="database.storageClass",
            given=told(written(database.storage_class)),
            reason="is a cluster's",
            hint="leave it out; database.hostPath names a folder of the host",
        )


def _rule(check: Callable[..., Iterator[Finding]], *sections: str) -> Rule:
    return Rule(sections, check)


DOCKER_RULES = (
    _rule(one_platform, "docker", "kubernetes"),
    _rule(a_host_has_no_operators, "docker", "database", "secrets"),
    _rule(ways_fit_the_platform, "docker", "proxy", "cloudflare"),
    _rule(ports_are_given_once, "docker", "proxy"),
    _rule(sites_have_names_of_their_own, "docker", "host", "proxy"),
    _rule(one_host_runs_one_copy, "docker", "server", "machineLearning", "proxy"),
    _rule(a_host_knows_no_nodes, "docker", "server", "machineLearning", "proxy"),
    _rule(volumes_fit_the_platform, "docker", "storage", "database"),
)
"""Each with the sections that it needs."""

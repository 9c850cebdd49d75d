"""Names of what a stack has on a cluster or on a host: which are the program's own, and which are given. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from components.backup.target_settings import LocalTarget
from components.database.settings import CloudNativePg, ExternalDatabase
from components.fields.finding import Finding, Rule
from components.machine_learning.settings import BundledMachineLearning
from components.model.naming import APP, object_name
from components.proxy.settings import PlainIngress, TraefikLabels, TraefikRoute
from components.proxy.tls_settings import TlsSecret
from components.settings.docker import NETWORKS
from components.settings.secret_source import ExternalSecrets, PublishedName
from components.storage.settings import HostPath, Smb

if TYPE_CHECKING:
    from components.backup.settings import Backup
    from components.database.settings import Database
    from components.machine_learning.settings import MachineLearning
    from components.proxy.settings import Proxy
    from components.settings.docker import Docker
    from components.settings.kubernetes import Kubernetes
    from components.settings.secret_source import SecretSource
    from components.storage.settings import Storage, VolumeSource

_VOLUMES = ("database", "machine-learning-cache", "cache", "certificates", "prometheus")
"""Short names of the volumes that no source of the settings stands for."""
_SECRETS = (
    *get_args(PublishedName), "acme", "alertmanager", "cache-exporter", "grafana", "metrics",
)  # fmt: skip
"""Short names of published Secrets."""
_SHARED_NAMESPACES = frozenset(
    {"default", "cnpg-system", "cert-manager", "ingress-nginx", "monitoring", "external-secrets"}
)
"""Namespaces that somebody else's programs run in by custom; Kubernetes keeps `kube-` for itself."""


def sources(storage: Storage, backup: Backup | None) -> Iterator[tuple[str, str, VolumeSource]]:
    """Config key, short name and source of every volume that the settings describe."""
    libraries = {f"library-{one.name}": index for index, one in enumerate(storage.external_libraries)}
    for name, source in storage.sources():
        index = libraries.get(name)
        key = "encodedVideo" if name == "encoded-video" else name
        yield f"storage.{key if index is None else f'externalLibraries[{index}].source'}", name, source
    if backup is not None:
        yield "backup.volume", "backup", backup.volume
        for number, target in enumerate(backup.targets):
            if isinstance(target, LocalTarget):
                yield f"backup.targets[{number}].source", f"target-{target.name}", target.source


def claims_have_names_of_their_own(  # noqa: PLR0917 - one for each section
    storage: Storage,
    machine_learning: MachineLearning,
    database: Database,
    backup: Backup | None,
    docker: Docker | None,
    stack: str,
) -> Iterator[Finding]:
    """Each volume is one claim, or one named volume of the engine: with one name two programs would write into one."""
    own = APP if docker is None else f"{APP}-{stack}"
    taken = {f"{own}-{name}": f"the {name.replace('-', ' ')} of this stack" for name in _VOLUMES}
    given: list[tuple[str, str, str]] = []
    for key, name, source in sources(storage, backup):
        claim = None if isinstance(source, HostPath) else source.claim_name
        if claim is None:
            taken[f"{own}-{name}"] = key
        else:
            given.append((f"{key}.claimName", name, str(claim)))
    if isinstance(machine_learning, BundledMachineLearning) and machine_learning.cache.claim_name is not None:
        claim = str(machine_learning.cache.claim_name)
        given.append(("machineLearning.cache.claimName", "machine-learning-cache", claim))
    for key, name, claim in given:
        other = (
            None if claim == f"{own}-{name}" else taken.get(claim) or _made_by(claim, database, docker, own)
        )
        if other is not None:
            yield Finding(
                key=key,
                given=claim,
                reason=f"is the name of a volume of {other}",
                hint="give another name, or leave claimName out where this program makes the volume",
            )
        taken[claim] = key


def _made_by(claim: str, database: Database, docker: Docker | None, own: str) -> str | None:
    """Who makes volumes with names like this one."""
    if isinstance(database, CloudNativePg) and database.namespace is None:
        cluster = str(database.cluster_name)
        # In this and every later generation, however many instances came and went.
        if re.fullmatch(rf"{re.escape(cluster)}(-g[0-9]+)?-[0-9]+(-wal)?", claim):
            return f"the database cluster {cluster}"
    if docker is not None and claim.startswith(f"{own}-"):
        return f"this program, whose volumes are all called {own}-..."
    return None


def secrets_have_names_of_their_own(
    secrets: SecretSource,
    storage: Storage,
    backup: Backup | None,
    proxy: Proxy,
    docker: Docker | None,
) -> Iterator[Finding]:
    """A Secret that this program publishes is one for one thing, and none of those that somebody else makes."""
    if docker is not None:
        return
    external = isinstance(secrets, ExternalSecrets)
    names = dict(secrets.names) if external else {}
    taken = {
        object_name(name): f"the Secret {name} of this program" for name in _SECRETS if name not in names
    }
    given = [(f"secrets.names.{short}", str(name)) for short, name in sorted(names.items())]
    existing = {} if external else secrets.existing
    given += [(f"secrets.existing.{key}.name", str(one.name)) for key, one in existing.items()]
    for key, _, source in sources(storage, backup):
        if isinstance(source, Smb) and source.credentials_secret is None:
            yield Finding(
                key=f"{key}.credentialsSecret",
                reason="is needed but not given: the Secret with username and password of the share",
                hint=f"pulumi config set --path 'immich:{key}.credentialsSecret' <name>",
            )
        elif isinstance(source, Smb):
            given.append((f"{key}.credentialsSecret", str(source.credentials_secret)))
    if isinstance(proxy.tls, TlsSecret):
        given.append(("proxy.tls.name", str(proxy.tls.name)))
    for index, way in enumerate(proxy.expose):
        if isinstance(way, PlainIngress | TraefikRoute) and way.tls_secret is not None:
            given.append((f"proxy.expose[{index}].tlsSecret", str(way.tls_secret)))
    for key, name in given:
        if name in taken:
            yield Finding(
                key=key, given=name, reason=f"is the name of {taken[name]}", hint="give another name"
            )
        elif key.startswith("secrets.names."):
            taken[name] = key


def networks_are_somebody_elses(proxy: Proxy, docker: Docker | None, stack: str) -> Iterator[Finding]:
    """Traefik's network exists already; those of the stack let in whom the settings link."""
    if docker is None:
        return
    own = {f"{APP}-{stack}-{name}" for name in NETWORKS}
    for index, way in enumerate(proxy.expose):
        if isinstance(way, TraefikLabels) and way.network in own | {"host", "none", "bridge", "podman"}:
            yield Finding(
                key=f"proxy.expose[{index}].network",
                given=way.network,
                reason="is a network of this stack"
                if way.network in own
                else "is a network of the engine itself, in which containers are not found by name",
                hint="make one (docker network create reverse_proxy) that Traefik joins, and give its name",
            )


def the_namespace_is_immichs_own(
    kubernetes: Kubernetes, docker: Docker | None, proxy: Proxy, database: Database
) -> Iterator[Finding]:
    """The namespace gets a default deny and a Pod Security level, which would hit every other pod in it."""
    if docker is not None:
        return
    name = str(kubernetes.namespace)
    if isinstance(database, ExternalDatabase) and kubernetes.network_policies != "none":
        # A name of a Service: alone, or with the namespace behind it.
        service, _, rest = str(database.host).partition(".")
        if rest.partition(".")[0] in {"", name} and ":" not in service and service != "localhost":
            yield Finding(
                key="kubernetes.networkPolicies",
                given=kubernetes.network_policies,
                reason=f"the database {database.host} is in Immich's namespace: a default deny would cut off its pods",
                hint="pulumi config set --path 'immich:kubernetes.networkPolicies' none, or have the database in a "
                "namespace of its own; a machine of the LAN needs its full name",
            )
    if name in _SHARED_NAMESPACES or name.startswith("kube-"):
        who = "is not Immich's alone: other programs run there by custom"
    else:
        others: list[tuple[str, object]] = [
            ("kubernetes.monitoringNamespace", kubernetes.monitoring_namespace)
        ]
        if isinstance(database, CloudNativePg):
            others.append(("database.operatorNamespace", database.operator_namespace))
        for index, way in enumerate(proxy.expose):
            for attribute, key in (
                ("gateway_namespace", "gatewayNamespace"),
                ("controller_namespace", "controllerNamespace"),
            ):
                others.append((f"proxy.expose[{index}].{key}", getattr(way, attribute, None)))
        found = next((key for key, other in others if other == name), None)
        if found is None:
            return
        who = f"is not Immich's alone: {found} says that others run there"
    yield Finding(
        key="kubernetes.namespace",
        given=name,
        reason=f"{who}, and Immich's isolation (a default deny, Pod Security) would hit every pod in it",
        hint="pulumi config set --path 'immich:kubernetes.namespace' immich",
    )


def clusters_leave_the_account_alone(database: Database) -> Iterator[Finding]:
    """The operator makes a ServiceAccount of the cluster's name, and there is one of Immich's."""
    if isinstance(database, CloudNativePg) and database.cluster_name == APP and database.namespace is None:
        yield Finding(
            key="database.clusterName",
            given=APP,
            reason="the operator makes a ServiceAccount of the cluster's name, and the one of that name is Immich's",
            hint="pulumi config set --path 'immich:database.clusterName' immich-database",
        )


NAME_RULES = (
    Rule(
        ("storage", "machineLearning", "database", "backup", "docker", "stack"),
        claims_have_names_of_their_own,
    ),
    Rule(("secrets", "storage", "backup", "proxy", "docker"), secrets_have_names_of_their_own),
    Rule(("proxy", "docker", "stack"), networks_are_somebody_elses),
    Rule(("kubernetes", "docker", "proxy", "database"), the_namespace_is_immichs_own),
    Rule(("database",), clusters_leave_the_account_alone),
)
"""All of them. `stack` is the name of the stack."""

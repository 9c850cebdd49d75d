"""Does every name in a set of manifests name something? Pure checks; each returns sentences for people.

An API server accepts a Deployment whose ConfigMap is missing or a route to a Service that nobody made: these are the
mistakes that it does not see. :func:`problems` runs every check, those of the sibling modules included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from tests.harness import cilium, hardening, routing, selection
from tests.harness.objects import (
    Manifest,
    Pods,
    at,
    is_cnpg,
    items,
    kind_of,
    name_of,
    namespace_of,
    of_kind,
    pods_of,
    title,
)

KNOWN_NAMESPACES = frozenset({"default", "kube-system", "kube-public", "kube-node-lease"})

CNPG_APP_KEYS = frozenset(
    {
        "host",
        "port",
        "dbname",
        "user",
        "username",
        "password",
        "uri",
        "jdbc-uri",
        "fqdn-uri",
        "fqdn-jdbc-uri",
        "pgpass",
    }
)
"""Keys of the Secrets `<cluster>-app` and `<cluster>-superuser` that CloudNativePG writes."""


def problems(documents: Sequence[Manifest], provided: Collection[str] = ()) -> list[str]:
    """Every problem of every check, in a stable order.

    `provided` names what the cluster has beside these manifests, as :func:`tests.harness.objects.title` writes it:
    `StorageClass longhorn`, `ClusterSecretStore onepassword`, `Secret immich/registry`, `Namespace gateway`.
    """
    return [
        *duplicates(documents),
        *missing_namespaces(documents, provided),
        *missing_references(documents, provided),
        *wrong_mounts(documents),
        *wrong_probes(documents),
        *selection.problems(documents),
        *cilium.problems(documents),
        *routing.problems(documents),
        *hardening.problems(documents),
    ]


def duplicates(documents: Sequence[Manifest]) -> list[str]:
    """The same kind, namespace and name twice: the second silently wins."""
    counted = Counter((str(one.get("apiVersion", "")).rpartition("/")[0], title(one)) for one in documents)
    return [f"{name} is there {count} times." for (_, name), count in counted.items() if count > 1]


def missing_namespaces(documents: Sequence[Manifest], provided: Collection[str] = ()) -> list[str]:
    """Objects in a namespace that nobody makes."""
    known = KNOWN_NAMESPACES | {name_of(one) for one in of_kind(documents, "Namespace")}
    return [
        f"{title(one)} is in the namespace {namespace_of(one)}, which is not among the manifests."
        for one in documents
        if namespace_of(one)
        and namespace_of(one) not in known
        and f"Namespace {namespace_of(one)}" not in provided
    ]


@dataclass(frozen=True, slots=True)
class Reference:
    """One name that an object uses."""

    user: str
    kind: str
    namespace: str
    name: str
    keys: frozenset[str] = field(default_factory=frozenset[str])
    """Keys of a ConfigMap or Secret that must be there."""

    @property
    def target(self) -> str:
        """The thing meant, written like a title."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def missing_references(documents: Sequence[Manifest], provided: Collection[str] = ()) -> list[str]:
    """Names of ConfigMaps, Secrets, claims, accounts, volumes, classes, clusters and stores that lead nowhere."""
    known = known_objects(documents)
    found: dict[str, None] = {}
    for document in documents:
        for reference in references_of(document):
            if reference.target in provided:
                continue
            if reference.target not in known:
                found[f"{reference.user} refers to {reference.target}, which does not exist."] = None
                continue
            keys = known[reference.target]
            for key in sorted(reference.keys - keys) if keys is not None else ():
                found[
                    f"{reference.user} takes the key {key} of {reference.target}, which does not have it."
                ] = None
    return list(found)


def known_objects(documents: Sequence[Manifest]) -> dict[str, frozenset[str] | None]:
    """What exists once the operators did their work: title -> keys (ConfigMap, Secret), None where keys are unknown."""
    known: dict[str, frozenset[str] | None] = {}
    for one in documents:
        namespace, name = namespace_of(one), name_of(one)
        match kind_of(one):
            case "ConfigMap" | "Secret":
                known[title(one)] = frozenset(
                    str(key) for part in ("data", "stringData", "binaryData") for key in (at(one, part) or {})
                )
            case "ExternalSecret":
                target = at(one, "spec", "target", "name") or name
                known[f"Secret {namespace}/{target}"] = _external_secret_keys(one)
            case "Certificate":
                known[f"Secret {namespace}/{at(one, 'spec', 'secretName')}"] = frozenset(
                    {"tls.crt", "tls.key", "ca.crt"}
                )
            case "Cluster" if is_cnpg(one):
                known[f"Secret {namespace}/{name}-app"] = CNPG_APP_KEYS
                known[f"Secret {namespace}/{name}-ca"] = frozenset({"ca.crt", "ca.key"})
                known[f"Secret {namespace}/{name}-server"] = frozenset({"tls.crt", "tls.key"})
                known[f"Secret {namespace}/{name}-replication"] = frozenset({"tls.crt", "tls.key"})
                if at(one, "spec", "enableSuperuserAccess"):
                    known[f"Secret {namespace}/{name}-superuser"] = CNPG_APP_KEYS
            case _:
                pass
        known.setdefault(title(one), None)
    for namespace in {namespace_of(one) for one in documents} - {""}:
        known.setdefault(f"ServiceAccount {namespace}/default", None)
        known.setdefault(f"ConfigMap {namespace}/kube-root-ca.crt", frozenset({"ca.crt"}))
    return known


def _external_secret_keys(document: Manifest) -> frozenset[str] | None:
    if items(document, "spec", "dataFrom"):
        return None
    written = at(document, "spec", "target", "template", "data")
    if isinstance(written, dict) and at(document, "spec", "target", "template", "mergePolicy") != "Merge":
        return frozenset(str(key) for key in cast("Manifest", written))
    merged = [str(key) for key in cast("Manifest", written)] if isinstance(written, dict) else []
    return frozenset([*merged, *(str(one.get("secretKey")) for one in items(document, "spec", "data"))])


def references_of(document: Manifest) -> Iterator[Reference]:
    """Every name that one object uses."""
    user, namespace = title(document), namespace_of(document)
    for pods in pods_of(document):
        yield from _pod_references(pods)
    spec = at(document, "spec")
    match kind_of(document):
        case "PersistentVolumeClaim":
            yield from _claim_references(user, spec)
        case "StatefulSet":
            for claim in items(spec, "volumeClaimTemplates"):
                yield from _claim_references(user, at(claim, "spec"))
            if at(spec, "serviceName"):
                yield Reference(user, "Service", namespace, str(at(spec, "serviceName")))
        case "PersistentVolume":
            for part in ("nodeStageSecretRef", "nodePublishSecretRef", "controllerExpandSecretRef"):
                if (secret := at(spec, "csi", part)) is not None:
                    yield Reference(user, "Secret", str(at(secret, "namespace")), str(at(secret, "name")))
        case "Cluster" if is_cnpg(document):
            yield from _cluster_references(user, namespace, spec)
        case "ScheduledBackup" | "Backup" | "Database" | "Pooler" | "DatabaseRole" if is_cnpg(document):
            yield Reference(user, "Cluster", namespace, str(at(spec, "cluster", "name")))
        case "ObjectStore":
            yield from _object_store_references(user, namespace, spec)
        case "ExternalSecret":
            store = at(spec, "secretStoreRef") or {}
            kind = str(at(store, "kind") or "SecretStore")
            yield Reference(
                user, kind, "" if kind.startswith("Cluster") else namespace, str(at(store, "name"))
            )
        case "HorizontalPodAutoscaler" | "ScaledObject":
            target = at(spec, "scaleTargetRef")
            yield Reference(user, str(at(target, "kind") or "Deployment"), namespace, str(at(target, "name")))
        case "RoleBinding" | "ClusterRoleBinding":
            for subject in items(document, "subjects"):
                if subject.get("kind") == "ServiceAccount":
                    where = str(subject.get("namespace") or namespace)
                    yield Reference(user, "ServiceAccount", where, str(subject.get("name")))
        case "ServiceMonitor" | "PodMonitor":
            for endpoint in [*items(spec, "endpoints"), *items(spec, "podMetricsEndpoints")]:
                for part in ("username", "password"):
                    yield from _selected(user, namespace, "Secret", at(endpoint, "basicAuth", part))
                yield from _selected(user, namespace, "Secret", at(endpoint, "authorization", "credentials"))
        case _:
            pass


def _pod_references(pods: Pods) -> Iterator[Reference]:
    user, namespace, spec = pods.owner, pods.namespace, pods.spec
    if account := at(spec, "serviceAccountName"):
        yield Reference(user, "ServiceAccount", namespace, str(account))
    for secret in items(spec, "imagePullSecrets"):
        yield Reference(user, "Secret", namespace, str(secret.get("name")))
    for volume in items(spec, "volumes"):
        if claim := at(volume, "persistentVolumeClaim", "claimName"):
            yield Reference(user, "PersistentVolumeClaim", namespace, str(claim))
        for part in ("nodePublishSecretRef",):
            yield from _whole(user, namespace, "Secret", at(volume, "csi", part))
        for source in [volume, *items(volume, "projected", "sources")]:
            yield from _whole(user, namespace, "ConfigMap", source.get("configMap"))
            yield from _whole(user, namespace, "Secret", source.get("secret"))
    for container in pods.containers:
        for source in items(container, "envFrom"):
            yield from _whole(user, namespace, "ConfigMap", source.get("configMapRef"))
            yield from _whole(user, namespace, "Secret", source.get("secretRef"))
        for variable in items(container, "env"):
            yield from _selected(user, namespace, "ConfigMap", at(variable, "valueFrom", "configMapKeyRef"))
            yield from _selected(user, namespace, "Secret", at(variable, "valueFrom", "secretKeyRef"))


def _whole(user: str, namespace: str, kind: str, source: object) -> Iterator[Reference]:
    """A volume or environment source; `items` of a volume name keys that must be there."""
    name = at(source, "secretName") or at(source, "name")
    if name and not at(source, "optional"):
        keys = frozenset(str(one.get("key")) for one in items(source, "items"))
        yield Reference(user, kind, namespace, str(name), keys)


def _selected(user: str, namespace: str, kind: str, source: object) -> Iterator[Reference]:
    """A name with one key."""
    if at(source, "name") and not at(source, "optional"):
        key = at(source, "key")
        yield Reference(user, kind, namespace, str(at(source, "name")), frozenset({str(key)} if key else ()))


def _claim_references(user: str, spec: object) -> Iterator[Reference]:
    """A claim that names its volume uses the class as a mere word that both must have; no class object is needed."""
    if at(spec, "volumeName"):
        yield Reference(user, "PersistentVolume", "", str(at(spec, "volumeName")))
    elif at(spec, "storageClassName"):
        yield Reference(user, "StorageClass", "", str(at(spec, "storageClassName")))


def _cluster_references(user: str, namespace: str, spec: object) -> Iterator[Reference]:
    for part in ("storage", "walStorage"):
        if at(spec, part, "storageClass"):
            yield Reference(user, "StorageClass", "", str(at(spec, part, "storageClass")))
    secrets = [at(spec, "bootstrap", way, "secret") for way in ("initdb", "recovery", "pg_basebackup")]
    secrets += [at(spec, "superuserSecret")]
    secrets += [at(role, "passwordSecret") for role in items(spec, "managed", "roles")]
    for secret in secrets:
        yield from _whole(user, namespace, "Secret", secret)
    for external in items(spec, "externalClusters"):
        yield from _selected(user, namespace, "Secret", external.get("password"))
    for plugin in [
        *items(spec, "plugins"),
        *(at(one, "plugin") or {} for one in items(spec, "externalClusters")),
    ]:
        if store := at(plugin, "parameters", "barmanObjectName"):
            yield Reference(user, "ObjectStore", namespace, str(store))
    if catalog := at(spec, "imageCatalogRef"):
        kind = str(at(catalog, "kind") or "ImageCatalog")
        yield Reference(user, kind, "" if kind.startswith("Cluster") else namespace, str(at(catalog, "name")))
    for kind, part in (("ConfigMap", "customQueriesConfigMap"), ("Secret", "customQueriesSecret")):
        for query in items(spec, "monitoring", part):
            yield from _selected(user, namespace, kind, query)


def _object_store_references(user: str, namespace: str, spec: object) -> Iterator[Reference]:
    configuration = at(spec, "configuration")
    yield from _selected(user, namespace, "Secret", at(configuration, "endpointCA"))
    for provider in ("s3Credentials", "azureCredentials", "googleCredentials"):
        credentials = at(configuration, provider)
        for source in cast("Mapping[str, object]", credentials or {}).values():
            yield from _selected(user, namespace, "Secret", source)


def wrong_mounts(documents: Sequence[Manifest]) -> list[str]:
    """Mounts of volumes that the pod does not have, volumes that nothing mounts, and two mounts on one path."""
    found: list[str] = []
    for pods in (pods for one in documents for pods in pods_of(one)):
        volumes = {str(volume.get("name")) for volume in items(pods.spec, "volumes")} | set(
            pods.claim_templates
        )
        mounted: set[str] = set()
        for container in pods.containers:
            paths = Counter(str(mount.get("mountPath")) for mount in items(container, "volumeMounts"))
            found += [
                f"{pods.owner}, container {container.get('name')}: {path} is mounted {count} times."
                for path, count in paths.items()
                if count > 1
            ]
            for mount in [*items(container, "volumeMounts"), *items(container, "volumeDevices")]:
                mounted.add(str(mount.get("name")))
                if mount.get("name") not in volumes:
                    found.append(
                        f"{pods.owner}, container {container.get('name')}: "
                        f"there is no volume {mount.get('name')} to mount at {mount.get('mountPath')}."
                    )
        found += [f"{pods.owner}: nothing mounts the volume {name}." for name in sorted(volumes - mounted)]
    return found


def wrong_probes(documents: Sequence[Manifest]) -> list[str]:
    """Probes and hooks that name a port which their container does not declare."""
    found: list[str] = []
    for pods in (pods for one in documents for pods in pods_of(one)):
        for container in pods.containers:
            declared = items(container, "ports")
            names = {str(port.get("name")) for port in declared}
            numbers = {port.get("containerPort") for port in declared}
            for what in ("startupProbe", "livenessProbe", "readinessProbe"):
                for way in ("httpGet", "tcpSocket", "grpc"):
                    port = at(container, what, way, "port")
                    if port is not None and port not in (names if isinstance(port, str) else numbers):
                        found.append(
                            f"{pods.owner}, container {container.get('name')}: "
                            f"{what} asks the port {port}, which the container does not declare."
                        )
    return found

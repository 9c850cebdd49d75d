"""Kubernetes manifests as plain data: what the checks of rendered stacks need to know about kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

Manifest = dict[str, Any]

TEMPLATE_KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")

NAMESPACED_AT_CLUSTER = frozenset(
    {
        "Namespace",
        "Node",
        "PersistentVolume",
        "StorageClass",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "PriorityClass",
        "RuntimeClass",
        "IngressClass",
        "GatewayClass",
        "ClusterSecretStore",
        "ClusterIssuer",
        "ClusterImageCatalog",
        "ClusterTriggerAuthentication",
        "CiliumClusterwideNetworkPolicy",
        "CSIDriver",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)
"""Kinds without a namespace, among those that a stack may render."""


def at(value: object, *path: str | int) -> Any:
    """The value at a path of keys and indexes, or None where the path ends early."""
    for step in path:
        if isinstance(value, dict) and step in value:
            value = cast("Manifest", value)[str(step)]
        elif isinstance(value, list) and isinstance(step, int) and step < len(cast("list[object]", value)):
            value = cast("list[object]", value)[step]
        else:
            return None
    return value


def items(value: object, *path: str) -> list[Manifest]:
    """The objects of the list at a path; none where there is no such list."""
    found = at(value, *path)
    return (
        [one for one in cast("list[object]", found) if isinstance(one, dict)]
        if isinstance(found, list)
        else []
    )


def text_map(value: object, *path: str) -> dict[str, str]:
    """The labels (or any map of texts) at a path."""
    found = at(value, *path)
    return (
        {str(key): str(one) for key, one in cast("Manifest", found).items()}
        if isinstance(found, dict)
        else {}
    )


def kind_of(document: Manifest) -> str:
    """The kind, or an empty text."""
    return str(document.get("kind") or "")


def name_of(document: Manifest) -> str:
    """metadata.name, or an empty text."""
    return str(at(document, "metadata", "name") or "")


def namespace_of(document: Manifest) -> str:
    """The namespace that the API server would put the object in; empty for a kind that has none."""
    if kind_of(document) in NAMESPACED_AT_CLUSTER:
        return ""
    return str(at(document, "metadata", "namespace") or "default")


def title(document: Manifest) -> str:
    """How a message names an object: `Deployment immich/immich-server`."""
    namespace = namespace_of(document)
    return (
        f"{kind_of(document)} {namespace}/{name_of(document)}"
        if namespace
        else f"{kind_of(document)} {name_of(document)}"
    )


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods that one object makes."""

    owner: str
    """:func:`title` of the object."""
    namespace: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Manifest
    """A PodSpec; empty for pods that an operator makes in its own way."""
    claim_templates: tuple[str, ...] = ()
    """Names of a StatefulSet's volumeClaimTemplates, which are volumes of its pods."""
    port_names: Mapping[str, int] = field(default_factory=dict[str, int])
    port_numbers: frozenset[int] = frozenset()

    @property
    def containers(self) -> list[Manifest]:
        """Containers, init containers included."""
        return [*items(self.spec, "initContainers"), *items(self.spec, "containers")]


def pods_of(document: Manifest) -> list[Pods]:
    """The pods that a workload, or a CloudNativePG Cluster or Pooler, makes."""
    kind = kind_of(document)
    if kind in TEMPLATE_KINDS:
        return [_from_template(document, at(document, "spec", "template"))]
    if kind == "CronJob":
        return [_from_template(document, at(document, "spec", "jobTemplate", "spec", "template"))]
    if kind == "Pod":
        return [_from_template(document, document)]
    if kind == "Cluster" and is_cnpg(document):
        return _cluster_pods(document)
    if kind == "Pooler" and is_cnpg(document):
        return [
            Pods(
                title(document),
                namespace_of(document),
                {"cnpg.io/poolerName": name_of(document), "cnpg.io/podRole": "pooler"},
                {},
                {},
                port_names={"pgbouncer": 5432, "metrics": 9127},
                port_numbers=frozenset({5432, 9127}),
            )
        ]
    return []


def is_cnpg(document: Manifest) -> bool:
    """Whether the object is of CloudNativePG's own API group."""
    return str(document.get("apiVersion", "")).startswith("postgresql.cnpg.io/")


def _from_template(document: Manifest, template: object) -> Pods:
    spec = cast("Manifest", at(template, "spec") or {})
    ports = [
        port
        for container in [*items(spec, "initContainers"), *items(spec, "containers")]
        for port in items(container, "ports")
    ]
    return Pods(
        owner=title(document),
        namespace=namespace_of(document),
        labels=text_map(template, "metadata", "labels"),
        annotations=text_map(template, "metadata", "annotations"),
        spec=spec,
        claim_templates=tuple(name_of(claim) for claim in items(document, "spec", "volumeClaimTemplates")),
        port_names={str(port["name"]): int(port["containerPort"]) for port in ports if "name" in port},
        port_numbers=frozenset(int(port["containerPort"]) for port in ports),
    )


def _cluster_pods(document: Manifest) -> list[Pods]:
    """Instances as the operator labels them (cloudnative-pg.io docs, «Labels and annotations»)."""
    name = name_of(document)
    return [
        Pods(
            title(document),
            namespace_of(document),
            {
                "cnpg.io/cluster": name,
                "cnpg.io/podRole": "instance",
                "cnpg.io/instanceRole": role,
                "role": role,
                **text_map(document, "spec", "inheritedMetadata", "labels"),
            },
            {},
            {},
            port_names={"postgresql": 5432, "metrics": 9187, "status": 8000},
            port_numbers=frozenset({5432, 9187, 8000}),
        )
        for role in ("primary", "replica")
    ]


def matches(selector: object, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector (`matchLabels`, `matchExpressions`) selects these labels; an empty one selects all."""
    if any(labels.get(key) != value for key, value in text_map(selector, "matchLabels").items()):
        return False
    return all(_expression_holds(one, labels) for one in items(selector, "matchExpressions"))


def _expression_holds(expression: Manifest, labels: Mapping[str, str]) -> bool:
    value = labels.get(str(expression.get("key")))
    wanted = [str(one) for one in cast("list[object]", expression.get("values") or [])]
    match expression.get("operator"):
        case "In":
            return value in wanted
        case "NotIn":
            return value not in wanted
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False


def walk(value: object, path: str = "") -> Iterator[tuple[str, Manifest]]:
    """Every object inside a manifest with its path, the manifest itself first."""
    if isinstance(value, dict):
        found = cast("Manifest", value)
        yield path, found
        for key, inner in found.items():
            yield from walk(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(cast("list[object]", value)):
            yield from walk(inner, f"{path}[{index}]")


def of_kind(documents: Iterable[Manifest], *kinds: str) -> list[Manifest]:
    """The documents of these kinds."""
    return [one for one in documents if kind_of(one) in kinds]

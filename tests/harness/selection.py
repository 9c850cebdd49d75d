"""Does every selector select something? A Service that selects nothing is accepted and does nothing."""

from __future__ import annotations

from collections.abc import Sequence

from tests.harness.objects import (
    Manifest,
    Pods,
    at,
    items,
    kind_of,
    matches,
    name_of,
    namespace_of,
    of_kind,
    pods_of,
    text_map,
    title,
)

SELECTED_PODS = {
    "NetworkPolicy": ("spec", "podSelector"),
    "PodDisruptionBudget": ("spec", "selector"),
    "PodMonitor": ("spec", "selector"),
}
"""Where these kinds hold the LabelSelector of the pods that they are about."""


def problems(documents: Sequence[Manifest]) -> list[str]:
    """Selectors without a match, ports that what they match does not have, and spread constraints of strangers."""
    pods = [one for document in documents for one in pods_of(document)]
    found: list[str] = []
    for document in documents:
        match kind_of(document):
            case "Service":
                found += _service(document, pods)
            case "NetworkPolicy":
                found += _own_pods(document, pods) + _peers(document, pods, documents)
            case "PodDisruptionBudget":
                found += _own_pods(document, pods)
            case "PodMonitor":
                found += _own_pods(document, pods) + _pod_monitor_ports(document, pods)
            case "ServiceMonitor":
                found += _service_monitor(document, of_kind(documents, "Service"))
            case "Deployment" | "StatefulSet" | "DaemonSet":
                found += _workload(document)
            case _:
                pass
    for one in pods:
        for constraint in items(one.spec, "topologySpreadConstraints"):
            if not matches(constraint.get("labelSelector"), one.labels):
                found.append(f"{one.owner}: a topology spread constraint does not select its own pods.")
    return found


def watched_namespaces(document: Manifest) -> list[str] | None:
    """Namespaces that a monitor looks at; None for all of them."""
    if at(document, "spec", "namespaceSelector", "any"):
        return None
    names = at(document, "spec", "namespaceSelector", "matchNames")
    return [str(one) for one in names] if names else [namespace_of(document)]


def _service(document: Manifest, pods: Sequence[Pods]) -> list[str]:
    labels = text_map(document, "spec", "selector")
    if not labels:
        return []
    selected = [
        one
        for one in pods
        if one.namespace == namespace_of(document) and labels.items() <= dict(one.labels).items()
    ]
    if not selected:
        return [f"{title(document)} selects no pods: none in its namespace has all of {labels}."]
    found: list[str] = []
    for port in items(document, "spec", "ports"):
        target = port.get("targetPort", port.get("port"))
        for one in selected:
            has = target in one.port_names if isinstance(target, str) else target in one.port_numbers
            if not has:
                found.append(
                    f"{title(document)} sends to the port {target}, which {one.owner} does not declare."
                )
    return found


def _own_pods(document: Manifest, pods: Sequence[Pods]) -> list[str]:
    selector = at(document, *SELECTED_PODS[kind_of(document)])
    namespaces = (
        watched_namespaces(document) if kind_of(document) == "PodMonitor" else [namespace_of(document)]
    )
    if any(
        matches(selector, one.labels) for one in pods if namespaces is None or one.namespace in namespaces
    ):
        return []
    return [f"{title(document)} selects no pods."]


def _peers(document: Manifest, pods: Sequence[Pods], documents: Sequence[Manifest]) -> list[str]:
    """Peers in namespaces of the same manifests must be pods of the same manifests; others cannot be judged."""
    namespaces = {name_of(one): _namespace_labels(one) for one in of_kind(documents, "Namespace")}
    namespaces.setdefault(namespace_of(document), {"kubernetes.io/metadata.name": namespace_of(document)})
    found: list[str] = []
    for direction, part in (("ingress", "from"), ("egress", "to")):
        for number, rule in enumerate(items(document, "spec", direction)):
            for peer in items(rule, part):
                if "podSelector" not in peer:
                    continue
                if "namespaceSelector" in peer:
                    meant = [
                        name
                        for name, labels in namespaces.items()
                        if matches(peer["namespaceSelector"], labels)
                    ]
                else:
                    meant = [namespace_of(document)]
                selected = [
                    one for one in pods if one.namespace in meant and matches(peer["podSelector"], one.labels)
                ]
                if meant and not selected:
                    found.append(
                        f"{title(document)}: {direction} rule {number} names pods that do not exist."
                    )
                for port in items(rule, "ports") if direction == "egress" else ():
                    found += _closed_port(document, number, port, selected)
    return found


def _closed_port(document: Manifest, number: int, port: Manifest, selected: Sequence[Pods]) -> list[str]:
    wanted = port.get("port")
    if wanted is None or not selected:
        return []
    if any(wanted in (one.port_names if isinstance(wanted, str) else one.port_numbers) for one in selected):
        return []
    owners = ", ".join(sorted({one.owner for one in selected}))
    return [
        f"{title(document)}: egress rule {number} opens the port {wanted}, which {owners} does not declare."
    ]


def _namespace_labels(namespace: Manifest) -> dict[str, str]:
    """Labels with the one that the API server adds to every namespace."""
    return {**text_map(namespace, "metadata", "labels"), "kubernetes.io/metadata.name": name_of(namespace)}


def _pod_monitor_ports(document: Manifest, pods: Sequence[Pods]) -> list[str]:
    namespaces = watched_namespaces(document)
    selector = at(document, "spec", "selector")
    selected = [
        one
        for one in pods
        if (namespaces is None or one.namespace in namespaces) and matches(selector, one.labels)
    ]
    return [
        f"{title(document)} scrapes the port {endpoint['port']}, which {one.owner} does not name."
        for endpoint in items(document, "spec", "podMetricsEndpoints")
        if "port" in endpoint
        for one in selected
        if endpoint["port"] not in one.port_names
    ]


def _service_monitor(document: Manifest, services: Sequence[Manifest]) -> list[str]:
    namespaces = watched_namespaces(document)
    selected = [
        one
        for one in services
        if (namespaces is None or namespace_of(one) in namespaces)
        and matches(at(document, "spec", "selector"), text_map(one, "metadata", "labels"))
    ]
    if not selected:
        return [f"{title(document)} selects no Service."]
    return [
        f"{title(document)} scrapes the port {endpoint['port']}, which {title(one)} does not name."
        for endpoint in items(document, "spec", "endpoints")
        if "port" in endpoint
        for one in selected
        if endpoint["port"] not in {port.get("name") for port in items(one, "spec", "ports")}
    ]


def _workload(document: Manifest) -> list[str]:
    selector = at(document, "spec", "selector")
    labels = text_map(document, "spec", "template", "metadata", "labels")
    if text_map(selector, "matchLabels") or items(selector, "matchExpressions"):
        return (
            []
            if matches(selector, labels)
            else [f"{title(document)} does not select the pods of its own template."]
        )
    return [f"{title(document)} has an empty selector, which takes every pod of the namespace."]

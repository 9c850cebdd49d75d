"""Does every selector of a CiliumNetworkPolicy select something?

Cilium writes labels with their source (`k8s:app`), and the namespace as one of them (docs.cilium.io, «Layer 3»).
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.harness.objects import (
    Manifest,
    Pods,
    at,
    items,
    matches,
    namespace_of,
    of_kind,
    pods_of,
    text_map,
    title,
)

NAMESPACE_LABEL = "io.kubernetes.pod.namespace"


def problems(documents: Sequence[Manifest]) -> list[str]:
    """Policies about no pods, peers that do not exist, and opened ports that the peer does not declare.

    Peers in namespaces of which these manifests show no pod cannot be judged.
    """
    pods = [one for document in documents for one in pods_of(document)]
    found: list[str] = []
    for policy in of_kind(documents, "CiliumNetworkPolicy"):
        if not _selected(at(policy, "spec", "endpointSelector"), namespace_of(policy), pods):
            found.append(f"{title(policy)} selects no pods.")
        for direction, part in (("ingress", "fromEndpoints"), ("egress", "toEndpoints")):
            for number, rule in enumerate(items(policy, "spec", direction)):
                peers = [_selected(peer, namespace_of(policy), pods) for peer in items(rule, part)]
                if any(peer == [] for peer in peers):
                    found.append(f"{title(policy)}: {direction} rule {number} names pods that do not exist.")
                if direction == "egress":
                    found += _closed_ports(
                        policy, number, rule, [one for peer in peers for one in peer or ()]
                    )
    return found


def _selected(selector: object, namespace: str, pods: Sequence[Pods]) -> list[Pods] | None:
    """The pods that a selector means; None when it is about a namespace that is not known here."""
    labels = {key.removeprefix("k8s:"): value for key, value in text_map(selector, "matchLabels").items()}
    meant = labels.pop(NAMESPACE_LABEL, namespace)
    there = [one for one in pods if one.namespace == meant]
    if not there and meant != namespace:
        return None
    expressions = [
        {**one, "key": str(one.get("key")).removeprefix("k8s:")}
        for one in items(selector, "matchExpressions")
    ]
    return [
        one for one in there if matches({"matchLabels": labels, "matchExpressions": expressions}, one.labels)
    ]


def _closed_ports(policy: Manifest, number: int, rule: Manifest, peers: Sequence[Pods]) -> list[str]:
    if not peers:
        return []
    open_ports = {str(port) for one in peers for port in (*one.port_numbers, *one.port_names)}
    owners = ", ".join(sorted({one.owner for one in peers}))
    return [
        f"{title(policy)}: egress rule {number} opens the port {port.get('port')}, which {owners} does not declare."
        for group in items(rule, "toPorts")
        for port in items(group, "ports")
        if str(port.get("port")) not in open_ports
    ]

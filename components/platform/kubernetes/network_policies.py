"""Isolation with plain NetworkPolicies: everything is denied both ways, then what the links say is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import pulumi

from components.model.naming import selector
from components.model.specs import Peer
from components.model.workload import Egress, Ingress, Link
from components.platform.kubernetes.pods import Manifest

PRIVATE_IPV4 = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
"""Ranges that a name outside never needs: private, carrier-grade NAT, link-local with its metadata service."""
PRIVATE_IPV6 = ("fc00::/7", "fe80::/10")
_ANYWHERE = (
    {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}},
    {"ipBlock": {"cidr": "::/0", "except": ["fe80::/10", "fd00:ec2::254/128"]}},
)
"""Public and private addresses, all but link-local ones: at those a cloud tells a machine its keys."""
_NAMESPACE = "kubernetes.io/metadata.name"
_METRICS_PORT = 9187
"""Where CloudNativePG's instances have their metrics."""


class Connected(Protocol):
    """Pods of one component: a workload, or a task with what any of its steps needs."""

    @property
    def name(self) -> str: ...

    @property
    def links(self) -> tuple[Link, ...]: ...

    @property
    def egress(self) -> tuple[Egress, ...]: ...

    @property
    def ingress(self) -> tuple[Ingress, ...]: ...


def default_deny() -> Manifest:
    """No pod of the namespace is reachable or reaches anything unless another policy says so."""
    return _policy({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})


def workload_policy(workload: Connected, others: Sequence[Connected], peers: Mapping[str, Peer]) -> Manifest:
    """What may connect to a workload and what it may connect to."""
    return _policy(
        {
            "podSelector": {"matchLabels": selector(workload.name)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                *(
                    {
                        "from": [{"podSelector": {"matchLabels": selector(other.name)}}],
                        "ports": _ports(link.port),
                    }
                    for other in others
                    for link in other.links
                    if link.to == workload.name
                ),
                *(_ingress(rule) for rule in workload.ingress if rule.on_cluster),
            ],
            "egress": [
                *(_dns() if workload.links or any(rule.names for rule in workload.egress) else []),
                *({"to": [_peer(link.to, peers)], "ports": _ports(link.port)} for link in workload.links),
                *(_egress(rule) for rule in workload.egress),
            ],
        }
    )


def peer_policy(
    peer: Peer,
    clients: Sequence[tuple[str, int]],
    *,
    namespace: str,
    operator_namespace: str,
    archive_ports: Sequence[int],
    monitoring_namespace: str | None = None,
) -> Manifest:
    """Who may connect to a database cluster: Immich's pods, its own members, the operator; and what it needs."""
    members = {"podSelector": {"matchLabels": dict(peer.labels)}}
    operator = {"namespaceSelector": {"matchLabels": {_NAMESPACE: operator_namespace}}}
    return _policy(
        {
            "podSelector": {"matchLabels": dict(peer.labels)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                *(
                    {
                        "from": [
                            {
                                "namespaceSelector": {"matchLabels": {_NAMESPACE: namespace}},
                                "podSelector": {"matchLabels": selector(client)},
                            }
                        ],
                        "ports": _ports(port),
                    }
                    for client, port in clients
                ),
                *(
                    {
                        "from": [{"namespaceSelector": {"matchLabels": {_NAMESPACE: reader}}}],
                        "ports": _ports(_METRICS_PORT),
                    }
                    for reader in [monitoring_namespace]
                    if reader is not None
                ),
                {"from": [members], "ports": _ports(5432, 8000)},
                {"from": [operator], "ports": _ports(5432, 8000)},
            ],
            "egress": [
                *_dns(),
                {"to": [members], "ports": _ports(5432, 8000)},
                {"to": [operator]},
                # The instance manager talks to the API server, which no selector can name, and to the object store.
                {"to": list(_ANYWHERE), "ports": _ports(443, 6443, *archive_ports)},
            ],
        }
    )


def _policy(spec: Manifest) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {},
        "spec": {key: _once(value) for key, value in spec.items() if value != []},
    }


def _once(value: Any) -> Any:
    """A list without repetitions: two names outside may need the same addresses and port."""
    if not isinstance(value, list):
        return value
    rules = cast("list[Any]", value)
    return [rule for index, rule in enumerate(rules) if rule not in rules[:index]]


def _ports(*numbers: pulumi.Input[int], udp: Sequence[int] = ()) -> list[Manifest]:
    both = [*((number, "TCP") for number in numbers), *((number, "UDP") for number in udp)]
    return [{"port": number, "protocol": name} for number, name in dict.fromkeys(both)]


def _dns() -> list[Manifest]:
    return [
        {
            "to": [
                {
                    "namespaceSelector": {"matchLabels": {_NAMESPACE: "kube-system"}},
                    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
                }
            ],
            "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
        }
    ]


def _peer(name: str, peers: Mapping[str, Peer]) -> Manifest:
    peer = peers.get(name)
    if peer is None:
        return {"podSelector": {"matchLabels": selector(name)}}
    found: Manifest = {"podSelector": {"matchLabels": dict(peer.labels)}}
    if peer.namespace is not None:
        found["namespaceSelector"] = {"matchLabels": {_NAMESPACE: peer.namespace}}
    return found


def _ingress(rule: Ingress) -> Manifest:
    sources: list[Manifest] = [{"ipBlock": {"cidr": cidr}} for cidr in rule.cidrs]
    if rule.namespace is not None:
        source: Manifest = {"namespaceSelector": {"matchLabels": {_NAMESPACE: rule.namespace}}}
        if rule.pods:
            source["podSelector"] = {"matchLabels": dict(rule.pods)}
        sources.append(source)
    allowed: Manifest = {"ports": _ports(rule.port)}
    return allowed if rule.anyone else {"from": sources, **allowed}


def _egress(rule: Egress) -> Manifest:
    """A plain NetworkPolicy knows no names: the ports are open to public addresses, and private ones if `private`."""
    targets: list[Manifest] = [{"ipBlock": {"cidr": cidr}} for cidr in rule.cidrs]
    if rule.names and rule.private:
        targets += _ANYWHERE
    elif rule.names:
        targets += [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(PRIVATE_IPV4)}},
            {"ipBlock": {"cidr": "::/0", "except": list(PRIVATE_IPV6)}},
        ]
    return {"to": targets, "ports": _ports(*rule.ports, udp=rule.udp_ports)}

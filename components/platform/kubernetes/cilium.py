"""Isolation with CiliumNetworkPolicies: the same links, with names outside checked by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi

from components.model.naming import APP, selector
from components.model.specs import LanAllowance, Peer
from components.model.workload import Egress, Ingress, address_range
from components.platform.inputs import as_text
from components.platform.kubernetes.network_policies import Connected
from components.platform.kubernetes.pods import Manifest

_DEEPEST = 3
"""Labels below a wildcard; `us.aws.cdn.hf.co` has three."""
_NAMESPACE = "k8s:io.kubernetes.pod.namespace"


def default_deny() -> Manifest:
    """No pod of the namespace is reachable or reaches anything unless another policy says so."""
    return _policy({"endpointSelector": {}, "ingress": [{}], "egress": [{}]})


def workload_policy(workload: Connected, others: Sequence[Connected], peers: Mapping[str, Peer]) -> Manifest:
    """What may connect to a workload and what it may connect to."""
    named = any(rule.names for rule in workload.egress)
    ingress = [
        *(
            {"fromEndpoints": [{"matchLabels": selector(other.name)}], **_ports(link.port)}
            for other in others
            for link in other.links
            if link.to == workload.name
        ),
        *(_ingress(rule) for rule in workload.ingress if rule.on_cluster),
    ]
    egress = [
        *([_dns()] if workload.links or named else []),
        *({"toEndpoints": [_peer(link.to, peers)], **_ports(link.port)} for link in workload.links),
        *(_egress(rule) for rule in workload.egress),
    ]
    # An empty rule selects nothing and still turns the direction to deny.
    return _policy(
        {
            "endpointSelector": {"matchLabels": selector(workload.name)},
            "ingress": ingress or [{}],
            "egress": egress or [{}],
        }
    )


def lan_allowances(allowances: Sequence[LanAllowance]) -> Manifest:
    """Machines of the LAN that Immich's pods may reach although the LAN is closed to pods, such as a NAS."""
    return _policy(
        {
            "endpointSelector": {"matchLabels": {"app.kubernetes.io/name": APP}},
            "egress": [
                {**_destination(allowance.address), **_ports(allowance.port)} for allowance in allowances
            ],
        }
    )


def _policy(spec: Manifest) -> Manifest:
    return {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {}, "spec": spec}


def _ports(*numbers: pulumi.Input[int], udp: Sequence[int] = ()) -> Manifest:
    both = [*((number, "TCP") for number in numbers), *((number, "UDP") for number in udp)]
    return {
        "toPorts": [
            {"ports": [{"port": as_text(number), "protocol": name} for number, name in dict.fromkeys(both)]}
        ]
    }


def _dns() -> Manifest:
    return {
        "toEndpoints": [{"matchLabels": {_NAMESPACE: "kube-system", "k8s-app": "kube-dns"}}],
        "toPorts": [
            {"ports": [{"port": "53", "protocol": "ANY"}], "rules": {"dns": [{"matchPattern": "*"}]}}
        ],
    }


def _peer(name: str, peers: Mapping[str, Peer]) -> Manifest:
    peer = peers.get(name)
    if peer is None:
        return {"matchLabels": selector(name)}
    labels = dict(peer.labels)
    if peer.namespace is not None:
        labels[_NAMESPACE] = peer.namespace
    return {"matchLabels": labels}


def _ingress(rule: Ingress) -> Manifest:
    if rule.anyone:
        return {"fromEntities": ["all"], **_ports(rule.port)}
    if rule.namespace is not None:
        return {
            "fromEndpoints": [{"matchLabels": {_NAMESPACE: rule.namespace, **rule.pods}}],
            **_ports(rule.port),
        }
    if rule.nodes:
        # A gateway of Cilium itself has the identity `ingress`; kubelet and host network have `host`, `remote-node`.
        return {"fromEntities": ["ingress", "host", "remote-node"], **_ports(rule.port)}
    return {"fromCIDR": list(rule.cidrs), **_ports(rule.port)}


def _egress(rule: Egress) -> pulumi.Input[Manifest]:
    ports = _ports(*rule.ports, udp=rule.udp_ports)
    known = [name for name in rule.names if isinstance(name, str)]
    if len(known) < len(rule.names):
        # What is known during the update only may be an address, which is another kind of rule.
        (host,) = rule.names
        return pulumi.Output.from_input(host).apply(
            lambda name: {**_destination(name), **ports}  # one machine: `Egress.to_host`
        )
    if known:
        return {"toFQDNs": [pattern for name in known for pattern in _patterns(name)], **ports}
    return {"toCIDR": list(rule.cidrs), **ports}


def _destination(address: str) -> Manifest:
    cidr = address_range(address)
    return {"toFQDNs": _patterns(address)} if cidr is None else {"toCIDR": [cidr]}


def _patterns(name: str) -> list[Manifest]:
    """A name as Cilium matches it: its `*` stands for one label, so every depth is a pattern of its own."""
    if not name.startswith("*."):
        return [{"matchName": name}]
    return [{"matchPattern": f"{'*.' * depth}{name.removeprefix('*.')}"} for depth in range(1, _DEEPEST + 1)]

"""Who may reach whom, from NetworkPolicies and CiliumNetworkPolicies alone.

A connection is open when the policies on the sender's side let it out and those on the receiver's side let it in. A
side without any policy for its direction is open. Of each policy language only what this project writes is known; any
other field raises, so that no rule is judged by half.
"""

from __future__ import annotations

import fnmatch
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from tests.harness.objects import Manifest, kind_of, matches, namespace_of

NAMESPACE_LABEL = "kubernetes.io/metadata.name"
CILIUM_NAMESPACE = "k8s:io.kubernetes.pod.namespace"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod; its address counts too, since a rule may open whole networks."""

    namespace: str
    labels: Mapping[str, str] = field(hash=False)
    address: str = "10.244.0.10"


@dataclass(frozen=True, slots=True)
class Outside:
    """A machine that is no pod: a public server, a NAS, a node."""

    address: str
    name: str | None = None
    """The name that led to the address."""
    entity: str = "world"
    """What Cilium takes it for: `world`, `host`, `remote-node`, `ingress`."""


End = Pod | Outside
DNS = Pod("kube-system", {"k8s-app": "kube-dns"}, "10.244.0.2")


def open_between(
    policies: Sequence[Manifest], source: End, target: End, port: int, protocol: str = "TCP"
) -> bool:
    """Whether `source` may connect to `port` of `target`."""
    leaves = not isinstance(source, Pod) or _allowed(policies, source, target, _Way("egress", port, protocol))
    enters = not isinstance(target, Pod) or _allowed(
        policies, target, source, _Way("ingress", port, protocol)
    )
    return leaves and enters


@dataclass(frozen=True, slots=True)
class _Way:
    direction: str
    port: int
    protocol: str


def _allowed(policies: Sequence[Manifest], pod: Pod, other: End, way: _Way) -> bool:
    selected = [one for one in policies if _selects(one, pod) and way.direction in _directions(one)]
    return not selected or any(
        _rule_allows(one, rule, other, way)
        for one in selected
        for rule in cast("list[Manifest]", one["spec"].get(way.direction, []))
    )


def _selects(policy: Manifest, pod: Pod) -> bool:
    if namespace_of(policy) != pod.namespace:
        return False
    field_name = "endpointSelector" if _is_cilium(policy) else "podSelector"
    return matches(policy["spec"][field_name], pod.labels)


def _directions(policy: Manifest) -> set[str]:
    if _is_cilium(policy):
        return {direction for direction in ("ingress", "egress") if direction in policy["spec"]}
    return {str(one).lower() for one in policy["spec"]["policyTypes"]}


def _is_cilium(policy: Manifest) -> bool:
    kind = kind_of(policy)
    if kind not in {"NetworkPolicy", "CiliumNetworkPolicy"}:
        raise ValueError(f"{kind} is no policy that is known here")
    return kind == "CiliumNetworkPolicy"


def _rule_allows(policy: Manifest, rule: Manifest, other: End, way: _Way) -> bool:
    if _is_cilium(policy):
        return _cilium_peer(policy, rule, other, way.direction) and _cilium_ports(rule, way)
    peers = "from" if way.direction == "ingress" else "to"
    _only(rule, {peers, "ports"})
    # In this language, no peers at all means everybody; no ports means every port.
    listed = cast("list[Manifest]", rule.get(peers, []))
    here = namespace_of(policy)
    return (not listed or any(_peer_is(peer, other, here) for peer in listed)) and _ports(rule, way)


def _peer_is(peer: Manifest, other: End, here: str) -> bool:
    _only(peer, {"podSelector", "namespaceSelector", "ipBlock"})
    if "ipBlock" in peer:
        block: Manifest = peer["ipBlock"]
        return _inside(other.address, [block["cidr"]]) and not _inside(other.address, block.get("except", []))
    if not isinstance(other, Pod):
        return False
    namespaces = peer.get("namespaceSelector")
    if namespaces is None:
        if other.namespace != here:
            return False
    elif not matches(namespaces, {NAMESPACE_LABEL: other.namespace}):
        return False
    return matches(peer.get("podSelector", {}), other.labels)


def _ports(rule: Manifest, way: _Way) -> bool:
    listed = cast("list[Manifest]", rule.get("ports", []))
    for one in listed:
        _only(one, {"port", "protocol"})
    return not listed or any(
        one["port"] == way.port and one.get("protocol", "TCP") == way.protocol for one in listed
    )


_CILIUM_PEERS = {
    "ingress": {"fromEndpoints", "fromEntities", "fromCIDR"},
    "egress": {"toEndpoints", "toEntities", "toCIDR", "toFQDNs"},
}


def _cilium_peer(policy: Manifest, rule: Manifest, other: End, direction: str) -> bool:
    _only(rule, _CILIUM_PEERS[direction] | {"toPorts"})
    listed = rule.keys() & _CILIUM_PEERS[direction]
    if not listed:
        # `{}` turns the direction to deny and names nobody; ports alone would name everybody.
        return "toPorts" in rule
    if len(listed) > 1:
        raise ValueError(f"Cilium refuses a rule with {' and '.join(sorted(listed))}")
    (kind,) = listed
    values = cast("list[Any]", rule[kind])
    match kind:
        case "fromEndpoints" | "toEndpoints":
            return isinstance(other, Pod) and any(
                _endpoint(one, other, namespace_of(policy)) for one in values
            )
        case "fromEntities" | "toEntities":
            return "all" in values or (isinstance(other, Outside) and other.entity in values)
        case "fromCIDR" | "toCIDR":
            # Identities of pods come from labels: a network never means a pod.
            return isinstance(other, Outside) and other.entity == "world" and _inside(other.address, values)
        case _:
            return isinstance(other, Outside) and any(_named(one, other.name) for one in values)


def _endpoint(selector: Manifest, pod: Pod, here: str) -> bool:
    _only(selector, {"matchLabels"})
    labels = dict(cast("Mapping[str, str]", selector["matchLabels"]))
    namespace = labels.pop(CILIUM_NAMESPACE, here)
    return pod.namespace == namespace and labels.items() <= dict(pod.labels).items()


def _named(pattern: Mapping[str, str], name: str | None) -> bool:
    if name is None:
        return False
    if "matchName" in pattern:
        return pattern["matchName"] == name
    wanted, labels = pattern["matchPattern"].split("."), name.split(".")
    return len(wanted) == len(labels) and all(map(fnmatch.fnmatch, labels, wanted))


def _cilium_ports(rule: Manifest, way: _Way) -> bool:
    listed = cast("list[Manifest]", rule.get("toPorts", []))
    return not listed or any(
        one["port"] == str(way.port) and one["protocol"] in {"ANY", way.protocol}
        for group in listed
        for one in cast("list[Manifest]", group["ports"])
    )


def _inside(address: str, networks: Iterable[str]) -> bool:
    parsed = ipaddress.ip_address(address)
    return any(parsed in ipaddress.ip_network(network) for network in networks)


def _only(found: Manifest, known: set[str]) -> None:
    if strange := found.keys() - known:
        raise ValueError(f"a rule has {', '.join(sorted(strange))}, which is not judged here")

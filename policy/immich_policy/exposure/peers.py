"""Whom one rule of a network policy means: of NetworkPolicy (networking.k8s.io/v1) and Cilium (cilium.io/v2, 1.18)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from immich_policy.config import Network
from immich_policy.model import Plain, Registered, dig, join, mapping, mappings, strings, text
from immich_policy.reading.addresses import inside, open_to_all, overlap, subnet

_METADATA: Final = {
    version: ipaddress.ip_network(written)
    for version, written in ((4, "169.254.169.254"), (6, "fd00:ec2::254"))
}
"""Where machines of a cloud ask for their own keys; the second is Amazon's alone."""
_ENTITIES: Final = frozenset({"all", "world", "world-ipv4", "world-ipv6"})
_NAMESPACES: Final = frozenset({"kubernetes.io/metadata.name", "io.kubernetes.pod.namespace"})
"""Labels that every pod or namespace has."""


def admits_all(policy: Registered) -> Iterator[str]:
    """Paths of the rules that let everybody of the cluster or of the internet in."""
    cilium = policy.kind.startswith("Cilium")
    for index, rule in mappings(policy.props, "spec", "ingress"):
        if _cilium(policy, rule, "from") if cilium else _plain(rule, "from"):
            yield join("spec", "ingress", index)


def leaves_to_all(policy: Registered) -> Iterator[str]:
    """Paths of the rules that let out to every address, that of the metadata service included."""
    cilium = policy.kind.startswith("Cilium")
    for index, rule in mappings(policy.props, "spec", "egress"):
        if cilium:
            wide = bool(_ENTITIES & set(strings(rule, "toEntities")))
            cidrs = [{"cidr": cidr} for cidr in strings(rule, "toCIDR")]
            blocks = [*cidrs, *(one for _, one in mappings(rule, "toCIDRSet"))]
        else:
            wide = dig(rule, "to") in (None, [])
            blocks = [mapping(one, "ipBlock") for _, one in mappings(rule, "to")]
        if wide or _reaches_metadata(blocks):
            yield join("spec", "egress", index)


def _reaches_metadata(blocks: list[dict[str, Plain]]) -> bool:
    if not open_to_all(text(one, "cidr") for one in blocks):
        return False
    return any(
        (whole := subnet(text(one, "cidr"))) is not None
        and inside(_METADATA[whole.version], [whole])
        and not overlap(_METADATA[whole.version], _excepted(one))
        for one in blocks
    )


def _excepted(block: dict[str, Plain]) -> list[Network]:
    return [found for one in strings(block, "except") if (found := subnet(one)) is not None]


def _plain(rule: dict[str, Plain], key: str) -> bool:
    peers = dig(rule, key)
    if peers is None or peers == []:
        return True
    listed = [one for _, one in mappings(rule, key)]
    if open_to_all(text(one, "ipBlock", "cidr") for one in listed):
        return True
    return any(
        "namespaceSelector" in one
        and _everything(dig(one, "namespaceSelector"))
        and ("podSelector" not in one or _everything(dig(one, "podSelector")))
        for one in listed
    )


def _cilium(policy: Registered, rule: dict[str, Plain], key: str) -> bool:
    cidrs = [*strings(rule, f"{key}CIDR"), *(text(one, "cidr") for _, one in mappings(rule, f"{key}CIDRSet"))]
    if {*_ENTITIES, "cluster"} & set(strings(rule, f"{key}Entities")) or open_to_all(cidrs):
        return True
    # Of one namespace an empty selector means that namespace alone.
    whole = policy.kind == "CiliumClusterwideNetworkPolicy"
    return any(
        _everything(one) and (whole or bool(mappings(one, "matchExpressions")))
        for _, one in mappings(rule, f"{key}Endpoints")
    )


def _everything(selector: Plain) -> bool:
    """Whether a selector leaves nothing out: it is empty, or asks for labels that all have."""
    if not isinstance(selector, dict) or mapping({"it": selector}, "it", "matchLabels"):
        return False
    return all(
        text(one, "key").removeprefix("k8s:") in _NAMESPACES and text(one, "operator") in {"Exists", "NotIn"}
        for _, one in mappings({"it": selector}, "it", "matchExpressions")
    )

"""Who may connect to parts of Immich, and where these may connect to: network policies of Kubernetes and Cilium."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from immich_policy.config import Config
from immich_policy.exposure.peers import admits_all, leaves_to_all
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Level,
    Plain,
    Registered,
    Severity,
    Stack,
    dig,
    family_rule,
    flag,
    join,
    mapping,
    mappings,
    strings,
    text,
)
from immich_policy.reading.clusters import immich_clusters
from immich_policy.reading.connections import pod_labels
from immich_policy.reading.names import namespace, object_name
from immich_policy.reading.parts import having
from immich_policy.reading.roles import IMMICH, PRIVATE, Role
from immich_policy.reading.walk import DOCKER_NETWORK

_POLICIES = ("NetworkPolicy", "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy")


def _pods(stack: Stack) -> Iterator[tuple[Registered, dict[str, Plain], bool]]:
    """What runs pods of Immich, their labels, and whether nobody but Immich may reach them."""
    seen: set[int] = set()
    for one in having(stack, *IMMICH, *PRIVATE, Role.CLOUDFLARED):
        if not one.docker and id(one.resource) not in seen:
            seen.add(id(one.resource))
            yield one.resource, pod_labels(one), bool(one.roles & PRIVATE)
    for cluster in stack.once(immich_clusters):
        yield cluster, {"cnpg.io/cluster": object_name(cluster), "cnpg.io/podRole": "instance"}, True


def _isolated(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one, labels, private in _pods(stack):
        yield from _covered(stack, one, labels, namespace(one), private=private)


def _leaving(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    yield from _outside(stack)
    for one, labels, _ in _pods(stack):
        found = [
            policy
            for policy in stack.of_kind(*_POLICIES)
            if _applies(policy, labels, namespace(one), "egress")
        ]
        if not found:
            message = "nothing says where its pods may connect to"
            setting = (
                "register a NetworkPolicy with the type Egress that selects these pods and names where to"
            )
            yield Finding(resource=one, path="", message=message, setting=setting)
        for policy in found:
            for path in leaves_to_all(policy):
                message = f"{one.name} may connect to every address, to that of the cloud's metadata service as well"
                setting = "name where to, or leave 169.254.0.0/16 and fd00:ec2::254 out (except)"
                yield Finding(resource=policy, path=path, message=message, setting=setting)


def _covered(
    stack: Stack, one: Registered, labels: dict[str, Plain], space: str, *, private: bool
) -> Iterator[Judgement]:
    found = [policy for policy in stack.of_kind(*_POLICIES) if _applies(policy, labels, space, "ingress")]
    if not found:
        yield Finding(
            resource=one,
            path="",
            message="no NetworkPolicy says who may connect to its pods",
            setting="register a NetworkPolicy that selects these pods and names who may connect",
        )
    for policy in found if private else ():
        for path in admits_all(policy):
            # A policy for everything in the namespace is a finding once, at itself.
            message = f"everybody may connect to {one.name}"
            setting = "name the pods that may connect: the server and the microservices"
            yield Finding(resource=policy, path=path, message=message, setting=setting)


def _applies(policy: Registered, labels: dict[str, Plain], space: str, direction: str) -> bool:
    """Whether a policy restricts a direction, `ingress` or `egress`, of pods with these labels."""
    spec = mapping(policy.props, "spec")
    if policy.kind != "CiliumClusterwideNetworkPolicy" and namespace(policy) != space:
        return False
    if policy.kind.startswith("Cilium"):
        selector, restricts = dig(spec, "endpointSelector"), direction in spec or f"{direction}Deny" in spec
    else:
        types = dig(spec, "policyTypes")
        # Without types a policy is one of ingress, and of egress where it has a rule for that.
        absent = types is None and (direction == "ingress" or direction in spec)
        selector, restricts = (
            dig(spec, "podSelector"),
            absent or types is UNKNOWN or direction.title() in strings(spec, "policyTypes"),
        )
    if selector is UNKNOWN:
        return restricts
    wanted = mapping({"it": selector}, "it", "matchLabels")
    same = all(labels.get(key.removeprefix("k8s:")) in (value, UNKNOWN) for key, value in wanted.items())
    return (
        restricts
        and same
        and isinstance(selector, dict)
        and all(_expressed(expression, labels) for _, expression in mappings(selector, "matchExpressions"))
    )


def _expressed(expression: dict[str, Plain], labels: dict[str, Plain]) -> bool:
    value, values = labels.get(text(expression, "key")), strings(expression, "values")
    match text(expression, "operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False


def _outside(stack: Stack) -> Iterator[Judgement]:
    """The database and the cache of Docker, which need nothing outside."""
    inside = {text(one.props, "name") or one.name: one.props for one in stack.of_type(DOCKER_NETWORK)}
    for one in having(stack, Role.DATABASE, Role.CACHE):
        for index, network in mappings(one.props, "networksAdvanced") if one.docker else ():
            known = inside.get(text(network, "name"))
            if known is not None and not flag(known, "internal"):
                yield Finding(
                    resource=one.resource,
                    path=join("networksAdvanced", index),
                    message=f"{one.says()} may connect to every address by the network {text(network, 'name')}, to "
                    "that of a cloud's metadata service as well",
                    setting="a network that is internal (internal: true)",
                )


_rule = partial(family_rule, "exposure")

RULES = (
    _rule(
        "network-policy",
        Severity.HIGH,
        "A NetworkPolicy says who may connect to each part of Immich, and names them.",
        "Without one every pod of the cluster reaches machine learning, which asks for no password, and may forge the "
        "address of a client.",
        "Register a NetworkPolicy or CiliumNetworkPolicy for each; a rule without `from` admits everybody.",
        judge=_isolated,
    ),
    _rule(
        "egress",
        Severity.MEDIUM,
        "No part of Immich connects wherever it likes.",
        "Immich reads files of strangers and fetches addresses that users give: whoever misleads it asks the metadata "
        "service of a cloud for the machine's own keys, or goes on to other machines.",
        "Register a NetworkPolicy with the type Egress that leaves the metadata service out; keep the database and the "
        "cache in networks of Docker that are internal. For other containers Docker has no rule by address: refuse "
        "169.254.0.0/16 in the chain DOCKER-USER of the host.",
        judge=_leaving,
        level=Level.ADVISORY,
    ),
)

"""Whether a Traefik, or a controller of an Ingress, hands on a POST of somebody from the internet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from immich_policy.exposure.answers import (
    Passes,
    Rule,
    any_of,
    by_container,
    by_name,
    by_rules,
    every_of,
)
from immich_policy.model import Registered, Stack, dig, mapping, mappings, number, strings, text
from immich_policy.reading.addresses import open_to_all
from immich_policy.reading.containers import Container
from immich_policy.reading.labels import names, traefik_labels
from immich_policy.reading.names import namespace, object_name
from immich_policy.reading.parts import containers
from immich_policy.reading.routes import TRAEFIK_PATHS, backends, traefik_matches

_SIGN_IN = frozenset({"basicauth", "digestauth", "forwardauth"})
_LISTS = frozenset({"ipallowlist", "ipwhitelist"})
_SAYS_SO = re.compile(r"auth|allow|white|\bip|lan\b|local|internal|private|vpn", re.IGNORECASE)
"""Names of middlewares that are defined elsewhere and probably keep strangers out."""


@dataclass(slots=True)
class _Middleware:
    kinds: set[str] = field(default_factory=set[str])
    ranges: list[str] = field(default_factory=list[str])
    chain: list[str] = field(default_factory=list[str])


def _refused_by(names: Iterable[str], known: Mapping[str, _Middleware]) -> bool | None:
    """Whether a middleware of these lets in no stranger: it asks for a sign-in, or has a list of addresses.

    None where the name alone of one that is defined elsewhere says so.
    """
    waiting, seen, elsewhere = list(names), set[str](), False
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        one = known.get(name)
        if one is None:
            elsewhere = elsewhere or _SAYS_SO.search(name) is not None
            continue
        waiting += one.chain
        if one.kinds & _SIGN_IN or (one.kinds & _LISTS and not open_to_all(one.ranges)):
            return True
    return None if elsewhere else False


def _traefik_rule(match: str, priority: float | None, passes: Passes, *, refused: bool | None) -> Rule:
    """A rule by its matchers of paths and methods: names are taken for those of Immich, `!` for an exception."""
    methods = re.findall(r"(?<!!)Method\(`(\w+)`\)", match)
    paths = TRAEFIK_PATHS.findall(match)
    conditions = re.search(r"\b(?:Headers?|HeaderRegexp|Query|QueryRegexp|ClientIP)\(", match) is not None
    strength = (int(priority or len(match)), 0)

    def rank(uri: str) -> tuple[int, int] | None:
        found = {
            negated: any(
                traefik_matches(kind, value, uri) for sign, kind, value in paths if bool(sign) is negated
            )
            for negated in (False, True)
        }
        wanted = any(not sign for sign, _, _ in paths)
        meets = (found[False] or not wanted) and not found[True]
        return (
            strength
            if meets and (not methods or "POST" in methods) and not (refused and conditions)
            else None
        )

    return Rule(
        rank=rank, passes=passes if refused is False else lambda _: None if refused is None else False
    )


def ingress_route(stack: Stack, one: Registered) -> Passes:
    """By an IngressRoute of Traefik."""
    known = stack.once(_of_cluster)
    rules: list[Rule] = []
    for _, route in mappings(one.props, "spec", "routes"):
        names = [
            f"{text(ref, 'namespace') or namespace(one)}-{text(ref, 'name')}"
            for _, ref in mappings(route, "middlewares")
        ]
        services = [
            by_name(stack, text(ref, "namespace") or namespace(one), text(ref, "name"), dig(ref, "port"))
            for _, ref in mappings(route, "services")
        ]
        refused = _refused_by(names, known)
        rules.append(
            _traefik_rule(
                text(route, "match"), number(route, "priority"), every_of(services), refused=refused
            )
        )
    return by_rules(rules)


def _of_cluster(stack: Stack) -> dict[str, _Middleware]:
    """Middlewares of a cluster by `namespace-name`, as annotations have them."""
    found: dict[str, _Middleware] = {}
    for one in stack.of_kind("Middleware"):
        made = found[f"{namespace(one)}-{object_name(one)}"] = _Middleware()
        for kind, body in mapping(one.props, "spec").items():
            made.kinds.add(kind.lower())
            made.ranges += strings(body, "sourceRange")
            for _, ref in mappings(body, "middlewares"):
                made.chain.append(f"{text(ref, 'namespace') or namespace(one)}-{text(ref, 'name')}")
    return found


_RANGES = (
    "nginx.ingress.kubernetes.io/whitelist-source-range",
    "nginx.ingress.kubernetes.io/allowlist-source-range",
    "haproxy.org/allow-list",
    "haproxy.org/whitelist",
)


def ingress(stack: Stack, one: Registered) -> Passes:
    """By an Ingress: prefixes do not stop other spellings, lists of addresses and snippets may."""
    annotations = mapping(one.props, "metadata", "annotations")
    listed = [text(annotations, key).split(",") for key in _RANGES if text(annotations, key)]
    named = text(annotations, "traefik.ingress.kubernetes.io/router.middlewares").split(",")
    named = [name.strip().removesuffix("@kubernetescrd") for name in named]
    refused = _refused_by((name for name in named if name), stack.once(_of_cluster))
    if refused or any(not open_to_all(part.strip() for part in each) for each in listed):
        return lambda _: False
    if refused is None:
        return lambda _: None
    snippets = " ".join(str(value) for key, value in annotations.items() if "snippet" in key).lower()
    found = [by_name(stack, each.space, str(each.service), each.port) for each in backends(one)]
    return lambda uri: (
        False if uri.rsplit("/", 1)[-1].lower() in snippets else any_of(each(uri) for each in found)
    )


def by_labels(stack: Stack, one: Container) -> Passes | None:
    """By the routers that a Docker container's labels make in a Traefik; None where they make none."""
    routers: dict[str, dict[str, str]] = {}
    ports: list[str] = []
    for label in traefik_labels(one):
        if label.group == "routers":
            routers.setdefault(label.name, {})[label.option] = str(label.value)
        elif label.group == "services" and label.option == "loadbalancer.server.port":
            ports.append(str(label.value))
    if not routers:
        return None
    known = stack.once(_of_labels)
    reached = [by_container(stack, one, port) for port in ports or [None]]
    rules = [
        _traefik_rule(
            router.get("rule", ""),
            number(router, "priority"),
            every_of(reached),
            refused=_refused_by(names(router.get("middlewares", "")), known),
        )
        for router in routers.values()
    ]
    return by_rules(rules)


def _of_labels(stack: Stack) -> dict[str, _Middleware]:
    found: dict[str, _Middleware] = {}
    for one in stack.once(containers):
        for label in traefik_labels(one):
            if label.group == "middlewares":
                made = found.setdefault(label.name, _Middleware())
                kind, _, option = label.option.partition(".")
                made.kinds.add(kind)
                if option == "sourcerange":
                    made.ranges += str(label.value).replace(" ", "").split(",")
                if kind == "chain":
                    made.chain += names(label.value)
    return found

"""Whether what stands before Immich hands on a POST of somebody from the internet: nginx, Traefik, gateways."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from immich_policy.model import (
    Plain,
    Registered,
    Stack,
    dig,
    mapping,
    mappings,
    number,
    sequence,
    strings,
    text,
)
from immich_policy.reading.addresses import open_to_all
from immich_policy.reading.containers import Container
from immich_policy.reading.names import namespace, object_name
from immich_policy.reading.nginx_files import (
    Directive,
    Server,
    configurations,
    effective,
    location,
    ports_of,
    to_immich,
)
from immich_policy.reading.parts import containers
from immich_policy.reading.roles import Role
from immich_policy.reading.routes import backends
from immich_policy.reading.targets import numbered, selected
from immich_policy.reading.walk import names_of

Passes = Callable[[str], bool | None]
"""Whether a POST to a path reaches Immich; None where it is not known yet."""
_SIGN_IN = frozenset({"basicauth", "digestauth", "forwardauth"})
_LISTS = frozenset({"ipallowlist", "ipwhitelist"})
_SAYS_SO = re.compile(r"auth|allow|white|\bip|lan\b|local|internal|private|vpn", re.IGNORECASE)
"""Names of middlewares that are defined elsewhere and probably keep strangers out."""


def any_of(answers: Iterable[bool | None]) -> bool | None:
    """True where one is, None where none is and one is not known."""
    found = list(answers)
    return True if True in found else None if None in found else False


# nginx


def by_container(stack: Stack, one: Container, port: Plain) -> Passes:
    """By a container's port; `None` as the port is any of them."""
    if Role.SERVER in one.roles:
        return lambda _: True
    if Role.NGINX not in one.roles:
        return lambda _: False
    found = next((each for each in stack.once(configurations) if each.container is one), None)
    if found is None:
        return lambda _: True
    if found.unknown:
        return lambda _: None
    wanted = numbered(one, port)
    servers = [each for each in found.servers if wanted in ports_of(each)] or found.servers
    names = names_of(stack, Role.SERVER)
    return lambda uri: any(_nginx_passes(each, uri, names) for each in servers)


def _nginx_passes(server: Server, uri: str, names: frozenset[str]) -> bool:
    chain = location(server, uri)
    last = chain[-1]
    passes = last.inner("proxy_pass")
    if server.directive.inner("return") or last.inner("return") or not passes:
        return False
    if not to_immich(passes[-1], server, names):
        return False
    # What an `if` asks is not followed; in a location for such paths alone it is there to refuse.
    if last.args[-1:] != ("/",) and any(_refuses(each) for each in last.inner("if")):
        return False
    chain = (*chain, *(one for one in last.inner("limit_except") if "POST" not in one.args))
    for name in ("auth_basic", "auth_request"):
        asked = effective(chain, name)
        if asked is not None and asked.value != "off":
            return False
    for block in reversed(chain):
        listed = [one for one in block.block or () if one.name in {"allow", "deny"}]
        if listed:
            return _admits(listed)
    return True


def _refuses(condition: Directive) -> bool:
    return any(one.args[:1] and one.args[0].startswith("4") for one in condition.inner("return"))


def _admits(listed: Sequence[Directive]) -> bool:
    allowed: list[str] = []
    for one in listed:
        if one.args == ("all",):
            return one.name == "allow" or open_to_all(allowed)
        if one.name == "allow":
            allowed += one.args
    return True


# Services and addresses


def by_service(stack: Stack, service: Registered, port: Plain) -> Passes:
    """By a port of a Service, its number or name; `None` is any of them."""
    found: list[Passes] = []
    for _, declared in mappings(service.props, "spec", "ports"):
        if port is None or port in (dig(declared, "port"), dig(declared, "name")):
            target = dig(declared, "targetPort")
            target = dig(declared, "port") if target is None else target
            found += [by_container(stack, one, target) for one in selected(stack, service)]
    return lambda uri: any_of(passes(uri) for passes in found)


def by_name(stack: Stack, space: str, name: str, port: Plain) -> Passes:
    """By the name of a Service; one that is not registered is Immich where it looks so."""
    for service in stack.of_kind("Service", group="core"):
        if object_name(service) == name and namespace(service) == space:
            return by_service(stack, service, port)
    return lambda _: port == 2283 or "immich" in name


# Rules of Traefik and of the Gateway API


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a route."""

    rank: Callable[[str], tuple[int, int] | None]
    """How strong it is for a path; None where it does not match."""
    passes: Passes


def by_rules(rules: Sequence[Rule]) -> Passes:
    """By the strongest rule that matches."""

    def passes(uri: str) -> bool | None:
        found = [(rank, -index) for index, one in enumerate(rules) if (rank := one.rank(uri)) is not None]
        return rules[-max(found)[1]].passes(uri) if found else False

    return passes


def http_route(stack: Stack, one: Registered) -> Passes:
    """By an HTTPRoute: exact paths before expressions before prefixes, as Envoy Gateway has them."""
    rules: list[Rule] = []
    for _, rule in mappings(one.props, "spec", "rules"):
        refs = [
            by_name(stack, text(ref, "namespace") or namespace(one), text(ref, "name"), dig(ref, "port"))
            for _, ref in mappings(rule, "backendRefs")
        ]
        matches = [match for _, match in mappings(rule, "matches")] or [{}]
        rules += [Rule(rank=route_rank(match), passes=_any(refs)) for match in matches]
    return by_rules(rules)


def _any(found: Sequence[Passes]) -> Passes:
    return lambda uri: any_of(passes(uri) for passes in found)


def route_rank(match: Mapping[str, Plain]) -> Callable[[str], tuple[int, int] | None]:
    """How strong a match of the Gateway API is for a path; None where it does not match."""
    value, kind = text(match, "path", "value") or "/", text(match, "path", "type") or "PathPrefix"
    conditions = bool(sequence(match, "headers") or sequence(match, "queryParams"))

    def rank(uri: str) -> tuple[int, int] | None:
        if text(match, "method") not in {"", "POST"}:
            return None
        matched = {
            "Exact": uri == value,
            "RegularExpression": _matches(value, uri, whole=True),
            "PathPrefix": uri == value or uri.startswith(value.rstrip("/") + "/"),
        }.get(kind, False)
        # With a header or a query besides, whoever asks chooses whether it matches.
        return (
            ({"Exact": 2, "RegularExpression": 1}.get(kind, 0), len(value))
            if matched and not conditions
            else None
        )

    return rank


def _matches(expression: str, uri: str, *, whole: bool = False) -> bool:
    try:
        return (re.fullmatch if whole else re.search)(expression, uri) is not None
    except (re.error, RecursionError, OverflowError):
        return False


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
    paths = re.findall(r"(!?)\s*(PathRegexp|PathPrefix|Path)\(`([^`]*)`\)", match)
    conditions = re.search(r"\b(?:Headers?|HeaderRegexp|Query|QueryRegexp|ClientIP)\(", match) is not None
    strength = (int(priority or len(match)), 0)

    def rank(uri: str) -> tuple[int, int] | None:
        found = {
            negated: any(
                _traefik_matches(kind, value, uri) for sign, kind, value in paths if bool(sign) is negated
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


def _traefik_matches(kind: str, value: str, uri: str) -> bool:
    if kind == "PathRegexp":
        return _matches(value, uri)
    return uri == value if kind == "Path" else uri.startswith(value)


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
            _traefik_rule(text(route, "match"), number(route, "priority"), _any(services), refused=refused)
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


_LABEL = re.compile(r"traefik\.http\.(middlewares|routers|services)\.([^.]+)\.(.+)", re.IGNORECASE)


def by_labels(stack: Stack, one: Container) -> Passes | None:
    """By the routers that a Docker container's labels make in a Traefik; None where they make none."""
    routers: dict[str, dict[str, str]] = {}
    ports: list[str] = []
    for kind, name, rest, value in _labels(one):
        if kind == "routers":
            routers.setdefault(name, {})[rest] = value
        elif kind == "services" and rest == "loadbalancer.server.port":
            ports.append(value)
    if not routers:
        return None
    known = stack.once(_of_labels)
    reached = [by_container(stack, one, port) for port in ports or [None]]
    rules = [
        _traefik_rule(
            router.get("rule", ""),
            number(router, "priority"),
            _any(reached),
            refused=_refused_by(_names(router.get("middlewares", "")), known),
        )
        for router in routers.values()
    ]
    return by_rules(rules)


def _of_labels(stack: Stack) -> dict[str, _Middleware]:
    found: dict[str, _Middleware] = {}
    for one in stack.once(containers):
        for group, name, rest, value in _labels(one) if one.docker else ():
            if group == "middlewares":
                made = found.setdefault(name, _Middleware())
                kind, _, option = rest.partition(".")
                made.kinds.add(kind)
                if option == "sourcerange":
                    made.ranges += [part.strip() for part in value.split(",")]
                if kind == "chain":
                    made.chain += _names(value)
    return found


def _labels(one: Container) -> Iterator[tuple[str, str, str, str]]:
    for _, label in mappings(one.props, "labels"):
        found = _LABEL.fullmatch(text(label, "label"))
        if found is not None:
            yield found[1].lower(), found[2].lower(), found[3].lower(), str(dig(label, "value"))


def _names(value: str) -> list[str]:
    return [part.strip().partition("@")[0].lower() for part in value.split(",")]

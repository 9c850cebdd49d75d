"""Whether what stands before Immich hands on a POST of somebody from the internet: nginx, Traefik, gateways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from immich_policy.model import (
    Plain,
    Registered,
    Stack,
    dig,
    mappings,
    sequence,
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
from immich_policy.reading.roles import Role
from immich_policy.reading.routes import matches
from immich_policy.reading.targets import numbered, selected
from immich_policy.reading.walk import names_of

Passes = Callable[[str], bool | None]
"""Whether a POST to a path reaches Immich; None where it is not known yet."""


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
        rules += [Rule(rank=route_rank(match), passes=every_of(refs)) for match in matches]
    return by_rules(rules)


def every_of(found: Sequence[Passes]) -> Passes:
    """By whichever of several is taken."""
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
            "RegularExpression": matches(value, uri, whole=True),
            "PathPrefix": uri == value or uri.startswith(value.rstrip("/") + "/"),
        }.get(kind, False)
        # With a header or a query besides, whoever asks chooses whether it matches.
        return (
            ({"Exact": 2, "RegularExpression": 1}.get(kind, 0), len(value))
            if matched and not conditions
            else None
        )

    return rank

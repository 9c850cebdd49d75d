"""Whether routes of Contour and Istio hand on a POST: their conditions as those of the Gateway API."""

from __future__ import annotations

from immich_policy.exposure.answers import Passes, Rule, any_of, by_name, by_rules, route_rank
from immich_policy.model import Plain, Registered, Stack, mapping, mappings, text
from immich_policy.reading.routes import backends

_TYPES = {"prefix": "PathPrefix", "exact": "Exact", "regex": "RegularExpression"}


def http_proxy(stack: Stack, one: Registered) -> Passes:
    """By an HTTPProxy of Contour; what it includes from others is judged there."""
    rules: list[Rule] = []
    for index, route in mappings(one.props, "spec", "routes"):
        match: dict[str, Plain] = {}
        for _, condition in mappings(route, "conditions"):
            match |= _path(condition)
            if "header" in condition or "queryParameter" in condition:
                match["headers"] = [condition]
        rules.append(Rule(rank=route_rank(match), passes=_leads(stack, one, f"spec.routes[{index}].")))
    return by_rules(rules)


def virtual_service(stack: Stack, one: Registered) -> Passes:
    """By a VirtualService of Istio."""
    rules: list[Rule] = []
    for index, route in mappings(one.props, "spec", "http"):
        leads = _leads(stack, one, f"spec.http[{index}].")
        for match in [given for _, given in mappings(route, "match")] or [{}]:
            found = _path(mapping(match, "uri"))
            if "headers" in match or "queryParams" in match:
                found["headers"] = [match]
            method = text(match, "method", "exact")
            rules.append(
                Rule(rank=route_rank({**found, "method": method} if method else found), passes=leads)
            )
    return by_rules(rules)


def _path(condition: dict[str, Plain]) -> dict[str, Plain]:
    for key, kind in _TYPES.items():
        if text(condition, key):
            return {"path": {"type": kind, "value": text(condition, key)}}
    return {}


def _leads(stack: Stack, one: Registered, below: str) -> Passes:
    found = [
        by_name(stack, each.space, str(each.service), each.port)
        for each in backends(one)
        if each.path.startswith(below)
    ]
    return lambda uri: any_of(passes(uri) for passes in found)

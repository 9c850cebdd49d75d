"""Where routes lead: of Ingress, the Gateway API, Traefik, Contour and Istio.

Facts: HTTPProxy is of projectcontour.io/v1 (Contour 1.33), VirtualService of networking.istio.io/v1 (Istio 1.28).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from immich_policy.model import UNKNOWN, Plain, Registered, Stack, dig, flag, join, mapping, mappings, text
from immich_policy.reading.names import namespace, object_name

HTTP: Final = ("Ingress", "HTTPRoute", "IngressRoute", "HTTPProxy", "VirtualService")
"""Kinds of routes for HTTP."""
EVERY: Final = (
    *HTTP, "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute", "IngressRouteTCP", "IngressRouteUDP",
)  # fmt: skip
_LISTS: Final = {
    "HTTPProxy": (("routes", "services"), ("tcpproxy", "services")),
    "VirtualService": (("http", "route"), ("tcp", "route"), ("tls", "route")),
    "IngressRoute": (("routes", "services"),),
    "IngressRouteTCP": (("routes", "services"),),
    "IngressRouteUDP": (("routes", "services"),),
}
"""Kind -> where its rules are, and in a rule what it leads to; the Gateway API has `rules` with `backendRefs`."""
_DEFAULT_CLASS: Final = "ingressclass.kubernetes.io/is-default-class"


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a route leads."""

    path: str
    service: Plain
    port: Plain
    space: str


def backends(one: Registered) -> Iterator[Backend]:
    """Services that a route leads to, as far as it names any."""
    space = namespace(one)
    if one.kind == "Ingress":
        for index, rule in mappings(one.props, "spec", "rules"):
            for at, path in mappings(rule, "http", "paths"):
                where = join("spec", "rules", index, "http", "paths", at, "backend")
                yield _of_ingress(where, dig(path, "backend"), space)
        if dig(one.props, "spec", "defaultBackend"):
            yield _of_ingress("spec.defaultBackend", dig(one.props, "spec", "defaultBackend"), space)
        return
    for outer, inner in _LISTS.get(one.kind, (("rules", "backendRefs"),)):
        rules = [(join("spec", outer, index), rule) for index, rule in mappings(one.props, "spec", outer)]
        # What Contour forwards as it is has no list of routes.
        for path, rule in rules or [(join("spec", outer), mapping(one.props, "spec", outer))]:
            for at, ref in mappings(rule, inner):
                where = join(path, inner, at)
                yield (
                    _of_istio(where, ref, space)
                    if one.kind == "VirtualService"
                    else Backend(where, dig(ref, "name"), dig(ref, "port"), text(ref, "namespace") or space)
                )


def _of_ingress(path: str, found: Plain, space: str) -> Backend:
    port = dig(found, "service", "port", "number")
    port = dig(found, "service", "port", "name") if port is None else port
    return Backend(path, dig(found, "service", "name"), port, space)


def _of_istio(path: str, route: Plain, space: str) -> Backend:
    host = dig(route, "destination", "host")
    port = dig(route, "destination", "port", "number")
    if not isinstance(host, str):
        return Backend(path, host, port, space)
    name, _, rest = host.partition(".")
    return Backend(path, name, port, rest.split(".")[0] or space)


def ingress_controller(stack: Stack, ingress: Registered) -> str:
    """What serves an Ingress: `spec.controller` of its class where that is registered, else the name of the class."""
    annotations = mapping(ingress.props, "metadata", "annotations")
    name = text(ingress.props, "spec", "ingressClassName") or text(annotations, "kubernetes.io/ingress.class")
    for one in stack.of_kind("IngressClass"):
        default = not name and flag(one.props, "metadata", "annotations", _DEFAULT_CLASS)
        if object_name(one) == name or default:
            controller = dig(one.props, "spec", "controller")
            return name if controller is UNKNOWN else text(one.props, "spec", "controller") or name
    return name


_UPLOAD: Final = "/api/assets"


def matches(expression: str, uri: str, *, whole: bool = False) -> bool:
    """Whether a regular expression takes a path; one that Python does not understand takes none."""
    try:
        return (re.fullmatch if whole else re.search)(expression, uri) is not None
    except (re.error, RecursionError, OverflowError):
        return False


def traefik_matches(kind: str, value: str, uri: str) -> bool:
    """Whether a matcher of Traefik, `PathRegexp`, `PathPrefix` or `Path`, takes a path."""
    if kind == "PathRegexp":
        return matches(value, uri)
    return uri == value if kind == "Path" else uri.startswith(value)


TRAEFIK_PATHS: Final = re.compile(r"(!?)\s*(PathRegexp|PathPrefix|Path)\(`([^`]*)`\)")
"""Matchers of paths in a rule of Traefik: `!` or nothing, kind, value."""


def traefik_takes_uploads(rule: str) -> bool:
    """Whether an upload can come by a rule of Traefik: unless it is for other paths alone."""
    paths = [(kind, value) for sign, kind, value in TRAEFIK_PATHS.findall(rule) if not sign]
    return not paths or any(traefik_matches(kind, value, _UPLOAD) for kind, value in paths)


def gateway_takes_uploads(route: Registered) -> bool:
    """Whether an upload can come by an HTTPRoute: unless all of its rules are for other paths."""
    paths = [
        mapping(match, "path")
        for _, rule in mappings(route.props, "spec", "rules")
        for _, match in mappings(rule, "matches") or [("0", {})]
    ]
    return not paths or any(map(_takes_upload, paths))


def _takes_upload(path: dict[str, Plain]) -> bool:
    value = text(path, "value")
    match text(path, "type"):
        case "RegularExpression":
            return matches(value, _UPLOAD, whole=True)
        case "Exact":
            return value == _UPLOAD
        case _:
            return _UPLOAD.startswith(value)

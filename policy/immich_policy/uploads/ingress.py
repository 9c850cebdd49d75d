"""Ingress in front of Immich: what annotations and snippets make of its controller.

Facts: annotations of ingress-nginx 1.14, of F5's NGINX Ingress Controller 5, of HAProxy's two controllers
(haproxytech/kubernetes-ingress 3.2, documentation/annotations.md; jcmoraisjr/haproxy-ingress 0.15, configuration keys)
and of Contour 1.33 (config/annotations.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from immich_policy.config import Config
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Registered,
    Rule,
    Severity,
    Stack,
    Unjudged,
    dig,
    join,
)
from immich_policy.reading.releases import releases
from immich_policy.reading.routes import ingress_controller
from immich_policy.reading.snippets import snippets
from immich_policy.reading.walk import leads_to_immich
from immich_policy.text import duration, human, nginx_size, shown
from immich_policy.uploads.size import BODY_ANNOTATIONS, declared, fits, known_annotations

_NGINX = "nginx.ingress.kubernetes.io/"
_OTHER_NGINX = "nginx.org/"
_HAPROXY = "haproxy-ingress.github.io/"
_OTHER_HAPROXY = "haproxy.org/"
_CONTOUR = "projectcontour.io/response-timeout"
_PATIENT = frozenset(
    {
        "proxy_read_timeout",
        "proxy_send_timeout",
        "send_timeout",
        "client_body_timeout",
        "client_header_timeout",
    }
)
_HAPROXY_DEFAULT = "50s"
"""`timeout-server` and `timeout-client` of both controllers where none is set."""


def served_by(stack: Stack, one: Registered) -> str:
    """Prefix of the annotations that count for an Ingress, by its class or by those that it has; empty for others."""
    controller, given = ingress_controller(stack, one), known_annotations(one)
    # The whole name of a controller says it; the name of a class, which is not registered, may be any.
    for name, prefix in (
        ("k8s.io/ingress-nginx", _NGINX),
        ("nginx.org/ingress-controller", _OTHER_NGINX),
        ("haproxy-ingress.github.io/", _HAPROXY),
        ("haproxy.org/", _OTHER_HAPROXY),
        ("projectcontour.io/", _CONTOUR),
    ):
        if controller.startswith(name):
            return prefix
    if "/" in controller:
        return ""
    for prefix in (_OTHER_NGINX, _NGINX, _HAPROXY, _OTHER_HAPROXY, _CONTOUR):
        if any(key.startswith(prefix) for key in given):
            return prefix
    named = {"nginx": _NGINX, "haproxy": _OTHER_HAPROXY, "contour": _CONTOUR}
    return next((prefix for name, prefix in named.items() if name in controller), "")


def _annotated(stack: Stack, config: Config) -> Iterable[Judgement]:
    wanted = declared(stack, config)
    for one in stack.of_kind("Ingress", group="networking.k8s.io"):
        yield from _judged(stack, one, config, wanted) if leads_to_immich(stack, one) else ()
    for release in stack.once(releases):
        for path, one in release.ingresses():
            for said in _judged(stack, one, config, wanted):
                where = said.path.replace("metadata.annotations", f"{path}.annotations", 1)
                yield dataclasses.replace(said, resource=release.resource, path=where)


def _judged(stack: Stack, one: Registered, config: Config, wanted: int) -> Iterator[Judgement]:
    prefix = served_by(stack, one)
    if prefix and dig(one.props, "metadata", "annotations") is UNKNOWN:
        yield Unjudged(resource=one, path="metadata.annotations")
    elif prefix in {_NGINX, _OTHER_NGINX}:
        yield from _nginx(one, prefix, wanted, config.timeout)
    elif prefix in {_HAPROXY, _OTHER_HAPROXY}:
        yield from _haproxy(one, prefix, wanted, config.timeout)
    elif prefix == _CONTOUR:
        given = known_annotations(one).get(_CONTOUR, "")
        good = given in {"infinity", "infinite"} or (duration(given) or 0) >= config.timeout
        yield from _annotation(one, _CONTOUR, "infinity", good, ", and Envoy waits 15 s" if not given else "")


def _nginx(one: Registered, prefix: str, wanted: int, least: float) -> Iterator[Judgement]:
    given = known_annotations(one)
    name = next(it for it in BODY_ANNOTATIONS if it.startswith(prefix))
    large = fits(nginx_size(given.get(name, "1m")), wanted)
    yield from _annotation(one, name, "0", large, f", while uploads may have {human(wanted)}")
    for key in ("proxy-read-timeout", "proxy-send-timeout"):
        patient = (duration(given.get(prefix + key, "60")) or 0) >= least
        yield from _annotation(one, prefix + key, f"{least:g}s", patient)
    if prefix == _NGINX:
        streams = given.get(f"{prefix}proxy-request-buffering") == "off"
        yield from _annotation(one, f"{prefix}proxy-request-buffering", "off", streams)
    for directive in snippets(one):
        value = directive.args[0] if directive.args else ""
        harmful = (
            (directive.name == "client_max_body_size" and not fits(nginx_size(value), wanted))
            or (directive.name == "proxy_request_buffering" and value != "off")
            or (directive.name in _PATIENT and (duration(value) or 0) < least)
        )
        if harmful:
            yield Finding(
                resource=one,
                path=directive.path,
                message=f"the snippet has {directive.name} {shown(value)}",
                setting=f"take {directive.name} out of the snippet",
            )


def _haproxy(one: Registered, prefix: str, wanted: int, least: float) -> Iterator[Judgement]:
    given = known_annotations(one)
    body = f"{_HAPROXY}proxy-body-size"
    if body in given:
        large = fits(nginx_size(given[body]), wanted)
        yield from _annotation(one, body, "0", large, f", while uploads may have {human(wanted)}")
    for key in ("timeout-server", "timeout-client"):
        if key == "timeout-server" or prefix + key in given:
            written = given.get(prefix + key, _HAPROXY_DEFAULT)
            # A number alone is milliseconds to HAProxy.
            seconds = float(written) / 1000 if written.isdigit() else duration(written)
            yield from _annotation(one, prefix + key, f"{least:g}s", (seconds or 0) >= least)


def _annotation(one: Registered, name: str, right: str, good: bool, why: str = "") -> Iterator[Judgement]:
    path = join("metadata.annotations", name)
    given = dig(one.props, "metadata", "annotations", name)
    if given is UNKNOWN:
        yield Unjudged(resource=one, path=path)
    elif not good:
        message = f"{'it is not set' if given is None else f'it is {shown(given)}'}{why}"
        yield Finding(resource=one, path=path, message=message, setting=f'{name}: "{right}"')


RULES = (
    Rule(
        name="uploads-ingress",
        family="uploads",
        severity=Severity.HIGH,
        title="An Ingress to Immich has the annotations that let uploads through its controller.",
        why="Without them nginx refuses more than 1 MiB with 413, keeps bodies, and gives up after 60 s; HAProxy after "
        "50 s, Contour after 15 s.",
        remediation="For nginx set proxy-body-size, proxy-request-buffering, proxy-read-timeout and "
        "proxy-send-timeout; for HAProxy timeout-server; for Contour response-timeout.",
        judge=_annotated,
    ),
)

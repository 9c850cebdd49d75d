"""Which Docker networks are shared, and what stands before the API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial

from immich_policy.config import Config
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Plain,
    Registered,
    Severity,
    Stack,
    Unjudged,
    dig,
    family_rule,
    join,
    mapping,
    mappings,
    sequence,
    text,
)
from immich_policy.reading.containers import Container
from immich_policy.reading.labels import names, traefik_labels
from immich_policy.reading.names import namespace, object_name
from immich_policy.reading.parts import having, immich_pods
from immich_policy.reading.roles import PRIVATE, Role
from immich_policy.text import shown

_EDGE = (Role.NGINX, Role.TRAEFIK, Role.CLOUDFLARED)
_ASKING = frozenset({"forwardauth", "basicauth", "digestauth"})
_CALLED = re.compile(r"auth(?:elia|entik|z)?\b|tinyauth")
"""Names of middlewares that are defined elsewhere and probably ask for a sign-in."""
_BYPASS = re.compile(r"!\s*Path(?:Prefix|Regexp)?\(|PathPrefix\(`/(?!api)[^`]+`\)")
_AUTH_ANNOTATIONS = ("nginx.ingress.kubernetes.io/auth-url", "nginx.ingress.kubernetes.io/auth-signin",
                     "nginx.ingress.kubernetes.io/auth-type", "haproxy.org/auth-type")  # fmt: skip


def _networks(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    edge = {name: one for one in having(stack, *_EDGE) if one.docker for name in _names(one)}
    for one in having(stack, *PRIVATE):
        if not one.docker:
            continue
        listed = dig(one.props, "networksAdvanced")
        mode = text(one.props, "networkMode")
        if listed is UNKNOWN or any(dig(it, "name") is UNKNOWN for it in sequence({"it": listed}, "it")):
            yield Unjudged(resource=one.resource, path="networksAdvanced")
        elif not _names(one) and mode in {"", "bridge", "default"}:
            yield Finding(
                resource=one.resource,
                path="networksAdvanced",
                message=f"{one.says()} is on Docker's common bridge, where every container reaches it",
                setting="networksAdvanced: a network of Immich's own",
            )
        for index, network in mappings(one.props, "networksAdvanced"):
            other = edge.get(text(network, "name"))
            if other is not None:
                yield Finding(
                    resource=one.resource,
                    path=join("networksAdvanced", index),
                    message=f"{one.says()} is on a network with {other.resource.name}, which takes requests from "
                    f"outside",
                    setting="put the proxy and the server on one network, the server and this one on another",
                )


def _names(one: Container) -> set[str]:
    return {text(network, "name") for _, network in mappings(one.props, "networksAdvanced")} - {""}


def _forward_auth(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    middlewares = {
        (namespace(one), object_name(one))
        for one in stack.of_kind("Middleware")
        if {"forwardAuth", "basicAuth", "digestAuth"} & mapping(one.props, "spec").keys()
    }
    for one in stack.of_kind("Ingress"):
        annotations = mapping(one.props, "metadata", "annotations")
        for key in _AUTH_ANNOTATIONS:
            if key in annotations and _reaches_api(one):
                yield _before_api(one, join("metadata.annotations", key), key)
        named = text(annotations, "traefik.ingress.kubernetes.io/router.middlewares")
        for space, name in middlewares:
            if f"{space}-{name}@kubernetescrd" in named and _reaches_api(one):
                path = join("metadata.annotations", "traefik.ingress.kubernetes.io/router.middlewares")
                yield _before_api(one, path, name)
    for one in stack.of_kind("IngressRoute"):
        for index, route in mappings(one.props, "spec", "routes"):
            if _BYPASS.search(text(route, "match")):
                continue
            for at, ref in mappings(route, "middlewares"):
                if (text(ref, "namespace") or namespace(one), text(ref, "name")) in middlewares:
                    yield _before_api(
                        one, join("spec", "routes", index, "middlewares", at), text(ref, "name")
                    )
    for one in stack.of_kind("HTTPRoute"):
        for index, rule in mappings(one.props, "spec", "rules"):
            for at, item in mappings(rule, "filters"):
                named = (namespace(one), text(item, "extensionRef", "name"))
                external = text(item, "type") == "ExternalAuth" or "externalAuth" in item
                if (named in middlewares or external) and _rule_reaches_api(rule):
                    yield _before_api(
                        one, join("spec", "rules", index, "filters", at), named[1] or "externalAuth"
                    )
    for one in stack.of_kind("SecurityPolicy"):
        if mapping(one.props, "spec", "extAuth"):
            yield _before_api(one, "spec.extAuth", "extAuth")
    yield from _docker_forward_auth(stack)


def _reaches_api(one: Registered) -> bool:
    paths = [
        text(path, "path") or "/"
        for _, rule in mappings(one.props, "spec", "rules")
        for _, path in mappings(rule, "http", "paths")
    ]
    return not paths or any(path == "/" or path.startswith("/api") for path in paths)


def _rule_reaches_api(rule: dict[str, Plain]) -> bool:
    paths = [text(match, "path", "value") or "/" for _, match in mappings(rule, "matches")]
    return not paths or any(path == "/" or path.startswith("/api") for path in paths)


def _docker_forward_auth(stack: Stack) -> Iterator[Judgement]:
    every = [(one, list(traefik_labels(one))) for one in immich_pods(stack)]
    asking = {
        label.name
        for _, labels in every
        for label in labels
        if label.group == "middlewares" and label.option.partition(".")[0] in _ASKING
    }
    for one, labels in every:
        rules = {label.name: str(label.value) for label in labels if label.option == "rule"}
        for label in labels if one.roles & {Role.SERVER, Role.NGINX} else ():
            if label.group != "routers" or label.option != "middlewares":
                continue
            auth = [name for name in names(label.value) if name in asking or _CALLED.search(name)]
            if auth and not _BYPASS.search(rules.get(label.name, "")):
                yield _before_api(one.resource, label.path, auth[0])


def _before_api(one: Registered, path: str, name: str) -> Finding:
    return Finding(
        resource=one,
        path=path,
        message=f"{shown(name)} asks for another sign-in before /api",
        setting="leave it out and use OAuth in Immich, or let /api, /share and /s pass",
    )


_rule = partial(family_rule, "exposure")

RULES = (
    _rule(
        "docker-networks",
        Severity.HIGH,
        "The database, the cache and machine learning share no Docker network with what takes requests from outside.",
        "Whoever takes over the proxy, or any container of the common bridge, stands before the database.",
        "One network for the proxy and the server, others for the server and what it works with.",
        judge=_networks,
    ),
    _rule(
        "forward-auth",
        Severity.HIGH,
        "No other sign-in stands before `/api`.",
        "The mobile app cannot answer a page of Authelia or a basic sign-in: backups of phones stop "
        "without a word, and "
        "shared links ask strangers to sign in.",
        "Use Immich's OAuth, or let `/api`, `/share` and `/.well-known/immich` pass.",
        judge=_forward_auth,
    ),
)

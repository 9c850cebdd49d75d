"""Traefik as it is registered: middlewares of routes to Immich, and the static configuration of a Traefik."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import yaml

from immich_policy.model import (
    UNKNOWN,
    Plain,
    Registered,
    Stack,
    join,
    mapping,
    mappings,
    plain,
    strings,
    text,
)
from immich_policy.reading.containers import Container
from immich_policy.reading.files import File, files
from immich_policy.reading.labels import names, traefik_labels
from immich_policy.reading.names import namespace, object_name
from immich_policy.reading.parts import containers, having
from immich_policy.reading.roles import Role
from immich_policy.reading.routes import traefik_takes_uploads
from immich_policy.reading.walk import flags, leads_to_immich
from immich_policy.uploads.size import known_annotations

_STATIC: Final = tuple(f"/etc/traefik/traefik.{ending}" for ending in ("toml", "yaml", "yml"))
_ROUTER_ANNOTATION = "traefik.ingress.kubernetes.io/router.middlewares"


@dataclass(frozen=True, slots=True, eq=False)
class Option:
    """One option of a middleware that a request to Immich passes."""

    resource: Registered
    path: str
    middleware: str
    kind: str
    """Lower case: `buffering`, `retry`, `plugin`."""
    option: str
    """Lower case, dotted: `crowdsec-bouncer.clienttrustedips`; empty for a middleware without options."""
    value: Plain
    uploads: bool = True
    """Whether an upload can pass it."""


def options(stack: Stack) -> list[Option]:
    """Options of every middleware on the way to Immich, from resources of Traefik and from labels."""
    return [*_of_resources(stack), *_of_labels(stack)]


def _of_resources(stack: Stack) -> Iterator[Option]:
    referenced = list(_referenced(stack))
    uploads = {one.urn for one in _reached(stack, [name for name, takes in referenced if takes])}
    for one in _reached(stack, [name for name, _ in referenced]):
        for kind, body in mapping(one.props, "spec").items():
            for option, value in _flat(body):
                path = join("spec", kind, *(option.split(".") if option else ()))
                name, passed = object_name(one), one.urn in uploads
                yield Option(one, path, name, kind.lower(), option.lower(), value, passed)


def _reached(stack: Stack, names: list[str]) -> Iterator[Registered]:
    """Registered middlewares of these names, and those of their chains."""
    known = {f"{namespace(one)}/{object_name(one)}": one for one in stack.of_kind("Middleware")}
    waiting, seen = list(dict.fromkeys(names)), set[str]()
    while waiting:
        name = waiting.pop()
        one = known.get(name)
        if one is None or name in seen:
            continue
        seen.add(name)
        for _, ref in mappings(one.props, "spec", "chain", "middlewares"):
            waiting.append(f"{text(ref, 'namespace') or namespace(one)}/{text(ref, 'name')}")
        yield one


def _flat(value: Plain, path: str = "") -> Iterator[tuple[str, Plain]]:
    if isinstance(value, dict) and value:
        for key, inner in mapping({"it": value}, "it").items():
            yield from _flat(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


def _referenced(stack: Stack) -> Iterator[tuple[str, bool]]:
    """Middlewares of routes to Immich, and whether uploads can come by that rule."""
    for route in stack.of_kind("IngressRoute"):
        if leads_to_immich(stack, route):
            for _, rule in mappings(route.props, "spec", "routes"):
                for _, ref in mappings(rule, "middlewares"):
                    name = f"{text(ref, 'namespace') or namespace(route)}/{text(ref, 'name')}"
                    yield name, traefik_takes_uploads(text(rule, "match"))
    for route in stack.of_kind("HTTPRoute"):
        if leads_to_immich(stack, route):
            for _, rule in mappings(route.props, "spec", "rules"):
                for _, each in mappings(rule, "filters"):
                    if text(each, "extensionRef", "kind") == "Middleware":
                        yield f"{namespace(route)}/{text(each, 'extensionRef', 'name')}", True
    for ingress in stack.of_kind("Ingress"):
        if leads_to_immich(stack, ingress):
            for name in known_annotations(ingress).get(_ROUTER_ANNOTATION, "").split(","):
                whole = name.strip().removesuffix("@kubernetescrd")
                for one in stack.of_kind("Middleware"):
                    if whole == f"{namespace(one)}-{object_name(one)}":
                        yield f"{namespace(one)}/{object_name(one)}", True


def _of_labels(stack: Stack) -> Iterator[Option]:
    defined: dict[str, list[Option]] = {}
    routers: dict[str, dict[str, Plain]] = {}
    for one in stack.once(containers):
        for label in traefik_labels(one):
            if label.group == "routers" and one.roles & {Role.SERVER, Role.NGINX}:
                routers.setdefault(label.name, {})[label.option] = label.value
            elif label.group == "middlewares":
                kind, _, option = label.option.partition(".")
                made = Option(one.resource, label.path, label.name, kind, option, label.value)
                defined.setdefault(label.name, []).append(made)
    takes = [router for router in routers.values() if traefik_takes_uploads(text(router, "rule"))]
    uploads = _named(takes, defined)
    for name in sorted(_named(routers.values(), defined)):
        for option in defined.get(name, ()):
            yield replace(option, uploads=name in uploads)


def _named(routers: Iterable[Mapping[str, Plain]], defined: Mapping[str, Sequence[Option]]) -> set[str]:
    """Middlewares of routers, and those of their chains."""
    waiting = [name for router in routers for name in names(router.get("middlewares"))]
    found = set[str]()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [
                one
                for option in defined.get(name, ())
                if option.kind == "chain"
                for one in names(option.value)
            ]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """One static setting of a Traefik, as a flag, a variable, or in its file."""

    container: Container
    resource: Registered
    """Where it is registered: a ConfigMap for a file in one."""
    path: str
    name: str
    """Lower case, dotted: `entrypoints.websecure.address`."""
    value: Plain


def settings(stack: Stack) -> list[Setting]:
    """Static settings of every registered Traefik; where there is a file, Traefik takes no others (v3.6, pkg/cli)."""
    found: list[Setting] = []
    for one in having(stack, Role.TRAEFIK):
        file = static_file(stack, one)
        if file is not None:
            found += [
                Setting(one, file.resource, file.path, name.lower(), value)
                for name, value in _flat(_parsed(file.content))
            ]
            continue
        found += [Setting(one, one.resource, path, name, value) for name, (value, path) in flags(one).items()]
        for path, name, value in one.variables():
            if name.upper().startswith("TRAEFIK_"):
                found.append(Setting(one, one.resource, path, name[8:].lower().replace("_", "."), value))
    return found


def static_file(stack: Stack, one: Container) -> File | None:
    """The file with a Traefik's static settings, where the program gives it."""
    given = files(stack, one)
    named = flags(one).get("configfile", ("", ""))[0]
    return given.get(named) or next((given[path] for path in _STATIC if path in given), None)


def _parsed(content: Plain) -> Plain:
    if not isinstance(content, str):
        return content
    try:
        return plain(tomllib.loads(content))
    except tomllib.TOMLDecodeError:
        pass
    try:
        return plain(yaml.safe_load(content))
    except (yaml.YAMLError, ValueError, RecursionError):
        return UNKNOWN


def entry_points(stack: Stack) -> dict[tuple[str, str], list[Setting]]:
    """Settings of each entry point for HTTP: (URN of the Traefik, name) -> settings; its own API and UDP left out."""
    found: dict[tuple[str, str], list[Setting]] = {}
    for one in stack.once(settings):
        parts = one.name.split(".")
        if len(parts) >= 2 and parts[0] == "entrypoints" and parts[1] not in {"traefik", "metrics", "ping"}:
            found.setdefault((one.container.resource.urn, parts[1]), []).append(one)
    udp = {
        key
        for key, listed in found.items()
        if any(one.name.endswith(".address") and str(one.value).endswith("/udp") for one in listed)
    }
    return {key: listed for key, listed in found.items() if key not in udp}


def configured_elsewhere(stack: Stack, one: Container) -> bool:
    """Whether a Traefik reads its static configuration from a file that this view does not see."""
    file = static_file(stack, one)
    if file is not None:
        return _parsed(file.content) is UNKNOWN
    words = " ".join(one.arguments()).lower()
    mounted = any(
        mount.target.endswith(("traefik.yml", "traefik.yaml", "traefik.toml")) for mount in one.mounts()
    )
    return "configfile" in words or mounted or not strings({"it": one.arguments()}, "it")

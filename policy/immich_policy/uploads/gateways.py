"""Ingress and Gateway API in front of Immich: known_annotations, timeouts and policies of their controllers."""

from __future__ import annotations

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
    mapping,
    mappings,
    text,
)
from immich_policy.reading.names import namespace, object_name
from immich_policy.reading.walk import leads_to_immich
from immich_policy.text import duration, human, nginx_size, shown, size
from immich_policy.uploads.size import BODY_ANNOTATIONS, SLOWEST, declared, fits, known_annotations

_NGINX = "nginx.ingress.kubernetes.io/"
_OTHER_NGINX = "nginx.org/"
_ENVOY = "gateway.envoyproxy.io"


def _ingresses(stack: Stack) -> list[tuple[Registered, str]]:
    """Ingresses to Immich that an nginx serves, with the prefix of its annotations."""
    found: list[tuple[Registered, str]] = []
    for one in stack.of_kind("Ingress", group="networking.k8s.io"):
        if not leads_to_immich(stack, one):
            continue
        given = known_annotations(one)
        name = text(one.props, "spec", "ingressClassName") or given.get("kubernetes.io/ingress.class", "")
        if any(key.startswith(_OTHER_NGINX) for key in given):
            found.append((one, _OTHER_NGINX))
        elif "nginx" in name or any(key.startswith(_NGINX) for key in given):
            found.append((one, _NGINX))
    return found


def _annotated(stack: Stack, config: Config) -> Iterable[Judgement]:
    wanted = declared(stack, config)
    for one, prefix in _ingresses(stack):
        if dig(one.props, "metadata", "annotations") is UNKNOWN:
            yield Unjudged(resource=one, path="metadata.annotations")
            continue
        yield from _body(one, prefix, wanted)
        for name, least in (("proxy-read-timeout", config.timeout), ("proxy-send-timeout", config.timeout)):
            yield from _annotation(one, prefix + name, f"{least:g}s", _at_least(one, prefix + name, least))
        if prefix == _NGINX:
            streams = known_annotations(one).get(f"{prefix}proxy-request-buffering") == "off"
            yield from _annotation(one, f"{prefix}proxy-request-buffering", "off", streams)


def _body(one: Registered, prefix: str, wanted: int) -> Iterator[Judgement]:
    name = next(it for it in BODY_ANNOTATIONS if it.startswith(prefix))
    amount = nginx_size(known_annotations(one).get(name, "1m"))
    yield from _annotation(one, name, "0", fits(amount, wanted), f", while uploads may have {human(wanted)}")


def _at_least(one: Registered, name: str, least: float) -> bool:
    seconds = duration(known_annotations(one).get(name, "60"))
    return seconds is not None and seconds >= least


def _annotation(one: Registered, name: str, right: str, good: bool, why: str = "") -> Iterator[Judgement]:
    path = join("metadata.annotations", name)
    given = dig(one.props, "metadata", "annotations", name)
    if given is UNKNOWN:
        yield Unjudged(resource=one, path=path)
    elif not good:
        message = f"{'it is not set' if given is None else f'it is {shown(given)}'}{why}"
        yield Finding(
            resource=one, path=path, message=message, setting=f'proxy.expose[].annotations: {name}: "{right}"'
        )


def _timeouts(stack: Stack, config: Config) -> Iterable[Judgement]:
    least = max(config.timeout, declared(stack, config) / SLOWEST)
    for one in stack.of_kind("HTTPRoute"):
        if not leads_to_immich(stack, one):
            continue
        envoy = _on_envoy(stack, one)
        for index, rule in mappings(one.props, "spec", "rules"):
            for key in ("request", "backendRequest"):
                given = dig(rule, "timeouts", key)
                path = join("spec", "rules", index, "timeouts", key)
                seconds = duration(given)
                if given is UNKNOWN:
                    yield Unjudged(resource=one, path=path)
                elif given is None:
                    if key == "request" and envoy:
                        yield _timeout(
                            one, path, "it is not set, and Envoy Gateway ends a request after 15 s", least
                        )
                elif seconds is None or 0 < seconds < least:
                    yield _timeout(one, path, f"it is {shown(given)}", least)


def _timeout(one: Registered, path: str, given: str, least: float) -> Finding:
    return Finding(
        resource=one,
        path=path,
        message=f"{given}, while the largest upload takes {least:.0f} s on a line of 10 Mbit/s",
        setting="timeouts.request and timeouts.backendRequest: 0s, as this program's routes have them",
    )


def _on_envoy(stack: Stack, route: Registered) -> bool:
    """Whether a registered Gateway of the route is Envoy Gateway's."""
    wanted = {text(ref, "name") for _, ref in mappings(route.props, "spec", "parentRefs")}
    classes = {
        object_name(one)
        for one in stack.of_kind("GatewayClass")
        if text(one.props, "spec", "controllerName").startswith(_ENVOY)
    }
    return any(
        object_name(one) in wanted
        and text(one.props, "spec", "gatewayClassName") in {*classes, "eg", "envoy"}
        for one in stack.of_kind("Gateway", group="gateway.networking.k8s.io")
    )


def _policies(stack: Stack, config: Config) -> Iterable[Judgement]:
    wanted = declared(stack, config)
    limits = [
        *_limits(stack, "ClientSettingsPolicy", "gateway.nginx.org", "spec", "body", "maxSize"),
        *_limits(stack, "BackendTrafficPolicy", _ENVOY, "spec", "requestBuffer", "limit"),
        *_limits(stack, "TrafficPolicy", "gateway.kgateway.dev", "spec", "buffer", "maxRequestSize"),
    ]
    for one, path, given in limits:
        amount = (
            nginx_size(given)
            if one.kind.startswith("ClientSettings") and isinstance(given, str)
            else size(given)
        )
        if given is UNKNOWN:
            yield Unjudged(resource=one, path=path)
        elif given is not None and not fits(amount, wanted):
            message = f"it is {shown(given)}, while uploads may have {human(wanted)}"
            yield Finding(
                resource=one, path=path, message=message, setting=f"{path}: 0 for no limit, or leave it out"
            )
    for one in _missing(stack):
        message = (
            "no ClientSettingsPolicy of this Gateway or route sets body.maxSize, so its nginx takes 1 MiB"
        )
        setting = "a ClientSettingsPolicy with spec.body.maxSize: 0 (proxy.expose[].implementation: nginx)"
        yield Finding(resource=one, path="spec.parentRefs", message=message, setting=setting)
    least = max(config.timeout, wanted / SLOWEST)
    for kind, keys in (
        ("BackendTrafficPolicy", ("spec", "timeout", "http", "requestTimeout")),
        ("ClientTrafficPolicy", ("spec", "timeout", "http", "requestReceivedTimeout")),
    ):
        for one, path, given in _limits(stack, kind, _ENVOY, *keys):
            seconds = duration(given)
            if given is UNKNOWN:
                yield Unjudged(resource=one, path=path)
            elif given is not None and (seconds is None or 0 < seconds < least):
                yield _timeout(one, path, f"it is {shown(given)}", least)


def _limits(stack: Stack, kind: str, group: str, *keys: str) -> list[tuple[Registered, str, object]]:
    return [
        (one, ".".join(keys), dig(one.props, *keys))
        for one in stack.of_kind(kind, group=group)
        if _ours(stack, one)
    ]


def _ours(stack: Stack, policy: Registered) -> bool:
    """Whether a policy is on a route to Immich, or on a Gateway of one; where no route is registered, it is."""
    routes = [one for one in stack.of_kind("HTTPRoute") if leads_to_immich(stack, one)]
    names = {object_name(one) for one in routes} | {
        text(ref, "name") for one in routes for _, ref in mappings(one.props, "spec", "parentRefs")
    }
    targets = [mapping(policy.props, "spec", "targetRef")]
    targets += [ref for _, ref in mappings(policy.props, "spec", "targetRefs")]
    wanted = {text(ref, "name") for ref in targets} - {""}
    return not routes or not wanted or bool(wanted & names)


def _missing(stack: Stack) -> list[Registered]:
    """Routes to Immich on a registered Gateway of NGINX Gateway Fabric without a limit of their own."""
    classes = {
        object_name(one)
        for one in stack.of_kind("GatewayClass")
        if text(one.props, "spec", "controllerName").startswith("gateway.nginx.org")
    }
    gateways = {
        object_name(one)
        for one in stack.of_kind("Gateway", group="gateway.networking.k8s.io")
        if text(one.props, "spec", "gatewayClassName") in {*classes, "nginx"}
    }
    limited: set[tuple[str, str]] = set()
    for policy in stack.of_kind("ClientSettingsPolicy", group="gateway.nginx.org"):
        if dig(policy.props, "spec", "body", "maxSize") is not None:
            limited.add((namespace(policy), text(policy.props, "spec", "targetRef", "name")))
    names = {name for _, name in limited}
    return [
        one
        for one in stack.of_kind("HTTPRoute")
        if leads_to_immich(stack, one)
        and (parents := {text(ref, "name") for _, ref in mappings(one.props, "spec", "parentRefs")})
        & gateways
        and (namespace(one), object_name(one)) not in limited
        and not parents & names
    ]


RULES = (
    Rule(
        name="uploads-ingress",
        family="uploads",
        severity=Severity.HIGH,
        title="An Ingress to Immich has the annotations that let uploads through its nginx.",
        why="Without them the controller refuses more than 1 MiB with 413, keeps bodies, and gives up after 60 s.",
        remediation="Set proxy-body-size, proxy-request-buffering, proxy-read-timeout and proxy-send-timeout.",
        judge=_annotated,
    ),
    Rule(
        name="uploads-route-timeouts",
        family="uploads",
        severity=Severity.HIGH,
        title="A route to Immich does not end a long upload.",
        why="The timeout counts from the first byte: a video on a slow line never arrives, however often it is sent.",
        remediation="Set timeouts.request and timeouts.backendRequest to 0s.",
        judge=_timeouts,
    ),
    Rule(
        name="uploads-gateway-policies",
        family="uploads",
        severity=Severity.HIGH,
        title="Policies of the gateway let an upload of the declared size through.",
        why="The gateway refuses a larger photo or video with 413, or holds it in memory.",
        remediation="Lift the limit of the policy, or leave buffering out.",
        judge=_policies,
    ),
)

"""Routes in front of Immich, of the Gateway API, Contour and Istio: timeouts, and policies of their controllers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from immich_policy.config import Config
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Plain,
    Registered,
    Rule,
    Severity,
    Stack,
    Unjudged,
    dig,
    join,
    mapping,
    mappings,
    sequence,
    text,
)
from immich_policy.reading.names import namespace, object_name
from immich_policy.reading.routes import gateway_takes_uploads
from immich_policy.reading.walk import leads_to_immich
from immich_policy.text import duration, human, nginx_size, shown, size
from immich_policy.uploads.size import SLOWEST, declared, fits

_ENVOY = "gateway.envoyproxy.io"


def _timeouts(stack: Stack, config: Config) -> Iterable[Judgement]:
    least = max(config.timeout, declared(stack, config) / SLOWEST)
    for one in stack.of_kind(*_TIMEOUTS):
        if leads_to_immich(stack, one):
            yield from _TIMEOUTS[one.kind](stack, one, least)


def _gateway(stack: Stack, one: Registered, least: float) -> Iterator[Judgement]:
    envoy = _on_envoy(stack, one)
    for index, rule in mappings(one.props, "spec", "rules"):
        for key in ("request", "backendRequest"):
            path = join("spec", "rules", index, "timeouts", key)
            given = dig(rule, "timeouts", key)
            if given is None and key == "request" and envoy:
                yield _timeout(one, path, "it is not set, and Envoy Gateway ends a request after 15 s", least)
            yield from _long_enough(one, path, given, least)


def _contour(stack: Stack, one: Registered, least: float) -> Iterator[Judgement]:
    """`0s` is as if it were not set; `infinity` is no limit (apis/projectcontour/v1/httpproxy.go)."""
    del stack
    for index, route in mappings(one.props, "spec", "routes"):
        path = join("spec", "routes", index, "timeoutPolicy", "response")
        given = dig(route, "timeoutPolicy", "response")
        if given is None or duration(given) == 0:
            yield _timeout(one, path, "it is not set, and Contour's Envoy ends an answer after 15 s", least)
        elif given not in ("infinity", "infinite"):
            yield from _long_enough(one, path, given, least)


def _istio(stack: Stack, one: Registered, least: float) -> Iterator[Judgement]:
    """Without one there is no limit."""
    del stack
    for index, route in mappings(one.props, "spec", "http"):
        for keys in (("timeout",), ("retries", "perTryTimeout")):
            yield from _long_enough(one, join("spec", "http", index, *keys), dig(route, *keys), least)


_TIMEOUTS = {"HTTPRoute": _gateway, "HTTPProxy": _contour, "VirtualService": _istio}


def _long_enough(one: Registered, path: str, given: Plain, least: float) -> Iterator[Judgement]:
    seconds = duration(given)
    if given is UNKNOWN:
        yield Unjudged(resource=one, path=path)
    elif given is not None and (seconds is None or 0 < seconds < least):
        yield _timeout(one, path, f"it is {shown(given)}", least)


_GATEWAY_S = "timeouts.request and timeouts.backendRequest: 0s"
_SETTINGS = {
    "HTTPProxy": "timeoutPolicy.response: infinity",
    "VirtualService": "leave timeout and retries.perTryTimeout out",
}


def _timeout(one: Registered, path: str, given: str, least: float) -> Finding:
    return Finding(
        resource=one,
        path=path,
        message=f"{given}, while the largest upload takes {least:.0f} s on a line of 10 Mbit/s",
        setting=_SETTINGS.get(one.kind, _GATEWAY_S),
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
        *_filters(stack),
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
        setting = "a ClientSettingsPolicy with spec.body.maxSize: 0"
        yield Finding(resource=one, path="spec.parentRefs", message=message, setting=setting)
    least = max(config.timeout, wanted / SLOWEST)
    for kind, keys in (
        ("BackendTrafficPolicy", ("spec", "timeout", "http", "requestTimeout")),
        ("ClientTrafficPolicy", ("spec", "timeout", "http", "requestReceivedTimeout")),
    ):
        for one, path, given in _limits(stack, kind, _ENVOY, *keys):
            yield from _long_enough(one, path, given, least)


def _limits(stack: Stack, kind: str, group: str, *keys: str) -> list[tuple[Registered, str, Plain]]:
    return [
        (one, ".".join(keys), dig(one.props, *keys))
        for one in stack.of_kind(kind, group=group)
        if _ours(stack, one)
    ]


def _filters(stack: Stack) -> Iterator[tuple[Registered, str, Plain]]:
    """Limits of the buffer filter of Envoy in an EnvoyFilter of Istio, wherever in it they are."""
    for one in stack.of_kind("EnvoyFilter"):
        waiting: list[tuple[str, Plain]] = [("spec", dig(one.props, "spec"))]
        while waiting:
            path, value = waiting.pop()
            if isinstance(value, dict):
                waiting += [(join(path, key), below) for key, below in mapping({"it": value}, "it").items()]
            elif isinstance(value, list):
                waiting += [
                    (join(path, index), below) for index, below in enumerate(sequence({"it": value}, "it"))
                ]
            elif path.rsplit(".", 1)[-1] in {"max_request_bytes", "maxRequestBytes"}:
                yield one, path, value


def _ours(stack: Stack, policy: Registered) -> bool:
    """Whether a policy is on a route to Immich, or on a Gateway of one; where no route is registered, it is."""
    routes = [one for one in stack.of_kind("HTTPRoute") if leads_to_immich(stack, one)]
    names = {object_name(one) for one in routes} | {
        text(ref, "name") for one in routes for _, ref in mappings(one.props, "spec", "parentRefs")
    }
    targets = [mapping(policy.props, "spec", "targetRef")]
    targets += [ref for _, ref in mappings(policy.props, "spec", "targetRefs")]
    wanted = {text(ref, "name") for ref in targets} - {""}
    small = {object_name(one) for one in routes if not gateway_takes_uploads(one)}
    return not routes or not wanted or bool(wanted & names - small)


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

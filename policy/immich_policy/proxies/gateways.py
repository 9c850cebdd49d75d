"""Whom gateways and ingress controllers of a cluster believe.

Facts: NginxProxy is of NGINX Gateway Fabric 2 (apis/v1alpha2/nginxproxy_types.go); ClientTrafficPolicy of Envoy Gateway
1.6 (api/v1alpha1/clienttrafficpolicy_types.go); the keys of ConfigMaps are those of ingress-nginx 1.14
(docs/user-guide/nginx-configuration/configmap.md) and of F5's NGINX Ingress Controller 5.
"""

from __future__ import annotations

from collections.abc import Iterator

from immich_policy.model import UNKNOWN, Registered, Stack, dig, flag, join, mapping, mappings, strings, text
from immich_policy.reading.addresses import Entry, TrustedList, split
from immich_policy.reading.snippets import snippets

ENVOY = "gateway.envoyproxy.io"
_EVERYBODY = "0.0.0.0/0"
"""`proxy-real-ip-cidr` of ingress-nginx where none is set."""


def gateway_lists(stack: Stack) -> Iterator[TrustedList]:
    """Lists of trusted ranges of gateways and controllers."""
    for one in stack.of_kind("NginxProxy", group="gateway.nginx.org"):
        yield from _fabric(one)
    for one in stack.of_kind("ClientTrafficPolicy", group=ENVOY):
        path = "spec.clientIPDetection.xForwardedFor.trustedCIDRs"
        given = dig(one.props, *path.split("."))
        if given is not None:
            setting = "trustedCIDRs: the network of whoever connects to the gateway"
            yield TrustedList("Envoy", one, path, split(given, path), setting, given is not UNKNOWN)
    for one in stack.of_kind("ConfigMap", group="core"):
        yield from _controller(one)
    for one in stack.of_kind("Ingress", group="networking.k8s.io"):
        found = [each for each in snippets(one) if each.name == "set_real_ip_from" and each.args]
        if found:
            entries = tuple(Entry(each.path, each.args[0]) for each in found)
            yield TrustedList(
                "the snippet", one, found[0].path, entries, "take set_real_ip_from out of the snippet"
            )


def _fabric(one: Registered) -> Iterator[TrustedList]:
    path = "spec.rewriteClientIP.trustedAddresses"
    given = dig(one.props, *path.split("."))
    if given is not None and text(one.props, "spec", "rewriteClientIP", "mode") != "ProxyProtocol":
        entries = tuple(
            Entry(join(path, index), text(each, "value"))
            for index, each in mappings({"it": given}, "it")
            if text(each, "type") in {"CIDR", "IPAddress"}
        )
        setting = "trustedAddresses: the network of whoever connects to the gateway"
        yield TrustedList("NGINX Gateway Fabric", one, path, entries, setting, given is not UNKNOWN)


def _controller(one: Registered) -> Iterator[TrustedList]:
    data = mapping(one.props, "data")
    if flag(data, "use-forwarded-headers") or flag(data, "enable-real-ip"):
        key = "proxy-real-ip-cidr"
        given = dig(data, key)
        at = (
            key
            if given is not None
            else next(it for it in ("use-forwarded-headers", "enable-real-ip") if it in data)
        )
        path = join("data", at)
        entries = split(_EVERYBODY if given is None else given, path)
        setting = f"{key}: the network of whoever connects to the controller; or use-forwarded-headers: false"
        yield TrustedList("ingress-nginx", one, path, entries, setting, given is not UNKNOWN)
    key = "set-real-ip-from"
    if text(data, "real-ip-header").lower() not in {"", "proxy_protocol"} and data.get(key) is not None:
        path, given = join("data", key), data[key]
        setting = f"{key}: the network of whoever connects to the controller"
        yield TrustedList("the controller", one, path, split(given, path), setting, given is not UNKNOWN)


def believed_headers(stack: Stack) -> Iterator[tuple[Registered, str, str]]:
    """Headers that Envoy takes for the client's address whoever sends them: policy, path, and the header's name."""
    for one in stack.of_kind("ClientTrafficPolicy", group=ENVOY):
        path = "spec.clientIPDetection.customHeader"
        if mapping(one.props, *path.split(".")):
            yield one, path, text(one.props, *path.split("."), "name")


def counted_hops(stack: Stack) -> Iterator[tuple[Registered, str]]:
    """Policies of Envoy that believe so many addresses of X-Forwarded-For, whoever connects."""
    for one in stack.of_kind("ClientTrafficPolicy", group=ENVOY):
        path = "spec.clientIPDetection.xForwardedFor.numTrustedHops"
        ranges = strings(one.props, "spec", "clientIPDetection", "xForwardedFor", "trustedCIDRs")
        if dig(one.props, *path.split(".")) and not ranges:
            yield one, path

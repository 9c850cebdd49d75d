"""Headers that say who a client is: written by the proxy in front, never passed on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from immich_policy.config import Config, Network
from immich_policy.model import UNKNOWN, Finding, Judgement, Rule, Severity, Stack, Unjudged, dig
from immich_policy.proxies.forged import forged
from immich_policy.proxies.gateways import believed_headers, counted_hops
from immich_policy.proxies.lists import bypasses, lists, nginx_hops
from immich_policy.reading.addresses import CLOUDFLARE, overlap
from immich_policy.reading.nginx_files import effective, effective_all
from immich_policy.reading.parts import having
from immich_policy.reading.roles import Role
from immich_policy.reading.snippets import snippets
from immich_policy.reading.traefik import settings
from immich_policy.reading.walk import attached, docker_networks, host_network, leads_to_immich
from immich_policy.text import shown

_HEADER = "x-forwarded-for"


def _recursive(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    seen: set[int] = set()
    for _, chain in stack.once(nginx_hops):
        recursive, header = effective(chain, "real_ip_recursive"), effective(chain, "real_ip_header")
        if recursive is None or recursive.value != "on" or id(recursive) in seen:
            continue
        if header is None or header.value.lower() != _HEADER:
            continue
        seen.add(id(recursive))
        trusted = effective_all(chain, "set_real_ip_from")
        known = [network for each in stack.once(lists) for network in each.networks if each.reader == "nginx"]
        if trusted and any(overlap(each, CLOUDFLARE) for each in known):
            yield Finding(
                resource=recursive.resource,
                path=recursive.path,
                message="real_ip_recursive is on with X-Forwarded-For and Cloudflare's ranges; a Worker of somebody "
                "else is in those, and what it wrote before is believed",
                setting="real_ip_header CF-Connecting-IP, and no real_ip_recursive",
            )


def _overwritten(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    yield from _by_snippets(stack)
    seen: set[int] = set()
    for server, chain in stack.once(nginx_hops):
        given = [
            one
            for one in effective_all(chain, "proxy_set_header")
            if one.args[:1] and one.args[0].lower() == _HEADER
        ]
        at = given[-1] if given else chain[-1]
        if id(at) in seen:
            continue
        seen.add(id(at))
        setting = "proxy_set_header X-Forwarded-For $remote_addr; in that location"
        if not given:
            message = f"X-Forwarded-For is not set on {server.listens}, so what a client writes there goes on to Immich"
            yield Finding(resource=at.resource, path=at.path, message=message, setting=setting)
        elif forged(" ".join(at.args[1:]), chain):
            message = (
                f"X-Forwarded-For is {shown(' '.join(at.args[1:]))}, which a client may write as it likes"
            )
            yield Finding(resource=at.resource, path=at.path, message=message, setting=setting)


def _by_snippets(stack: Stack) -> Iterator[Finding]:
    for one in stack.of_kind("Ingress", group="networking.k8s.io"):
        for each in snippets(one) if leads_to_immich(stack, one) else ():
            if each.name == "proxy_set_header" and each.args[:1] and each.args[0].lower() == _HEADER:
                value = " ".join(each.args[1:])
                if forged(value, ()):
                    message = f"the snippet makes X-Forwarded-For {shown(value)}, which a client may write as it likes"
                    setting = "take it out: the controller sets the header itself"
                    yield Finding(resource=one, path=each.path, message=message, setting=setting)


def _insecure(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in stack.once(settings):
        if not one.name.endswith((".forwardedheaders.insecure", ".proxyprotocol.insecure")):
            continue
        if one.value is UNKNOWN:
            yield Unjudged(resource=one.resource, path=one.path)
        elif str(one.value).strip().lower() in {"", "true", "1"}:
            yield Finding(
                resource=one.resource,
                path=one.path,
                message=f"{one.name} is on: Traefik believes everybody's headers",
                setting="trustedIPs with the network of whoever connects to Traefik, in place of insecure",
            )
    for policy, path, header in believed_headers(stack):
        message = f"Envoy takes {shown(header)} for the address of the client, whoever sends it"
        setting = (
            "clientIPDetection.xForwardedFor.trustedCIDRs with the network of whoever connects to the gateway"
        )
        yield Finding(resource=policy, path=path, message=message, setting=setting)
    for policy, path in counted_hops(stack):
        what = "is right only if so many proxies are in front of the gateway, and nobody reaches it past them"
        yield Unjudged(resource=policy, path=path, what=what)


def _bypassed(stack: Stack, config: Config) -> Iterable[Judgement]:
    proxies: list[tuple[Network, str]] = [(network, "pods") for network in config.pod_ranges]
    known = stack.once(docker_networks)
    for one in having(stack, Role.CLOUDFLARED, Role.TRAEFIK, Role.NGINX):
        proxies += [
            (network, f"the network {name}")
            for name in attached(one)
            if name in known
            for network in known[name].subnets
        ]
    proxies += [(network, "Cloudflare") for network in CLOUDFLARE]
    for trusted in stack.once(lists):
        if trusted.reader in {"Traefik", "CrowdSec"}:
            proxies += [(network, "a proxy that is trusted") for network in trusted.networks]
    for one in stack.once(bypasses):
        for entry in one.entries:
            network = entry.network
            owner = (
                None
                if network is None
                else next((who for it, who in proxies if overlap(network, [it])), None)
            )
            if network is not None and (owner is not None or network.prefixlen == 0):
                yield Finding(
                    resource=one.resource,
                    path=entry.path,
                    message=f"clientTrustedIPs has {shown(entry.written)}, and in it {owner or 'everybody'}: who comes "
                    "from there is never checked",
                    setting="forwardedHeadersTrustedIPs for proxies; clientTrustedIPs is for clients never banned",
                )


def _host_network(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in having(stack, Role.CLOUDFLARED):
        path = "networkMode" if one.docker else one.in_pod("hostNetwork")
        if (
            dig(one.props if one.docker else one.pod, "networkMode" if one.docker else "hostNetwork")
            is UNKNOWN
        ):
            yield Unjudged(resource=one.resource, path=path)
        elif host_network(one):
            yield Finding(
                resource=one.resource,
                path=path,
                message="cloudflared has the network of its host, so nginx sees the host's address instead of its own",
                setting="hostNetwork: false (Docker: a network that cloudflared shares with nginx alone)",
            )


RULES = (
    Rule(
        name="proxies-recursive",
        family="proxies",
        severity=Severity.HIGH,
        title="nginx does not look for the client behind Cloudflare's own addresses.",
        why="Anybody can run a Worker at Cloudflare that sends a forged X-Forwarded-For, and choose their address.",
        remediation="Read CF-Connecting-IP, which the edge always overwrites.",
        judge=_recursive,
    ),
    Rule(
        name="proxies-overwritten",
        family="proxies",
        severity=Severity.HIGH,
        title="nginx overwrites X-Forwarded-For.",
        why="What a client wrote there reaches Immich, which believes it where the proxy is trusted.",
        remediation="Set X-Forwarded-For to $remote_addr after the real address was found.",
        judge=_overwritten,
    ),
    Rule(
        name="proxies-insecure",
        family="proxies",
        severity=Severity.CRITICAL,
        title="No proxy believes everybody's forwarded headers.",
        why="Every client chooses its address: rate limits, bans and logs are worth nothing.",
        remediation="Name the proxies in front in trustedIPs.",
        judge=_insecure,
    ),
    Rule(
        name="proxies-crowdsec",
        family="proxies",
        severity=Severity.CRITICAL,
        title="CrowdSec's bouncer checks everybody who comes through a proxy.",
        why="clientTrustedIPs are clients that are let through unchecked. With the proxy's network in it that is the "
        "whole internet.",
        remediation="Put proxies into forwardedHeadersTrustedIPs.",
        judge=_bypassed,
    ),
    Rule(
        name="proxies-cloudflared-network",
        family="proxies",
        severity=Severity.MEDIUM,
        title="cloudflared has an address of its own.",
        why="Trusting the host's address means trusting everything on that host, and all that comes to it through NAT.",
        remediation="Take hostNetwork away.",
        judge=_host_network,
    ),
)

"""Lists of trusted ranges: narrow, written rightly, and with the network of the proxy in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from immich_policy.config import Config, Network
from immich_policy.exposure.cloudflare import RECORDS
from immich_policy.model import (
    Finding,
    Judgement,
    Registered,
    Rule,
    Severity,
    Stack,
    Unjudged,
    flag,
    sequence,
    text,
)
from immich_policy.proxies.lists import VARIABLE, lists
from immich_policy.reading.addresses import CLOUDFLARE, Entry, TrustedList, collapsed, inside
from immich_policy.reading.containers import Container
from immich_policy.reading.parts import having
from immich_policy.reading.releases import releases
from immich_policy.reading.roles import Role
from immich_policy.reading.routes import HTTP
from immich_policy.reading.walk import (
    attached,
    docker_networks,
    host_network,
    leads_to_immich,
    namespace_services,
)
from immich_policy.text import shown

_WIDEST = {4: 8, 6: 16}
"""Shortest prefix that one range may have."""
_MOST = {4: 2**24, 6: 2**112}
"""Most addresses that a list may have, Cloudflare's apart: as many as the widest single range."""
_PROXIES = (Role.NGINX, Role.TRAEFIK, Role.CLOUDFLARED)


def _found(one: TrustedList, entry: Entry, message: str) -> Finding:
    return Finding(
        resource=one.resource, path=entry.path, message=f"{one.reader} trusts {message}", setting=one.setting
    )


def _narrow(stack: Stack, config: Config) -> Iterable[Judgement]:
    declared = [*config.pod_ranges, *config.proxy_ranges]
    for one in stack.once(lists):
        if not one.known:
            yield Unjudged(resource=one.resource, path=one.path, what="is not known, or comes from elsewhere")
        wide = False
        for entry in one.entries:
            network = entry.network
            if network is None:
                continue
            if network.prefixlen == 0:
                wide = True
                yield _found(
                    one, entry, f"{shown(entry.written)}, which is everybody; Immich does not start with it"
                )
            elif network.prefixlen < _WIDEST[network.version]:
                wide = True
                yield _found(
                    one, entry, f"{shown(entry.written)}, which is wider than /{_WIDEST[network.version]}"
                )
            elif (pods := _wider(network, config)) and not inside(network, declared):
                wide = True
                yield _found(
                    one, entry, f"{shown(entry.written)}, which is wider than the range of pods, {pods}"
                )
        if not wide:
            yield from _together(one)


def _wider(network: Network, config: Config) -> Network | None:
    """A range of pods that is a part of a wider network."""
    return next((one for one in config.pod_ranges if one != network and inside(one, [network])), None)


def _together(one: TrustedList) -> Iterator[Finding]:
    others = collapsed([each for each in one.networks if not inside(each, CLOUDFLARE)])
    for version in (4, 6):
        amount = sum(each.num_addresses for each in others if each.version == version)
        if amount > _MOST[version]:
            message = (
                f"ranges that are 2^{amount.bit_length() - 1} addresses of IPv{version} or more together"
            )
            yield _found(one, one.entries[0], message)


def _written(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in stack.once(lists):
        for entry in one.entries:
            if entry.network is None:
                message = f"{shown(entry.written)}, which is no address range"
                if one.reader == "Immich":
                    message += "; it does not start with a word or a host name there"
                yield _found(one, entry, message)
            elif not entry.exact:
                message = (
                    f"{shown(entry.written)}, which has host bits: {entry.network} is meant, or one address"
                )
                yield _found(one, entry, message)


def _public(stack: Stack, config: Config) -> Iterable[Judgement]:
    tunnel = [one for one in having(stack, Role.CLOUDFLARED) if not one.init]
    addresses = [
        one for one in stack.of_type(*RECORDS) if flag(one.props, "proxied") and _leads_by_address(one)
    ]
    for one in stack.once(lists):
        for entry in one.entries:
            network = entry.network
            if network is None or network.prefixlen < _WIDEST[network.version]:
                continue
            if inside(network, CLOUDFLARE):
                if tunnel and not addresses:
                    message = f"{shown(entry.written)} of Cloudflare, but a tunnel comes from cloudflared's own address"
                    yield _found(one, entry, message)
            elif network.is_global and not inside(network, config.proxy_ranges):
                message = f"{shown(entry.written)} of the internet, which is none of Cloudflare's 22 ranges"
                yield _found(one, entry, message)


def _leads_by_address(record: Registered) -> bool:
    target = text(record.props, "content") or text(record.props, "value")
    return not target.rstrip(".").lower().endswith(".cfargotunnel.com")


def _unset(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    yield from _unset_by_values(stack)
    for one in having(stack, Role.SERVER):
        if one.variable(VARIABLE) is not None:
            continue
        before = _before(stack, one)
        if before is None:
            continue
        path = one.at("envs" if one.docker else "env")
        if not one.variables_known() or sequence(one.props, "envFrom"):
            yield Unjudged(resource=one.resource, path=path, what=f"may have {VARIABLE} from elsewhere")
            continue
        yield Finding(
            resource=one.resource,
            path=path,
            message=f"{VARIABLE} is not set behind {before}, so every private address may say who a client is",
            setting=f"{VARIABLE}: the network of the proxy in front",
        )


def _unset_by_values(stack: Stack) -> Iterator[Finding]:
    for one in stack.once(releases):
        ingress = next((path for path, _ in one.ingresses()), None)
        if ingress is not None and one.variable(VARIABLE) is None:
            message = f"{VARIABLE} is not set behind {ingress}: every private address may say who a client is"
            setting = f"{VARIABLE} among the variables of the server: the network of the proxy in front"
            yield Finding(resource=one.resource, path=one.path, message=message, setting=setting)


def _before(stack: Stack, server: Container) -> str | None:
    """What is in front of a server, in words."""
    for one in having(stack, *_PROXIES):
        if not one.init and (one.docker == server.docker):
            return one.resource.name
    if not server.docker:
        for kind in HTTP:
            for route in stack.of_kind(kind):
                if leads_to_immich(stack, route):
                    return f"{route.kind} {route.name}"
    labels = [text(each, "label") for each in sequence(server.props, "labels") if isinstance(each, dict)]
    return "Traefik" if any(label.startswith("traefik.http.routers.") for label in labels) else None


def _missing(stack: Stack, config: Config) -> Iterable[Judgement]:
    for one in stack.once(lists):
        if one.reader != "Immich" or one.container is None or not one.known:
            continue
        yield from _needed(stack, config, one.container, one, _PROXIES)
    trusting: dict[str, list[TrustedList]] = {}
    for one in stack.once(lists):
        if one.reader == "nginx" and one.container is not None:
            trusting.setdefault(one.container.resource.urn, []).append(one)
    for nginx in having(stack, Role.NGINX):
        found = trusting.get(nginx.resource.urn, [])
        listed = TrustedList(
            "nginx",
            found[0].resource if found else nginx.resource,
            found[0].path if found else "",
            tuple(entry for one in found for entry in one.entries),
            "set_real_ip_from: the network of cloudflared or Traefik, and real_ip_header",
            container=nginx,
        )
        yield from _needed(stack, config, nginx, listed, (Role.CLOUDFLARED, Role.TRAEFIK))


def _needed(
    stack: Stack, config: Config, reader: Container, listed: TrustedList, roles: tuple[Role, ...]
) -> Iterator[Judgement]:
    for network, why in _from(stack, config, reader, roles):
        if network is None:
            yield Unjudged(resource=listed.resource, path=listed.path, what=why)
        elif not listed.covers(network):
            yield Finding(
                resource=listed.resource,
                path=listed.path,
                message=f"{listed.reader} does not trust {network}, {why}: every client would have the proxy's address",
                setting=listed.setting,
            )


def _from(
    stack: Stack, config: Config, reader: Container, roles: tuple[Role, ...]
) -> list[tuple[Network | None, str]]:
    """Networks from which proxies connect to a reader, each with what it is; None for one that is not known."""
    proxies = [
        one
        for one in having(stack, *roles)
        if not one.init and one.docker == reader.docker and one is not reader
    ]
    if not reader.docker:
        return _from_pods(stack, config, proxies, reader)
    known, found = stack.once(docker_networks), dict[str, tuple[Network | None, str]]()
    for name in attached(reader):
        sharing = [one.resource.name for one in proxies if name in attached(one) and not host_network(one)]
        if sharing and name in known and known[name].subnets:
            for network in known[name].subnets:
                found[f"{name} {network}"] = (network, f"the network {name} of {sharing[0]}")
        elif sharing:
            found[name] = (None, f"depends on the network {name}, whose addresses are not registered")
    return list(found.values())


def _from_pods(
    stack: Stack, config: Config, proxies: list[Container], reader: Container
) -> list[tuple[Network | None, str]]:
    inside_cluster = [one for one in proxies if not host_network(one)]
    services = {one.name for one in namespace_services(stack, Role.SERVER)}
    if not inside_cluster or (Role.SERVER in reader.roles and not services):
        return []
    if not config.pod_ranges:
        return [(None, "depends on the range of pods, which is not declared (podRanges)")]
    versions = {one.version for one in config.pod_ranges}
    wanted = [one for one in config.pod_ranges if one.version == 4 or versions == {6}]
    return [(one, f"the range of pods, with {inside_cluster[0].resource.name} in it") for one in wanted]


RULES = (
    Rule(
        name="proxies-narrow",
        family="proxies",
        severity=Severity.CRITICAL,
        title="Only few addresses may say who a client is.",
        why="Whoever is in a trusted range writes any address into a header: limits, bans and logs are worth nothing.",
        remediation="Trust the network of the proxy in front, and nothing else.",
        judge=_narrow,
    ),
    Rule(
        name="proxies-written",
        family="proxies",
        severity=Severity.HIGH,
        title="Trusted ranges are written as networks.",
        why="Immich does not start with a word or a host name, and one with host bits is read as another than meant.",
        remediation="Write addresses as 10.42.0.0/16, without host bits.",
        judge=_written,
    ),
    Rule(
        name="proxies-public",
        family="proxies",
        severity=Severity.HIGH,
        title="Of the internet nobody but Cloudflare's edge is trusted, and that only where it connects itself.",
        why="Addresses of the internet belong to strangers. Behind a tunnel Cloudflare's edge never connects, but its "
        "ranges have Workers of other people.",
        remediation="Take the range out; behind a tunnel trust the network of cloudflared.",
        judge=_public,
    ),
    Rule(
        name="proxies-unset",
        family="proxies",
        severity=Severity.HIGH,
        title=f"Behind a proxy, {VARIABLE} is set.",
        why="By default Immich believes every private address, so that anybody in the LAN chooses theirs; pods in "
        "100.64.0.0/10 are not believed, and all clients share one.",
        remediation=f"Set {VARIABLE} to the network of the proxy in front.",
        judge=_unset,
    ),
    Rule(
        name="proxies-network",
        family="proxies",
        severity=Severity.HIGH,
        title="The network of the proxy in front is trusted.",
        why="Otherwise all clients have the proxy's address: one wrong password too many locks everybody out.",
        remediation="Put the network that the proxy shares with its upstream into the list.",
        judge=_missing,
    ),
)

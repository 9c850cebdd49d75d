"""What Cloudflare publishes: services of a tunnel, records of a zone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml

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
    flag,
    join,
    mapping,
    mappings,
    number,
    plain,
    text,
)
from immich_policy.reading.targets import of_another_program
from immich_policy.text import shown

RECORDS = ("cloudflare:index/dnsRecord:DnsRecord", "cloudflare:index/record:Record")
TUNNEL_CONFIGURATIONS = (
    "cloudflare:index/zeroTrustTunnelCloudflaredConfig:ZeroTrustTunnelCloudflaredConfig",
    "cloudflare:index/tunnelConfig:TunnelConfig",
)
_TUNNEL_DOMAIN = ".cfargotunnel.com"
_AUTOMATIC = 1
_INGRESS = re.compile(r"^ingress:|^\s*[{,]?\s*\"ingress\":", re.MULTILINE)
_DANGEROUS = re.compile(
    r"(?:bastion|socks-proxy|hello[_-]world)\Z|(?:tcp|ssh|rdp|smb)://|unix(?:\+tls)?:.*(?:docker|podman|containerd)\.sock",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class TunnelRule:
    """One ingress rule of a tunnel."""

    resource: Registered
    path: str
    rule: dict[str, Plain]

    @property
    def service(self) -> str:
        """`http://immich-proxy:8080`; empty where it is not known."""
        return text(self.rule, "service")


def tunnel_rules(stack: Stack) -> list[TunnelRule]:
    """Ingress rules of every registered tunnel but those that lead to other programs alone.

    They are of Cloudflare's own configuration (providers 5 and 6) and of files.
    """
    tunnels: list[list[TunnelRule]] = []
    for one in stack.of_type(*TUNNEL_CONFIGURATIONS):
        tunnels.append(
            [
                TunnelRule(one, join("config", key, index), rule)
                for key in ("ingresses", "ingressRules", "ingress")
                for index, rule in mappings(one.props, "config", key)
            ]
        )
    for one, path, written in _files(stack):
        rules = mappings(_parsed(written), "ingress")
        tunnels.append([TunnelRule(one, f"{path} ingress[{index}]", rule) for index, rule in rules])
    return [rule for rules in tunnels if not _of_others(stack, rules) for rule in rules]


def _of_others(stack: Stack, rules: list[TunnelRule]) -> bool:
    leads = [of_another_program(stack, rule.service) for rule in rules if rule.service.startswith("http")]
    leads = leads[:-1] if rules and rules[-1].service.startswith("http_status:") else leads
    return bool(leads) and all(leads)


def _files(stack: Stack) -> Iterator[tuple[Registered, str, str]]:
    """Files that may be a configuration of cloudflared: in ConfigMaps, or uploaded to a Docker container."""
    for one in stack.of_kind("ConfigMap"):
        for key in mapping(one.props, "data"):
            yield one, join("data", key), text(one.props, "data", key)
    for one in stack.of_type("docker:index/container:Container"):
        for index, upload in mappings(one.props, "uploads"):
            yield one, join("uploads", index, "content"), text(upload, "content")


def _parsed(written: str) -> Plain:
    if not _INGRESS.search(written):
        return None
    try:
        return plain(yaml.safe_load(written))
    except (yaml.YAMLError, ValueError, RecursionError):
        # Not a configuration of cloudflared, then: it would not start.
        return None


def _dangerous(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in stack.once(tunnel_rules):
        if dig(one.rule, "service") is UNKNOWN:
            yield Unjudged(resource=one.resource, path=f"{one.path}.service")
        elif _DANGEROUS.match(one.service):
            yield Finding(
                resource=one.resource,
                path=f"{one.path}.service",
                message=f"the tunnel offers {shown(one.service)}",
                setting="point the rule to the proxy in front of Immich, such as http://immich-proxy:8080",
            )


def _verified(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    setting = (
        "remove noTLSVerify; name the certificate with originServerName and caPool, or use plain http inside"
    )
    for one in stack.of_type(*TUNNEL_CONFIGURATIONS):
        yield from _verifies(
            one, "config.originRequest", mapping(one.props, "config", "originRequest"), setting
        )
    for rule in stack.once(tunnel_rules):
        path = f"{rule.path}.originRequest"
        yield from _verifies(rule.resource, path, mapping(rule.rule, "originRequest"), setting)


def _verifies(one: Registered, path: str, request: dict[str, Plain], setting: str) -> Iterator[Judgement]:
    for key in ("noTlsVerify", "noTLSVerify"):
        if dig(request, key) is UNKNOWN:
            yield Unjudged(resource=one, path=f"{path}.{key}")
        elif flag(request, key):
            message = "the tunnel takes any certificate from what it connects to"
            yield Finding(resource=one, path=f"{path}.{key}", message=message, setting=setting)


def _ttl(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in stack.of_type(*RECORDS):
        if UNKNOWN in (dig(one.props, "proxied"), dig(one.props, "ttl")):
            yield Unjudged(resource=one, path="ttl")
            continue
        if not flag(one.props, "proxied") or dig(one.props, "ttl") is None:
            continue
        if number(one.props, "ttl") != _AUTOMATIC:
            yield Finding(
                resource=one,
                path="ttl",
                message=f"the record is proxied and its ttl is {shown(dig(one.props, 'ttl'))}; Cloudflare accepts 1 "
                f"only",
                setting="ttl: 1 (automatic) on the record",
            )


def _proxied(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in stack.of_type(*RECORDS):
        target = (
            dig(one.props, "content") if dig(one.props, "content") is not None else dig(one.props, "value")
        )
        if target is UNKNOWN and text(one.props, "type") in {"CNAME", ""} and not flag(one.props, "proxied"):
            yield Unjudged(resource=one, path="content")
        elif isinstance(target, str) and target.rstrip(".").lower().endswith(_TUNNEL_DOMAIN):
            if dig(one.props, "proxied") is UNKNOWN:
                yield Unjudged(resource=one, path="proxied")
            elif not flag(one.props, "proxied"):
                yield Finding(
                    resource=one,
                    path="proxied",
                    message="the record leads to a tunnel and is not proxied; its name will not answer",
                    setting="proxied: true on the record",
                )


RULES = (
    Rule(
        name="exposure-tunnel-service",
        family="exposure",
        severity=Severity.CRITICAL,
        title="A tunnel offers HTTP to the proxy in front of Immich, and no shell, no raw TCP, no proxy into "
        "the network.",
        why="`bastion` and `socks-proxy` let whoever reaches the tunnel choose a machine inside; `tcp`, "
        "`ssh`, `rdp` and "
        "`smb` services hand out that machine without any check by Immich.",
        remediation="Give the tunnel http or https services only. Reach other machines over a VPN.",
        judge=_dangerous,
    ),
    Rule(
        name="exposure-tunnel-tls",
        family="exposure",
        severity=Severity.HIGH,
        title="A tunnel checks the certificate of what it connects to.",
        why="With `noTLSVerify` anybody between cloudflared and the proxy can read and change every photo; plain http "
        "inside one pod network says the same honestly.",
        remediation="Set `originServerName` and `caPool`, or connect with http inside the cluster.",
        judge=_verified,
    ),
    Rule(
        name="exposure-record-ttl",
        family="exposure",
        severity=Severity.MEDIUM,
        title="A proxied DNS record has ttl 1.",
        why="Cloudflare refuses every other ttl of a proxied record, but only while the update runs, when "
        "half of it is "
        "done already.",
        remediation="Set `ttl: 1`, which means automatic.",
        judge=_ttl,
    ),
    Rule(
        name="exposure-tunnel-record",
        family="exposure",
        severity=Severity.HIGH,
        title="A DNS record that leads to a tunnel is proxied.",
        why="A name under `cfargotunnel.com` has no address of its own: without Cloudflare's proxy the host name does "
        "not answer, and phones stop backing up.",
        remediation="Set `proxied: true` on the record.",
        judge=_proxied,
    ),
)

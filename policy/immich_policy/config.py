"""The pack's configuration: one object, of the policy `immich-pack` in the file of `--policy-pack-config`."""

from __future__ import annotations

import fnmatch
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from immich_policy.model import Plain, Registered, dig, mapping, mappings, number, sequence, strings, text
from immich_policy.text import shown, size

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PLANS: Mapping[str, int] = {
    "free": 100 * 10**6,
    "pro": 100 * 10**6,
    "business": 200 * 10**6,
    "enterprise": 500 * 10**6,
}
"""Cloudflare's largest request body by plan, in bytes. Enterprise has 500 MB unless agreed otherwise."""

SCHEMA: dict[str, dict[str, Plain]] = {
    "uploadSize": {
        "type": "string",
        "description": "The largest upload that every hop must carry, such as `50 GiB`. By default the largest that "
        "a registered nginx, annotation or policy in front of Immich allows, and at least 1 GiB.",
    },
    "cloudflarePlan": {
        "type": "string",
        "enum": [*PLANS],
        "description": "Plan of the Cloudflare zone, which limits the size of an upload. By default it is not known, "
        "and the smallest limit (100 MB) is taken.",
    },
    "cloudflareLimitAccepted": {
        "type": "string",
        "description": "Why it is right that larger uploads than the plan's fail through Cloudflare.",
    },
    "timeout": {
        "type": "number",
        "description": "Seconds that a hop must wait for a client or for Immich; 600 by default.",
    },
    "podRanges": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Address ranges of the cluster's pods. By default those that are registered: subnets of Docker "
        "networks, and the ranges that a NetworkPolicy keeps apart.",
    },
    "proxyRanges": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Further ranges from which a proxy in front (a load balancer, a gateway outside) connects.",
    },
    "rules": {
        "type": "object",
        "description": "Rule name -> `off` (a reason) or `allow` (list of `resource`, a pattern on the logical name, "
        "and `reason`). Both appear in the output.",
    },
}


@dataclass(frozen=True, slots=True)
class Allowance:
    """A finding that is accepted."""

    resource: str
    """Pattern (`*`, `?`) on the logical name of the resource."""
    reason: str

    def covers(self, resource: Registered) -> bool:
        """Whether a resource's findings are accepted."""
        return fnmatch.fnmatchcase(resource.name, self.resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the user says beside what is registered."""

    upload_size: int | None = None
    """Bytes; None takes what is registered."""
    cloudflare_plan: str | None = None
    cloudflare_limit_accepted: str = ""
    timeout: float = 600
    """Seconds."""
    pod_ranges: tuple[Network, ...] = ()
    proxy_ranges: tuple[Network, ...] = ()
    off: Mapping[str, str] = field(default_factory=dict[str, str])
    """Rule -> reason."""
    allowed: Mapping[str, tuple[Allowance, ...]] = field(default_factory=dict[str, tuple[Allowance, ...]])


def read(values: Plain, rules: frozenset[str]) -> tuple[Config, list[str]]:
    """The configuration, and a sentence for each thing in it that cannot be understood; such a thing is left out."""
    problems: list[str] = []
    given = mapping({"all": values}, "all")
    problems += [
        f"“{key}” is no setting of the pack; there are: {', '.join(SCHEMA)}"
        for key in given
        if key not in SCHEMA
    ]

    upload = size(given.get("uploadSize")) if "uploadSize" in given else None
    if "uploadSize" in given and not upload:
        problems.append(f"uploadSize: {shown(given['uploadSize'])} is no size; write one as “50 GiB”")
    plan = text(given, "cloudflarePlan") or None
    if "cloudflarePlan" in given and plan not in PLANS:
        problems.append(f"cloudflarePlan: {shown(given['cloudflarePlan'])} is none of {', '.join(PLANS)}")
        plan = None
    seconds = number(given, "timeout")
    if "timeout" in given and (seconds is None or seconds <= 0):
        problems.append(f"timeout: {shown(given['timeout'])} is no number of seconds above 0")
        seconds = None
    off, allowed = _rules(given, rules, problems)
    return Config(
        upload_size=upload or None,
        cloudflare_plan=plan,
        cloudflare_limit_accepted=text(given, "cloudflareLimitAccepted"),
        timeout=600 if seconds is None else seconds,
        pod_ranges=_networks(given, "podRanges", problems),
        proxy_ranges=_networks(given, "proxyRanges", problems),
        off=off,
        allowed=allowed,
    ), problems


def _networks(given: Mapping[str, Plain], key: str, problems: list[str]) -> tuple[Network, ...]:
    found: list[Network] = []
    if key in given and not isinstance(given[key], list):
        problems.append(f"{key}: {shown(given[key])} is no list of ranges")
    for one in sequence(given, key):
        try:
            found.append(ipaddress.ip_network(one if isinstance(one, str) else ""))
        except ValueError:
            problems.append(f"{key}: {shown(one)} is no address range such as 10.42.0.0/16")
    return tuple(found)


def _rules(
    given: Mapping[str, Plain], names: frozenset[str], problems: list[str]
) -> tuple[dict[str, str], dict[str, tuple[Allowance, ...]]]:
    off: dict[str, str] = {}
    allowed: dict[str, tuple[Allowance, ...]] = {}
    for name, said in mapping(given, "rules").items():
        if name not in names:
            problems.append(f"rules: there is no rule {shown(name)}; there are: {', '.join(sorted(names))}")
            continue
        unknown = [key for key in mapping({"it": said}, "it") if key not in {"off", "allow"}]
        if unknown or not isinstance(said, dict):
            problems.append(f"rules.{name}: it takes “off” (a reason) and “allow” (resource and reason)")
        if dig(said, "off") is not None:
            if text(said, "off").strip():
                off[name] = text(said, "off").strip()
            else:
                problems.append(f"rules.{name}.off: give the reason as text; the rule stays on")
        accepted: list[Allowance] = []
        for index, one in mappings(said, "allow"):
            if text(one, "resource") and text(one, "reason").strip():
                accepted.append(Allowance(text(one, "resource"), text(one, "reason").strip()))
            else:
                problems.append(
                    f"rules.{name}.allow[{index}]: give “resource” and “reason”; it is not allowed"
                )
        if len(mappings(said, "allow")) != len(sequence(said, "allow")) or strings(said, "allow"):
            problems.append(f"rules.{name}.allow: each one is a mapping of “resource” and “reason”")
        if accepted:
            allowed[name] = tuple(accepted)
    return off, allowed

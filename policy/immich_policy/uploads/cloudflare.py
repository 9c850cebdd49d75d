"""Cloudflare in front of Immich: the limit of its plan, and connectors that end in the middle of an upload."""

from __future__ import annotations

from collections.abc import Iterable

from immich_policy.config import Config
from immich_policy.exposure.cloudflare import RECORDS
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Rule,
    Severity,
    Stack,
    Unjudged,
    dig,
    flag,
    number,
    text,
)
from immich_policy.reading.parts import having
from immich_policy.reading.roles import Role
from immich_policy.reading.walk import doors, flags
from immich_policy.text import duration, human, shown
from immich_policy.uploads.size import declared, plan_limit

_GRACE = 30.0
"""Seconds that cloudflared gives to requests in progress by default, and Kubernetes to a pod."""
_DOCKER_STOP = 10.0


def _plan(stack: Stack, config: Config) -> Iterable[Judgement]:
    ways = stack.once(doors)
    proxied = [one for one in stack.of_type(*RECORDS) if flag(one.props, "proxied")]
    inside = [one for one in ways if one.cloudflare]
    # A door without a tunnel is what a proxied name leads to: only a second one is a way around Cloudflare.
    direct = len(ways) - len(inside) - (1 if proxied and not inside and _only_proxied(stack) else 0)
    if direct > 0 or not (inside or proxied):
        return
    wanted, limit = declared(stack, config), plan_limit(config)
    if wanted <= limit or config.cloudflare_limit_accepted:
        return
    plan = f"plan {config.cloudflare_plan}" if config.cloudflare_plan else "plans free and pro"
    for one in proxied[:1] or [inside[0].resource]:
        yield Finding(
            resource=one,
            path="proxied" if proxied else "",
            message=f"the only way in is through Cloudflare, which takes {human(limit)} a request ({plan}), while "
            f"uploads may have {human(wanted)}",
            setting="a second door on the LAN, a smaller limit of uploads, or, in the configuration of "
            "the pack, cloudflarePlan or cloudflareLimitAccepted with a reason",
        )


def _only_proxied(stack: Stack) -> bool:
    """Whether every registered name leads to Cloudflare's edge."""
    records = stack.of_type(*RECORDS)
    addresses = [one for one in records if text(one.props, "type") in {"A", "AAAA", "CNAME"}]
    return bool(addresses) and all(flag(one.props, "proxied") for one in addresses)


def _grace(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in having(stack, Role.CLOUDFLARED):
        given, path = flags(one).get("grace-period", (None, ""))
        variable = one.variable("TUNNEL_GRACE_PERIOD")
        if given is None and variable is not None:
            path, given = variable
        grace = _GRACE if given is None else duration(given)
        keys = ("destroyGraceSeconds", "stopTimeout") if one.docker else ("terminationGracePeriodSeconds",)
        holder = one.props if one.docker else one.pod
        ends = [dig(holder, key) for key in keys]
        default = _DOCKER_STOP if one.docker else _GRACE
        where = keys[0] if one.docker else one.in_pod(keys[0])
        if given is UNKNOWN or UNKNOWN in ends:
            yield Unjudged(resource=one.resource, path=path or where)
            continue
        stop = max([value for key in keys if (value := number(holder, key)) is not None], default=default)
        if grace is None:
            message = f"the grace period {shown(given)} is no duration"
            yield Finding(resource=one.resource, path=path, message=message, setting="--grace-period 180s")
        elif stop <= grace:
            yield Finding(
                resource=one.resource,
                path=where,
                message=f"cloudflared is killed after {stop:g} s, while it lets requests end for {grace:g} s",
                setting=f"{where} above {grace:g}",
            )


RULES = (
    Rule(
        name="uploads-cloudflare-plan",
        family="uploads",
        severity=Severity.HIGH,
        title="Uploads fit through Cloudflare, or there is a way around it.",
        why="Immich sends each file in one request, and Cloudflare refuses what is over the plan's limit: long videos "
        "are never backed up.",
        remediation="Offer a second door on the LAN under the same name, or a name that is not proxied.",
        judge=_plan,
    ),
    Rule(
        name="uploads-cloudflared-grace",
        family="uploads",
        severity=Severity.MEDIUM,
        title="cloudflared is given more time to end than it gives to requests.",
        why="A connector that is killed cuts every upload that goes through it, at each update.",
        remediation="Set the grace period of the pod or container above --grace-period.",
        judge=_grace,
    ),
)

"""What a container needs to run well: memory, health checks, and no variables of strangers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from immich_policy.config import Config
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Plain,
    Severity,
    Stack,
    Unjudged,
    dig,
    family_rule,
    number,
    strings,
)
from immich_policy.reading.clusters import immich_clusters
from immich_policy.reading.containers import Container
from immich_policy.reading.parts import immich_pods
from immich_policy.reading.roles import IMMICH, Role
from immich_policy.text import quantity, shown
from immich_policy.workloads.hardening import finding, lasting

_LEAST_MEMORY = 4 * 2**20
"""Bytes below which a limit of memory is a mistake: container engines refuse less than 6 MB."""
_CHECKED_IMAGES = ("immich-server", "immich-machine-learning", "immich-app/postgres")
"""Images that bring a health check of their own."""


def _limits(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in lasting(stack):
        yield from _docker_limits(one) if one.docker else _pod_limits(one)
    for cluster in stack.once(immich_clusters):
        limits = dig(cluster.props, "spec", "resources", "limits")
        path = "spec.resources.limits.memory"
        if dig(limits, "memory") is UNKNOWN:
            yield Unjudged(resource=cluster, path=path)
        elif (wrong := _memory(dig(limits, "memory"))) is not None:
            yield Finding(
                resource=cluster,
                path=path,
                message=f"the database {wrong}",
                setting="spec.resources.limits.memory, such as 2Gi",
            )


def _pod_limits(one: Container) -> Iterator[Judgement]:
    limit = dig(one.props, "resources", "limits", "memory")
    path = one.at("resources", "limits", "memory")
    if limit is UNKNOWN:
        yield Unjudged(resource=one.resource, path=path)
    elif (wrong := _memory(limit)) is not None:
        yield finding(one, path, wrong, "resources.limits.memory, such as 2Gi")


def _memory(limit: Plain) -> str | None:
    """What is wrong with a limit of memory in Kubernetes; `m` there is a thousandth of a byte."""
    if limit in (None, "", 0, "0"):
        return "has no limit of memory"
    amount = quantity(limit)
    if amount is not None and amount < _LEAST_MEMORY:
        return f"may use {shown(limit)} of memory, which is {amount:g} bytes: M and Mi are millions of bytes"
    return None


def _docker_limits(one: Container) -> Iterator[Judgement]:
    setting = "memory, in MiB"
    memory, swap = dig(one.props, "memory"), dig(one.props, "memorySwap")
    if memory is UNKNOWN:
        yield Unjudged(resource=one.resource, path="memory")
    elif not number(one.props, "memory"):
        yield finding(one, "memory", "has no limit of memory", setting)
    elif swap is UNKNOWN:
        yield Unjudged(resource=one.resource, path="memorySwap")
    elif swap != memory:
        message = f"may use {shown(memory)} MiB of memory and {shown(swap)} of memory with swap; equal means no swap"
        yield finding(one, "memorySwap", message, "memorySwap equal to memory")


def _probes(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in lasting(stack):
        if one.roles:
            yield from _docker_check(one) if one.docker else _pod_probes(one)


def _pod_probes(one: Container) -> Iterator[Judgement]:
    setting = "give every container a readinessProbe and a livenessProbe"
    for key in ("readinessProbe", "livenessProbe"):
        probe = dig(one.props, key)
        if probe is UNKNOWN:
            yield Unjudged(resource=one.resource, path=one.at(key))
        elif not probe:
            yield finding(one, one.at(key), f"has no {key}", setting)
    if Role.SERVER not in one.roles:
        return
    for key in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = dig(one.props, key, "httpGet", "path")
        if isinstance(path, str) and not path.startswith(("/api/", "/metrics")):
            message = f"is asked at {shown(path)}, where Immich answers 200 whatever its condition"
            where = one.at(key, "httpGet", "path")
            yield finding(one, where, message, "the path /api/server/ping")


def _docker_check(one: Container) -> Iterator[Judgement]:
    check, tests = dig(one.props, "healthcheck"), strings(one.props, "healthcheck", "tests")
    if UNKNOWN in (check, dig(check, "tests")):
        yield Unjudged(resource=one.resource, path="healthcheck")
    elif tests == ["NONE"]:
        yield finding(one, "healthcheck", "has its health check turned off", "healthcheck.tests")
    elif not tests:
        if one.image is UNKNOWN:
            yield Unjudged(resource=one.resource, path="healthcheck")
        elif not any(name in str(one.image) for name in _CHECKED_IMAGES):
            yield finding(one, "healthcheck", "has no health check", "healthcheck.tests")


def _service_links(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    seen: set[int] = set()
    for one in immich_pods(stack):
        if one.docker or id(one.resource) in seen or not one.roles & {*IMMICH, Role.MACHINE_LEARNING}:
            continue
        seen.add(id(one.resource))
        path = one.in_pod("enableServiceLinks")
        if UNKNOWN in (dig(one.pod, "enableServiceLinks"), dig(one.resource.props, "spec")):
            yield Unjudged(resource=one.resource, path=path)
        elif dig(one.pod, "enableServiceLinks") is not False:
            message = "the pod gets a variable for each Service of its namespace"
            yield Finding(
                resource=one.resource,
                path=path,
                message=message,
                setting="enableServiceLinks: false on the pod",
            )


_rule = partial(family_rule, "workloads")

RULES = (
    _rule(
        "limits",
        Severity.MEDIUM,
        "Every container has a limit of memory.",
        "A video that is transcoded, or a model that is loaded, takes what there is: without a limit "
        "the kernel ends the database in its place.",
        "Set `resources.limits.memory`; with Docker `memory`, and `memorySwap` equal to it.",
        judge=_limits,
    ),
    _rule(
        "probes",
        Severity.MEDIUM,
        "Every container is asked whether it is well, at a path that knows.",
        "Without a probe a dead server gets requests for ever. Every path outside `/api` answers 200 "
        "with the page of the "
        "web application, also `/server-info/ping` of old releases.",
        "Ask the server at `/api/server/ping`, machine learning at `/ping`; give Docker a `healthcheck`.",
        judge=_probes,
    ),
    _rule(
        "service-links",
        Severity.MEDIUM,
        "Pods of Immich get no variables from Services.",
        "A Service named `immich` sets IMMICH_PORT to `tcp://…`, one named `redis` sets REDIS_PORT: "
        "Immich reads them as "
        "its own settings and ends at once.",
        "Set `enableServiceLinks: false`.",
        judge=_service_links,
    ),
)

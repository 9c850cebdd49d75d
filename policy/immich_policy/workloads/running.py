"""How parts of Immich run together: one at a time, with the right settings, the GPU where the work is."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final, cast

from immich_policy.config import Config
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Plain,
    Registered,
    Severity,
    Stack,
    Unjudged,
    dig,
    family_rule,
    join,
    mapping,
    mappings,
    number,
    sequence,
    strings,
    text,
)
from immich_policy.reading.clusters import immich_clusters
from immich_policy.reading.containers import Container
from immich_policy.reading.files import files
from immich_policy.reading.names import namespace, object_name
from immich_policy.reading.parts import having
from immich_policy.reading.roles import IMMICH, Role
from immich_policy.text import shown

_TRUE = frozenset({"true", "1", "yes", "on", "y", "enabled"})
"""What Immich reads as true."""
_POLICY = re.compile(r"(?:^|[\s\"'])-{0,2}maxmemory-policy[\s=\"']+([A-Za-z-]+)")
_GPU_DEVICES = re.compile(r"/dev/(?:dri|nvidia|kfd|mali|rga|mpp_service|dxg)")
_GPU_RESOURCE = re.compile(r"(?:nvidia|amd|intel)\.com/|gpu|squat\.ai/dri|rknpu", re.IGNORECASE)
_SYSTEM = re.compile(
    r"/(?:etc|tmp|run|var|dev|proc|sys|cache|config|build|usr/src/app|\.cache|\.config)(?:/|\Z)"
)
"""Targets that are no libraries: places of the image itself."""


def _writes_once(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    claims = {(namespace(one), object_name(one)): one for one in stack.of_kind("PersistentVolumeClaim")}
    seen: set[int] = set()
    for one in having(stack, *Role):
        deployment = one.resource
        if deployment.kind.removesuffix("Patch") != "Deployment" or id(deployment) in seen:
            continue
        seen.add(id(deployment))
        if _stops_first(deployment):
            continue
        for mount in one.mounts():
            if mount.kind != "claim":
                continue
            claim = claims.get((namespace(deployment), str(mount.source)))
            if claim is None or dig(claim.props, "spec", "accessModes") in (None, UNKNOWN):
                yield Unjudged(
                    resource=deployment,
                    path="spec.strategy",
                    what="mounts a claim whose access modes are not known",
                )
            elif not {"ReadWriteMany", "ReadOnlyMany"} & set(strings(claim.props, "spec", "accessModes")):
                if dig(deployment.props, "spec", "strategy", "type") is UNKNOWN:
                    yield Unjudged(resource=deployment, path="spec.strategy.type")
                else:
                    yield Finding(
                        resource=deployment,
                        path="spec.strategy.type",
                        message=f"it rolls, and it mounts the claim {object_name(claim)}, which is ReadWriteOnce",
                        setting="strategy.type: Recreate, or a claim with ReadWriteMany",
                    )
                break


def _stops_first(deployment: Registered) -> bool:
    strategy = mapping(deployment.props, "spec", "strategy")
    surge = dig(strategy, "rollingUpdate", "maxSurge")
    return text(strategy, "type") == "Recreate" or surge in (0, "0", "0%")


def _one_microservices(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    setting = "one pod with the worker microservices (replicas: 1); scale those with the api instead"
    groups: dict[str, list[Container]] = defaultdict(list)
    for one in having(stack, Role.MICROSERVICES):
        groups["" if one.docker else namespace(one.resource)].append(one)
    for found in groups.values():
        for one in found:
            yield from _single(stack, one, setting)
        for one in found[1:]:
            message = f"{found[0].resource.name} works on the same jobs"
            path = one.path or "envs"
            yield Finding(resource=one.resource, path=path, message=message, setting=setting)


def _single(stack: Stack, one: Container, setting: str) -> Iterator[Judgement]:
    if one.docker:
        return
    replicas = dig(one.resource.props, "spec", "replicas")
    if replicas is UNKNOWN:
        yield Unjudged(resource=one.resource, path="spec.replicas")
    elif (number(one.resource.props, "spec", "replicas") or 0) > 1:
        message = f"{shown(replicas)} copies work on background jobs"
        yield Finding(resource=one.resource, path="spec.replicas", message=message, setting=setting)
    for scaler in stack.of_kind("HorizontalPodAutoscaler"):
        target = mapping(scaler.props, "spec", "scaleTargetRef")
        aims = text(target, "name") == object_name(one.resource) and text(target, "kind") == one.resource.kind
        if (
            aims
            and namespace(scaler) == namespace(one.resource)
            and (number(scaler.props, "spec", "maxReplicas") or 0) > 1
        ):
            message = f"it scales {one.resource.name}, which works on background jobs"
            yield Finding(resource=scaler, path="spec.maxReplicas", message=message, setting=setting)


def _evicts_nothing(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    seen: set[tuple[int, str]] = set()
    for one in having(stack, Role.CACHE):
        texts = [(one.resource, one.at("command" if one.docker else "args"), " ".join(one.arguments()))]
        texts += list(_configuration(stack, one))
        for resource, path, value in texts:
            # A loader of the cache's own image has the file too.
            if (id(resource), path) in seen:
                continue
            seen.add((id(resource), path))
            if value is UNKNOWN:
                yield Unjudged(resource=resource, path=path)
                continue
            lines = (line for line in str(value).splitlines() if not line.lstrip().startswith("#"))
            named = _POLICY.search("\n".join(lines))
            if named and named[1] != "noeviction":
                yield Finding(
                    resource=resource,
                    path=path,
                    message=f"maxmemory-policy is {named[1]}",
                    setting="cache: maxmemory-policy noeviction",
                )


_TEMPLATE: Final = ("spec", "target", "template", "data")


def _configuration(stack: Stack, one: Container) -> Iterator[tuple[Registered, str, Plain]]:
    """Texts of the files that a cache may read: of what its pod mounts, or of what is uploaded for it."""
    for name, file in files(stack, one).items():
        if name.endswith(".conf"):
            yield file.resource, file.path, file.content
    names = {text(volume, "secret", "secretName") for _, volume in mappings(one.pod, "volumes")} - {""}
    for other in stack.of_kind("ExternalSecret"):
        if object_name(other) in names and namespace(other) == namespace(one.resource):
            for key, value in mapping(other.props, *_TEMPLATE).items():
                if key.endswith(".conf"):
                    yield other, join(".".join(_TEMPLATE), key), value


def _gpu(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in having(stack, Role.SERVER):
        if Role.MICROSERVICES in one.roles:
            continue
        for path, what in _gpus(one):
            yield Finding(
                resource=one.resource,
                path=path,
                message=f"{one.says()} serves the api alone and holds {what}; videos are transcoded by microservices",
                setting="the device with the container that includes the worker microservices",
            )


def _gpus(one: Container) -> Iterator[tuple[str, str]]:
    for key in ("limits", "requests"):
        for name in mapping(one.props, "resources", key):
            if _GPU_RESOURCE.search(name):
                yield one.at("resources", key, name), name
                return
    if sequence(one.props, "resources", "claims"):
        yield one.at("resources", "claims"), "a claimed device"
    for index, device in mappings(one.props, "devices"):
        if _GPU_DEVICES.match(text(device, "hostPath")):
            yield one.at("devices", index), text(device, "hostPath")
    if one.docker and (text(one.props, "gpus") or sequence(one.props, "deviceRequests")):
        yield "gpus", "a GPU"


def _preloaded(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    setting = "postgresql.shared_preload_libraries: [vchord.so]"
    for cluster in stack.once(immich_clusters):
        path = "spec.postgresql.shared_preload_libraries"
        libraries = dig(cluster.props, *path.split("."))
        if libraries is UNKNOWN or UNKNOWN in sequence({"it": libraries}, "it"):
            yield Unjudged(resource=cluster, path=path)
        elif not any(one.startswith("vchord") for one in strings({"it": libraries}, "it")):
            message = "VectorChord is not among the libraries that PostgreSQL loads at its start"
            yield Finding(resource=cluster, path=path, message=message, setting=setting)
    for one in having(stack, Role.DATABASE):
        joined = " ".join(one.arguments())
        named = re.search(r"shared_preload_libraries\s*=\s*(\S*)", joined)
        if named and "vchord" not in named[1]:
            message = "shared_preload_libraries among its arguments leaves VectorChord out"
            path = one.at("command" if one.docker else "args")
            yield Finding(resource=one.resource, path=path, message=message, setting=setting)


def _libraries(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in having(stack, *IMMICH):
        named = one.variable("IMMICH_MEDIA_LOCATION")
        if named and named[1] is UNKNOWN:
            yield Unjudged(resource=one.resource, path=named[0])
            continue
        given = str(named[1]) if named and named[1] else "/data"
        own = (given.rstrip("/"), "/data")
        for mount in one.mounts():
            if mount.kind not in {"claim", "volume", "host", "nfs", "other", "template"} or mount.read_only:
                continue
            target = mount.target.rstrip("/")
            if target and not _SYSTEM.match(target) and not _below(target, own):
                yield Finding(
                    resource=one.resource,
                    path=mount.path,
                    message=f"{one.says()} may write to the external library {shown(mount.target)}",
                    setting="readOnly: true on the mount",
                )


def _below(target: str, roots: tuple[str, ...]) -> bool:
    return any(target == root or target.startswith(f"{root}/") for root in roots)


def _mount_check(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    name = "IMMICH_IGNORE_MOUNT_CHECK_ERRORS"
    for one in having(stack, *IMMICH):
        found = one.variable(name)
        if found is None:
            continue
        if found[1] is UNKNOWN or found[1] is None:
            yield Unjudged(resource=one.resource, path=found[0])
        elif str(cast("object", found[1])).strip().lower() in _TRUE:
            message = f"{one.says()} sets {name}"
            setting = f"remove {name}; mount the right volume, or restore the `.immich` files"
            yield Finding(resource=one.resource, path=found[0], message=message, setting=setting)


_rule = partial(family_rule, "workloads")

RULES = (
    _rule(
        "recreate",
        Severity.MEDIUM,
        "A Deployment with a ReadWriteOnce claim stops its old pod before it starts the new one.",
        "The new pod waits for the volume that the old one holds until it is ready: an update that never ends.",
        "Set `strategy.type: Recreate`, or use ReadWriteMany.",
        judge=_writes_once,
    ),
    _rule(
        "one-microservices",
        Severity.HIGH,
        "One container works on background jobs.",
        "Two of them recognise faces at the same time: people are made twice and merged wrongly (immich#28051).",
        "Keep one replica of whatever includes the worker `microservices`; scale the api and machine learning.",
        judge=_one_microservices,
    ),
    _rule(
        "cache-noeviction",
        Severity.HIGH,
        "The cache never evicts.",
        "Immich keeps its job queues there: with `allkeys-lru` thumbnails, faces and backups are dropped silently.",
        "Set `maxmemory-policy noeviction`, which is also the default.",
        judge=_evicts_nothing,
    ),
    _rule(
        "gpu-worker",
        Severity.LOW,
        "The GPU for videos is with the worker that transcodes.",
        "An api-only server never uses it, and the microservices that need it wait or use the processor.",
        "Give the device to the container that includes the worker `microservices`.",
        judge=_gpu,
    ),
    _rule(
        "vectorchord-preloaded",
        Severity.CRITICAL,
        "PostgreSQL loads VectorChord at its start.",
        "Without it every search of vectors fails and Immich ends at its start.",
        "Add `vchord.so` to `shared_preload_libraries`.",
        judge=_preloaded,
    ),
    _rule(
        "external-library-read-only",
        Severity.HIGH,
        "External libraries are mounted read-only.",
        "Emptying Immich's trash deletes files of an external library where it may write: originals that exist nowhere "
        "else.",
        "Mount every library outside of the media folder read-only.",
        judge=_libraries,
    ),
    _rule(
        "mount-check",
        Severity.CRITICAL,
        "The check of mounts is never ignored.",
        "The `.immich` files tell an empty mount point from the media: without the check new photos go "
        "to a folder that "
        "the next start throws away, and the rest is shown as lost.",
        "Remove IMMICH_IGNORE_MOUNT_CHECK_ERRORS and mount the right volume.",
        judge=_mount_check,
    ),
)

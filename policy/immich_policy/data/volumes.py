"""Volumes that hold photos or the database: protected, kept, and not made of memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from immich_policy.config import Config
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Registered,
    Severity,
    Stack,
    Unjudged,
    dig,
    family_rule,
    flag,
    join,
    mapping,
    mappings,
    sequence,
    text,
)
from immich_policy.reading.clusters import GROUP, immich_clusters, other_clusters
from immich_policy.reading.containers import Container
from immich_policy.reading.mounts import Mount
from immich_policy.reading.names import namespace, object_name
from immich_policy.reading.parts import having
from immich_policy.reading.releases import releases
from immich_policy.reading.roles import IMMICH, Role
from immich_policy.text import shown

_MEDIA = ("/data", "/usr/src/app/upload", "/photos")
_DATABASE = ("/var/lib/postgresql", "/bitnami/postgresql", "/pgdata", "/config")
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_VOLUME = "docker:index/volume:Volume"


def roots(one: Container) -> tuple[tuple[str, ...], bool]:
    """Folders of a container that hold data, and whether they are known."""
    found: list[str] = []
    known = True
    for role, name, places in (
        (IMMICH, "IMMICH_MEDIA_LOCATION", _MEDIA),
        ({Role.DATABASE}, "PGDATA", _DATABASE),
    ):
        if not one.roles & set(role):
            continue
        given = one.variable(name)
        if given and given[1] is UNKNOWN:
            known = False
        found += [str(given[1]).rstrip("/")] if given and isinstance(given[1], str) and given[1] else []
        found += places
    return tuple(dict.fromkeys(found)), known


def data_mounts(one: Container) -> list[Mount]:
    """What is mounted at, above or below a folder of data."""
    places, _ = roots(one)
    return [mount for mount in one.mounts() if _touches(mount.target.rstrip("/"), places)]


def _touches(target: str, places: tuple[str, ...]) -> bool:
    return bool(target) and any(
        target == place or target.startswith(f"{place}/") or place.startswith(f"{target}/")
        for place in places
    )


def _claims(stack: Stack) -> frozenset[tuple[str, str]]:
    """Namespace and name of each claim that Immich or its database writes to."""
    return frozenset(claim for claim, read_only in _mounted(stack) if not read_only)


def _mounted(stack: Stack) -> Iterator[tuple[tuple[str, str], bool]]:
    """Namespace and name of each claim that Immich or its database mounts, and whether it only reads."""
    for one in having(stack, *IMMICH, Role.DATABASE):
        for mount in one.mounts():
            if mount.kind == "claim":
                yield (namespace(one.resource), str(mount.source)), mount.read_only


def _holders(stack: Stack) -> list[Registered]:
    """Every resource that is registered and holds data."""
    claims = stack.once(_claims)
    volumes = {
        str(mount.source)
        for one in having(stack, *IMMICH, Role.DATABASE)
        for mount in data_mounts(one)
        if mount.kind == "volume" and not mount.read_only
    }
    ours = stack.once(immich_clusters)
    spaces = {space for space, _ in claims} | {namespace(one) for one in ours}
    registered = [
        one for one in stack.of_kind("PersistentVolumeClaim") if (namespace(one), object_name(one)) in claims
    ]
    bound = {text(one.props, "spec", "volumeName") for one in registered}
    found = [
        *registered,
        *(one for one in stack.of_kind("PersistentVolume") if object_name(one) in bound),
        *(one for one in stack.of_kind("Namespace") if object_name(one) in spaces),
        *ours,
        *(one for one in stack.of_type(_VOLUME) if (text(one.props, "name") or one.name) in volumes),
    ]
    return list(dict.fromkeys(found))


def _protected(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in _holders(stack):
        if not one.protect:
            yield Finding(
                resource=one,
                path="",
                message=f"this {one.kind} holds data and is not protected",
                setting="the resource option protect=True, and retain_on_delete=True with it",
            )


def _kept(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in stack.of_kind("PersistentVolume"):
        if not _of_another(stack, one):
            yield from _must_be(one, "spec.persistentVolumeReclaimPolicy", "Retain", absent="Retain")
    for one in _classes(stack):
        yield from _must_be(one, "reclaimPolicy", "Retain", absent="Delete")
    for one in stack.of_kind("Database", group=GROUP):
        if text(one.props, "spec", "cluster", "name") not in other_clusters(stack):
            yield from _must_be(one, "spec.databaseReclaimPolicy", "retain", absent="retain")
    for one in having(stack, *IMMICH, Role.DATABASE):
        if one.resource.kind == "StatefulSet":
            path = "spec.persistentVolumeClaimRetentionPolicy"
            for key in ("whenDeleted", "whenScaled"):
                yield from _must_be(one.resource, f"{path}.{key}", "Retain", absent="Retain")


def _of_another(stack: Stack, volume: Registered) -> bool:
    """Whether a volume is bound to claims that another program uses."""
    bound = {
        (namespace(one), object_name(one))
        for one in stack.of_kind("PersistentVolumeClaim")
        if text(one.props, "spec", "volumeName") == object_name(volume)
    }
    if claim := mapping(volume.props, "spec", "claimRef"):
        bound.add((text(claim, "namespace") or "default", text(claim, "name")))
    return bool(bound and having(stack, *IMMICH)) and not bound & {claim for claim, _ in _mounted(stack)}


def _classes(stack: Stack) -> list[Registered]:
    """Registered StorageClasses from which claims with data get their volumes."""
    specs = [
        mapping(one.props, "spec")
        for one in stack.of_kind("PersistentVolumeClaim")
        if (namespace(one), object_name(one)) in stack.once(_claims)
    ]
    for one in having(stack, *IMMICH, Role.DATABASE):
        used = {str(mount.source) for mount in one.mounts() if mount.kind == "template"}
        for _, claim in mappings(one.resource.props, "spec", "volumeClaimTemplates"):
            if text(claim, "metadata", "name") in used:
                specs.append(mapping(claim, "spec"))
    for one in stack.once(immich_clusters):
        for key in ("storage", "walStorage"):
            storage = mapping(one.props, "spec", key)
            if storage:
                name = dig(storage, "storageClass")
                specs.append({"storageClassName": name} if name else mapping(storage, "pvcTemplate"))
    # A claim that names its volume gets none from a class.
    names = {str(dig(spec, "storageClassName") or "") for spec in specs if not dig(spec, "volumeName")}
    return [
        one
        for one in stack.of_kind("StorageClass")
        if object_name(one) in names
        or ("" in names and flag(one.props, "metadata", "annotations", _DEFAULT_CLASS))
    ]


def _must_be(one: Registered, path: str, value: str, *, absent: str) -> Iterator[Judgement]:
    found = dig(one.props, *path.split("."))
    if found is UNKNOWN:
        yield Unjudged(resource=one, path=path)
    elif (absent if found is None else found) != value:
        message = f"{path.rsplit('.', 1)[-1]} is {shown(found)}; what it holds goes with it"
        yield Finding(resource=one, path=path, message=message, setting=f"{path.rsplit('.', 1)[-1]}: {value}")


def _lasting(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    yield from _by_values(stack)
    words = {
        "emptyDir": "an emptyDir, which ends with its pod",
        "tmpfs": "memory (tmpfs)",
        "anonymous": "an anonymous volume, which nothing finds again",
    }
    for one in having(stack, *IMMICH, Role.DATABASE):
        places, known = roots(one)
        if not known:
            yield Unjudged(resource=one.resource, path=one.at("envs" if one.docker else "env"))
            continue
        covering = False
        for mount in one.mounts():
            target = mount.target.rstrip("/")
            at_data = any(target == place or target.startswith(f"{place}/") for place in places)
            above = any(place.startswith(f"{target}/") for place in places) and target not in {
                "",
                "/var",
                "/usr",
            }
            if at_data and mount.kind in words:
                message = f"{one.says()} has {shown(mount.target)} on {words[mount.kind]}"
                yield Finding(
                    resource=one.resource,
                    path=mount.path,
                    message=message,
                    setting="a claim, a named volume or a folder of the host",
                )
            covering = covering or at_data or (above and mount.kind not in words)
        if not covering:
            yield from _uncovered(one)


def _by_values(stack: Stack) -> Iterator[Finding]:
    """Media of the official chart, which takes an existing claim (templates/checks.yaml), and of the common library."""
    setting = "an existing claim: immich.persistence.library.existingClaim"
    for one in stack.once(releases):
        path = join(one.path, "immich", "persistence", "library", "existingClaim")
        if one.official and not dig(one.values, "immich", "persistence", "library", "existingClaim"):
            message = "the values name no claim for the media"
            yield Finding(resource=one.resource, path=path, message=message, setting=setting)
        for name, volume in mapping(one.values, "persistence").items():
            targets = {text(it, "path") for _, it in mappings(volume, "globalMounts")}
            if text(volume, "type") == "emptyDir" and targets & set(_MEDIA):
                message = f"the media are on an emptyDir, which ends with its pod ({name})"
                where = join(one.path, "persistence", name, "type")
                yield Finding(resource=one.resource, path=where, message=message, setting=setting)


def _uncovered(one: Container) -> Iterator[Judgement]:
    keys = ("volumes", "mounts") if one.docker else ("volumeMounts",)
    if any(dig(one.props, key) is UNKNOWN or UNKNOWN in sequence(one.props, key) for key in keys):
        yield Unjudged(resource=one.resource, path=one.at(keys[0]))
        return
    what = "the media" if one.roles & set(IMMICH) else "the database"
    yield Finding(
        resource=one.resource,
        path=one.at(keys[0]),
        message=f"{one.says()} mounts nothing for {what}: it is in the container itself, or in an anonymous volume",
        setting="a claim, a named volume or a folder of the host",
    )


_rule = partial(family_rule, "data")

RULES = (
    _rule(
        "protected",
        Severity.CRITICAL,
        "Everything that holds data is protected.",
        "A rename, a changed storage class or a `destroy` deletes the photos; `protect` makes Pulumi stop instead.",
        "Set `protect=True` and `retain_on_delete=True` on the claim, volume, namespace and database "
        "cluster themselves.",
        judge=_protected,
    ),
    _rule(
        "retained",
        Severity.CRITICAL,
        "What is below a claim stays when the claim goes.",
        "With the reclaim policy Delete, removing a claim or a namespace removes the disk.",
        "Use `Retain` (volumes, storage classes, StatefulSets) and `retain` (databases of CloudNativePG).",
        judge=_kept,
    ),
    _rule(
        "lasting",
        Severity.CRITICAL,
        "The media and the database are on a volume that outlives the container.",
        "The images declare `/data` and PGDATA as volumes: mounted elsewhere, everything works until "
        "the container is made "
        "anew, and is then empty.",
        "Mount a claim, a named volume or a folder of the host exactly at the media folder and at PGDATA.",
        judge=_lasting,
    ),
)

"""Backups of the database: that there are any, that they leave the machine, when they run, how long they are kept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from immich_policy.config import Config
from immich_policy.data.dumps import dumped_elsewhere, judge_single
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
    text,
)
from immich_policy.reading.clusters import GROUP, immich_clusters, other_clusters
from immich_policy.reading.names import namespace, object_name
from immich_policy.text import shown

_STORES = "barmancloud.cnpg.io"
_PLUGIN = "barman-cloud.cloudnative-pg.io"
_RETENTION = re.compile(r"[1-9][0-9]*[dwm]\Z")
_SIX = 6
_DESCRIPTORS = re.compile(r"@(?:yearly|annually|monthly|weekly|daily|midnight|hourly)\Z")
_INSIDE = re.compile(r"(?:\.svc(?:\.[\w.-]+)?|(?:^|\.)localhost|^127\..*|^::1)\Z")


def _schedules(stack: Stack, cluster: Registered) -> list[Registered]:
    return [
        one
        for one in stack.of_kind("ScheduledBackup", group=GROUP)
        if dig(one.props, "spec", "cluster", "name") in (object_name(cluster), UNKNOWN)
        and namespace(one) == namespace(cluster)
    ]


def _archiver(cluster: Registered) -> tuple[str, Plain] | None:
    """Path and name of the object store that the write-ahead log goes to; `None` where it goes nowhere."""
    for index, plugin in mappings(cluster.props, "spec", "plugins"):
        if text(plugin, "name") != _PLUGIN or dig(plugin, "enabled") is False:
            continue
        if dig(plugin, "isWALArchiver") is UNKNOWN or flag(plugin, "isWALArchiver"):
            path = join("spec", "plugins", index, "parameters", "barmanObjectName")
            return path, dig(plugin, "parameters", "barmanObjectName")
    return None


def _exist(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    found = stack.once(immich_clusters)
    for cluster in found:
        yield from _backed_up(stack, cluster)
    if not found:
        yield from judge_single(stack)


def _backed_up(stack: Stack, cluster: Registered) -> Iterable[Judgement]:
    setting = "an ObjectStore outside of the cluster, the plugin barman-cloud with isWALArchiver, and a ScheduledBackup"
    in_tree = mapping(cluster.props, "spec", "backup", "barmanObjectStore")
    archiver = _archiver(cluster)
    if archiver is None and not in_tree and not _schedules(stack, cluster) and dumped_elsewhere(stack):
        return  # a backup of another kind: to the last night instead of to any second
    if archiver is None and not in_tree:
        if dig(cluster.props, "spec", "plugins") is UNKNOWN:
            yield Unjudged(resource=cluster, path="spec.plugins")
        else:
            message = "the write-ahead log of the database is archived nowhere"
            yield Finding(resource=cluster, path="spec.plugins", message=message, setting=setting)
    if not _schedules(stack, cluster):
        message = "no ScheduledBackup of this database is registered"
        yield Finding(resource=cluster, path="", message=message, setting=setting)
    elif all(flag(one.props, "spec", "suspend") for one in _schedules(stack, cluster)):
        message = "every ScheduledBackup of this database is suspended"
        yield Finding(resource=cluster, path="", message=message, setting=setting)
    stores = stores_of(stack, cluster)
    for one, path, store in stores:
        yield from _leaves(one, path, store, setting)


def stores_of(stack: Stack, cluster: Registered) -> list[tuple[Registered, str, dict[str, Plain]]]:
    """Resource, path and configuration of each object store that a cluster archives to and that is registered."""
    found: list[tuple[Registered, str, dict[str, Plain]]] = []
    in_tree = mapping(cluster.props, "spec", "backup", "barmanObjectStore")
    if in_tree:
        found.append((cluster, "spec.backup.barmanObjectStore", in_tree))
    archiver = _archiver(cluster)
    for one in stack.of_kind("ObjectStore", group=_STORES):
        if archiver and archiver[1] == object_name(one) and namespace(one) == namespace(cluster):
            found.append((one, "spec.configuration", mapping(one.props, "spec", "configuration")))
    return found


def _leaves(one: Registered, path: str, store: dict[str, Plain], setting: str) -> Iterable[Judgement]:
    destination, endpoint = dig(store, "destinationPath"), dig(store, "endpointURL")
    if UNKNOWN in (destination, endpoint):
        yield Unjudged(resource=one, path=f"{path}.destinationPath")
        return
    if isinstance(destination, str) and destination.startswith(("/", "file:")):
        message = f"backups go to {shown(destination)}, on the same machine as the data"
        yield Finding(resource=one, path=f"{path}.destinationPath", message=message, setting=setting)
    if isinstance(endpoint, str) and _INSIDE.search(_host(endpoint)):
        message = f"backups go to {shown(endpoint)}, inside the cluster that holds the data"
        yield Finding(
            resource=one,
            path=f"{path}.endpointURL",
            message=message,
            setting="the endpointURL of a store elsewhere",
        )


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _schedule(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    for one in stack.of_kind("ScheduledBackup", group=GROUP):
        if text(one.props, "spec", "cluster", "name") in other_clusters(stack):
            continue
        schedule = dig(one.props, "spec", "schedule")
        if schedule is UNKNOWN:
            yield Unjudged(resource=one, path="spec.schedule")
            continue
        written = schedule.split() if isinstance(schedule, str) else []
        if len(written) == _SIX or (isinstance(schedule, str) and _DESCRIPTORS.match(schedule)):
            continue
        five = (
            ", which is read as seconds, minutes, hours: every hour or oftener"
            if len(written) == _SIX - 1
            else ""
        )
        yield Finding(
            resource=one,
            path="spec.schedule",
            message=f"the schedule is {shown(schedule)}{five}; CloudNativePG takes six fields, seconds first",
            setting="schedule, such as “0 0 2 * * *” for two at night",
        )


def _retention(stack: Stack, config: Config) -> Iterable[Judgement]:
    del config
    setting = "retentionPolicy, such as 30d"
    for cluster in stack.once(immich_clusters):
        for one, _, _ in stores_of(stack, cluster):
            where = "spec.backup.retentionPolicy" if one is cluster else "spec.retentionPolicy"
            kept = dig(one.props, *where.split("."))
            if kept is UNKNOWN:
                yield Unjudged(resource=one, path=where)
            elif not isinstance(kept, str) or not _RETENTION.match(kept):
                said = "no retention is set" if kept is None else f"the retention is {shown(kept)}"
                message = f"{said}; accepted is a number with d, w or m"
                yield Finding(resource=one, path=where, message=message, setting=setting)


RULES = (
    Rule(
        name="data-backups",
        family="data",
        severity=Severity.CRITICAL,
        title="The database is archived and backed up on a schedule.",
        why="Albums, faces, people and shares live in the database alone. A backup beside the data goes with the data.",
        remediation="Register an ObjectStore outside the cluster, the plugin barman-cloud with `isWALArchiver`, and a "
        "ScheduledBackup; or something that runs `pg_dump` by the clock, whose dumps go to another place.",
        judge=_exist,
    ),
    Rule(
        name="data-backup-schedule",
        family="data",
        severity=Severity.HIGH,
        title="The schedule of a CloudNativePG backup has six fields, seconds first.",
        why="Five fields, as cron writes them, are shifted by one: a nightly backup runs every hour, or never.",
        remediation="Write `0 0 2 * * *` for two at night.",
        judge=_schedule,
    ),
    Rule(
        name="data-backup-retention",
        family="data",
        severity=Severity.HIGH,
        title="A retention of backups is set.",
        why="Without one the bucket grows until it is full, and then archiving stops and the disk of the "
        "database fills "
        "with its write-ahead log.",
        remediation="Set `retentionPolicy` on the ObjectStore, such as `30d`.",
        judge=_retention,
    ),
)

"""Dumps of a database that is a container of the stack itself: who takes them, when, and where they end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from immich_policy.config import Config
from immich_policy.model import (
    UNKNOWN,
    Finding,
    Judgement,
    Level,
    Plain,
    Registered,
    Rule,
    Severity,
    Stack,
    Unjudged,
    dig,
    flag,
    mapping,
    mappings,
    text,
)
from immich_policy.reading.containers import DOCKER, Container
from immich_policy.reading.parts import containers, having
from immich_policy.reading.roles import Role

_DUMPS = re.compile(
    r"(?<!\$work/)\b(?:pg_dump|pg_dumpall|pg_basebackup|pgbackrest|wal-g|barman[\w-]*)(?=[\s\"');|&]|\Z)"
)
"""A program that dumps, called."""
_TOOLS = re.compile(r"postgres-backup|pg-?backup|db-backup|volume-backup|pgbackrest|wal-g|barman|backrest")
"""Parts of names of images that are made to back databases up."""
_ADDRESS = re.compile(r"\b(?:s3|rest|sftp|rclone|gs|azure|b2|swift):")
"""What the address of a repository on another machine begins with."""
_COPIES = re.compile(
    r"\brestic\w*\s[^\n]*(?<![\w/.-])(?:backup|copy)\b|\bkopia\s[^\n]*\bsnapshot create\b|\bborg\w*\s[^\n]*\bcreate\b"
    r"|\b(?:duplicity|wal-g|pgbackrest|barman[\w-]*)\s"
)
"""A program that copies to such an address, called to do that: a restore has the address as well."""
_SENDS = re.compile(
    r"\b(?:scp|mc|aws|s3cmd)\s|\brclone\b[^\n]*\b(?:copy|copyto|sync|move|moveto)\b|\brsync\b[^\n]*:|\bsftp\s"
)
"""A program that is told on its command line where to."""
_COMMENT = re.compile(r"^[ \t]*#[^\n]*$", re.MULTILINE)
_MESSAGE = re.compile(r"\b\w+=(?:\"[^\"`\n]*\"|'[^'\n]*')")
_COPY = "a copy of the dumps on another disk or machine"
_SETTING = "something that runs pg_dump by the clock"
_PASSING = {"tmpfs", "emptyDir", "secret"}
"""Kinds of mounts that no other container has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dumper:
    """A container that runs by the clock, or all the time, and dumps a database."""

    container: Container
    texts: tuple[str, ...]
    known: bool
    """Whether every text that it runs is known."""

    @property
    def dumps(self) -> bool:
        """Whether it is made to dump a database, or calls a program that does."""
        return self.tool or any(_DUMPS.search(_commands(one)) for one in self.texts)

    @property
    def tool(self) -> bool:
        """Whether its image is one that is made to back databases up."""
        return bool(_TOOLS.search(_image(self.container)))

    @property
    def sends(self) -> bool:
        """Whether it copies anything to another machine."""
        if any(_SENDS.search(_commands(one)) for one in self.texts):
            return True
        addressed = any(_ADDRESS.search(_COMMENT.sub("", one)) for one in self.texts)
        return addressed and any(_COPIES.search(_commands(one)) for one in self.texts)


def single_databases(stack: Stack) -> list[Registered]:
    """What runs PostgreSQL as a container of the stack itself."""
    return [one.resource for one in having(stack, Role.DATABASE)]


def judge_single(stack: Stack) -> Iterable[Judgement]:
    """Whether what is a container of the stack is dumped at all."""
    databases = single_databases(stack)
    if not databases:
        return
    found = _dumpers(stack)
    if [one for one in found if not _suspended(one.container.resource)]:
        return
    for database in databases:
        if any(not one.known for one in _candidates(stack)):
            yield Unjudged(resource=database, path="", what="some scripts of the stack are not known yet")
            continue
        for one in found:
            message = "the only dump of the database is suspended"
            yield Finding(
                resource=one.container.resource, path="spec.suspend", message=message, setting=_SETTING
            )
        if not found:
            message = "nothing of the stack dumps this database"
            yield Finding(resource=database, path="", message=message, setting=_SETTING)


def _leaves(stack: Stack, config: Config) -> Iterable[Judgement]:
    """Whether dumps, or what is made of them, go anywhere else."""
    del config
    if not single_databases(stack):
        return
    dumpers = _dumpers(stack)
    if not dumpers:
        return
    beside = _beside(stack, dumpers)
    if _leave(stack, beside):
        return
    for one in dumpers:
        if all(other.known for other in beside):
            message = "its dumps stay on the machine that has the database"
            yield Finding(
                resource=one.container.resource,
                path="",
                message=message,
                setting=_COPY,
            )
        else:
            yield Unjudged(resource=one.container.resource, path="")


def dumped_elsewhere(stack: Stack) -> bool:
    """Whether a database is dumped by the clock and what is made of it goes to another place."""
    dumpers = [one for one in _dumpers(stack) if not _suspended(one.container.resource)]
    return bool(dumpers) and _leave(stack, _beside(stack, dumpers))


def _beside(stack: Stack, dumpers: Iterable[_Dumper]) -> list[_Dumper]:
    """Whatever has a folder in which one of them puts its dumps."""
    places = {source for one in dumpers for source in _places(one.container)}
    return [one for one in _candidates(stack) if places & set(_places(one.container))]


def _leave(stack: Stack, beside: Iterable[_Dumper]) -> bool:
    """Whether one of them copies elsewhere; where a tool for backups copies to is told to it in ways of its own."""
    return any(one.tool or one.sends or _elsewhere(stack, one.container) for one in beside)


def _dumpers(stack: Stack) -> list[_Dumper]:
    return [one for one in _candidates(stack) if one.dumps]


def _candidates(stack: Stack) -> list[_Dumper]:
    """Every container but the databases themselves and what runs once."""
    return stack.once(_all_candidates)


def _all_candidates(stack: Stack) -> list[_Dumper]:
    found: list[_Dumper] = []
    for one in stack.once(containers):
        if Role.DATABASE in one.roles or one.resource.kind == "Job" or (one.docker and one.init):
            continue
        texts, known = _told(one.arguments()), True
        for line in _mounted(stack, one):
            if isinstance(line, str):
                texts.append(line)
            else:
                known = False
        found.append(_Dumper(container=one, texts=tuple(texts), known=known))
    return found


def _mounted(stack: Stack, one: Container) -> Iterator[Plain]:
    """Texts of files that a container reads: those of ConfigMaps, or those that a loader puts into the same volume."""
    if one.docker:
        volumes = [mount.source for mount in one.mounts() if mount.kind == "volume" and mount.read_only]
        for other in stack.of_type(DOCKER):
            loaded = [upload for _, upload in mappings(other.props, "uploads")]
            if loaded and any(
                dig(mount, "source") in volumes for _, mount in mappings(other.props, "mounts")
            ):
                yield from (_shown(dig(upload, "content")) for upload in loaded)
        return
    mounted = {text(mount, "name") for _, mount in mappings(one.props, "volumeMounts")}
    names = {
        text(volume, "configMap", "name")
        for _, volume in mappings(one.pod, "volumes")
        if text(volume, "name") in mounted and "configMap" in volume
    }
    for config_map in stack.of_kind("ConfigMap"):
        if text(config_map.props, "metadata", "name") in names:
            yield from (_shown(value) for value in mapping(config_map.props, "data").values())


def _told(arguments: list[str]) -> list[str]:
    """The command line, and each script in it by itself."""
    return [" ".join(one for one in arguments if "\n" not in one), *(one for one in arguments if "\n" in one)]


def _commands(script: str) -> str:
    """A script without comments and without texts that are kept for somebody to read: both name programs as well."""
    return _MESSAGE.sub(lambda one: one[0] if "$(" in one[0] else "", _COMMENT.sub("", script))


def _shown(value: Plain) -> Plain:
    """A text, UNKNOWN where it is not known yet; a secret's text is none of a script."""
    return value if isinstance(value, str) or value is UNKNOWN else ""


def _places(one: Container) -> list[str]:
    """What it writes to, by name."""
    return [
        mount.source
        for mount in one.mounts()
        if not mount.read_only and mount.kind not in _PASSING and isinstance(mount.source, str)
    ]


def _elsewhere(stack: Stack, one: Container) -> bool:
    """Whether it writes to a share of another machine, or to a folder of the host, which may be another disk."""
    shares = {
        text(volume.props, "metadata", "name"): mapping(volume.props, "spec")
        for volume in stack.of_kind("PersistentVolumeClaim")
    }
    for mount in one.mounts():
        if mount.read_only:
            continue
        if mount.kind == "nfs" or (mount.kind == "host" and not str(mount.source).endswith(".sock")):
            return True
        if mount.kind == "claim" and _is_share(stack, shares.get(str(mount.source), {})):
            return True
    return False


def _is_share(stack: Stack, claim: dict[str, Plain]) -> bool:
    name = text(claim, "volumeName")
    for volume in stack.of_kind("PersistentVolume"):
        if name and text(volume.props, "metadata", "name") == name:
            spec = mapping(volume.props, "spec")
            return bool(spec.keys() & {"nfs", "csi"})
    return False


def _image(one: Container) -> str:
    return one.parsed.name.lower() if one.parsed else ""


def _suspended(one: Registered) -> bool:
    return one.kind == "CronJob" and flag(one.props, "spec", "suspend")


RULES = (
    Rule(
        name="data-backups-leave",
        family="data",
        severity=Severity.MEDIUM,
        level=Level.ADVISORY,
        title="Dumps of the database are copied to another disk or machine.",
        why="A dump beside its database is gone with the disk, and readable by whoever takes the machine.",
        remediation="Copy them, encrypted, to a disk, a NAS or a bucket.",
        judge=_leaves,
    ),
)

"""Rules about backups and restores: what they need of the other sections."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.backup.target_settings import LocalTarget
from components.database.settings import CloudNativePg, ExternalDatabase
from components.fields.finding import Finding, Rule
from components.storage.settings import HostPath, Smb

if TYPE_CHECKING:
    from components.backup.settings import Backup, Restore
    from components.database.settings import Database
    from components.server.settings import Server
    from components.settings.docker import Docker
    from components.storage.settings import Storage, VolumeSource


_LONGEST_CLUSTER = 50
"""Characters that CloudNativePG's webhook takes of a cluster's name."""
_GENERATION = re.compile(r"-g[0-9]+\Z")


def takes_dumps(backup: Backup | None, database: Database) -> bool:
    """Whether the database is dumped: always, but where an archive has it and no copy goes anywhere else."""
    return backup is not None and (not isinstance(database, CloudNativePg) or bool(backup.targets))


def archive_has_an_operator(backup: Backup | None, database: Database) -> Iterator[Finding]:
    """Archiving to an object store is the operator's work."""
    if backup is None:
        return
    if backup.archive is not None and not isinstance(database, CloudNativePg):
        yield Finding(
            key="backup.archive",
            given=f"database.kind {database.kind}",
            reason="archiving to an object store needs database.kind cloudnative-pg",
            hint="leave it out: this database is dumped every night; give backup.targets for copies elsewhere",
        )
    if isinstance(database, CloudNativePg) and backup.archive is None and not backup.targets:
        yield Finding(
            key="backup",
            reason="makes no backup: a CloudNativePG database needs an archive, or targets for its dumps",
            hint="give backup.archive.objectStore.destinationPath, backup.targets, or both",
        )


def dumps_know_the_release(backup: Backup | None, database: Database) -> Iterator[Finding]:
    """`pg_dump` must not be older than the server."""
    if takes_dumps(backup, database) and isinstance(database, ExternalDatabase) and database.postgres is None:
        yield Finding(
            key="database.postgres",
            reason="is needed for backups: the program that dumps must be of the server's major version",
            hint="ask the server: psql -c 'show server_version'",
        )


def libraries_exist(backup: Backup | None, storage: Storage) -> Iterator[Finding]:
    """Only libraries of this stack can be copied."""
    if backup is None:
        return
    known = [str(library.name) for library in storage.external_libraries]
    for index, name in enumerate(backup.files.external_libraries):
        if str(name) not in known:
            yield Finding(
                key=f"backup.files.externalLibraries[{index}]",
                given=str(name),
                reason=f"is no external library of this stack; there are {', '.join(known) or 'none'}",
                hint="give a name of storage.externalLibraries",
            )


def restores_come_from_somewhere(
    restore: Restore | None, backup: Backup | None, database: Database
) -> Iterator[Finding]:
    """A restore reads what a backup wrote."""
    if restore is None:
        return
    if backup is None:
        yield Finding(
            key="restore",
            reason="there is no immich:backup to say where copies are",
            hint="give immich:backup with the targets that the copies are in",
        )
        return
    names = [str(target.name) for target in backup.targets]
    if restore.is_of_immich:
        if restore.what != "database":
            yield Finding(
                key="restore.what",
                given=restore.what,
                reason=f"{restore.from_} is a dump, which has the database alone",
                hint="pulumi config set --path immich:restore.what database; the photos stay where they are",
            )
        if restore.target is not None:
            yield Finding(
                key="restore.target",
                given=str(restore.target),
                reason=f"no target is read: {restore.from_} is in the folder backups of the media",
                hint="pulumi config rm --path immich:restore.target",
            )
    elif restore.target is not None and str(restore.target) not in names:
        yield Finding(
            key="restore.target",
            given=str(restore.target),
            reason=f"is no target of immich:backup; there are {', '.join(names) or 'none'}",
        )
    if not names and not restore.is_of_immich:
        yield Finding(
            key="restore",
            reason="there are no backup.targets that it could read from",
            hint="give the target that the copies are in",
        )
    if isinstance(database, CloudNativePg) and restore.what != "files":
        yield Finding(
            key="restore.what",
            given=restore.what,
            reason="a CloudNativePG database comes back from its archive, to any second",
            hint="use files, and raise database.lineage.generation for the database",
        )


def steps_share_volumes(
    backup: Backup | None, server: Server, storage: Storage, docker: Docker | None
) -> Iterator[Finding]:
    """On a cluster a run mounts what the server has mounted."""
    if backup is None or docker is not None:
        return
    for name, source in _sources(backup, storage):
        if getattr(source, "access_mode", None) == "ReadWriteOncePod":
            yield Finding(
                key=f"{name}.accessMode",
                given="ReadWriteOncePod",
                reason="a backup reads it while the server has it",
                hint="use ReadWriteOnce: the run is then put on the server's node",
            )
        elif isinstance(source, HostPath) and not server.placement.node_selector:
            yield Finding(
                key=f"{name}.kind",
                given="hostPath",
                reason="a folder of one node: the run has to be on that node",
                hint="give server.placement.nodeSelector for the node that has it; a backup runs where the server does",
            )


def hosts_mount_no_smb(backup: Backup | None, docker: Docker | None) -> Iterator[Finding]:
    """A volume's options can be read by everybody who reaches the engine."""
    if backup is None or docker is None:
        return
    named = [("backup.volume", backup.volume)]
    named += [
        (f"backup.targets[{index}].source", target.source)
        for index, target in enumerate(backup.targets)
        if isinstance(target, LocalTarget)
    ]
    for key, source in named:
        if isinstance(source, Smb):
            yield Finding(
                key=f"{key}.kind",
                given="smb",
                reason="the password would stand in the volume's options",
                hint="mount the share on the host (/etc/fstab) and use hostPath",
            )


def _sources(backup: Backup, storage: Storage) -> Iterator[tuple[str, VolumeSource]]:
    yield "backup.volume", backup.volume
    for index, target in enumerate(backup.targets):
        if isinstance(target, LocalTarget):
            yield f"backup.targets[{index}].source", target.source
    if backup.targets:
        yield "storage.media", storage.media


def recoveries_have_an_archive(backup: Backup | None, database: Database) -> Iterator[Finding]:
    """A new generation is recovered from the archive of an earlier one, under a name that derives from the first's."""
    if not isinstance(database, CloudNativePg):
        return
    generation = database.lineage.generation
    if generation > 1 and (backup is None or backup.archive is None):
        yield Finding(
            key="database.lineage.generation",
            given=str(generation),
            reason="is recovered from the archive of an earlier generation, and there is none",
            hint="give backup.archive.objectStore, the one that the earlier generation wrote into",
        )
    longest = _LONGEST_CLUSTER - (len(f"-g{generation}") if generation > 1 else 0)
    if len(database.cluster_name) > longest:
        yield Finding(
            key="database.clusterName",
            given=str(database.cluster_name),
            reason=f"is too long for CloudNativePG: generation {generation} leaves {longest} characters",
        )
    named = [("database.clusterName", str(database.cluster_name))]
    if backup is not None and backup.archive is not None and backup.archive.server_name is not None:
        named.append(("backup.archive.serverName", str(backup.archive.server_name)))
    for key, name in named:
        if _GENERATION.search(name):
            yield Finding(
                key=key,
                given=name,
                reason="ends like the name of a later generation",
                hint="choose one that does not end in -g and a number",
            )


BACKUP_RULES = [
    Rule(("backup", "database"), recoveries_have_an_archive),
    Rule(("backup", "database"), archive_has_an_operator),
    Rule(("backup", "database"), dumps_know_the_release),
    Rule(("backup", "storage"), libraries_exist),
    Rule(("restore", "backup", "database"), restores_come_from_somewhere),
    Rule(("backup", "server", "storage", "docker"), steps_share_volumes),
    Rule(("backup", "docker"), hosts_mount_no_smb),
]

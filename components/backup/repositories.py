"""Targets of backups as restic sees them, and the workload that reaches what restic does not by itself."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from components import versions
from components.backup.plan import Repository, target_folder
from components.backup.settings import Backup
from components.backup.target_settings import LocalTarget, RcloneTarget, RestTarget, S3Target, SftpTarget
from components.database.archive_settings import is_inside
from components.model.secret_text import SecretText
from components.model.specs import PublishedSecret
from components.model.values import Quantity
from components.model.workload import (
    CommandCheck,
    ConfigFiles,
    Egress,
    Link,
    Mount,
    Port,
    Probe,
    Scratch,
    SecretFiles,
    VolumeRequest,
    Workload,
)
from components.model.workload import Storage as Mounted
from components.sizing import resources
from components.storage.component import volume_request
from components.templates import render

RCLONE = "backup-rclone"
_PORT = 8080
SECRET = "backup-files"
FOLDER = "/run/secrets/backup"
_RCLONE_FOLDER = "/run/secrets/rclone"
_PAUSE = 30
"""Seconds until a target that was away is asked again."""
_WORK = "/tmp"
_START_FOLDER = "/etc/immich-backup-rclone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """How a step reaches the targets."""

    repositories: tuple[Repository, ...]
    mounts: tuple[Mounted, ...]
    """Local targets."""
    links: tuple[Link, ...]
    egress: tuple[Egress, ...]


def reach(settings: Backup, rclone_host: str) -> Reach:
    """Every target as restic takes it; `rclone_host` is the name of the rclone workload."""
    found = [_repository(settings, target, rclone_host) for target in settings.targets]
    egress = tuple(
        _egress(target, host, port) for target in settings.targets for host, port in _outside(target)
    )
    return Reach(
        repositories=tuple(found),
        mounts=tuple(
            Mounted(volume=f"target-{target.name}", path=target_folder(target.name))
            for target in settings.targets
            if isinstance(target, LocalTarget)
        ),
        links=tuple(Link(to=RCLONE, port=port) for port in rclone_ports(settings).values()),
        egress=egress,
    )


def volumes(settings: Backup) -> list[VolumeRequest]:
    """Volumes of local targets."""
    return [
        volume_request(f"target-{target.name}", target.source, read_only=False)
        for target in settings.targets
        if isinstance(target, LocalTarget)
    ]


def secret(settings: Backup, *, old_password: bool = False) -> PublishedSecret:
    """What restic is told in secret; `old_password`: the one before as well."""
    items = {"password": SecretText.of("backupPassword")}
    if old_password:
        items["password-old"] = SecretText.of("backupPasswordOld")
    if any(isinstance(target, S3Target) for target in settings.targets):
        items["access-key-id"] = SecretText.of("backupAccessKeyId")
        items["secret-access-key"] = SecretText.of("backupSecretAccessKey")
    users = [target.user for target in settings.targets if isinstance(target, RestTarget) and target.user]
    if users:
        items["rest-password"] = SecretText.of("backupRestPassword")
    for target in settings.targets:
        if isinstance(target, RestTarget) and target.user is not None:
            items[f"rest-user-{target.name}"] = SecretText.plain(target.user)
    return PublishedSecret(name=SECRET, items=items)


def rclone_secret(settings: Backup) -> PublishedSecret:
    """What rclone is told in secret."""
    items: dict[str, SecretText] = {}
    if any(isinstance(target, SftpTarget) for target in settings.targets):
        # SSH wants the last line of a key to end, which a config value has lost.
        items["ssh-key"] = SecretText(parts=(*SecretText.of("backupSshKey").parts, "\n"))
    if any(isinstance(target, RcloneTarget) for target in settings.targets):
        items["rclone.conf"] = SecretText(parts=(*SecretText.of("backupRcloneConfig").parts, "\n"))
    return PublishedSecret(name=RCLONE, items=items)


def rclone_workload(settings: Backup, *, user: int, group: int) -> Workload:
    """rclone, serving every such target as a folder of restic's own protocol."""
    secret_items = {name: name for name in rclone_secret(settings).items}
    hosts = [
        _egress(target, host, port)
        for target in settings.targets
        for host, port in _outside_of_rclone(target)
    ]
    mounts: list[Mount] = [
        SecretFiles(secret=RCLONE, path=_RCLONE_FOLDER, items=secret_items),
        ConfigFiles(name=RCLONE, path=_START_FOLDER, files=rclone_files(settings)),
        Scratch(path=_WORK, size=Quantity("256Mi")),
    ]
    return Workload(
        name=RCLONE,
        image=settings.rclone_image or versions.current("rclone"),
        resources=resources("backupRclone", settings.rclone_resources),
        user=user,
        group=group,
        command=("/bin/sh", f"{_START_FOLDER}/start.sh"),
        ports=tuple(
            Port(name=f"restic-{number}", number=port)
            for number, port in enumerate(rclone_ports(settings).values(), 1)
        ),
        # A target that is away is no fault of this container.
        readiness=Probe(
            check=CommandCheck(command=("test", "-e", f"{_WORK}/started")), period=15, startup_budget=120
        ),
        mounts=tuple(mounts),
        egress=tuple(hosts),
        exclusive=True,
        termination_grace=10,
        start_timeout=180,
    )


def rclone_files(settings: Backup) -> dict[str, str]:
    """What rclone is told in the open: remotes without secrets, the servers' public keys."""
    targets = [target for target in settings.targets if isinstance(target, SftpTarget | RcloneTarget)]
    sftp = [target for target in targets if isinstance(target, SftpTarget)]
    ports = rclone_ports(settings)
    values: dict[str, Any] = {
        "sftp": sftp,
        "given": any(isinstance(target, RcloneTarget) for target in targets),
        "served": [
            (str(target.name), ports[str(target.name)], shlex.quote(_remote(target))) for target in targets
        ],
        "secrets": _RCLONE_FOLDER,
        "folder": _START_FOLDER,
        "work": _WORK,
        "pause": _PAUSE,
    }
    files = {"start.sh": render("backup-rclone.sh.j2", values)}
    files |= {f"known-hosts-{target.name}": f"{target.known_hosts.strip()}\n" for target in sftp}
    return files


def rclone_ports(settings: Backup) -> dict[str, int]:
    """Port of rclone by target: each has a server of its own, so that one that is away takes no other with it."""
    names = [str(target.name) for target in settings.targets if isinstance(target, SftpTarget | RcloneTarget)]
    return {name: _PORT + number for number, name in enumerate(names)}


def _repository(settings: Backup, target: Any, rclone_host: str) -> Repository:
    name = str(target.name)
    base = Repository(name=name, url="", offsite=target.offsite)
    match target:
        case LocalTarget():
            return replace(base, url=target_folder(name))
        case S3Target():
            return replace(
                base,
                url=f"s3:{target.endpoint_url}/{target.bucket}/{target.folder}",
                credentials={
                    "AWS_ACCESS_KEY_ID": f"{FOLDER}/access-key-id",
                    "AWS_SECRET_ACCESS_KEY": f"{FOLDER}/secret-access-key",
                },
            )
        case RestTarget():
            credentials = {
                "RESTIC_REST_USERNAME": f"{FOLDER}/rest-user-{name}",
                "RESTIC_REST_PASSWORD": f"{FOLDER}/rest-password",
            }
            return replace(
                base, url=f"rest:{target.url}", credentials=credentials if target.user is not None else {}
            )
        case _:
            port = rclone_ports(settings)[name]
            return replace(base, url=f"rest:http://{rclone_host}:{port}/")


def _remote(target: SftpTarget | RcloneTarget) -> str:
    return f"sftp-{target.name}:{target.path}" if isinstance(target, SftpTarget) else target.remote


def _egress(target: Any, host: str, port: int) -> Egress:
    return replace(Egress.to_host(f"copies to {target.name}", host, port), private=is_inside(host))


def _outside(target: Any) -> Sequence[tuple[str, int]]:
    if isinstance(target, S3Target | RestTarget):
        parts = urlsplit(target.endpoint_url if isinstance(target, S3Target) else target.url)
        return [(parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))]
    return []


def _outside_of_rclone(target: Any) -> Sequence[tuple[str, int]]:
    if isinstance(target, SftpTarget):
        return [(str(target.host), target.port)]
    if isinstance(target, RcloneTarget):
        return [(str(host), target.port) for host in target.hosts]
    return []

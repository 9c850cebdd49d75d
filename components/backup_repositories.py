"""Targets of backups as restic sees them, and the workload that reaches what restic does not by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from components import versions
from components.backup_plan import Repository
from components.platform.specs import PublishedSecret
from components.secret_text import SecretText
from components.settings.archive import is_inside
from components.settings.backup import Backup
from components.settings.backup_targets import LocalTarget, RcloneTarget, RestTarget, S3Target, SftpTarget
from components.sizing import resources
from components.storage import volume_request
from components.templates import render
from components.values import Quantity
from components.workload import (
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
from components.workload import Storage as Mounted

RCLONE = "backup-rclone"
_PORT = 8080
SECRET = "backup-files"
FOLDER = "/run/secrets/backup"
_RCLONE_FOLDER = "/run/secrets/rclone"
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
    found = [_repository(target, rclone_host) for target in settings.targets]
    egress = tuple(
        _egress(target, host, port) for target in settings.targets for host, port in _outside(target)
    )
    return Reach(
        repositories=tuple(found),
        mounts=tuple(
            Mounted(volume=f"target-{target.name}", path=f"/targets/{target.name}")
            for target in settings.targets
            if isinstance(target, LocalTarget)
        ),
        links=(Link(to=RCLONE, port=_PORT),) if settings.needs_rclone else (),
        egress=egress,
    )


def volumes(settings: Backup) -> list[VolumeRequest]:
    """Volumes of local targets."""
    return [
        volume_request(f"target-{target.name}", target.source, read_only=False)
        for target in settings.targets
        if isinstance(target, LocalTarget)
    ]


def secret(settings: Backup) -> PublishedSecret:
    """What restic is told in secret."""
    items = {"password": SecretText.of("backupPassword")}
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
        Scratch(path="/tmp", size=Quantity("256Mi")),
    ]
    return Workload(
        name=RCLONE,
        image=settings.rclone_image or versions.rclone_image(),
        resources=resources("backupRclone", settings.rclone_resources),
        user=user,
        group=group,
        command=("/bin/sh", f"{_START_FOLDER}/start.sh"),
        ports=(Port(name="restic", number=_PORT),),
        readiness=Probe(
            check=CommandCheck(command=("nc", "-z", "127.0.0.1", str(_PORT))), period=15, startup_budget=120
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
    upstreams = [
        f"{target.name}=sftp-{target.name}:{target.path}"
        if isinstance(target, SftpTarget)
        else f"{target.name}={target.remote}"
        for target in targets
    ]
    values: dict[str, Any] = {
        "sftp": sftp,
        "given": any(isinstance(target, RcloneTarget) for target in targets),
        "upstreams": " ".join(f'"{one}"' if " " in one else one for one in upstreams),
        "secrets": _RCLONE_FOLDER,
        "folder": _START_FOLDER,
        "work": "/tmp",
        "port": _PORT,
    }
    files = {"start.sh": render("backup-rclone.sh.j2", values)}
    files |= {f"known-hosts-{target.name}": f"{target.known_hosts.strip()}\n" for target in sftp}
    return files


def _repository(target: Any, rclone_host: str) -> Repository:
    name = str(target.name)
    base = Repository(name=name, url="", offsite=target.offsite)
    match target:
        case LocalTarget():
            return replace(base, url=f"/targets/{name}")
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
            return replace(base, url=f"rest:http://{rclone_host}:{_PORT}/{name}/")


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

"""Where copies of files and dumps go: encrypted restic repositories."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.database.archive_settings import is_clear_outside
from components.fields.base import Section, WholeNumber
from components.model.values import ObjectName, ServerAddress
from components.storage.settings import VolumeSource

TargetName = Annotated[ObjectName, Field(max_length=30)]


class _Target(Section):
    """What every target has."""

    name: TargetName
    """A short name, unique."""


class LocalTarget(_Target):
    """A disk, a network share or a volume."""

    kind: Literal["local"]
    """`local`."""
    source: VolumeSource
    """Where it is: `hostPath` for a disk of the machine, `nfs` or `smb` for a NAS, `volume`, `existingClaim`."""
    offsite: bool = False
    """Whether it is in another place than the photos."""


class SftpTarget(_Target):
    """A machine with an SSH server; its private key is `immich:backupSshKey`."""

    kind: Literal["sftp"]
    """`sftp`."""
    host: ServerAddress
    """Address or name."""
    port: WholeNumber = Field(default=22, ge=1, le=65535)
    """Port."""
    user: str = Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$", examples=["backup"])
    """User there."""
    path: str = Field(pattern=r"^/?[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$", examples=["/srv/backup/immich"])
    """Folder there; without a leading slash it is below the user's home."""
    known_hosts: str = Field(
        pattern=r"^[^\s#@][^\n]* (ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp[0-9]+) [A-Za-z0-9+/=]+",
        examples=["nas.example.com ssh-ed25519 AAAAC3Nz..."],
    )
    """Public keys of the server, as `ssh-keyscan` prints them: compare them before they are trusted."""
    offsite: bool = True
    """Whether it is in another place than the photos."""


class S3Target(_Target):
    """A bucket; its keys are `immich:backupAccessKeyId` and `immich:backupSecretAccessKey`."""

    kind: Literal["s3"]
    """`s3`."""
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", examples=["immich-backup"])
    """Name of the bucket."""
    folder: str = Field(default="files", pattern=r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$")
    """Folder in it; never the one of a database archive."""
    endpoint_url: str = Field(
        default="https://s3.amazonaws.com",
        pattern=r"^https?://[^/@?#\s]+$",
        examples=["https://s3.example.com"],
    )
    """Address of the store."""
    offsite: bool = True
    """Whether it is in another place than the photos."""

    @model_validator(mode="after")
    def _keys_stay_secret(self) -> Self:
        if is_clear_outside(self.endpoint_url):
            raise ValueError(
                f"endpointUrl {self.endpoint_url} sends the keys in the clear over a public network; use https"
            )
        return self


class RestTarget(_Target):
    """A rest-server of restic; with a user, its password is `immich:backupRestPassword`."""

    kind: Literal["rest"]
    """`rest`."""
    url: str = Field(
        pattern=r"^https?://[^/@?#\s]+(/[A-Za-z0-9._-]+)*/?$", examples=["https://backup.example.com/immich"]
    )
    """Its address, without user and password."""
    user: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """User there."""
    offsite: bool = True
    """Whether it is in another place than the photos."""

    @model_validator(mode="after")
    def _password_stays_secret(self) -> Self:
        if self.user is not None and is_clear_outside(self.url):
            raise ValueError(
                f"url {self.url} sends the password in the clear over a public network; use https"
            )
        return self


class RcloneTarget(_Target):
    """Any store that rclone knows; its configuration file is the secret `immich:backupRcloneConfig`."""

    kind: Literal["rclone"]
    """`rclone`."""
    remote: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*:[^\s'\"\\]*$", examples=["drive:backup/immich"])
    """Remote of that file, and the folder in it: `drive:backup/immich`."""
    hosts: tuple[ServerAddress, ...] = Field(min_length=1, examples=[["www.googleapis.com"]])
    """Names that rclone talks to for it: nothing else is opened."""
    port: WholeNumber = Field(default=443, ge=1, le=65535)
    """TCP port of these hosts."""
    offsite: bool = True
    """Whether it is in another place than the photos."""


Target = Annotated[
    LocalTarget | SftpTarget | S3Target | RestTarget | RcloneTarget, Field(discriminator="kind")
]

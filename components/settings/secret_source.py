"""Where secrets come from: secret config and random values, Secrets that exist, or the External Secrets operator."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.fields.base import Section, default_kind
from components.model.values import Duration, ObjectName

PublishedName = Literal[
    "database",
    "database-owner",
    "cache",
    "backup",
    "backup-files",
    "backup-rclone",
    "app",
    "cloudflared",
    "setup",
    "api-keys",
]
"""The Secrets that this program publishes; `database-owner` and `backup` only with CloudNativePG, `backup-files` and
`backup-rclone` only with targets of backups."""


class ExistingSecret(Section):
    """One entry of a Secret that is in Immich's namespace already."""

    name: ObjectName
    """Name of the Secret, such as `immich-db-app`, which CloudNativePG makes for a cluster `immich-db`."""
    key: str = Field(default="password", pattern=r"^[-._a-zA-Z0-9]{1,253}$")
    """Its entry."""


class PulumiSecrets(Section):
    """Secrets of the stack's config (`pulumi config set --secret`); what is missing is made at random and kept."""

    kind: Literal["pulumi"] = "pulumi"
    """`pulumi`."""
    existing: Annotated[dict[str, ExistingSecret], Field(default_factory=dict)]
    """On a cluster: secrets that pods take from a Secret that exists, by config key: `databasePassword` ...
    Their values are neither in the state nor in rendered files. After a change of such a Secret restart what reads it:
    `make restart STACK=...`. With `database.kind: cloudnative-pg` the Secret of `databasePassword` has the type
    `kubernetes.io/basic-auth` and the entries `username` (as `database.user`) and `password`."""


class SecretStoreRef(Section):
    """The SecretStore that holds the values."""

    name: ObjectName
    """Its name."""
    kind: Literal["SecretStore", "ClusterSecretStore"] = "ClusterSecretStore"
    """Its kind."""


class RemoteValue(Section):
    """One value in the store."""

    key: str = Field(min_length=1)
    """The item: with 1Password its title."""
    property: str | None = None
    """The field of the item."""


class ExternalSecrets(Section):
    """Secrets that the External Secrets operator fetches: nothing secret is in the state or in rendered files."""

    kind: Literal["external-secrets"]
    """`external-secrets`."""
    store: SecretStoreRef
    """Where they are."""
    refresh_interval: Duration = Duration("1h")
    """How often the operator reads the values again."""
    values: Annotated[dict[str, RemoteValue], Field(default_factory=dict)]
    """Item of each secret that the other settings need, by its config key: databasePassword, cachePassword ..."""
    names: Annotated[dict[PublishedName, ObjectName], Field(default_factory=dict)]
    """Other names for the Secrets: `database: immich-db-credentials`, `database-owner: immich-app-secret` ..."""


SecretSource = Annotated[PulumiSecrets | ExternalSecrets, Field(discriminator="kind"), default_kind("pulumi")]

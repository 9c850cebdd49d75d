"""All settings of a stack, section by section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.backup.settings import Backup, Restore
    from components.cache.settings import Cache
    from components.cloudflare.settings import Cloudflare
    from components.database.settings import Database
    from components.machine_learning.settings import MachineLearning
    from components.monitoring.settings import Monitoring
    from components.proxy.host_settings import Host
    from components.proxy.settings import Proxy
    from components.recovery.capacity_settings import Capacity
    from components.server.app.settings import AppConfig
    from components.server.settings import Server
    from components.settings.docker import Docker
    from components.settings.kubernetes import Kubernetes
    from components.settings.secret_source import SecretSource
    from components.setup.settings import Setup
    from components.storage.settings import Storage
    from components.upgrade.settings import Upgrade


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything that a stack's configuration says, checked. Each attribute is one config key `immich:<name>`."""

    host: Host
    """The public name."""
    server: Server
    """The Immich server."""
    machine_learning: MachineLearning
    """Machine learning."""
    database: Database
    """PostgreSQL."""
    cache: Cache
    """Valkey or Redis."""
    storage: Storage
    """Media, folders, external libraries."""
    proxy: Proxy
    """The reverse proxy, and how Immich is exposed."""
    kubernetes: Kubernetes
    """The cluster."""
    secrets: SecretSource
    """Where secrets come from."""
    upgrade: Upgrade
    """Confirmations that an upgrade asks for."""
    monitoring: Monitoring
    """Metrics, alerts and dashboards."""
    docker: Docker | None = None
    """One host with a container engine, instead of a cluster."""
    backup: Backup | None = None
    """Backups of database and files, and their restore test (drill); without it there are none."""
    restore: Restore | None = None
    """Backup that a new deployment is restored from; without it the deployment starts empty."""
    capacity: Capacity | None = None
    """Expected size of the library; without it the sizes of volumes are not checked."""
    cloudflare: Cloudflare | None = None
    """Tunnel, DNS and Access at Cloudflare; without it Cloudflare is not used."""
    app: AppConfig | None = None
    """Immich's own configuration file; none leaves Immich's settings to its web page."""
    setup: Setup | None = None
    """Administrator, people, external libraries and API keys; none leaves all of them to Immich's web page."""


@dataclass(frozen=True, slots=True)
class SectionSpec:
    """Where a section's model is. Models are imported only when they are read."""

    module: str
    model: str
    optional: bool = False
    """Whether the section stays None when it is not given; otherwise it is built from defaults."""

    def annotation(self) -> Any:
        """The model or union of models."""
        from importlib import import_module

        return getattr(import_module(f"components.{self.module}"), self.model)


SECTIONS: Mapping[str, SectionSpec] = {
    "host": SectionSpec("proxy.host_settings", "Host"),
    "server": SectionSpec("server.settings", "Server"),
    "machineLearning": SectionSpec("machine_learning.settings", "MachineLearning"),
    "database": SectionSpec("database.settings", "Database"),
    "cache": SectionSpec("cache.settings", "Cache"),
    "storage": SectionSpec("storage.settings", "Storage"),
    "proxy": SectionSpec("proxy.settings", "Proxy"),
    "kubernetes": SectionSpec("settings.kubernetes", "Kubernetes"),
    "docker": SectionSpec("settings.docker", "Docker", optional=True),
    "secrets": SectionSpec("settings.secret_source", "SecretSource"),
    "backup": SectionSpec("backup.settings", "Backup", optional=True),
    "restore": SectionSpec("backup.settings", "Restore", optional=True),
    "upgrade": SectionSpec("upgrade.settings", "Upgrade"),
    "monitoring": SectionSpec("monitoring.settings", "Monitoring"),
    "capacity": SectionSpec("recovery.capacity_settings", "Capacity", optional=True),
    "cloudflare": SectionSpec("cloudflare.settings", "Cloudflare", optional=True),
    "app": SectionSpec("server.app.settings", "AppConfig", optional=True),
    "setup": SectionSpec("setup.settings", "Setup", optional=True),
}
"""Config keys of sections, in the order of the reference."""

SECRET_KEYS: Mapping[str, str] = {
    "databasePassword": "password of Immich's database role",
    "cachePassword": "password of the cache",
    "administratorPassword": "first password of Immich's administrator",
    "setupApiKey": "key of Immich's API that people, libraries and other keys are made with",
    "oauthClientSecret": "client secret at the OpenID Connect provider",
    "smtpPassword": "password at the mail server",
    "backupAccessKeyId": "access key of the backup store",
    "backupSecretAccessKey": "secret key of the backup store",
    "backupPassword": "password that every copy is encrypted with",
    "backupPasswordOld": "password before this one, until every copy has the new one",
    "backupSshKey": "private SSH key for the backup machine, in OpenSSH's format, without a passphrase",
    "backupRestPassword": "password at the rest-server",
    "backupRcloneConfig": "rclone's configuration file with the remote",
    "acmeDnsToken": "API token with DNS:Edit for the zone, for certbot",
    "metricsPassword": "password of the database's role that exporters read numbers with",
    "grafanaPassword": "password of Grafana's user admin",
    "alertWebhookUrl": "address that alerts are sent to, which is a password in itself",
    "cloudflareApiToken": "API token of Cloudflare",
    "cloudflareTunnelCredentials": "credentials file (JSON) of a Cloudflare tunnel that exists",
    "cloudflareTunnelToken": "token of a Cloudflare tunnel that exists",
}
"""Config keys of secrets: set with `pulumi config set --secret immich:<key>`, read only by `Secrets`."""

"""Which secrets a set of sections needs, and which of them may be made at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.cache.settings import BundledCache
from components.database.settings import BundledDatabase, ExternalDatabase
from components.monitoring.settings import BundledMonitoring
from components.proxy.tls_settings import TlsAcme
from components.settings.secret_source import ExternalSecrets

if TYPE_CHECKING:
    from components.backup.settings import Backup
    from components.cache.settings import Cache
    from components.cloudflare.settings import Cloudflare
    from components.database.settings import Database
    from components.monitoring.settings import Monitoring
    from components.proxy.settings import Proxy
    from components.server.app.settings import AppConfig
    from components.settings.model import Settings
    from components.setup.settings import Setup


def required_secrets(settings: Settings) -> dict[str, bool]:
    """Those of `wanted_secrets` of a whole stack whose values Pulumi has to know."""
    source = settings.secrets
    if isinstance(source, ExternalSecrets):
        return {}
    wanted = wanted_secrets(
        settings.database,
        settings.cache,
        settings.backup,
        settings.app,
        settings.cloudflare,
        settings.proxy,
        settings.monitoring,
        settings.setup,
    )
    return {key: at_random for key, at_random in wanted.items() if key not in source.existing}


def secret_place(settings: Settings, key: str, stack: str) -> str:
    """Where a person finds the value of the secret `key`: a command, or the item of the external store."""
    source = settings.secrets
    if isinstance(source, ExternalSecrets):
        item = source.values.get(key)
        if item is None:
            return ""
        return f"{source.store.kind} {source.store.name}: {item.key}{f'/{item.property}' if item.property else ''}"
    if (found := source.existing.get(key)) is not None:
        return (
            f"kubectl -n {settings.kubernetes.namespace} get secret {found.name} "
            f"-o go-template='{{{{index .data \"{found.key}\" | base64decode}}}}'"
        )
    return f"pulumi stack output {key} --show-secrets -s {stack}"


def wanted_secrets(  # noqa: PLR0917 - one for each section
    database: Database,
    cache: Cache,
    backup: Backup | None,
    app: AppConfig | None,
    cloudflare: Cloudflare | None = None,
    proxy: Proxy | None = None,
    monitoring: Monitoring | None = None,
    setup: Setup | None = None,
) -> dict[str, bool]:
    """Config key of each secret that is needed, and whether it may be made at random where it is not given.

    Cloudflare's API token is not among them: it may be in the environment, and no container gets it.
    """
    wanted = {"databasePassword": not isinstance(database, ExternalDatabase)}
    if isinstance(cache, BundledCache) or cache.password:
        wanted["cachePassword"] = isinstance(cache, BundledCache)
    if backup is not None:
        wanted |= backup.secret_keys
    if app is not None:
        wanted |= dict.fromkeys(sorted(app.required_secrets), False)
    existing = cloudflare.tunnel.existing if cloudflare is not None and cloudflare.tunnel else None
    if existing is not None:
        kinds = {"file": "cloudflareTunnelCredentials", "token": "cloudflareTunnelToken"}
        wanted[kinds[existing.credentials]] = False
    tls = proxy.tls if proxy is not None else None
    if isinstance(tls, TlsAcme) and tls.challenge == "dns-cloudflare":
        wanted["acmeDnsToken"] = False
    if monitoring is not None and monitoring.kind != "none":
        if isinstance(database, BundledDatabase):
            wanted["metricsPassword"] = True
        if isinstance(monitoring, BundledMonitoring):
            wanted |= {"grafanaPassword": True} if monitoring.grafana is not None else {}
            wanted |= {"alertWebhookUrl": False} if monitoring.notify is not None else {}
    if setup is not None and setup.administrator is not None:
        wanted |= {"administratorPassword": True, "setupApiKey": True}
    return wanted

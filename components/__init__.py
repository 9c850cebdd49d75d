"""Components that deploy Immich, each usable alone: `import components as immich`, then `immich.Database(...)`.

What a program does not use is not imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.backup.component import Backup as Backup
    from components.backup.component import BackupArgs as BackupArgs
    from components.backup.component import backup_of as backup_of
    from components.cache.component import Cache as Cache
    from components.cache.component import CacheArgs as CacheArgs
    from components.cache.settings import BundledCache as BundledCache
    from components.cache.settings import ExternalCache as ExternalCache
    from components.cloudflare.component import Cloudflare as Cloudflare
    from components.cloudflare.component import CloudflareArgs as CloudflareArgs
    from components.database.component import Database as Database
    from components.database.component import DatabaseArgs as DatabaseArgs
    from components.database.settings import BundledDatabase as BundledDatabase
    from components.database.settings import CloudNativePg as CloudNativePg
    from components.database.settings import ExternalDatabase as ExternalDatabase
    from components.machine_learning.component import MachineLearning as MachineLearning
    from components.machine_learning.component import MachineLearningArgs as MachineLearningArgs
    from components.machine_learning.settings import BundledMachineLearning as BundledMachineLearning
    from components.machine_learning.settings import ExternalMachineLearning as ExternalMachineLearning
    from components.machine_learning.settings import NoMachineLearning as NoMachineLearning
    from components.model.connection import Connection as Connection
    from components.model.connection import DirectExposure as DirectExposure
    from components.model.connection import ExternalService as ExternalService
    from components.model.connection import HttpService as HttpService
    from components.model.workload import Egress as Egress
    from components.model.workload import Ingress as Ingress
    from components.model.workload import Link as Link
    from components.monitoring.component import Monitoring as Monitoring
    from components.monitoring.component import MonitoringArgs as MonitoringArgs
    from components.platform.docker import DockerPlatform as DockerPlatform
    from components.platform.docker import DockerPlatformArgs as DockerPlatformArgs
    from components.platform.kubernetes import KubernetesPlatform as KubernetesPlatform
    from components.platform.kubernetes import KubernetesPlatformArgs as KubernetesPlatformArgs
    from components.proxy.component import Proxy as Proxy
    from components.proxy.component import ProxyArgs as ProxyArgs
    from components.secrets.component import Secrets as Secrets
    from components.secrets.component import SecretsArgs as SecretsArgs
    from components.server.component import Server as Server
    from components.server.component import ServerArgs as ServerArgs
    from components.storage.component import Storage as Storage
    from components.storage.component import StorageArgs as StorageArgs
    from components.upgrade.component import Upgrade as Upgrade
    from components.upgrade.component import UpgradeArgs as UpgradeArgs

_MODULES = {
    "components.backup.component": ("Backup", "BackupArgs", "backup_of"),
    "components.cache.component": ("Cache", "CacheArgs"),
    "components.cache.settings": ("BundledCache", "ExternalCache"),
    "components.cloudflare.component": ("Cloudflare", "CloudflareArgs"),
    "components.database.component": ("Database", "DatabaseArgs"),
    "components.database.settings": ("BundledDatabase", "CloudNativePg", "ExternalDatabase"),
    "components.machine_learning.component": ("MachineLearning", "MachineLearningArgs"),
    "components.machine_learning.settings": (
        "BundledMachineLearning",
        "ExternalMachineLearning",
        "NoMachineLearning",
    ),
    "components.model.connection": ("Connection", "DirectExposure", "ExternalService", "HttpService"),
    "components.model.workload": ("Egress", "Ingress", "Link"),
    "components.monitoring.component": ("Monitoring", "MonitoringArgs"),
    "components.platform.docker": ("DockerPlatform", "DockerPlatformArgs"),
    "components.platform.kubernetes": ("KubernetesPlatform", "KubernetesPlatformArgs"),
    "components.proxy.component": ("Proxy", "ProxyArgs"),
    "components.secrets.component": ("Secrets", "SecretsArgs"),
    "components.server.component": ("Server", "ServerArgs"),
    "components.storage.component": ("Storage", "StorageArgs"),
    "components.upgrade.component": ("Upgrade", "UpgradeArgs"),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a component when it is first asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)

"""The public names, and where each is."""

from components.backup.component import Backup as Backup
from components.backup.component import BackupArgs as BackupArgs
from components.backup.component import backup_of as backup_of
from components.cache.component import Cache as Cache
from components.cache.component import CacheArgs as CacheArgs
from components.cache.settings import BundledCache as BundledCache
from components.cache.settings import ExternalCache as ExternalCache
from components.cloudflare.component import Cloudflare as Cloudflare
from components.cloudflare.component import CloudflareArgs as CloudflareArgs
from components.cloudflare.settings import Access as Access
from components.cloudflare.settings import Cloudflare as _CloudflareSettings
from components.cloudflare.tunnel_settings import Tunnel as Tunnel
from components.cloudflare.values import HexId as HexId
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
from components.model.values import Bytes as Bytes
from components.model.values import Duration as Duration
from components.model.values import Hostname as Hostname
from components.model.values import ImageRef as ImageRef
from components.model.values import Memory as Memory
from components.model.values import VolumeSize as VolumeSize
from components.model.workload import Egress as Egress
from components.model.workload import Ingress as Ingress
from components.model.workload import Link as Link
from components.monitoring.component import Monitoring as Monitoring
from components.monitoring.component import MonitoringArgs as MonitoringArgs
from components.platform.docker.options import DockerPlatformArgs as DockerPlatformArgs
from components.platform.docker.platform import DockerPlatform as DockerPlatform
from components.platform.kubernetes.options import KubernetesPlatformArgs as KubernetesPlatformArgs
from components.platform.kubernetes.platform import KubernetesPlatform as KubernetesPlatform
from components.proxy.component import Proxy as Proxy
from components.proxy.component import ProxyArgs as ProxyArgs
from components.proxy.settings import HttpRoute as HttpRoute
from components.proxy.settings import LoadBalancer as LoadBalancer
from components.proxy.settings import PlainIngress as PlainIngress
from components.proxy.settings import Proxy as _ProxySettings
from components.proxy.settings import PublishedPort as PublishedPort
from components.proxy.settings import TraefikRoute as TraefikRoute
from components.secrets.component import Secrets as Secrets
from components.secrets.component import SecretsArgs as SecretsArgs
from components.server.component import Server as Server
from components.server.component import ServerArgs as ServerArgs
from components.server.settings import Server as _ServerSettings
from components.setup.component import Setup as Setup
from components.setup.component import SetupArgs as SetupArgs
from components.storage.component import Storage as Storage
from components.storage.component import StorageArgs as StorageArgs
from components.storage.settings import ExistingClaim as ExistingClaim
from components.storage.settings import ExternalLibrary as ExternalLibrary
from components.storage.settings import HostPath as HostPath
from components.storage.settings import Nfs as Nfs
from components.storage.settings import Smb as Smb
from components.storage.settings import Storage as _StorageSettings
from components.storage.settings import Volume as Volume
from components.upgrade.component import Upgrade as Upgrade
from components.upgrade.component import UpgradeArgs as UpgradeArgs

CloudflareSettings = _CloudflareSettings
ProxySettings = _ProxySettings
ServerSettings = _ServerSettings
StorageSettings = _StorageSettings

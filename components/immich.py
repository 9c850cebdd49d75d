"""All of Immich: composes the components. What one gives the next is data, so the engine knows the order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi

from components import ways_in
from components.app_config import app_file
from components.cache import Cache, CacheArgs
from components.database import Database, DatabaseArgs
from components.listeners import TUNNEL_PORT
from components.machine_learning import MachineLearning, MachineLearningArgs
from components.outside import server_egress
from components.platform.base import Platform
from components.platform.specs import PublishedSecret
from components.proxy import NAME as PROXY
from components.proxy import Proxy, ProxyArgs
from components.secrets import Secrets
from components.server import Server, ServerArgs
from components.settings.backup_rules import takes_dumps
from components.settings.model import Settings
from components.settings.secret_source import ExternalSecrets
from components.settings.storage import shared_by_nodes
from components.settings.wanted import wanted_secrets
from components.sizing import placement
from components.storage import Storage, StorageArgs
from components.upload_path import is_proxied

if TYPE_CHECKING:
    from components.backup import Backup


@dataclass(frozen=True, kw_only=True, slots=True)
class ImmichArgs:
    """What `Immich` needs."""

    platform: Platform
    settings: Settings
    stack: str
    stack_file: str = ""
    """The stack's settings as a file without secrets; a copy of it goes with the backups."""


class Immich(pulumi.ComponentResource):
    """One deployment of Immich."""

    outputs: Mapping[str, pulumi.Output[str]]
    """What is known only after the update and a person needs: name -> value, secret where it is one."""

    def __init__(self, args: ImmichArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Immich", "immich", {}, opts)
        settings, platform = args.settings, args.platform
        self.outputs = {}
        child = pulumi.ResourceOptions(parent=self)
        wanted = wanted_secrets(
            settings.database,
            settings.cache,
            settings.backup,
            settings.app,
            settings.cloudflare,
            settings.proxy,
        )
        secrets = Secrets(wanted, external=isinstance(settings.secrets, ExternalSecrets), opts=child)
        storage = Storage(StorageArgs(platform=platform, settings=settings.storage), child)
        database = Database(
            DatabaseArgs(
                platform=platform,
                settings=settings.database,
                secrets=secrets,
                backup=settings.backup.archive if settings.backup is not None else None,
                monitoring_namespace=settings.kubernetes.monitoring_namespace,
            ),
            child,
        )
        cache = Cache(CacheArgs(platform=platform, settings=settings.cache, secrets=secrets), child)
        machine_learning = MachineLearning(
            MachineLearningArgs(
                platform=platform,
                settings=settings.machine_learning,
                version=settings.server.version,
                libraries=storage.machine_learning_mounts,
                user=settings.server.user,
                group=settings.server.group,
            ),
            child,
        )
        app = app_file(settings)
        if app is not None:
            platform.publish(
                PublishedSecret(name="app", items={"immich.json": app.text}), secrets.values, parent=self
            )
        backup = _backup(args, secrets, database, child)
        restored = backup.restore(database.ready) if backup is not None else ()
        in_front = any(is_proxied(name, settings.cloudflare) for name in settings.host.names)
        links = (database.connection.link, cache.connection.link, machine_learning.link)
        server = Server(
            ServerArgs(
                platform=platform,
                settings=settings.server,
                database=database.connection,
                cache=cache.connection,
                machine_learning_urls=machine_learning.urls,
                links=tuple(link for link in links if link is not None),
                egress=(
                    *database.connection.egress,
                    *cache.connection.egress,
                    *machine_learning.egress,
                    *server_egress(settings.app),
                ),
                ingress=ways_in.ingress(settings.proxy, (), cloudflare_in_front=False)
                if settings.proxy.kind == "none"
                else (),
                monitoring_namespace=settings.kubernetes.monitoring_namespace,
                proxies=ways_in.trusted(settings.proxy),
                ways=ways_in.specs(
                    settings.proxy, (), hostnames=settings.host.names, cloudflare_in_front=in_front
                )
                if settings.proxy.kind == "none"
                else (),
                mounts=storage.mounts,
                shared_media=all(shared_by_nodes(source) for _, source in settings.storage.sources()),
                app=app,
                secrets=secrets,
                after=(*database.ready, *cache.ready, *restored),
            ),
            child,
        )
        if backup is not None:
            backup.schedule((server.ready,))
            if (
                backup.tasks
                and settings.backup is not None
                and "backupPassword" in settings.backup.secret_keys
            ):
                self.outputs = _escrow(settings, secrets)
        cloudflare = settings.cloudflare
        proxy = Proxy(
            ProxyArgs(
                platform=platform,
                settings=settings.proxy,
                hostnames=settings.host.names,
                tunnel=cloudflare is not None and cloudflare.tunnel is not None,
                cloudflare_in_front=in_front,
                secrets=secrets,
                server=server.ready,
                monitoring_namespace=settings.kubernetes.monitoring_namespace,
            ),
            child,
        )
        if cloudflare is not None:
            from components.cloudflare import Cloudflare, CloudflareArgs

            made = Cloudflare(
                CloudflareArgs(
                    platform=platform,
                    settings=cloudflare,
                    stack=args.stack,
                    hostnames=settings.host.names,
                    proxy=PROXY,
                    port=TUNNEL_PORT,
                    secrets=secrets,
                    after=(proxy.ready,),
                ),
                child,
            )
            self.outputs = {**self.outputs, **made.outputs}
        self.register_outputs({})


def _escrow(settings: Settings, secrets: Secrets) -> dict[str, pulumi.Output[str]]:
    """The password of the copies, for the person who has to keep it elsewhere; an external store has it already."""
    if isinstance(settings.secrets, ExternalSecrets):
        return {}
    values = secrets.values(("backupPassword",))
    return {"backupPassword": pulumi.Output.secret(values.apply(lambda found: found["backupPassword"]))}


def _backup(
    args: ImmichArgs, secrets: Secrets, database: Database, child: pulumi.ResourceOptions
) -> Backup | None:
    """Imports what only stacks with backups need."""
    settings = args.settings
    if settings.backup is None or not (
        settings.backup.targets or takes_dumps(settings.backup, settings.database)
    ):
        return None
    from components.backup import Backup, BackupArgs
    from components.database_client import database_client

    return Backup(
        BackupArgs(
            platform=args.platform,
            settings=settings.backup,
            restore=settings.restore,
            storage=settings.storage,
            database=database_client(settings.database, database.connection),
            dumps=takes_dumps(settings.backup, settings.database),
            stack=args.stack,
            version=settings.server.version,
            timezone=settings.server.timezone,
            user=settings.server.user,
            group=settings.server.group,
            placement=placement(settings.server.placement),
            stack_file=args.stack_file,
            app=settings.app is not None,
            secrets=secrets,
        ),
        child,
    )

"""All of Immich: composes the components. What one gives the next is data, so the engine knows the order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.cache.component import Cache, CacheArgs
from components.database.component import ClusterMonitor, Database, DatabaseArgs
from components.machine_learning.component import MachineLearning, MachineLearningArgs
from components.model.connection import Connection
from components.model.specs import PublishedSecret
from components.model.watch import UNSEEN, Seen
from components.platform.base import Platform
from components.proxy import exposure as ways_in
from components.proxy.component import NAME as PROXY
from components.proxy.component import Proxy, ProxyArgs
from components.proxy.doors import is_proxied
from components.proxy.listeners import TUNNEL_PORT
from components.secrets.component import Secrets
from components.server.app.file import app_file
from components.server.component import Server, ServerArgs
from components.server.egress import server_egress
from components.settings.model import Settings
from components.settings.required_secrets import wanted_secrets
from components.settings.secret_source import ExternalSecrets
from components.storage.component import Storage, StorageArgs
from components.storage.settings import shared_by_nodes
from components.upgrade.assessment import Judged
from components.upgrade.before_database import Before, prepare


@dataclass(frozen=True, kw_only=True, slots=True)
class ImmichArgs:
    """What `Immich` needs."""

    platform: Platform
    settings: Settings
    stack: str
    judged: Judged
    """What is known of earlier updates, and judged."""
    stack_file: str = ""
    """The stack's settings as a file without secrets; a copy of it goes with the backups."""


class Immich(pulumi.ComponentResource):
    """One deployment of Immich."""

    outputs: Mapping[str, pulumi.Output[object]]
    """What is known only after the update and a person needs: name -> value, secret where it is one."""

    def __init__(self, args: ImmichArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Immich", "immich", {}, opts)
        platform = args.platform
        settings, seen, monitor = _watched(args.settings)
        self.outputs = {}
        child = pulumi.ResourceOptions(parent=self)
        wanted = wanted_secrets(
            settings.database,
            settings.cache,
            settings.backup,
            settings.app,
            settings.cloudflare,
            settings.proxy,
            settings.monitoring,
        )
        secrets = Secrets(wanted, external=isinstance(settings.secrets, ExternalSecrets), opts=child)
        storage = Storage(StorageArgs(platform=platform, settings=settings.storage), child)
        app = app_file(
            settings.app, settings.host, settings.server, settings.machine_learning, settings.backup
        )
        if app is not None:
            platform.publish(
                PublishedSecret(name="app", items={"immich.json": app.text}), secrets.values, parent=self
            )
        prepared: list[Before] = []

        def first(connection: Connection) -> tuple[pulumi.Resource, ...]:
            before = prepare(
                platform, settings, secrets, connection, args.judged,
                stack=args.stack, stack_file=args.stack_file, opts=child,
            )  # fmt: skip
            prepared.append(before)
            return before.order.first

        database = Database(
            DatabaseArgs(
                platform=platform,
                settings=settings.database,
                secrets=secrets,
                backup=settings.backup.archive if settings.backup is not None else None,
                first=first,
                monitoring_namespace=settings.kubernetes.monitoring_namespace,
                monitor=monitor,
            ),
            child,
        )
        (before,) = prepared
        cache = Cache(CacheArgs(platform=platform, settings=settings.cache, secrets=secrets), child)
        machine_learning = MachineLearning(
            MachineLearningArgs(
                platform=platform,
                settings=settings.machine_learning,
                version=settings.server.version,
                libraries=storage.machine_learning_mounts,
                user=settings.server.user,
                group=settings.server.group,
                after=before.order.first,
            ),
            child,
        )
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
                seen=seen,
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
                after=(*before.server_waits_for(database.ready), *cache.ready),
            ),
            child,
        )
        if before.backup is not None:
            before.backup.schedule((server.ready,))
        self.outputs = before.outputs(server.ready, secrets)
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
                seen=seen,
            ),
            child,
        )
        if cloudflare is not None:
            from components.cloudflare.component import Cloudflare, CloudflareArgs

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
                    monitoring_namespace=settings.kubernetes.monitoring_namespace,
                    seen=seen,
                ),
                child,
            )
            self.outputs = {**self.outputs, **made.outputs}
        if settings.monitoring.kind != "none":
            from components.monitoring.component import Monitoring, MonitoringArgs

            monitoring = Monitoring(
                MonitoringArgs(
                    platform=platform,
                    settings=settings,
                    stack=args.stack,
                    database=database.connection,
                    cache=cache.connection,
                    machine_learning=machine_learning.link,
                    secrets=secrets,
                    server=server.ready,
                    token_ends=args.judged.token_ends,
                ),
                child,
            )
            self.outputs = {**self.outputs, **monitoring.outputs}
        self.register_outputs({})


def _watched(settings: Settings) -> tuple[Settings, Seen, ClusterMonitor | None]:
    """The settings with what watching implies, and what it gives to workloads and to a database cluster.

    Imports what only stacks need that somebody watches.
    """
    if settings.monitoring.kind == "none":
        return settings, UNSEEN, None
    from components.monitoring import scrapes as monitoring_scrapes
    from components.monitoring import setup as monitoring_setup

    made = monitoring_scrapes.with_numbers(settings)
    return made, monitoring_scrapes.seen(made), monitoring_setup.cluster_monitor(made)

"""Immich: settings and platform, then one component after the other, each given what it needs of those before."""

from __future__ import annotations

import gc

import pulumi

import components as immich
from components.monitoring.reading import reading_of
from components.proxy.doors import is_proxied
from components.proxy.exposure import direct
from components.server.app.file import app_file
from components.server.egress import server_egress
from components.settings.required_secrets import required_secrets
from components.stack.configuration import load_settings, stack_file
from components.stack.outputs import outputs
from components.stack.providers import platform_of, providers, render_directory
from components.upgrade.gate import judged_update

# Registering makes many objects and leaves few: to look for those after every 700 takes a quarter of the time.
gc.set_threshold(50_000)

# What the stack's file asks for, and whether the update may start.
stack = pulumi.get_stack()
settings = load_settings()
update = judged_update(settings, stack)
names = settings.host.names
in_front = any(is_proxied(name, settings.cloudflare) for name in names)
readers = settings.kubernetes.monitoring_namespace
reading = reading_of(settings)

# Where it runs.
with_providers = pulumi.ResourceOptions(providers=providers(settings, stack))
platform = platform_of(settings, stack, with_providers)
deployment = pulumi.ComponentResource("immich:index:Immich", "immich", {}, with_providers)
child = pulumi.ResourceOptions(parent=deployment)

secrets = immich.Secrets("secrets", immich.SecretsArgs(wanted=required_secrets(settings)), child)
storage = immich.Storage("storage", immich.StorageArgs(platform=platform, settings=settings.storage), child)
app = app_file(settings.app, settings.host, settings.server, settings.machine_learning, settings.backup)
if app is not None:
    platform.publish(app.secret, secrets.values, parent=deployment)

# The database starts after what an upgrade does before it: a backup of the data as they are.
database = immich.Database(
    "database",
    immich.DatabaseArgs(
        platform=platform,
        settings=settings.database,
        secrets=secrets,
        archive=settings.backup.archive if settings.backup is not None else None,
        start=False,
        monitoring_namespace=readers,
        monitor=reading.cluster,
        at_start=reading.at_start,
    ),
    child,
)
backup = immich.backup_of(
    settings,
    platform=platform,
    secrets=secrets,
    database=database.connection,
    stack=stack,
    stack_file=stack_file(),
    opts=child,
)
upgrade = immich.Upgrade(
    "upgrade",
    immich.UpgradeArgs(
        platform=platform,
        update=update,
        backup_steps=backup.steps_of(update.leaves) if backup is not None else (),
    ),
    child,
)
database.start(after=upgrade.before)
data_ready = upgrade.reindexed(settings, database.connection, database.ready)
if backup is not None:
    data_ready = (*data_ready, *backup.restore(data_ready))

cache = immich.Cache(
    "cache", immich.CacheArgs(platform=platform, settings=settings.cache, secrets=secrets), child
)
machine_learning = immich.MachineLearning(
    "machine-learning",
    immich.MachineLearningArgs(
        platform=platform,
        settings=settings.machine_learning,
        version=settings.server.version,
        libraries=storage.machine_learning_mounts,
        user=settings.server.user,
        group=settings.server.group,
        after=upgrade.before,
    ),
    child,
)
server = immich.Server(
    "server",
    immich.ServerArgs(
        platform=platform,
        settings=settings.server,
        database=database.connection,
        cache=cache.connection,
        machine_learning=machine_learning.service,
        mounts=storage.mounts,
        shared_media=storage.shared,
        app=app,
        egress=server_egress(settings.app),
        exposed=direct(settings.proxy, names, cloudflare_in_front=in_front),
        secrets=secrets,
        after=(*data_ready, *cache.ready),
        monitoring_namespace=readers,
        seen=reading.seen,
    ),
    child,
)
if backup is not None:
    backup.schedule(after=(server.ready,))

# Before any way in is opened: nobody but this makes the first administrator.
opens_after = server.ready
exports: dict[str, object] = {}
if settings.setup is not None and settings.setup.administrator is not None:
    setup = immich.Setup(
        "setup",
        immich.SetupArgs(
            platform=platform,
            settings=settings.setup,
            server=server.link,
            server_settings=settings.server,
            database=database.connection,
            secrets=secrets,
            after=(server.ready,),
        ),
        child,
    )
    opens_after = setup.ready
    exports |= setup.outputs

proxy = immich.Proxy(
    "proxy",
    immich.ProxyArgs(
        platform=platform,
        settings=settings.proxy,
        hostnames=names,
        https=settings.host.https,
        port=settings.host.port,
        server=server.link,
        tunnel=settings.cloudflare is not None and settings.cloudflare.tunnel is not None,
        cloudflare_in_front=in_front,
        secrets=secrets,
        sign_up=settings.setup is None,
        after=(opens_after,),
        monitoring_namespace=readers,
        seen=reading.seen,
    ),
    child,
)
exports |= {
    **outputs(settings, stack, render_directory(settings, stack)),
    "deployed": upgrade.output(server.ready),
}
if backup is not None and backup.password is not None:
    exports["backupPassword"] = backup.password
if settings.cloudflare is not None:
    cloudflare = immich.Cloudflare(
        "cloudflare",
        immich.CloudflareArgs(
            platform=platform,
            settings=settings.cloudflare,
            hostnames=names,
            service=proxy.tunnel_link,
            secrets=secrets,
            after=proxy.ready,
            monitoring_namespace=readers,
            seen=reading.seen,
        ),
        child,
    )
    exports |= cloudflare.outputs
if settings.monitoring.kind != "none":
    monitoring = immich.Monitoring(
        "monitoring",
        immich.MonitoringArgs(
            platform=platform,
            settings=settings,
            stack=stack,
            database=database.connection,
            cache=cache.connection,
            machine_learning=machine_learning.service,
            secrets=secrets,
            server=server.ready,
            token_ends=update.token_ends,
        ),
        child,
    )
    exports |= monitoring.outputs

# Who may talk to whom follows from all of the above, and which images have no digest.
platform.finish()
if platform.unpinned_images:
    exports["unpinnedImages"] = list(platform.unpinned_images)
for name, value in exports.items():
    pulumi.export(name, value)

"""Rules that hold between sections. Each is a pure function of the sections that it names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from components import versions
from components.cache.settings import BundledCache
from components.database.settings import BundledDatabase, CloudNativePg, ExternalDatabase
from components.fields.finding import Finding, Rule
from components.fields.resources import DEFAULTS
from components.machine_learning.settings import BundledMachineLearning
from components.model.values import ImageRef, Quantity
from components.proxy.settings import HttpRoute, PlainIngress, TraefikWay
from components.server.app.overrides import app_overrides
from components.server.settings import SplitWorkers
from components.settings.backup_rules import BACKUP_RULES
from components.settings.docker_rules import DOCKER_RULES
from components.settings.door_rules import DOOR_CHECKS
from components.settings.locations import WHEREABOUTS_RULES
from components.settings.monitoring_rules import MONITORING_RULES
from components.settings.names import NAME_RULES
from components.settings.required_secrets import wanted_secrets
from components.settings.secret_source import ExternalSecrets
from components.settings.sense_rules import SENSE_RULES
from components.settings.setup_rules import SETUP_RULES
from components.storage.settings import HostPath, Nfs, Smb, shared_by_nodes

if TYPE_CHECKING:
    from components.backup.settings import Backup
    from components.cache.settings import Cache
    from components.cloudflare.settings import Cloudflare
    from components.database.settings import Database
    from components.machine_learning.settings import MachineLearning
    from components.monitoring.settings import Monitoring
    from components.proxy.host_settings import Host
    from components.proxy.settings import Proxy
    from components.server.app.settings import AppConfig
    from components.server.settings import Server
    from components.settings.docker import Docker
    from components.settings.kubernetes import Kubernetes
    from components.settings.secret_source import SecretSource
    from components.setup.settings import Setup
    from components.storage.settings import Storage


RULES: list[Rule] = [
    *(Rule(("host", "proxy", "cloudflare"), check) for check in DOOR_CHECKS),
    *DOCKER_RULES,
    *BACKUP_RULES,
    *MONITORING_RULES,
    *NAME_RULES,
    *WHEREABOUTS_RULES,
    *SENSE_RULES,
    *SETUP_RULES,
]


def _rule(*sections: str) -> Callable[[Callable[..., Iterator[Finding]]], Callable[..., Iterator[Finding]]]:
    def register(check: Callable[..., Iterator[Finding]]) -> Callable[..., Iterator[Finding]]:
        RULES.append(Rule(sections, check))
        return check

    return register


@_rule("server", "storage", "docker")
def split_workers_share_media(server: Server, storage: Storage, docker: Docker | None) -> Iterator[Finding]:
    """Pods of both workers read and write the same files (docs/guides/scaling-immich.md)."""
    # On one host every container sees every volume.
    if docker is not None or not isinstance(server.workers, SplitWorkers):
        return
    for name, source in storage.sources():
        if shared_by_nodes(source) or (isinstance(source, HostPath) and server.placement.node_selector):
            continue
        if name.startswith("library-") and _read_only_library(storage, name):
            continue
        yield Finding(
            key="server.workers.kind",
            given="split",
            reason=f"several pods use the volume {name}, but it is {_describe(source)}, which only one node can mount",
            hint="use nfs, accessMode ReadWriteMany, or workers.kind combined "
            "(with hostPath: a server.placement.nodeSelector for the node that has it)",
        )


def _read_only_library(storage: Storage, name: str) -> bool:
    return any(
        f"library-{library.name}" == name
        and library.read_only
        and getattr(library.source, "access_mode", "") == "ReadOnlyMany"
        for library in storage.external_libraries
    )


def _describe(source: Any) -> str:
    return (
        "a hostPath"
        if isinstance(source, HostPath)
        else f"a {source.kind} with accessMode {source.access_mode}"
    )


@_rule("server")
def version_is_supported(server: Server) -> Iterator[Finding]:
    """Only releases whose differences are known."""
    if not versions.is_supported(server.version):
        yield Finding(
            key="server.version",
            given=server.version,
            reason=f"this program knows Immich {versions.SUPPORTED_TEXT}",
            hint=f"use {versions.NEWEST}, or upgrade this program first",
        )


@_rule("server", "machineLearning")
def images_are_in_lockstep(server: Server, machine_learning: MachineLearning) -> Iterator[Finding]:
    """Server and machine learning must be the same release (guides/remote-machine-learning.md)."""
    wanted = f"v{server.version}"
    if (
        server.image is not None
        and server.image.tag != wanted
        and not server.image.tag.startswith(f"{wanted}-")
    ):
        yield Finding(
            key="server.image",
            given=server.image.tag,
            reason=f"the tag must be {wanted} (or with a suffix), as server.version says: "
            "server and machine learning must be the same release",
        )
    if isinstance(machine_learning, BundledMachineLearning) and isinstance(machine_learning.image, ImageRef):
        suffixed = wanted if machine_learning.backend == "cpu" else f"{wanted}-{machine_learning.backend}"
        if machine_learning.image.tag != suffixed:
            yield Finding(
                key="machineLearning.image",
                given=machine_learning.image.tag,
                reason=f"the tag must be {suffixed}: the release that server.version says, "
                f"built for the backend {machine_learning.backend}",
            )


@_rule("server", "database")
def database_is_compatible(server: Server, database: Database) -> Iterator[Finding]:
    """PostgreSQL and VectorChord within the range that Immich enforces at boot, and an image that exists."""
    if not versions.is_supported(server.version):
        return
    if isinstance(database, ExternalDatabase):
        if database.postgres is not None and not versions.postgres_accepted(
            server.version, database.postgres
        ):
            yield Finding(
                key="database.postgres",
                given=str(database.postgres),
                reason=versions.postgres_range(server.version),
            )
    elif database.image is None:
        flavour = "bundled" if isinstance(database, BundledDatabase) else "cloudnative-pg"
        known = versions.database_images(flavour)
        if (str(database.postgres), database.vectorchord) not in known:
            listed = ", ".join(f"{postgres} with {vectorchord}" for postgres, vectorchord in known)
            yield Finding(
                key="database.postgres",
                given=f"{database.postgres} with vectorchord {database.vectorchord}",
                reason=f"no {flavour} image is known for that pair; known are PostgreSQL {listed}",
                hint="choose a pair of the list, or give database.image",
            )
    if database.vectorchord is not None and not versions.vectorchord_accepted(database.vectorchord):
        yield Finding(
            key="database.vectorchord",
            given=database.vectorchord,
            reason=f"Immich {server.version} accepts VectorChord {versions.VECTORCHORD_RANGE}",
            hint="upgrade the extension in that database first (ALTER EXTENSION vchord UPDATE)"
            if isinstance(database, ExternalDatabase)
            else "leave it out, or choose one of the table in docs/settings.md",
        )


@_rule("cache")
def cache_fits_its_limit(cache: Cache) -> Iterator[Finding]:
    """`maxmemory` is refused work; a container's limit is a killed server."""
    if isinstance(cache, BundledCache):
        limit = cache.resources.over(DEFAULTS["cache"]).limits.memory
        if limit is not None and cache.max_memory.amount * 5 > limit.amount * 4:
            yield Finding(
                key="cache.maxMemory",
                given=cache.max_memory,
                reason=f"must be at most 80 % of the memory limit {limit}, or the container is killed before that",
            )


@_rule("server", "machineLearning", "database", "cache", "proxy")
def requests_fit_default_limits(
    server: Server, machine_learning: MachineLearning, database: Database, cache: Cache, proxy: Proxy
) -> Iterator[Finding]:
    """A request above a limit that was not given would be cut down to that limit without a word."""
    split = isinstance(server.workers, SplitWorkers)
    given = [("server.resources", "microservices" if split else "server", server.resources)]
    if isinstance(server.workers, SplitWorkers):
        given.append(("server.workers.apiResources", "api", server.workers.api_resources))
    if isinstance(machine_learning, BundledMachineLearning):
        given.append(("machineLearning.resources", "machineLearning", machine_learning.resources))
    if not isinstance(database, ExternalDatabase):
        given.append(("database.resources", "database", database.resources))
    if isinstance(cache, BundledCache):
        given.append(("cache.resources", "cache", cache.resources))
    given.append(("proxy.resources", "proxy", proxy.resources))
    for key, container, resources in given:
        for name in ("cpu", "memory"):
            request: Quantity | None = getattr(resources.requests, name)
            limit: Quantity | None = getattr(resources.limits, name)
            default: Quantity | None = getattr(DEFAULTS[container].limits, name)
            if (
                request is not None
                and limit is None
                and default is not None
                and request.amount > default.amount
            ):
                yield Finding(
                    key=f"{key}.requests.{name}",
                    given=request,
                    reason=f"is more than the default limit {default}",
                    hint=f"pulumi config set --path 'immich:{key}.limits.{name}' {request}",
                )


@_rule("host", "proxy")
def routes_have_names(host: Host, proxy: Proxy) -> Iterator[Finding]:
    """A route for localhost is no route."""
    for index, way in enumerate(proxy.expose):
        if not isinstance(way, HttpRoute | PlainIngress | TraefikWay):
            continue
        for name in way.hostnames or host.names:
            if name.is_ip:
                yield Finding(
                    key=f"proxy.expose[{index}].hostnames",
                    given=name,
                    reason=f"a {way.kind} is chosen by a name, and this is an address",
                    hint="give hostnames, or expose a loadBalancer",
                )
        if not way.hostnames and host.name == "localhost":
            yield Finding(
                key=f"proxy.expose[{index}].hostnames",
                reason=f"a {way.kind} needs a host name",
                hint="pulumi config set --path 'immich:host.name' photos.example.com",
            )


@_rule("secrets", "database", "cache", "backup", "app", "cloudflare", "proxy", "monitoring", "setup")
def secrets_elsewhere_are_named(  # noqa: PLR0917 - one for each section
    secrets: SecretSource,
    database: Database,
    cache: Cache,
    backup: Backup | None,
    app: AppConfig | None,
    cloudflare: Cloudflare | None,
    proxy: Proxy,
    monitoring: Monitoring,
    setup: Setup | None,
) -> Iterator[Finding]:
    """With an external store nothing is made at random, so each secret needs its item; existing ones are used."""
    wanted = wanted_secrets(database, cache, backup, app, cloudflare, proxy, monitoring, setup)
    if isinstance(secrets, ExternalSecrets):
        for key in wanted:
            if key not in secrets.values:
                yield Finding(
                    key=f"secrets.values.{key}",
                    reason="is needed but not given: the item in the external store",
                    hint=f"pulumi config set --path 'immich:secrets.values.{key}.key' <item>",
                )
        given, where = [*secrets.values], "values"
    else:
        given, where = [*secrets.existing], "existing"
        # A setup without an administrator has no keys.
        if "setupApiKey" in given and "setupApiKey" in wanted:
            yield Finding(
                key="secrets.existing.setupApiKey",
                reason="the keys and passwords of immich:setup are derived of it, for which its value has to be known",
                hint="pulumi config rm --path 'immich:secrets.existing.setupApiKey': it is made at random",
            )
        owner = secrets.existing.get("databasePassword")
        if isinstance(database, CloudNativePg) and owner is not None and owner.key != "password":
            yield Finding(
                key="secrets.existing.databasePassword.key",
                given=owner.key,
                reason="CloudNativePG reads the entries username and password of the Secret of a role",
                hint="pulumi config rm --path 'immich:secrets.existing.databasePassword.key'",
            )
    for key in given:
        if key not in wanted:
            yield Finding(
                key=f"secrets.{where}.{key}",
                reason=f"nothing uses it; wanted are {', '.join(wanted) or 'none'}",
            )


@_rule("app", "storage")
def network_folders_are_not_watched(app: AppConfig | None, storage: Storage) -> Iterator[Finding]:
    """inotify sees no change on NFS or SMB, and the watcher can hang the start (docs/features/libraries.md)."""
    if app is None or not app.watches_libraries:
        return
    for library in storage.external_libraries:
        if isinstance(library.source, Nfs | Smb):
            yield Finding(
                key="app.library.watch.enabled",
                given="true",
                reason=f"the library {library.name} is on {library.source.kind}, where changes cannot be watched",
                hint="set it to false and use app.library.scan.cronExpression",
            )


@_rule("kubernetes")
def allowances_need_cilium(kubernetes: Kubernetes) -> Iterator[Finding]:
    """A plain NetworkPolicy cannot say it for nodes, and pods need none for NFS."""
    if kubernetes.lan_allowances and kubernetes.network_policies != "cilium":
        yield Finding(
            key="kubernetes.lanAllowances",
            given=f"networkPolicies {kubernetes.network_policies}",
            reason="only the cilium flavour makes them",
            hint="set kubernetes.networkPolicies to cilium, or leave them out",
        )


@_rule("kubernetes", "server", "machineLearning")
def pod_security_is_possible(
    kubernetes: Kubernetes, server: Server, machine_learning: MachineLearning
) -> Iterator[Finding]:
    """A device of the host is admitted at the level privileged only (Pod Security Standards)."""
    if kubernetes.pod_security in {"auto", "privileged"}:
        return
    opened = [("server.acceleration", server.acceleration, server.gpu)]
    if isinstance(machine_learning, BundledMachineLearning):
        opened.append(("machineLearning.backend", machine_learning.backend, machine_learning.gpu))
    for key, backend, gpu in opened:
        if paths := gpu.opened(backend):
            yield Finding(
                key="kubernetes.podSecurity",
                given=kubernetes.pod_security,
                reason=f"{key} {backend} opens {', '.join(paths)} of the host, which only the level privileged admits",
                hint="use auto or privileged, or name the resource of a device plugin",
            )


@_rule("app", "host", "server", "machineLearning")
def app_agrees_with_the_program(
    app: AppConfig | None, host: Host, server: Server, machine_learning: MachineLearning
) -> Iterator[Finding]:
    """What other sections decide is not said differently in Immich's own file."""
    if app is None:
        return
    from components.server.app.settings import AppConfigConflictError

    try:
        app.render(app_overrides(app, host, server, machine_learning, None))
    except AppConfigConflictError as error:
        for conflict in error.conflicts:
            yield Finding(
                key=f"app.{conflict.path}",
                given=json.dumps(conflict.given),
                reason=f"other sections make it {json.dumps(conflict.implied)}",
                hint="leave it out: it follows immich:host, server and machineLearning",
            )


@_rule("cloudflare", "host", "proxy")
def cloudflare_leads_to_immich(cloudflare: Cloudflare | None, host: Host, proxy: Proxy) -> Iterator[Finding]:
    """Names in the zone, by https, and something that answers at the tunnel's end."""
    if cloudflare is None:
        return
    from components.settings.cloudflare_checks import findings

    yield from findings(cloudflare, host, proxy)

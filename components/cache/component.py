"""Valkey for job queues and cache: bundled or external. The only writer of `REDIS_*` variables."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import pulumi

from components import versions
from components.cache.settings import BundledCache, ExternalCache
from components.model.connection import Connection
from components.model.secret_text import SecretPart, SecretText
from components.model.specs import PublishedSecret
from components.model.values import Quantity
from components.model.workload import (
    CommandCheck,
    Egress,
    Ingress,
    Link,
    Mount,
    Port,
    Probe,
    Scratch,
    SecretFiles,
    VolumeRequest,
    Workload,
)
from components.model.workload import Storage as Mounted
from components.platform.base import Platform
from components.secrets.component import Secrets, own_secrets
from components.sizing import healthy, placement, resources

NAME = "cache"
PASSWORD = "cachePassword"
_FOLDER = "/run/secrets/cache"
_VALKEY_UID = 999
_URL_PREFIX = "ioredis://"


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheArgs:
    """What `Cache` is made of."""

    platform: Platform
    """Where it runs: a `KubernetesPlatform` or a `DockerPlatform`."""
    settings: BundledCache | ExternalCache = field(default_factory=BundledCache)
    """Which kind, and its details, as the section `immich:cache` has them; values of other resources may be outputs."""
    password: pulumi.Input[str] | None = None
    """Its password; None makes one at random. Not used with `secrets`."""
    secrets: Secrets | None = None
    """Secrets of a deployment, `cachePassword` among them; None makes the component's own."""
    allow: tuple[Ingress, ...] = ()
    """Who may connect beside the components that are given its `connection`; with a bundled one."""


class Cache(pulumi.ComponentResource):
    """The cache, Valkey. Job queues live in it, so nothing is evicted and everything is written to disk.

    On a cluster: StatefulSet, Service, PersistentVolumeClaim and Secret; of an external one the Secret alone.
    On a host: a container with a volume, and a network with those that connect.
    """

    connection: Connection
    """For the server: variables, files, links."""
    ready: tuple[pulumi.Resource, ...]
    """What the server waits for."""
    host: pulumi.Output[str]
    """Host name or address, as workloads that may connect reach it."""
    port: pulumi.Output[int]
    """TCP port."""
    password: pulumi.Output[str] | None
    """Its password, secret; None without one, or where an external store has it."""
    url: pulumi.Output[str]
    """`redis://` with host, port and database, without the password; `rediss://` with TLS."""

    def __init__(self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Cache", name, {}, opts)
        self._name, self._allow, settings = name, args.allow, args.settings
        given = {PASSWORD: args.password} if isinstance(settings, BundledCache) or settings.password else {}
        secrets = args.secrets or own_secrets(name, given, pulumi.ResourceOptions(parent=self))
        host: pulumi.Input[str]
        match settings:
            case BundledCache():
                host, port, scheme, number = args.platform.full_address(name), 6379, "redis", 0
                self._bundled(args.platform, settings, secrets)
            case ExternalCache():
                host, port, number = settings.host, settings.port, settings.database
                scheme = "rediss" if settings.tls else "redis"
                self._external(args.platform, settings, secrets)
        self.host, self.port = pulumi.Output.from_input(host), pulumi.Output.from_input(port)
        self.password = secrets.value(PASSWORD)
        self.url = pulumi.Output.format("{0}://{1}:{2}/{3}", scheme, self.host, self.port, number)
        self.register_outputs(
            {"host": self.host, "port": self.port, "password": self.password, "url": self.url}
        )

    def _bundled(self, platform: Platform, settings: BundledCache, secrets: Secrets) -> None:
        name = self._name
        platform.publish(
            PublishedSecret(
                name=name,
                items={"password": SecretText.of(PASSWORD), "valkey.conf": configuration(settings)},
            ),
            secrets.values,
            parent=self,
        )
        platform.volume(
            VolumeRequest(name=name, size=settings.size, storage_class=settings.storage_class), parent=self
        )
        ready = platform.workload(
            replace(workload(settings, name), ingress=self._allow),
            parent=self,
            fingerprints=secrets.fingerprints((PASSWORD,)),
        )
        self.ready = (ready,)
        self.connection = Connection(
            env={
                "REDIS_HOSTNAME": platform.address(name),
                "REDIS_PORT": "6379",
                "REDIS_PASSWORD_FILE": f"{_FOLDER}/password",
            },
            mounts=(SecretFiles(secret=name, path=_FOLDER, items={"password": "password"}),),
            link=Link(to=name, port=6379),
            egress=(),
            secrets=(PASSWORD,),
        )

    def _external(self, platform: Platform, settings: ExternalCache, secrets: Secrets) -> None:
        self.ready = ()
        self.connection = external_connection(settings, self._name)
        if settings.password:
            item = {"url": external_url(settings)} if settings.tls else {"password": SecretText.of(PASSWORD)}
            platform.publish(PublishedSecret(name=self._name, items=item), secrets.values, parent=self)


def configuration(settings: BundledCache) -> SecretText:
    """valkey.conf. The password is in it, so it is a secret file as a whole."""
    lines = [
        "port 6379",
        "dir /data",
        # Immich's job queues (BullMQ) lose jobs under any policy that evicts.
        "maxmemory-policy noeviction",
        f"maxmemory {int(settings.max_memory.amount)}",
        "appendonly yes",
        "appendfsync everysec",
        "save 900 1 300 100",
        "protected-mode no",
        "requirepass ",
    ]
    # Quoted as JSON, which Valkey reads alike: a bare password with a quote or a space would be refused.
    return SecretText(parts=("\n".join(lines), SecretPart(key=PASSWORD, quoted=True), "\n"))


def workload(settings: BundledCache, name: str = NAME) -> Workload:
    """One Valkey with its append-only file on a volume."""
    ping = ("sh", "-c", f'REDISCLI_AUTH="$(cat {_FOLDER}/password)" valkey-cli ping | grep -q PONG')
    return Workload(
        name=name,
        image=settings.image or versions.current("valkey"),
        resources=resources("cache", settings.resources),
        user=_VALKEY_UID,
        group=_VALKEY_UID,
        args=("valkey-server", f"{_FOLDER}/valkey.conf"),
        ports=(Port(name="redis", number=6379),),
        liveness=Probe(check=CommandCheck(command=ping), failures=6, startup_budget=300),
        readiness=healthy(Probe(check=CommandCheck(command=ping)), settings.health),
        stateful=True,
        exclusive=True,
        mounts=(
            Mounted(volume=name, path="/data"),
            SecretFiles(
                secret=name, path=_FOLDER, items={"password": "password", "valkey.conf": "valkey.conf"}
            ),
            Scratch(path="/tmp", size=Quantity("64Mi")),
        ),
        termination_grace=60,
        start_timeout=420,
        placement=placement(settings.placement),
    )


def external_connection(settings: ExternalCache, of: str = NAME) -> Connection:
    """Variables for a Redis elsewhere. TLS can only be said in `REDIS_URL`, which then holds the password too."""
    outside = Egress.to_host("the external cache", settings.host, settings.port)
    if settings.tls and settings.password:
        return Connection(
            env={},
            mounts=(SecretFiles(secret=of, path=_FOLDER, items={"url": "url"}),),
            link=None,
            egress=(outside,),
            secrets=(PASSWORD,),
            url_file=f"{_FOLDER}/url",
        )
    if settings.tls:
        return Connection(
            env={"REDIS_URL": external_url(settings).resolve({})},
            mounts=(),
            link=None,
            egress=(outside,),
            secrets=(),
        )
    env = {
        "REDIS_HOSTNAME": str(settings.host),
        "REDIS_PORT": str(settings.port),
        "REDIS_DBINDEX": str(settings.database),
    }
    if settings.username is not None:
        env["REDIS_USERNAME"] = settings.username
    mounts: tuple[Mount, ...] = ()
    if settings.password:
        env["REDIS_PASSWORD_FILE"] = f"{_FOLDER}/password"
        mounts = (SecretFiles(secret=of, path=_FOLDER, items={"password": "password"}),)
    return Connection(
        env=env, mounts=mounts, link=None, egress=(outside,), secrets=(PASSWORD,) if settings.password else ()
    )


def external_url(settings: ExternalCache) -> SecretText:
    """`ioredis://` with base64 of ioredis' options: the only form of `REDIS_URL` that Immich reads."""
    options: dict[str, object] = {
        "host": settings.host,
        "port": settings.port,
        "db": settings.database,
        "tls": {"servername": settings.host},
    }
    if settings.username is not None:
        options["username"] = settings.username
    text = json.dumps(options, sort_keys=True)
    if not settings.password:
        return SecretText(parts=(text,), base64_prefix=_URL_PREFIX)
    parts = (text.removesuffix("}") + ', "password": ', SecretPart(key=PASSWORD, quoted=True), "}")
    return SecretText(parts=parts, base64_prefix=_URL_PREFIX)

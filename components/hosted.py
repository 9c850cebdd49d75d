"""The components with plain arguments, as `plugin/` offers them to programs in every language.

Their schema is inferred from annotations (pulumi.provider.experimental). That knows texts, numbers, lists and maps, no
models and no platforms: here the platform is two arguments, and the rest of a component's details is `settings`, as the
section of a stack's file has it. Annotations are read as they are: no `from __future__ import annotations`.
"""

from collections.abc import Mapping
from typing import Any, TypedDict, TypeVar

import pulumi
from pydantic import TypeAdapter

import components as immich
from components.cache.settings import BundledCache, ExternalCache
from components.cache.settings import Cache as CacheSettings
from components.cloudflare.settings import Cloudflare as CloudflareSettings
from components.database.settings import BundledDatabase, CloudNativePg, ExternalDatabase
from components.database.settings import Database as DatabaseSettings
from components.machine_learning.settings import (
    BundledMachineLearning,
    ExternalMachineLearning,
    NoMachineLearning,
)
from components.machine_learning.settings import MachineLearning as MachineLearningSettings
from components.model.values import Hostname
from components.proxy.settings import Proxy as ProxySettings

_Model = TypeVar("_Model")
_DATABASE: TypeAdapter[BundledDatabase | CloudNativePg | ExternalDatabase] = TypeAdapter(DatabaseSettings)
_CACHE: TypeAdapter[BundledCache | ExternalCache] = TypeAdapter(CacheSettings)
_MACHINE_LEARNING: TypeAdapter[BundledMachineLearning | ExternalMachineLearning | NoMachineLearning] = (
    TypeAdapter(MachineLearningSettings)
)
_PROXY = TypeAdapter(ProxySettings)
_CLOUDFLARE = TypeAdapter(CloudflareSettings)


class PlatformArgs(TypedDict):
    """Where a component runs; one of both."""

    namespace: str | None
    """Namespace of a cluster; it is made, and isolated. The resource's provider `kubernetes` says which cluster."""
    host: str | None
    """On one machine: what names begin with, after `immich-`. The resource's provider `docker` says which engine."""
    allowNamespaces: list[str] | None
    """Namespaces of a cluster whose pods may connect."""
    allowNetworks: list[str] | None
    """On one machine: networks of the engine whose containers may connect."""
    settings: dict[str, Any] | None
    """Details, as the section of a stack's file has them (docs/settings.md)."""


class PasswordArgs(PlatformArgs):
    """A component with a password."""

    password: pulumi.Input[str] | None
    """None makes one at random."""


class MachineLearningArgs(PlatformArgs):
    """What `MachineLearning` is made of."""

    version: str
    """Release of Immich, such as 3.3.1."""


class ProxyArgs(PlatformArgs):
    """What `Proxy` is made of."""

    hostnames: list[str]
    """Public names, the main one first."""
    https: bool | None
    """Whether people come by https; true where it is left out."""
    port: int | None
    """The port that people type; the scheme's own where it is left out."""
    server: pulumi.Input[str]
    """Host name or address of an Immich that exists."""
    serverPort: int | None
    """Its port; 2283 where it is left out."""


class CloudflareArgs(PlatformArgs):
    """What `Cloudflare` is made of; `settings` has at least accountId, zone and zoneId."""

    hostnames: list[str]
    """Public names, the main one first."""
    service: str
    """Host name or address of what the tunnel leads to."""
    servicePort: int
    """Its port."""


class Database(pulumi.ComponentResource):
    """PostgreSQL with VectorChord: bundled, kept by CloudNativePG, or external."""

    host: pulumi.Output[str]
    port: pulumi.Output[int]
    username: pulumi.Output[str]
    password: pulumi.Output[str]

    def __init__(self, name: str, args: PasswordArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Database", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        with _platform(name, args, child) as platform:
            made = immich.Database(
                name,
                immich.DatabaseArgs(
                    platform=platform,
                    settings=_settings(_DATABASE, args),
                    password=args.get("password"),
                    allow=_allowed(args, 5432),
                ),
                child,
            )
        assert made.password is not None, "only an external store hides it"
        self.host, self.port, self.username, self.password = (
            made.host,
            made.port,
            made.username,
            made.password,
        )
        self.register_outputs(
            {"host": self.host, "port": self.port, "username": self.username, "password": self.password}
        )


class Cache(pulumi.ComponentResource):
    """Valkey for job queues and cache, or an external Redis."""

    host: pulumi.Output[str]
    url: pulumi.Output[str]

    def __init__(self, name: str, args: PasswordArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Cache", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        with _platform(name, args, child) as platform:
            made = immich.Cache(
                name,
                immich.CacheArgs(
                    platform=platform,
                    settings=_settings(_CACHE, args),
                    password=args.get("password"),
                    allow=_allowed(args, 6379),
                ),
                child,
            )
        self.host, self.url = made.host, made.url
        self.register_outputs({"host": self.host, "url": self.url})


class MachineLearning(pulumi.ComponentResource):
    """Immich's machine learning, on CPU or GPU."""

    url: pulumi.Output[str]

    def __init__(
        self, name: str, args: MachineLearningArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("immich:index:MachineLearning", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        with _platform(name, args, child) as platform:
            made = immich.MachineLearning(
                name,
                immich.MachineLearningArgs(
                    platform=platform,
                    settings=_settings(_MACHINE_LEARNING, args),
                    version=args["version"],
                    allow=_allowed(args, 3003),
                ),
                child,
            )
        if made.url is None:
            raise ValueError(f"{name}: settings.kind none makes nothing")
        self.url = made.url
        self.register_outputs({"url": self.url})


class Proxy(pulumi.ComponentResource):
    """nginx in front of an Immich that exists."""

    urls: pulumi.Output[list[str]]

    def __init__(self, name: str, args: ProxyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Proxy", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        with _platform(name, args, child) as platform:
            made = immich.Proxy(
                name,
                immich.ProxyArgs(
                    platform=platform,
                    settings=_settings(_PROXY, args),
                    hostnames=tuple(args["hostnames"]),
                    https=args.get("https") is not False,
                    port=None if (port := args.get("port")) is None else int(port),
                    server=immich.ExternalService(
                        host=args["server"], port=int(args.get("serverPort") or 2283)
                    ),
                ),
                child,
            )
        self.urls = pulumi.Output.from_input(list(made.urls))
        self.register_outputs({"urls": self.urls})


class Cloudflare(pulumi.ComponentResource):
    """Cloudflare Tunnel, DNS and Access in front of any service."""

    hostnames: pulumi.Output[list[str]]

    def __init__(self, name: str, args: CloudflareArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("immich:index:Cloudflare", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        with _platform(name, args, child) as platform:
            made = immich.Cloudflare(
                name,
                immich.CloudflareArgs(
                    platform=platform,
                    settings=_settings(_CLOUDFLARE, args),
                    hostnames=tuple(Hostname(one) for one in args["hostnames"]),
                    service=immich.ExternalService(host=args["service"], port=int(args["servicePort"])),
                ),
                child,
            )
        self.hostnames = pulumi.Output.from_input(list(made.hostnames))
        self.register_outputs({"hostnames": self.hostnames})


def _platform(
    name: str, args: Mapping[str, Any], opts: pulumi.ResourceOptions
) -> immich.KubernetesPlatform | immich.DockerPlatform:
    """Raises `ValueError` for none or both."""
    namespace, host = args.get("namespace"), args.get("host")
    if (namespace is None) == (host is None):
        raise ValueError(f"{name}: give namespace (a cluster) or host (one machine)")
    if namespace is not None:
        return immich.KubernetesPlatform(name, immich.KubernetesPlatformArgs(namespace=namespace), opts)
    return immich.DockerPlatform(name, immich.DockerPlatformArgs(stack=str(host)), opts)


def _settings(model: TypeAdapter[_Model], args: Mapping[str, Any]) -> _Model:
    """Raises `pydantic.ValidationError` for a value that the section of a stack's file would not take."""
    return model.validate_python(args.get("settings") or {})


def _allowed(args: Mapping[str, Any], port: int) -> tuple[immich.Ingress, ...]:
    return (
        *(
            immich.Ingress(reason=f"namespace {one}", port=port, namespace=one)
            for one in args.get("allowNamespaces") or ()
        ),
        *(
            immich.Ingress(reason=f"network {one}", port=port, network=one)
            for one in args.get("allowNetworks") or ()
        ),
    )

"""Another value for every setting, and what a change of it may do to data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from components.model.values import Cpu, Quantity
from tests.harness.setting_leaves import ABSENT, Place, changed
from tests.harness.variants import refusals

_DIGEST = "sha256:" + "a" * 64
_STORE = {"destinationPath": "s3://bucket/immich"}
_NFS = {"kind": "nfs", "server": "10.3.3.3", "path": "/export/another"}
_ANOTHER_VOLUME = {"kind": "volume", "size": "7Gi"}
_SOURCES = (_NFS, _ANOTHER_VOLUME)
_ITEMS = (
    *("databasePassword", "cachePassword", "metricsPassword", "grafanaPassword", "alertWebhookUrl"),
    *("backupPassword", "backupAccessKeyId", "backupSecretAccessKey", "backupSshKey", "backupRestPassword"),
)
"""What the variant `bundled` takes from an external store."""

VALUES: Mapping[str, Sequence[object]] = {
    "immich:database": (
        {"kind": "external", "host": "10.3.3.4"},
        {"kind": "external", "host": "10.3.3.4", "postgres": 18, "vectorchord": "1.1.1"},
        {"kind": "bundled"},
    ),
    "immich:cache": ({"kind": "external", "host": "10.3.3.5", "password": False}, {"kind": "bundled"}),
    "immich:machineLearning": ({"kind": "off"}, {"kind": "bundled"}),
    "immich:secrets": (
        {"kind": "pulumi"},
        {
            "kind": "external-secrets",
            "store": {"name": "another"},
            "values": {key: {"key": key} for key in ("databasePassword", "cachePassword")},
        },
        {
            "kind": "external-secrets",
            "store": {"name": "another"},
            "values": {key: {"key": key} for key in _ITEMS},
        },
    ),
    "immich:backup": (ABSENT, {"archive": {"objectStore": _STORE}}),
    "Storage.media": _SOURCES,
    "Storage.thumbs": _SOURCES,
    "Storage.encodedVideo": _SOURCES,
    "Storage.profile": _SOURCES,
    "Storage.backups": _SOURCES,
    "ExternalLibrary.source": _SOURCES,
    "Storage.externalLibraries": ((), ({"name": "more", "mountPath": "/mnt/more", "source": _NFS},)),
    "ExternalLibrary.mountPath": ("/mnt/another",),
    "Server.version": ("3.3.1", "3.2.2", "2.5.4", "3.2.0"),
    "Server.timezone": ("Asia/Tokyo",),
    "Server.workers": ({"kind": "combined"}, {"kind": "split"}),
    "Metrics.include": (("host", "job"),),
    "Proxy.expose": (({"kind": "clusterIp"},), ({"kind": "clusterIp"}, {"kind": "loadBalancer"})),
    "Proxy.sites": ((), ({"hostname": "shop.example.com", "to": "http://10.0.0.9:8081"},)),
    "Site.to": ("https://10.0.0.10:8443",),
    "Proxy.tls": (ABSENT, {"kind": "secret", "name": "photos-tls"}),
    "Placement.tolerations": ((), ({"key": "gpu", "operator": "Exists"},)),
    "Toleration.operator": ("Exists",),
    "Toleration.value": ("music",),
    "ExternalMachineLearning.urls": (("https://another.example.com",),),
    "ExternalDatabase.vectorchord": ("1.0.0", "0.4.3"),
    "ExternalDatabase.caCertificate": ("-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----\n",),
    "BundledDatabase.postgres": (16, 17, 14),
    "BundledDatabase.vectorchord": ("0.5.3", "0.4.3"),
    "CloudNativePg.postgres": ("17.6", "18.3", "18.2"),
    "CloudNativePg.vectorchord": ("1.1.1", "0.5.3", "1.1.0", "1.0.0"),
    "BundledMachineLearning.backend": ("openvino", "cpu", "cuda"),
    "Backup.volume": _SOURCES,
    "Backup.targets": (({"name": "another", "kind": "local", "source": _NFS},),),
    "Backup.checkSubset": ("20%",),
    "Files.externalLibraries": ((),),
    "LocalTarget.source": _SOURCES,
    "SftpTarget.knownHosts": ("nas.lan ssh-ed25519 BBBB",),
    "RestTarget.url": ("https://another.example.com",),
    "RcloneTarget.remote": ("drive:another",),
    "RcloneTarget.hosts": (("another.example.com",),),
    "Backup.archive": (ABSENT, {"objectStore": _STORE}),
    "S3Target.endpointUrl": ("https://s3.another.example.com",),
    "immich:restore": (ABSENT, {"what": "database"}),
    "Restore.from": ("2026-11-20",),
    "immich:capacity": (ABSENT, {"total": "2T"}),
    "Lineage.kept": ((),),
    "Lineage.recover": ({"from": "latest"},),
    "Recover.from": ("latest", "20261121T020000"),
    "Upgrade.acknowledge": ("3.0.0",),
    "Upgrade.withoutBackup": ("3.3.1", "3.2.2"),
    "Upgrade.databaseAt": ("3.2.2", "2.5.5"),
    "Upgrade.databaseMovedTo": ("bundled-18",),
    "immich:setup": (ABSENT, {"administrator": {"email": "ada@example.com", "name": "Ada"}}),
    "Setup.administrator": ({"email": "another@example.com", "name": "Another"},),
    "Setup.people": ((), ({"email": "bob@example.com", "name": "Another"},)),
    "Setup.libraries": ((),),
    "Setup.keys": ((),),
    **dict.fromkeys(("Administrator.email", "Person.email"), ("another@example.com",)),
    **dict.fromkeys(("Library.owner", "ApiKey.owner"), ("ada@example.com", "bob@example.com")),
    **dict.fromkeys(
        (
            *("Administrator.name", "Administrator.storageLabel", "Administrator.resetPassword"),
            *("Person.name", "Person.storageLabel", "Person.resetPassword", "Library.name", "ApiKey.renew"),
        ),
        ("another", ABSENT),
    ),
    "Library.importPaths": (("/mnt/albums/another",),),
    "Library.exclusionPatterns": (("**/another/**",),),
    "ApiKey.scopes": (("asset.read",),),
    "Removals.people": (("another@example.com",),),
    "Removals.libraries": (("Another",),),
    "Archive.schedule": ("0 30 4 * * *",),
    "Archive.retention": ("60d",),
    "ObjectStore.destinationPath": ("s3://another/immich",),
    "ObjectStore.endpointUrl": ("https://s3.another.example.com", ABSENT),
    "ExternalSecrets.values": (
        {
            "databasePassword": {"key": "another"},
            "cachePassword": {"key": "another"},
            "cloudflareApiToken": {"key": "another"},
        },
        {"databasePassword": {"key": "another"}, "cachePassword": {"key": "another"}},
    ),
    "ExternalSecrets.names": ({"database": "another"},),
    "Kubernetes.lanAllowances": ((), ({"address": "192.168.1.9"},)),
    "Smb.source": ("//nas/another",),
    "Smb.mountOptions": (("vers=3.0", "uid=1000", "gid=1000"),),
    "Nfs.mountOptions": (("nfsvers=4.1",),),
    "GpuAccess.groups": ((33,),),
    "LoadBalancer.address": ("192.168.1.99", ABSENT),
    "LoadBalancer.proxyProtocol": (),
    "HttpRoute.fromNodes": (False, True),
    "TraefikRoute.entryPoints": (("web",),),
    "TraefikRoute.entryPointReadTimeout": ("30m",),
    "ForwardAuth.address": ("http://another.auth:80/",),
    "ForwardAuth.paths": (("/user-settings",),),
    "CrowdSec.lapiHost": ("lapi.crowdsec:8080",),
    "Host.aliases": (("another.example.com",), ()),
    "Docker.host": ("ssh://deploy@another.example.com", "tcp://10.0.0.8:2376"),
    "Docker.sshOptions": (("-v",), ()),
    "Docker.subnet": ("10.79.1.0/24", ABSENT),
    "Docker.networks": ({"cache": {"subnet": "10.78.6.0/24"}}, {}),
    "Docker.dns": (("192.168.1.2",),),
    "Docker.gpuRequests": ("cdi", ABSENT),
    "NetworkSettings.subnet": ("10.78.7.0/24",),
    "Logs.maxSize": ("30M",),
    "PublishedPort.address": ("192.168.1.11",),
    "TlsAcme.email": ("another@example.com",),
    "TlsAcme.server": ("https://another.example.com/directory",),
    "TlsFiles.certificate": ("live/another/fullchain.pem",),
    "TlsFiles.key": ("live/another/privkey.pem",),
    "TraefikLabels.entryPoints": (("web",),),
    "TraefikLabels.entryPointReadTimeout": ("30m",),
    "GpuAccess.ids": (("1",),),
    "immich:monitoring": ({"kind": "none"}, {"kind": "bundled"}),
    "ScrapeOnly.interval": ("45s",),
    "OperatorMonitoring.interval": ("45s",),
    "BundledMonitoring.interval": ("45s",),
    "ScrapeOnly.address": ("100.64.0.1", ABSENT),
    "ScrapeOnly.ports": ({"valkey": 19121}, {}),
    "ScrapeOnly.jobs": ({"api": "photos"}, {}),
    "ScrapeOnly.images": ({"valkey": f"registry.example.com/another:1@{_DIGEST}"}, {}),
    "OperatorMonitoring.labels": ({"release": "another"}, {}),
    "OperatorMonitoring.dashboardLabels": ({"grafana_dashboard": "yes"},),
    "OperatorMonitoring.images": ({"valkey": f"registry.example.com/another:1@{_DIGEST}"}, {}),
    "BundledMonitoring.images": ({"valkey": f"registry.example.com/another:1@{_DIGEST}"}, {}),
    "BundledMonitoring.retention": ("20d",),
    "Grafana.address": ("192.168.1.11",),
    "Notify.hosts": (("hooks.example.com",),),
}
"""Values to change a setting to, tried in this order before those that its type suggests."""

PAIRED: Mapping[str, Sequence[Mapping[str, object]]] = {
    "LoadBalancer.proxyProtocol": (
        {"proxyProtocol": True, "trustedSources": ["192.168.1.3/32"]},
        {"proxyProtocol": False, "trustedSources": []},
    ),
    "LoadBalancer.trustedSources": (
        {"proxyProtocol": False, "trustedSources": []},
        {"proxyProtocol": True, "trustedSources": ["192.168.1.4/32"]},
    ),
    "HttpRoute.fromNodes": ({"fromNodes": True, "sourceRanges": ["10.5.0.0/16"]},),
    "Toleration.operator": ({"operator": "Exists", "value": None},),
    "TraefikRoute.certResolver": ({"certResolver": "another", "tlsSecret": None},),
    "GpuAccess.resource": ({"resource": "another.example.com/gpu", "devices": None},),
    "GpuAccess.devices": ({"devices": ["/dev/dri/renderD129"], "resource": None},),
    "BundledDatabase.postgres": ({"postgres": 17, "vectorchord": "0.5.3", "image": None},),
    "BundledDatabase.vectorchord": ({"postgres": 18, "vectorchord": "1.1.1", "image": None},),
    "CloudNativePg.postgres": ({"postgres": "17.6", "vectorchord": "0.5.3", "image": None},),
    "CloudNativePg.vectorchord": ({"postgres": "17.6", "vectorchord": "0.5.3", "image": None},),
    "Server.version": ({"version": "3.3.1", "image": None}, {"version": "3.2.2", "image": None}),
    "Server.image": ({"version": "3.3.1", "image": None},),
    "Lineage.generation": (
        {"generation": 2, "kept": [1]},
        {"generation": 4, "kept": [2, 3], "recover": None},
    ),
    "Lineage.recover": ({"generation": 2, "kept": [1], "recover": {"from": "latest"}},),
    "SplitWorkers.microservicesReplicas": ({"microservicesReplicas": 2, "acceptParallelRecognition": True},),
    "ExternalDatabase.sslMode": ({"sslMode": "disable", "caCertificate": None},),
    "immich:docker": ({"docker": None, "proxy": {"expose": [{"kind": "clusterIp"}]}},),
    "Docker.tlsFolder": ({"host": "ssh://deploy@another.example.com", "tlsFolder": None},),
}
"""Settings that go together, for a change that is not accepted alone: keys of the same model."""

REFUSED = frozenset(
    {
        "immich:backup",
        "Backup.archive",
        "Backup.targets",
        "Backup.volume",
        "LocalTarget.name",
        "LocalTarget.source",
        "immich:cache",
        "immich:database",
        "immich:secrets",
        "BundledCache.storageClass",
        "BundledDatabase.hostPath",
        "BundledDatabase.storageClass",
        "CloudNativePg.clusterName",
        "CloudNativePg.name",
        "CloudNativePg.namespace",
        "ExternalLibrary.name",
        "ExternalLibrary.readOnly",
        "ExternalLibrary.source",
        "HostPath.path",
        "Kubernetes.createNamespace",
        "Kubernetes.namespace",
        "Kubernetes.target",
        "Nfs.claimName",
        "Nfs.driver",
        "Nfs.path",
        "Nfs.server",
        "Nfs.storageClass",
        "ObjectStore.name",
        "Smb.claimName",
        "Smb.credentialsSecret",
        "Smb.source",
        "Storage.backups",
        "Storage.encodedVideo",
        "Storage.externalLibraries",
        "Storage.media",
        "Storage.profile",
        "Storage.thumbs",
        "Volume.accessMode",
        "Volume.claimName",
        "Volume.storageClass",
    }
)
"""Settings whose change would delete or replace what holds data, so that the engine must refuse it; all others must
leave data alone."""


def candidates(place: Place, annotation: Any) -> list[object]:
    """Values to try at a place, best first, none of them the present one."""
    found = [*VALUES.get(place.setting, ()), *_suggested(annotation, place.value)]
    return [
        one for one in map(_plain, found) if one is ABSENT or not _same(annotation, one, _plain(place.value))
    ]


def _same(annotation: Any, one: object, other: object) -> bool:
    """Whether two values of a setting mean the same: what is left out is the default."""
    if one == other or not (isinstance(one, dict) and isinstance(other, dict)):
        return one == other
    adapter = TypeAdapter(annotation)
    try:
        return adapter.validate_python(one) == adapter.validate_python(other)
    except ValidationError:
        return False


def change(
    sections: Mapping[str, Any],
    place: Place,
    annotation: Any,
    goes_on: Callable[[Mapping[str, Any]], bool] = lambda _: True,
) -> dict[str, Any] | None:
    """The settings with another value at a place; None where no other one is accepted, by `goes_on` as well."""

    def accepted(result: Mapping[str, Any]) -> bool:
        return result != sections and not refusals(result) and goes_on(result)

    for value in candidates(place, annotation):
        result = changed(sections, place.path, value)
        if accepted(result):
            return result
    for together in PAIRED.get(place.setting, ()):
        result = dict(sections)
        for key, value in together.items():
            wanted = ABSENT if value is None else value
            result = changed(result, (*place.path[:-1], key), wanted)
        if accepted(result):
            return result
    return None


def _plain(value: object) -> object:
    """Tuples as lists, as YAML has them."""
    if isinstance(value, tuple | list):
        return [_plain(one) for one in cast("Sequence[object]", value)]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in cast("Mapping[str, object]", value).items()}
    return value


_BY_TYPE: Mapping[str, Sequence[object]] = {
    "Hostname": ("another.example.com",),
    "CronExpression": ("45 3 * * *",),
    "ObjectName": ("another",),
    "ClaimName": ("another",),
    "ServerAddress": ("10.7.7.7",),
    "IpAddress": ("10.7.7.8",),
    "AbsolutePath": ("/srv/another",),
    "Cidr": ("10.77.0.0/16",),
    "Duration": ("20m", "2m", "90s"),
    "HexId": ("0" * 31 + "1",),
    "str": ("another", "another.example.com", "Another"),
    "ImageRef": (f"registry.example.com/another:v3.3.1@{_DIGEST}",),
}


def _suggested(annotation: Any, present: object) -> list[object]:
    if hasattr(annotation, "__metadata__"):
        return _suggested(annotation.__origin__, present)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return list(arguments)
    if annotation is bool:
        return [not present]
    if annotation is int:
        number = cast("int | None", present) or 1
        return [number + 1, number - 1, number + 100]
    if isinstance(annotation, type) and issubclass(annotation, Quantity):
        return _quantities(str(present)) if present else ["3"] if annotation is Cpu else ["3Gi"]
    if origin is dict:
        return [{"example.com/another": "yes"}, {}]
    if origin is tuple:
        inner = _suggested(arguments[0], None)
        return [*([one] for one in inner), []]
    options = [one for one in arguments if one is not type(None)]
    if options and origin is not dict:
        suggested = [value for option in options for value in _suggested(option, present)]
        return [*suggested, ABSENT] if type(None) in arguments else suggested
    return list(_BY_TYPE.get(getattr(annotation, "__name__", ""), ()))


def _quantities(present: str) -> list[object]:
    """One more and one less in the same unit."""
    number = present.rstrip("mkMGTPi")
    unit = present.removeprefix(number)
    return [f"{float(number) + 1:g}{unit}", f"{float(number) * 0.9:g}{unit}"]

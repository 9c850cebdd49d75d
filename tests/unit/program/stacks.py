"""Stacks that the program is run with: those of the repository, and one for each part that they leave out."""

from __future__ import annotations

from typing import Any

from tests.harness.program import ROOT, Runs, Stack, from_file, with_secrets

RENDER = {"target": "render"}
HOST = {"name": "photos.example.com"}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

APP: dict[str, Any] = {
    "oauth": {
        "enabled": True,
        "issuerUrl": "https://id.example.com/application/o/immich/",
        "clientId": "immich",
    },
    "notifications": {
        "smtp": {
            "enabled": True,
            "from": "Immich <immich@example.com>",
            "transport": {"host": "192.168.1.25", "port": 587, "username": "immich"},
        }
    },
}

OPERATED = with_secrets(
    "operated",
    {
        "host": HOST,
        "kubernetes": {"target": "cluster"},
        "server": {
            "workers": {"kind": "split", "apiReplicas": 3},
            "acceleration": "nvenc",
            "gpu": {"runtimeClass": "nvidia", "groups": [44, 105]},
        },
        "machineLearning": {
            "backend": "cuda",
            "replicas": 2,
            "gpu": {"runtimeClass": "nvidia"},
            "cache": {"accessMode": "ReadWriteMany"},
            "preload": {"clipTextual": ["ViT-B-32__openai"]},
        },
        "database": {
            "kind": "cloudnative-pg",
            "namespace": "databases",
            "instances": 3,
            "walSize": "8Gi",
            "name": "photo_db_",
            "podMonitor": True,
        },
        "backup": {
            "archive": {
                "objectStore": {
                    "destinationPath": "s3://bucket/immich",
                    "endpointUrl": "http://[fd00::5]:9000",
                }
            }
        },
        "storage": {"media": {"kind": "nfs", "server": "10.0.0.9", "path": "/export/immich"}},
        "proxy": {
            "replicas": 2,
            "expose": [
                {
                    "kind": "httpRoute",
                    "gateway": "public",
                    "gatewayNamespace": "gateway",
                    "gatewayPods": {"app": "envoy"},
                },
                {"kind": "loadBalancer", "sourceRanges": ["192.168.1.0/24"]},
            ],
        },
        "app": APP,
    },
    "backupAccessKeyId",
    "backupSecretAccessKey",
    "oauthClientSecret",
    "smtpPassword",
    "databasePassword",
)

EXTERNAL = with_secrets(
    "external",
    {
        "host": HOST,
        "kubernetes": {"target": "cluster", "createNamespace": False, "namespace": "media"},
        "database": {
            "kind": "external",
            "host": "192.168.7.10",
            "port": 5433,
            "sslMode": "verify-full",
            "caCertificate": CERTIFICATE,
            "vectorExtension": "vectorchord",
        },
        "cache": {"kind": "external", "host": "cache.example.com", "tls": True, "username": "immich"},
        "machineLearning": {"kind": "external", "urls": ["http://[fd00::7]:3003", "https://ml.example.com"]},
        "proxy": {
            "kind": "none",
            "expose": [
                {
                    "kind": "ingress",
                    "door": "lan",
                    "className": "nginx",
                    "controllerNamespace": "ingress-nginx",
                    "tlsSecret": "photos-tls",
                }
            ],
        },
    },
    "databasePassword",
    "cachePassword",
)

FETCHED = Stack(
    "fetched",
    {
        "host": HOST,
        "kubernetes": {
            **RENDER,
            "networkPolicies": "cilium",
            "lanAllowances": [{"address": "192.168.1.5"}, {"address": "nas.lan", "port": 445}],
        },
        "secrets": {
            "kind": "external-secrets",
            "store": {"name": "vault"},
            "values": {
                "databasePassword": {"key": "immich", "property": "database"},
                "cachePassword": {"key": "immich", "property": "cache"},
                "oauthClientSecret": {"key": "immich-oauth"},
                "smtpPassword": {"key": "immich-smtp"},
            },
            "names": {"database": "immich-db-credentials"},
        },
        "app": APP,
    },
)

_EVERY_STORAGE: dict[str, Any] = {
    "media": {"kind": "hostPath", "path": "/srv/immich"},
    "thumbs": {"kind": "volume", "size": "50Gi", "storageClass": "fast"},
    "encodedVideo": {"kind": "nfs", "server": "10.0.0.9", "path": "/export/video", "driver": "in-tree"},
    "profile": {"kind": "existingClaim", "claimName": "profiles"},
    "backups": {"kind": "smb", "source": "//nas/backups", "credentialsSecret": "nas"},
    "externalLibraries": [
        {
            "name": "photos",
            "mountPath": "/mnt/photos",
            "machineLearning": True,
            "source": {"kind": "nfs", "server": "10.0.0.9", "path": "/export/photos"},
        },
        {
            "name": "scans",
            "mountPath": "/mnt/scans",
            "readOnly": False,
            "source": {"kind": "smb", "source": "//nas/scans", "credentialsSecret": "nas"},
        },
        {"name": "a" * 63, "mountPath": "/mnt/long", "source": {"kind": "volume", "size": "1Gi"}},
    ],
}
STORED = Stack(
    "stored",
    {"kubernetes": RENDER, "machineLearning": {"kind": "off"}, "storage": _EVERY_STORAGE, "host": HOST},
)

DEVICES = Stack(
    "devices",
    {
        "host": HOST,
        "kubernetes": {**RENDER, "networkPolicies": "none"},
        "server": {"acceleration": "vaapi", "gpu": {"groups": [105]}, "metrics": {"enabled": True}},
        "machineLearning": {"backend": "rknn"},
        "cache": {"kind": "external", "host": "10.1.1.1", "password": False},
    },
)

REPOSITORY = {
    path.stem.removeprefix("Pulumi."): from_file(path) for path in sorted(ROOT.glob("Pulumi.*.yaml"))
}
MADE = {stack.name: stack for stack in (OPERATED, EXTERNAL, FETCHED, STORED, DEVICES)}
STACKS = {**REPOSITORY, **MADE}
HOSTS = sorted(name for name, stack in STACKS.items() if "docker" in stack.sections)
"""Stacks on one host."""
CLUSTERS = sorted(STACKS.keys() - set(HOSTS))
"""Stacks on a cluster."""
EVERY = sorted(STACKS)
RUNS = Runs(STACKS)

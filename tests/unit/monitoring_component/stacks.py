"""Settings of stacks that somebody watches, and what the program registers for them."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, Final

import yaml

from components.monitoring import scrapes
from components.settings.model import SECRET_KEYS, Settings
from components.settings.reader import SettingsError, read_settings
from tests.harness.mocks import Run
from tests.harness.objects import Manifest
from tests.harness.program import host_stack, manifests, run_stack

HOST: Final[dict[str, Any]] = {
    "docker": {},
    "host": {"name": "photos.example.com"},
    "proxy": {
        "tls": {"kind": "acme", "email": "me@example.com", "challenge": "http"},
        "expose": [{"kind": "publishedPort", "address": "192.168.1.2", "door": "internet"}],
    },
    "backup": {"targets": [{"name": "disk", "kind": "local", "source": {"kind": "volume"}}]},
}
"""One host with backups."""
BEHIND_TRAEFIK: Final[dict[str, Any]] = {
    "docker": {},
    "host": {"name": "photos.example.com"},
    "proxy": {
        "kind": "none",
        "expose": [
            {
                "kind": "traefikLabels",
                "network": "web",
                "trustedSources": ["10.8.0.0/24"],
                "entryPointReadTimeout": "0s",
            }
        ],
    },
    "backup": {"targets": []},
}
"""One host whose only way in is a Traefik that is somebody else's."""
CLUSTER: Final[dict[str, Any]] = {
    "kubernetes": {"target": "render", "monitoringNamespace": "monitoring"},
    "host": {"name": "photos.example.com"},
    "server": {"workers": {"kind": "split", "apiReplicas": 2}},
    "storage": {"media": {"kind": "nfs", "server": "10.0.0.9", "path": "/export"}},
    "proxy": {
        "replicas": 2,
        "expose": [{"kind": "httpRoute", "gateway": "public", "gatewayNamespace": "gateway"}],
    },
}
"""A cluster with several copies of what may have them."""
OPERATED: Final[dict[str, Any]] = {
    **CLUSTER,
    "database": {"kind": "cloudnative-pg", "instances": 3, "namespace": "databases"},
    "monitoring": {"kind": "operator", "labels": {"release": "kps"}},
}
"""The same with operators."""


def watched_by(base: Mapping[str, Any], kind: str, **more: Any) -> dict[str, Any]:
    """Sections of a stack that somebody watches."""
    return {**base, "monitoring": {"kind": kind, **more}}


def settings(sections: Mapping[str, Any]) -> Settings:
    """With what watching implies; secrets are given. AssertionError for settings that are refused."""
    texts = {key: json.dumps(value) for key, value in sections.items()}
    missing = [one.removeprefix("immich:") for one in refused(sections)]
    assert set(missing) <= set(SECRET_KEYS), missing
    return scrapes.with_numbers(read_settings("test", {**texts, **dict.fromkeys(missing, "given")}, missing))


def refused(sections: Mapping[str, Any]) -> list[str]:
    """Keys of what is wrong."""
    try:
        read_settings("test", {key: json.dumps(value) for key, value in sections.items()})
    except SettingsError as error:
        return [one.key for one in error.problems]
    return []


def run(sections: Mapping[str, Any]) -> Run:
    """What the program registers."""
    return _run(json.dumps(sections))


@functools.cache
def _run(sections: str) -> Run:
    return run_stack(host_stack("test", json.loads(sections)))


def objects(sections: Mapping[str, Any], kind: str) -> dict[str, Manifest]:
    """Kubernetes objects of a kind by name."""
    return {str(one["metadata"]["name"]): one for one in manifests(run(sections)) if one["kind"] == kind}


def configuration(sections: Mapping[str, Any]) -> dict[str, Any]:
    """prometheus.yml of a cluster's bundled Prometheus."""
    found: dict[str, Any] = yaml.safe_load(
        objects(sections, "ConfigMap")["immich-prometheus"]["data"]["prometheus.yml"]
    )
    return found

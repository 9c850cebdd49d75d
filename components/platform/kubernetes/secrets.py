"""Secrets on the cluster: a Secret with values, or an ExternalSecret that fetches them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components.model.specs import PublishedSecret
from components.platform.kubernetes.pods import Manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class ExternalStore:
    """Where the External Secrets operator finds values."""

    name: str
    kind: str
    refresh_interval: str
    values: Mapping[str, tuple[str, str | None]]
    """Config key -> item and, where it has several fields, the field."""


def secret(published: PublishedSecret) -> Manifest:
    """The Secret without its values, which are Pulumi outputs and are added when it is registered."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {}, "type": published.type}


def external_secret(published: PublishedSecret, store: ExternalStore, target: str) -> Manifest:
    """The ExternalSecret whose operator makes the Secret `target`. Nothing secret is in it."""
    keys = dict.fromkeys(key for text in published.items.values() for key in text.keys)
    template: Manifest = {
        "engineVersion": "v2",
        "type": published.type,
        "data": {name: text.external_template() for name, text in published.items.items()},
    }
    if published.labels:
        template["metadata"] = {"labels": dict(published.labels)}
    return {
        "apiVersion": "external-secrets.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"annotations": {"pulumi.com/waitFor": "condition=Ready"}},
        "spec": {
            "refreshInterval": store.refresh_interval,
            "secretStoreRef": {"name": store.name, "kind": store.kind},
            "target": {
                "name": target,
                "creationPolicy": "Owner",
                "deletionPolicy": "Retain",
                "template": template,
            },
            "data": [
                {
                    "secretKey": key,
                    "remoteRef": {
                        "key": store.values[key][0],
                        **({"property": store.values[key][1]} if store.values[key][1] is not None else {}),
                    },
                }
                for key in keys
            ],
        },
    }

"""Registering one manifest as a Pulumi resource, through the class that pulumi-kubernetes has for its kind.

Manifests are made as plain data by pure functions (docs/adr/0017-classes-of-the-packages.md).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import pulumi

from components.platform.registration import arguments, options

Manifest = dict[str, Any]


def class_of(api_version: str, kind: str) -> Callable[..., pulumi.CustomResource]:
    """`apps/v1`, `Deployment` -> `pulumi_kubernetes.apps.v1.Deployment`; whatever comes by a CRD has one class.

    Only the module of its group is imported. Raises `AttributeError` for a kind that a group of Kubernetes' own lacks.
    """
    group, _, version = api_version.rpartition("/")
    if "." not in group or group.endswith(".k8s.io"):
        try:
            module = importlib.import_module(
                f"pulumi_kubernetes.{group.partition('.')[0] or 'core'}.{version}"
            )
        except ModuleNotFoundError:
            pass  # such as gateway.networking.k8s.io
        else:
            found: Callable[..., pulumi.CustomResource] = getattr(module, kind)
            return found
    from pulumi_kubernetes.apiextensions import CustomResource

    return CustomResource


def register(
    manifest: Manifest,
    *,
    name: str,
    namespace: str | None,
    labels: dict[str, str],
    parent: pulumi.Resource,
    after: Sequence[pulumi.Resource] = (),
    holds_data: bool = False,
    timeout: int | None = None,
    ignore: Sequence[str] = (),
    must_exist: bool = False,
    aliases: Sequence[pulumi.Alias] = (),
    provider: pulumi.ProviderResource | None = None,
) -> pulumi.CustomResource:
    """Register `manifest` under a literal name; `registration.options` says what the options mean.

    With `must_exist` it is never made: the update fails where it is not there. `aliases` are where earlier releases had
    it. Raises `TypeError` for a field that the kind does not have.
    """
    metadata: Manifest = {"name": name, **manifest.get("metadata", {})}
    if namespace is not None:
        metadata["namespace"] = namespace
    metadata["labels"] = {**labels, **metadata.get("labels", {})}
    identifier = name if namespace is None else f"{namespace}/{name}"
    return class_of(str(manifest["apiVersion"]), str(manifest["kind"]))(
        identifier,
        **arguments({**manifest, "metadata": metadata}),
        opts=options(
            parent=parent,
            provider=provider,
            after=after,
            holds_data=holds_data,
            timeout=timeout,
            ignore=ignore,
            aliases=list(aliases) or None,
            import_=identifier if must_exist else None,
        ),
    )

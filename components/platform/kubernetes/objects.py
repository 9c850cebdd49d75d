"""Registering one manifest as a Pulumi resource, in the type and wire form of pulumi-kubernetes.

The resources are registered through `pulumi.CustomResource`, with the tokens of pulumi-kubernetes: manifests are made
as plain data by pure functions and need no second, typed copy (docs/adr/0002-manifests-as-data.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

Manifest = dict[str, Any]


def type_token(api_version: str, kind: str) -> str:
    """`apps/v1`, `Deployment` -> `kubernetes:apps/v1:Deployment`; the core group is spelled `core/v1`."""
    return f"kubernetes:{api_version if '/' in api_version else f'core/{api_version}'}:{kind}"


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
    """Register `manifest` under a literal name.

    `holds_data` protects the object from deletion and replacement, and keeps it when it leaves the program all the
    same. `timeout` is how many seconds the engine may wait for it. `ignore` are properties that matter when it is made
    and stay as they are afterwards. With `must_exist` it is never made: the update fails where it is not there.
    `aliases` are where earlier releases had it.
    """
    metadata: Manifest = {"name": name, **manifest.get("metadata", {})}
    if namespace is not None:
        metadata["namespace"] = namespace
    metadata["labels"] = {**labels, **metadata.get("labels", {})}
    kind = str(manifest["kind"])
    waits = f"{timeout}s" if timeout is not None else None
    return pulumi.CustomResource(
        type_token(str(manifest["apiVersion"]), kind),
        name if namespace is None else f"{namespace}/{name}",
        {**manifest, "metadata": metadata},
        pulumi.ResourceOptions(
            parent=parent,
            provider=provider,
            depends_on=list(after) or None,
            protect=holds_data or None,
            retain_on_delete=holds_data or None,
            additional_secret_outputs=["data", "stringData"] if kind == "Secret" else None,
            ignore_changes=list(ignore) or None,
            aliases=list(aliases) or None,
            import_=(name if namespace is None else f"{namespace}/{name}") if must_exist else None,
            custom_timeouts=pulumi.CustomTimeouts(create=waits, update=waits, delete=waits)
            if waits
            else None,
        ),
    )

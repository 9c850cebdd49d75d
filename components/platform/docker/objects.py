"""Registering objects of the engine, in the tokens and wire names of pulumi-docker.

Inputs are made as plain data by pure functions, like manifests (docs/adr/0002-manifests-as-data.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pulumi

Inputs = dict[str, Any]
Kind = Literal["Container", "Network", "RemoteImage", "Volume"]

INPUTS: Mapping[Kind, frozenset[str]] = {
    "Network": frozenset({"name", "driver", "internal", "ipamConfigs", "labels", "options"}),
    "Volume": frozenset({"name", "driver", "driverOpts", "labels"}),
    "RemoteImage": frozenset({"name", "keepLocally"}),
    "Container": frozenset(
        {
            "attach", "capabilities", "command", "cpuPeriod", "cpuQuota", "cpuShares",
            "destroyGraceSeconds", "deviceRequests", "devices", "dns", "entrypoints", "envs", "gpus",
            "groupAdds", "healthcheck", "hostname", "image", "labels", "logDriver", "logOpts", "memory",
            "memorySwap", "mounts", "mustRun", "name", "networkMode", "networksAdvanced", "ports",
            "readOnly", "restart", "securityOpts", "shmSize", "stopTimeout", "tmpfs", "ulimits",
            "uploads", "user", "volumes", "wait", "waitTimeout",
        }
    ),
}  # fmt: skip
"""Wire names of the inputs that this program gives, by resource."""

_OUTPUTS: Mapping[Kind, str] = {"RemoteImage": "imageId", "Container": "exitCode"}


def type_token(kind: Kind) -> str:
    """`Container` -> `docker:index/container:Container`."""
    return f"docker:index/{kind[0].lower()}{kind[1:]}:{kind}"


def register(
    kind: Kind,
    name: str,
    inputs: Inputs,
    *,
    parent: pulumi.Resource,
    after: Sequence[pulumi.Resource] = (),
    holds_data: bool = False,
    kept: bool = False,
    timeout: int | None = None,
    ignore: Sequence[str] = (),
    provider: pulumi.ProviderResource | None = None,
) -> pulumi.CustomResource:
    """Register an object under a literal name.

    `holds_data` protects it from deletion and replacement, and keeps it when it leaves the program all the same.
    `kept` only keeps it.

    `timeout` is how many seconds the engine may wait for it. Raises `ValueError` for an input that is not in `INPUTS`.
    """
    if unknown := inputs.keys() - INPUTS[kind]:
        raise ValueError(f"{kind} {name}: unknown inputs {', '.join(sorted(unknown))}")
    waits = f"{timeout}s" if timeout is not None else None
    promised = {_OUTPUTS[kind]: None} if kind in _OUTPUTS else {}
    return pulumi.CustomResource(
        type_token(kind),
        name,
        {**promised, **inputs},
        pulumi.ResourceOptions(
            parent=parent,
            provider=provider,
            depends_on=list(after) or None,
            protect=holds_data or None,
            retain_on_delete=holds_data or kept or None,
            # Names, addresses and ports of the host are fixed: the old one must go first.
            delete_before_replace=True if kind in {"Container", "Network"} else None,
            ignore_changes=list(ignore) or None,
            custom_timeouts=pulumi.CustomTimeouts(create=waits, update=waits, delete=waits)
            if waits
            else None,
        ),
    )


def image_id(image: pulumi.CustomResource) -> pulumi.Output[str]:
    """Id of an image on the engine."""
    found: pulumi.Output[str] = image.__dict__[_OUTPUTS["RemoteImage"]]
    return found


def exit_code(container: pulumi.CustomResource) -> pulumi.Output[int | None]:
    """Exit code of a container that has ended."""
    found: pulumi.Output[int | None] = container.__dict__[_OUTPUTS["Container"]]
    return found


def labelled(labels: Mapping[str, Any]) -> list[Inputs]:
    """Labels as the engine's resources have them; values may be outputs."""
    return [{"label": name, "value": value} for name, value in sorted(labels.items())]

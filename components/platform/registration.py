"""What both platforms need to register plain data through the classes of Pulumi's packages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi


def arguments(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs as the arguments of a class: `stringData` -> `string_data`. What is below keeps its names: both go."""
    return {
        re.sub("[A-Z]", lambda found: f"_{found.group().lower()}", name): value
        for name, value in inputs.items()
    }


def options(
    *,
    parent: pulumi.Resource,
    after: Sequence[pulumi.Resource],
    holds_data: bool,
    kept: bool = False,
    timeout: int | None,
    ignore: Sequence[str],
    **more: Any,
) -> pulumi.ResourceOptions:
    """Options of a resource.

    `holds_data` protects it from deletion and replacement, and keeps it when it leaves the program all the same;
    `kept` only keeps it. `timeout` is how many seconds the engine may wait for it. `ignore` are inputs that matter when
    it is made and stay as they are afterwards.
    """
    waits = f"{timeout}s" if timeout is not None else None
    return pulumi.ResourceOptions(
        parent=parent,
        depends_on=list(after) or None,
        protect=holds_data or None,
        retain_on_delete=holds_data or kept or None,
        ignore_changes=list(ignore) or None,
        custom_timeouts=pulumi.CustomTimeouts(create=waits, update=waits, delete=waits) if waits else None,
        **more,
    )

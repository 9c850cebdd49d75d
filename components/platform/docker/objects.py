"""Registering objects of the engine through pulumi-docker's classes.

Inputs are made as plain data by pure functions, like manifests (docs/adr/0017-classes-of-the-packages.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import pulumi
from pulumi_docker import Container, Network

from components.platform.registration import arguments, options

Inputs = dict[str, Any]
"""By wire name: they are hashed, so that other names would make every container anew."""

Made = TypeVar("Made", bound=pulumi.CustomResource)


def register(
    kind: Callable[..., Made],
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
) -> Made:
    """Register an object of a class under a literal name; `registration.options` says what the options mean.

    Raises `TypeError` for an input that the class does not have.
    """
    return kind(
        name,
        **arguments(inputs),
        opts=options(
            parent=parent,
            provider=provider,
            after=after,
            holds_data=holds_data,
            kept=kept,
            timeout=timeout,
            ignore=ignore,
            # Names, addresses and ports of the host are fixed: the old one must go first.
            delete_before_replace=True if kind in {Container, Network} else None,
        ),
    )


def labelled(labels: Mapping[str, Any]) -> list[Inputs]:
    """Labels as the engine's resources have them; values may be outputs."""
    return [{"label": name, "value": value} for name, value in sorted(labels.items())]
